"""Rows for depthwise convolutions by columns of the window: a column of the input serves every window that holds it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import centred, constant_of, operand, zero_point
from subbyte.targets.common.sums import may_reach_int32
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.common.windows import Spatial, spatial
from subbyte.targets.x86.dots import DOTS
from subbyte.targets.x86.kernels_depthwise import is_depthwise_of_bytes, pack_channels, seconds
from subbyte.targets.x86.registers import Dot
from subbyte.targets.x86.rows import row

MOST_ROWS, MOST_SUMS, MOST_VECTORS = 16, 16, 20  # as in kernels/x86_columns.h
_MOST_RESULTS = 4
_MOST_COLUMNS = 9  # of a filter: the loop over them is unrolled
_TILE_PRODUCTS = 1 << 17  # about a microsecond of work
_FINISH = 5.0  # instructions that make codes of a vector of sums


@dataclass(frozen=True)
class Strip:
    """Rows of the result that are made at a time: `results` of them, from input rows `offsets`, in groups.

    used[group][result]: whether that row of the result has weights for that group. slides: columns stay in registers
    from window to window. cost: instructions for each vector of sums.
    """

    results: int
    offsets: tuple[int, ...]
    used: tuple[tuple[bool, ...], ...]
    slides: bool
    cost: float

    @property
    def groups(self) -> int:
        return len(self.used)


def strip_of(s: Spatial, dot: Dot, *, flat: bool) -> Strip | None:
    """The strip of the lowest cost; None where no strip fits the registers."""
    found = [_strip(s, dot, results, flat) for results in range(1, min(_MOST_RESULTS, s.results[0]) + 1)]
    return min((strip for strip in found if strip is not None), key=lambda strip: strip.cost, default=None)


def _strip(s: Spatial, dot: Dot, results: int, flat: bool) -> Strip | None:
    needed = [
        {row * s.strides[0] + ky * s.dilations[0] for ky in range(s.kernel[0])} for row in range(results)
    ]  # input rows of each row of the result
    rows = sorted(set().union(*needed))
    if len(rows) > MOST_ROWS or 4 * results > min(MOST_SUMS, dot.registers // 2):
        return None
    offsets = (*rows, *[-1] * (-len(rows) % dot.group))
    parts = [set(offsets[at : at + dot.group]) for at in range(0, len(offsets), dot.group)]
    used = tuple(tuple(bool(part & of_row) for of_row in needed) for part in parts)
    vectors = 4 * len(parts)
    slides = (
        not flat
        and s.dilations[1] == 1
        and s.strides[1] < s.kernel[1]
        and vectors * s.kernel[1] <= MOST_VECTORS
        and vectors * s.kernel[1] + 4 * results + 2 <= dot.registers
    )
    columns = s.strides[1] if slides else s.kernel[1]
    unpacking = columns * len(parts) * (8 if dot.words else 12)  # with the loads of two rows, or four
    products = 4 * s.kernel[1] * sum(map(sum, used)) * dot.instructions
    return Strip(results, offsets, used, slides, (unpacking + products) / (4 * results) + _FINISH)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a convolution is worked off: `flat` rows of bytes or pixel by pixel, parameters for `blocks` blocks.

    filled: how many lanes are worked on for each that is wanted.
    """

    spatial: Spatial
    channels: int
    flat: bool
    blocks: int
    strip: Strip
    filled: float

    @property
    def cost(self) -> float:
        """Instructions for each vector of sums that is wanted."""
        height, strip = self.spatial.results[0], self.strip
        rows = ceil_div(height, strip.results) * strip.results / height
        return strip.cost * self.filled * rows * (1.1 if self.flat else 1.0)  # parameters come and go along a flat row


