"""The arena: which buffers live at the same time, and at which offsets they fit into the least memory.

Placing intervals in memory to the least height is NP-hard (dynamic storage allocation). Several orders of a first-fit
greedy are tried and the best is kept; the largest sum of live bytes is a lower bound, so reaching it is a proof.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(eq=False)
class Lifetime:
    """A buffer written at step `first` and read for the last time at step `last`.

    in_place: buffers of the same size whose memory it may take over if they die at its first step.
    """

    bytes: int
    first: int
    last: int
    in_place: tuple[Lifetime, ...] = ()
    offset: int = field(default=-1)


@dataclass(frozen=True)
class Plan:
    """bytes: the size reached; lower_bound_bytes: what no plan can go below; shared: buffers that took over another."""

    bytes: int
    lower_bound_bytes: int
    shared: int


@dataclass(eq=False)
class _Block:
    """Memory for one buffer, or for several that follow each other in place."""

    bytes: int
    first: int
    last: int
    members: list[Lifetime]
    offset: int = -1


def plan_arena(lifetimes: Sequence[Lifetime], align: int) -> Plan:
    """Give every lifetime an offset, a multiple of `align`, so that no two that live at one step overlap."""
    blocks = _merge_in_place(lifetimes, align)
    steps = 1 + max((block.last for block in blocks), default=0)
    live = [0] * (steps + 1)
    for block in blocks:
        live[block.first] += block.bytes
        live[block.last + 1] -= block.bytes
    bound = max(itertools.accumulate(live), default=0)
    best = -1
    offsets: list[int] = []
    for order in _ORDERS:
        height = _first_fit(sorted(blocks, key=order))
        if best < 0 or height < best:
            best, offsets = height, [block.offset for block in blocks]
        if best == bound:
            break
    for block, offset in zip(blocks, offsets, strict=True):
        for member in block.members:
            member.offset = offset
    return Plan(max(best, 0), bound, len(lifetimes) - len(blocks))


def _merge_in_place(lifetimes: Sequence[Lifetime], align: int) -> list[_Block]:
    block_of: dict[Lifetime, _Block] = {}
    blocks: list[_Block] = []
    for lifetime in lifetimes:
        taken = next((block_of[other] for other in lifetime.in_place if block_of[other].last == lifetime.first), None)
        if taken is None:
            size = -(-max(lifetime.bytes, 1) // align) * align
            taken = _Block(size, lifetime.first, lifetime.last, [])
            blocks.append(taken)
        taken.members.append(lifetime)
        taken.last = max(taken.last, lifetime.last)
        block_of[lifetime] = taken
    return blocks


_ORDERS: tuple[Callable[[_Block], tuple[int, ...]], ...] = (
    lambda block: (-block.bytes, block.first),
    lambda block: (-block.bytes * (block.last - block.first + 1), block.first),
    lambda block: (block.first, -block.bytes),
    lambda block: (-block.last, -block.bytes),
    lambda block: (-(block.last - block.first), -block.bytes, block.first),
)


def _first_fit(blocks: Sequence[_Block]) -> int:
    """Place each block at the lowest offset that is free while it lives; returns the height."""
    placed: list[_Block] = []
    for block in blocks:
        block.offset = 0
        rivals = sorted(
            (other for other in placed if other.first <= block.last and block.first <= other.last),
            key=lambda other: other.offset,
        )
        for other in rivals:
            if block.offset + block.bytes <= other.offset:
                break
            block.offset = max(block.offset, other.offset + other.bytes)
        placed.append(block)
    return max((block.offset + block.bytes for block in blocks), default=0)
