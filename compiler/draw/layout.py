"""Where the boxes of a layered drawing stand: a row for each depth, few crossings, room for arrows that pass rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Box = Hashable
ROW, GAP, LANE = 84.0, 28.0, 16.0  # height of a row, space between boxes, width of an arrow that passes a row
_SWEEPS = 6


@dataclass(frozen=True)
class Drawing:
    """centres: of each box. arrows: for each edge the points that it runs through, from centre to centre."""

    centres: dict[Box, tuple[float, float]]
    arrows: list[list[tuple[float, float]]]
    width: float
    height: float


def layered(widths: Mapping[Box, float], edges: Sequence[tuple[Box, Box]]) -> Drawing:
    """Place boxes, given in topological order with their widths, so that every edge leads down.

    A box stands in the row below the lowest that it comes from; an edge that passes a row has a place of its own there.
    Within a row the order follows the mean place of the neighbours above and below, in turns.
    Source: Sugiyama, Tagawa and Toda 1981.
    """
    above: dict[Box, list[Box]] = {box: [] for box in widths}
    for tail, head in edges:
        above[head].append(tail)
    depth: dict[Box, int] = {}
    for box in widths:
        depth[box] = 1 + max((depth[tail] for tail in above[box]), default=-1)
    rows: list[list[Box]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for box in widths:
        rows[depth[box]].append(box)
    room = dict(widths)
    chains: list[list[Box]] = []
    for number, (tail, head) in enumerate(edges):
        passed = [("edge", number, row) for row in range(depth[tail] + 1, depth[head])]
        for place in passed:
            rows[place[2]].append(place)
            room[place] = LANE
        chains.append([tail, *passed, head])
    _order(rows, chains)
    return _placed(rows, room, chains, set(widths))


def _order(rows: list[list[Box]], chains: list[list[Box]]) -> None:
    """Sort each row by the mean place of the neighbours, downward and upward in turns."""
    up: dict[Box, list[Box]] = {}
    down: dict[Box, list[Box]] = {}
    for chain in chains:
        for tail, head in pairwise(chain):
            up.setdefault(head, []).append(tail)
            down.setdefault(tail, []).append(head)
    place = {box: (k + 0.5) / len(row) for row in rows for k, box in enumerate(row)}
    for sweep in range(_SWEEPS):
        neighbours, order = (up, rows) if sweep % 2 == 0 else (down, rows[::-1])
        for row in order:
            means = {
                box: sum(place[other] for other in near) / len(near) if (near := neighbours.get(box)) else place[box]
                for box in row
            }
            row.sort(key=means.__getitem__)
            for k, box in enumerate(row):
                place[box] = (k + 0.5) / len(row)


def _placed(rows: list[list[Box]], room: dict[Box, float], chains: list[list[Box]], boxes: set[Box]) -> Drawing:
    """Centre every row."""
    extents = [sum(room[box] for box in row) + GAP * (len(row) - 1) for row in rows]
    width = max(extents, default=0.0) + 2 * GAP
    points: dict[Box, tuple[float, float]] = {}
    for number, (row, extent) in enumerate(zip(rows, extents, strict=True)):
        x = (width - extent) / 2
        for box in row:
            points[box] = (x + room[box] / 2, (number + 0.5) * ROW)
            x += room[box] + GAP
    arrows = [[points[box] for box in chain] for chain in chains]
    return Drawing({box: points[box] for box in points if box in boxes}, arrows, width, len(rows) * ROW)