def plan(op: QConv, dot: Dot) -> Plan | None:
    """The cheapest way for `dot`; None where no strip of rows fits its registers."""
    s, channels, block_bytes = spatial(op), op.type.shape[1], 4 * dot.lanes
    if s.kernel[1] > _MOST_COLUMNS:
        return None
    whole = ceil_div(channels, block_bytes)
    plans = []
    if s.strides[1] == 1 and channels % block_bytes:
        needed = min(channels // math.gcd(channels, block_bytes), ceil_div(channels * s.results[1], block_bytes))
        plans.append((True, needed, ceil_div(channels * s.results[1], block_bytes) / s.results[1]))
    plans.append((False, whole, float(whole)))
    found = []
    for flat, blocks, of_pixel in plans:
        strip = strip_of(s, dot, flat=flat)
        if strip is not None:
            found.append(Plan(s, channels, flat, blocks, strip, of_pixel * block_bytes / channels))
    return min(found, key=lambda one: one.cost, default=None)


@lru_cache(maxsize=8)
def _weights(op: QConv) -> NDArray[np.int64]:
    """[channels, kernel rows, kernel columns], less the zero points."""
    return centred(op.w, axis=0).reshape(op.w.type.shape[0], *spatial(op).kernel)


def pack_columns(weights: NDArray[Any], p: Plan, dot: Dot) -> NDArray[Any]:
    """[channels, kernel rows, kernel columns] -> [blocks][columns][groups][results][4 vectors][lanes][rows of a group].

    Zeros where an input row is none of those that a row of the result needs.
    """
    channels, height, width = weights.shape
    s, strip = p.spatial, p.strip
    spread = np.zeros((channels, width, strip.groups, strip.results, dot.group), weights.dtype)
    for result in range(strip.results):
        for ky in range(height):
            at = strip.offsets.index(result * s.strides[0] + ky * s.dilations[0])
            spread[:, :, at // dot.group, result, at % dot.group] = weights[:, ky]
    packed = pack_channels(spread, p.blocks, 4 * dot.lanes)  # [blocks][4][lanes][columns][groups][results][group]
    return np.ascontiguousarray(packed.transpose(0, 3, 4, 5, 1, 2, 6))


def _row_tiles(s: Spatial, strip: Strip, channels: int) -> int:
    products = math.prod(s.results) * math.prod(s.kernel) * channels
    return max(1, min(ceil_div(s.results[0], strip.results), products // _TILE_PRODUCTS))


def _reaches_beyond(s: Spatial, strip: Strip) -> bool:
    """Whether some row of a strip lies above or below the image, be it one for a row that is not stored."""
    last = (ceil_div(s.results[0], strip.results) - 1) * strip.results * s.strides[0] - s.begins[0]
    return s.begins[0] > 0 or last + max(strip.offsets) >= s.extents[0]


def _struct(op: QConv, p: Plan, row_tiles: int, padded: bool) -> ConstantStruct:
    """The struct subbyte_x86_columns of kernels/x86_columns.h."""
    s, strip, r = p.spatial, p.strip, op.requantization
    assert r is not None
    used = sum(1 << i for i, one in enumerate(one for of_group in strip.used for one in of_group) if one)
    return ConstantStruct(
        "subbyte_x86_columns",
        (
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", p.channels),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("kernel_width", s.kernel[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("dilation_width", s.dilations[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("results", strip.results),
            ("groups", strip.groups),
            ("used", used),
            ("offset", strip.offsets + (-1,) * (MOST_ROWS - len(strip.offsets))),
            ("flat", int(p.flat)),
            ("blocks", p.blocks),
            ("slides", int(strip.slides)),
            ("row_tiles", row_tiles),
            ("padded", int(padded)),
            ("x_zero", zero_point(op.x.type)),
            ("y_zero", r.zero_point),
            ("qmin", r.qmin),
            ("qmax", r.qmax),
            ("wide", int(may_reach_int32(op))),
        ),
    )


def _call(op: QConv, dot: Dot) -> Call:
    p, weights, r = plan(op, dot), _weights(op), op.requantization
    assert p is not None
    assert r is not None
    row_tiles, padded = _row_tiles(p.spatial, p.strip, p.channels), _reaches_beyond(p.spatial, p.strip)
    bias = np.zeros(p.channels, np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)

    def packed(role: str, values: NDArray[Any], dtype: Any) -> ConstantArray:
        spread = np.broadcast_to(values, (p.channels,))
        return ConstantArray(role, as_array(pack_channels(spread, p.blocks, 4 * dot.lanes), dtype))

    columns = as_array(pack_columns(weights, p, dot), np.int16 if dot.words else np.int8)
    return Call(
        _symbol(dot),
        (
            operand(op, op.x),
            ConstantArray("weights", columns, f"columns{dot.group}"),
            packed("bias", bias - zero_point(op.x.type) * weights.sum(axis=(1, 2)), np.int32),
            packed("multiplier", r.multiplier, np.float32),
            Integer(0) if r.shift is None else packed("shift", r.shift, np.float32),
            ResultPointer(),
            _struct(op, p, row_tiles, padded),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * row_tiles,
        scratch_bytes=p.spatial.extents[1] * p.channels if padded else 0,
        proof="N4 in float32",
    )


def _symbol(dot: Dot) -> str:
    return f"subbyte_x86_columns_u8s8u8_{dot.name}"


def _accepts(op: QConv, dot: Dot) -> bool:
    if not is_depthwise_of_bytes(op) or plan(op, dot) is None:
        return False
    weights = _weights(op)
    return dot.words or (weights.min() >= -128 and weights.max() <= 127)


def _cost(op: QConv, facts: TargetFacts, dot: Dot) -> float:
    del facts
    p = plan(op, dot)
    assert p is not None
    return seconds(op, dot, p.cost)


def _rows() -> Iterator[Kernel]:
    for dot in DOTS:
        if dot.name.endswith("maddubs"):
            continue  # its pairs of products may not fit 16 bits
        yield row(
            QConv,
            _symbol(dot),
            f"x86_columns_{dot.name}.h",
            Storage.CHANNELS_LAST,
            partial(_call, dot=dot),
            partial(_accepts, dot=dot),
            "u8 s8 -> u8",
            dot.features,
            partial(_cost, dot=dot),
        )


ROWS = tuple(_rows())
