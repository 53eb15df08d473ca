"""The quantization that a chain computes, found by its numbers and compared with it at every step of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.passes.fake_quantize.chain import Chain

_MAX_CODES = 1 << 16
_NEARLY = 2.0**-23  # of the largest result: the exporter's own float32 roundings
_NEIGHBOURS = 2  # floats between a step of the chain and one of the quantization that stands for it
_INFINITY = 0x7F800000


@dataclass(frozen=True)
class Grid:
    """QuantizeLinear(x, dtype, quant, rounding, zero_point_first), and `read`: what its codes mean afterwards.

    The two meanings differ in the scale, and only where no scale serves both.
    """

    dtype: DType
    quant: QuantParams
    rounding: str
    zero_point_first: bool
    read: QuantParams


def grid_of(chain: Chain) -> tuple[Chain, Grid] | None:
    """The chain from the operand that serves best, and its grid; None where there is none that is proved.

    Where the constants differ along an axis, each place has its own chain; the grids found must be of one type and
    range, and start at one operand. Else what comes first is left out: a bound for each channel before the quantization
    is none of its steps. Nor is a factor for each channel, where what follows it is a quantization with one scale.
    """
    starts: list[Chain] = []
    current: Chain | None = chain
    while current is not None and current.axes:
        starts.append(current)
        current = current.shortened()
    plain = None if current is None else _grid_of_numbers(current)
    if not starts or (plain is not None and plain[1].read is plain[1].quant):
        return plain
    return next(filter(None, map(_grid_along_axis, starts)), plain)


def _grid_along_axis(chain: Chain) -> tuple[Chain, Grid] | None:
    axes = chain.axes
    if len(axes) > 1:
        return None
    ((axis, extent),) = axes.items()
    found = [_grid_of_numbers(chain.channel(index)) for index in range(extent)]
    proved = [one for one in found if one is not None]
    alike = {(start.x, grid.dtype, grid.rounding, grid.zero_point_first) for start, grid in proved}
    if len(proved) < extent or len(alike) > 1:
        return None
    start, first = proved[0]
    quant = _along([grid.quant for _, grid in proved], axis)
    read = quant if all(grid.read is grid.quant for _, grid in proved) else _along([g.read for _, g in proved], axis)
    return None if quant is None or read is None else (start, replace(first, quant=quant, read=read))


def _along(quants: list[QuantParams], axis: int) -> QuantParams | None:
    """One meaning for all places along `axis`; None where their ranges differ."""
    if len({(quant.qmin, quant.qmax) for quant in quants}) > 1:
        return None
    scales, zeros = (np.stack(parts) for parts in zip(*(quant.static() for quant in quants), strict=True))
    return quants[0].replace(scale=scales, zero_point=zeros, axis=axis)


def _grid_of_numbers(chain: Chain) -> tuple[Chain, Grid] | None:
    """`grid_of` for a chain whose constants are single numbers.

    In this order: one scale for both directions, with equal steps, over as much of the chain as can be; one scale with
    steps that are neighbours (x * n is not x / (1 / n) in the last bit); a scale for each direction, with equal steps.
    """
    starts: list[tuple[Chain, _Affine]] = []
    current: Chain | None = chain
    while current is not None:
        whole = _affine(current)
        if whole is not None:
            starts.append((current, whole))
        current = current.shortened()
    near: list[tuple[int, Chain, Grid]] = []
    for start, whole in starts:
        for distance, grid in _compared(start, whole, common=True):
            if distance == 0:
                return start, grid
            near.append((distance, start, grid))
    if near:
        _, start, grid = min(near, key=lambda found: found[0])
        return start, grid
    for start, whole in starts:
        for distance, grid in _compared(start, whole, common=False):
            if distance == 0:
                return start, grid
    return None


@dataclass(frozen=True)
class _Affine:
    """result = scale * (whole - zero) for the whole numbers low..high, with each of `scales` up to float32 noise."""

    low: int
    high: int
    zero: int
    scales: tuple[np.float32, ...]


def _affine(chain: Chain) -> _Affine | None:
    """The whole numbers that give different results, where these lie on a grid that has a zero; else None."""
    lowest, highest = chain.rounded(np.array([-np.inf, np.inf])).tolist()
    whole = np.arange(max(lowest, -_MAX_CODES), min(highest, _MAX_CODES) + 1)
    ends = chain.finished(np.array([lowest, highest]))
    results = chain.finished(whole)
    at_low, at_high = np.flatnonzero(results == ends[0]), np.flatnonzero(results == ends[1])
    if not np.isfinite(ends).all() or not at_low.size or not at_high.size or at_low[-1] >= at_high[0]:
        return None
    whole, results = whole[at_low[-1] : at_high[0] + 1], results[at_low[-1] : at_high[0] + 1]
    step = (np.float64(results[-1]) - results[0]) / (whole.size - 1)
    zero = np.rint(whole[0] - results[0] / step)
    if whole.size > _MAX_CODES or not abs(zero) <= _MAX_CODES:
        return None
    noise = _NEARLY * float(np.abs(results).max())
    found: list[tuple[int, int, np.float32]] = []
    for distance, scale in enumerate(_neighbours(step, 4)):
        error = np.abs((whole - zero).astype(np.float32) * scale - results.astype(np.float64))
        if scale > 0 and (error <= noise).all():
            found.append((int(np.count_nonzero(error)), distance, scale))
    scales = tuple(scale for _, _, scale in sorted(found))
    return _Affine(int(whole[0]), int(whole[-1]), int(zero), scales) if scales else None


def _compared(chain: Chain, affine: _Affine, common: bool) -> Iterator[tuple[int, Grid]]:
    """(places between the steps, grid) for the grids whose codes are those of the chain, but at NaN.

    At most `_NEIGHBOURS` places lie between a step of the chain and that of the grid; 0 is equal for every number.
    """
    levels = np.arange(affine.low + 1, affine.high + 1)
    reached = first_reaching(chain.rounded, levels)
    for quantizing in affine.scales if common else _other_scales(chain, reached):
        for dtype, offset, first in _codes(affine):
            zero, low, high = affine.zero + offset, affine.low + offset, affine.high + offset
            quant = QuantParams(np.array(quantizing), np.array(zero), low, high)
            steps = first_reaching(_quantizer(quant, chain.mode, first), levels + offset)
            apart = np.abs(reached - steps)
            if apart.max() <= _NEIGHBOURS:
                read = quant if common else quant.replace(scale=np.array(affine.scales[0]))
                yield int(apart.sum()), Grid(dtype, quant, chain.mode, first, read)


def _quantizer(quant: QuantParams, mode: str, zero_point_first: bool) -> Callable[[Any], Codes]:
    scale, zero = quant.static()

    def codes(x: Any) -> Codes:
        rounding = Rounding[mode]
        return quantize(x, scale, zero, quant.qmin, quant.qmax, rounding=rounding, zero_point_first=zero_point_first)

    return codes


def _codes(affine: _Affine) -> Iterator[tuple[DType, int, bool]]:
    """(dtype, what is added to the whole numbers, whether the zero point comes first) to try, the narrowest first."""
    low, high = min(affine.low, affine.zero), max(affine.high, affine.zero)
    kind = "int" if low < 0 else "uint"
    bits = next(n for n in range(1, 64) if DType(kind, n).min <= low and high <= DType(kind, n).max)
    moved = max((high - low).bit_length(), 1)
    if moved < bits:
        yield DType("uint", moved), -low, False
    yield DType(kind, bits), 0, False
    if affine.zero:
        yield DType(kind, bits), 0, True


def _other_scales(chain: Chain, reached: Codes) -> Iterator[np.float32]:
    """Scales to quantize with where the results have another one: from the steps and from the slope of the chain."""
    with np.errstate(all="ignore"):
        edges = _as_floats(np.clip(reached, -_INFINITY, _INFINITY)).astype(np.float64)
        spread = (edges[-1] - edges[0]) / max(edges.size - 1, 1)
    for scale in (spread, 1.0):
        if np.isfinite(scale) and scale > 0:
            yield from (s for s in _neighbours(scale, 4) if s > 0)


def _neighbours(value: Any, ulps: int) -> Iterator[np.float32]:
    """The float32 nearest to `value`, then those up to `ulps` steps above and below it."""
    with np.errstate(over="ignore"):
        up = down = np.float32(value)
    if not np.isfinite(up):
        return
    yield up
    for _ in range(ulps):
        up, down = np.nextafter(up, np.float32(np.inf)), np.nextafter(down, np.float32(-np.inf))
        yield from (one for one in (up, down) if np.isfinite(one))


def first_reaching(function: Callable[[Any], Any], levels: Codes) -> Codes:
    """For each level the least float32 at which a non-decreasing function reaches it, as its place in the order of all.

    Two such functions are equal everywhere where they are equal here: a proof by their steps. A place is that of the
    float's bits, negative below zero; one place beyond infinity stands for a level that is never reached.
    """
    below = np.full(levels.shape, -_INFINITY - 1, np.int64)
    at = np.full(levels.shape, _INFINITY + 1, np.int64)
    while (at - below > 1).any():
        middle = (below + at) // 2
        reaches = function(_as_floats(middle)) >= levels
        at, below = np.where(reaches, middle, at), np.where(reaches, below, middle)
    return at


def _as_floats(places: Codes) -> Floats:
    """The float32 at each place of the order; -0.0 has none of its own."""
    bits = np.where(places >= 0, places, -places | 0x80000000)
    return bits.astype(np.uint32).view(np.float32)
