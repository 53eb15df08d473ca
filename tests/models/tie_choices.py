"""Which ties of inner codes an engine on another processor broke the other way, found from its outputs alone.

The recorded super-resolution ran where float sums go in another order, and only its outputs are known. A pixel that
differs depends on few inner codes; of those at a tie, one or two taken the other way must give the recorded pixels, all
of them and no other. The model is cut small around the pixels, so that each choice is quickly tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.trace import Tracer
from subbyte.compiler.trace.differences import Steps

Array = NDArray[Any]
CROP, REACH = 36, 8
"""Of the cropped input, and how far an input pixel reaches at most (5) with room to spare; in input pixels."""
MOST = 500
"""How many ties are tried for one choice."""

Taken = dict[str, dict[tuple[int, ...], int]]
"""By point and index: the codes that are taken the other way."""


@dataclass(frozen=True)
class Choice:
    """One code taken the other way: of which ONNX tensor, and how far its real number lies from the tie, in steps."""

    tensor: str
    distance: float
    bound: float


class TieChoices:
    """The super-resolution model on a crop of its input: [1, 3, CROP, CROP] becomes twice as large."""

    def __init__(self, path: Path) -> None:
        proto = onnx.load(path)
        for axis in (2, 3):
            proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = CROP
            proto.graph.output[0].type.tensor_type.shape.dim[axis].dim_value = 2 * CROP
        del proto.graph.value_info[:]
        self._input = proto.graph.input[0].name
        self._tracer = Tracer(proto, "simulation")
        folded = self._tracer.folded
        self._names = self._tracer.cut.names
        self._nothing = {n.name: np.zeros(n.type.shape, n.type.dtype.numpy) for n in folded.inputs}
        self._regions = {o.name: folded.with_outputs([o]) for o in folded.outputs if o.name in self._names}

    def explain(self, image: Array, ours: Array, recorded: Array) -> list[Choice]:
        """The choices by which our codes become the recorded ones; pixels in steps, [3, 2 * H, 2 * W] each.

        Raises: AssertionError: no choice of ties gives some recorded pixel.
        """
        found: list[Choice] = []
        for rows, columns in _crops(ours != recorded):
            wanted = recorded[:, 2 * rows : 2 * (rows + CROP), 2 * columns : 2 * (columns + CROP)]
            crop = np.ascontiguousarray(image[..., rows : rows + CROP, columns : columns + CROP])
            edges = [(rows > 0, rows + CROP < image.shape[2]), (columns > 0, columns + CROP < image.shape[3])]
            inside = tuple(
                slice(2 * REACH if before else 0, 2 * (CROP - REACH) if after else None) for before, after in edges
            )
            found += self._choose(crop, wanted, inside)
        return found

    def _choose(self, crop: Array, wanted: Array, inside: tuple[slice, ...]) -> list[Choice]:
        """Take ties the other way, the closest to its tie first that leaves fewer wrong pixels, until none is left."""
        chosen: list[Choice] = []
        taken: Taken = {name: {} for name in self._names}
        codes = self._chained(crop, {}, self._names[0], taken)
        wrong = self._wrong(codes, wanted, inside)
        while wrong.any():
            for name, where, code, choice in self._ties(crop, codes, wrong):
                more = {**taken, name: {**taken[name], where: code}}
                trial = self._chained(crop, codes, name, more)
                left = self._wrong(trial, wanted, inside)
                if np.count_nonzero(left) < np.count_nonzero(wrong):
                    taken, codes, wrong = more, trial, left
                    chosen.append(choice)
                    break
            else:
                raise AssertionError(f"no tie explains {np.count_nonzero(wrong)} pixels after {chosen}")
        return chosen

    def _chained(self, crop: Array, codes: dict[str, Array], first: str, taken: Taken) -> dict[str, Array]:
        """Our codes of each point, from the ones before it: `codes` before the point `first`; some taken as told."""
        begin = self._names.index(first)
        chain = {name: codes[name] for name in self._names[:begin]}
        for name in self._names[begin:]:
            region = self._regions[name]
            known = {node.name: chain.get(node.name, self._nothing.get(node.name)) for node in region.inputs}
            chain[name] = evaluate(region, known | {self._input: crop})[name]
            for where, code in taken[name].items():
                chain[name][where] = code
        return chain

    def _wrong(self, codes: dict[str, Array], wanted: Array, inside: tuple[slice, ...]) -> Array:
        """[3, 2 * CROP, 2 * CROP]: which values, away from the cut edges, are not the wanted ones."""
        different = np.zeros(wanted.shape, bool)
        within = (slice(None), *inside)
        different[within] = (codes[self._names[-1]][0] != wanted)[within]
        return different

    def _ties(
        self, crop: Array, codes: dict[str, Array], wrong: Array
    ) -> Iterator[tuple[str, tuple[int, ...], int, Choice]]:
        """(point, index, the other code, choice) of codes at ties that reach a wrong pixel, the closest first."""
        shown = {}
        for name, point in zip(self._names, self._tracer.points, strict=True):
            quant = point.value.type.quant
            assert quant is not None
            scale, zero_point = quant.scalar()
            units = (codes[name].astype(np.int64) - zero_point).astype(np.float32)
            shown[point.tensor] = units * np.float32(scale) if point.is_dequantized else codes[name]
        pixels = np.argwhere(wrong)[:, 1:] / 2
        found = []
        for region in self._tracer.regions({self._input: crop}, shown):
            if region.point is None or not isinstance(region.exact, Steps):
                continue
            at = region.exact.at + region.exact.zero_point
            lower = np.floor(at)
            distance = np.abs(at - lower - 0.5)
            low, high = region.point.value.type.code_range()
            tied = (distance <= region.exact.error) & (lower >= low) & (lower + 1 <= high)
            for where in map(tuple, np.argwhere(tied)):
                place = np.array(where[2:]) * CROP / at.shape[2]
                if (np.abs(pixels - place).max(axis=1) > REACH).all():
                    continue
                code = int(2 * lower[where] + 1 - codes[region.name][where])
                choice = Choice(region.point.tensor, float(distance[where]), float(region.exact.error[where]))
                found.append((region.name, where, code, choice))
        yield from sorted(found, key=lambda one: one[3].distance)[:MOST]


def _crops(different: Array) -> Iterator[tuple[int, int]]:
    """(row, column) of crops of the input whose insides cover all pixels that differ."""
    left: NDArray[np.bool_] = np.asarray(different.any(axis=0))
    height, width = (extent // 2 for extent in left.shape)
    while left.any():
        first = np.argwhere(left)[0] // 2
        near = np.argwhere(left) // 2
        near = near[(np.abs(near - first) <= CROP - 2 * REACH - 1).all(axis=1)]
        centre = (near.min(axis=0) + near.max(axis=0)) // 2
        row, column = (
            int(np.clip(c - CROP // 2, 0, extent - CROP)) for c, extent in zip(centre, (height, width), strict=True)
        )
        yield row, column
        rows, columns = (
            slice(0 if begin == 0 else 2 * (begin + REACH), None if begin + CROP == n else 2 * (begin + CROP - REACH))
            for begin, n in ((row, height), (column, width))
        )
        left[rows, columns] = False
