"""Rows for depthwise convolutions: QConv whose groups have one channel, and one filter for it or several."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.numerics.accumulate import flush_interval_of_weights
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    OperandPointer,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.arm.code_rows import CYCLE, NEON, flip_of, in_order, is_byte, is_byte_grid, row
from subbyte.targets.common.constants import centred, constant_of, is_constant, is_signed_weights, operand, zero_point
from subbyte.targets.common.geometry import is_channels_last
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.common.windows import Spatial, is_spatial, spatial

_LANES = {"aarch64": 16, "aarch32": 8}  # SUBBYTE_ARM_DEPTHWISE_LANES of kernels/arm_depthwise.h
_PIXELS = 4  # SUBBYTE_ARM_DEPTHWISE_PIXELS
_ENDS_GROUP, _ENDS_BLOCK = 1, 2
_WINDOW_BYTES = 24 * 1024  # of the first cache level; the rest is for the result and the weights
_TILE_PRODUCTS = 1 << 17

Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Which channels stand in the lanes of each block of `abreast` neighbouring pixels."""

    channels: tuple[tuple[int, ...], ...]  # [blocks][lanes]
    abreast: int

    def tiles(self, width: int) -> int:
        """How many register tiles a row of `width` pixels takes."""
        return len(self.channels) * ceil_div(ceil_div(width, self.abreast), _PIXELS)


def blocks_of(channels: int, lanes: int, width: int, stride: int) -> Blocks:
    """Blocks of the channels of a pixel, the last one over some of the one before; or of as many pixels as fill some.

    width, stride: of a row of the result.
    """
    starts = [min(at, max(channels - lanes, 0)) for at in range(0, channels, lanes)]
    apart = Blocks(tuple(tuple(lane % channels for lane in range(start, start + lanes)) for start in starts), 1)
    if stride != 1 or channels % lanes == 0:
        return apart
    period = math.lcm(channels, lanes)
    firsts = range(0, period, lanes)
    joined = tuple(tuple(lane % channels for lane in range(first, first + lanes)) for first in firsts)
    return min(apart, Blocks(joined, period // channels), key=lambda blocks: blocks.tiles(width))


def signed_range(op: QConv) -> tuple[int, int]:
    """The smallest and largest byte that is multiplied: codes as -128..127, and what pads."""
    low, high = op.x.type.code_range()
    flip, zero = flip_of(op.x.type), zero_point(op.x.type)
    return min(low, zero) - flip, max(high, zero) - flip


def _summands(weights: Weights) -> list[tuple[int, Weights]]:
    """[lanes, taps] as (tap, signed bytes [lanes]), their products to be added: all zero left out, large ones split."""
    found = []
    for tap in range(weights.shape[1]):
        rest = weights[:, tap]
        while rest.any():
            part = np.clip(rest, -128, 127)
            found.append((tap, part))
            rest = rest - part
    return found or [(0, np.zeros(weights.shape[0], np.int64))]


def groups_of(weights: Weights, low: int, high: int) -> list[list[tuple[int, Weights]]]:
    """The products of [lanes, taps] with bytes low..high in groups whose sums fit 16 bits, in whatever order.

    Largest first, each into the first group that has room (first fit decreasing).
    """
    groups: list[list[tuple[int, Weights]]] = []
    room: list[tuple[Weights, Weights]] = []  # the lowest and highest sum of each group
    for tap, part in sorted(_summands(weights), key=lambda one: -int(np.abs(one[1]).max())):
        least = np.minimum(np.minimum(part * low, part * high), 0)
        most = np.maximum(np.maximum(part * low, part * high), 0)
        for at, (below, above) in enumerate(room):
            if (below + least).min() >= -(1 << 15) and (above + most).max() < 1 << 15:
                groups[at].append((tap, part))
                room[at] = (below + least, above + most)
                break
        else:
            groups.append([(tap, part)])
            room.append((least, most))
    for group in groups:
        steps = np.stack([part for _, part in group], axis=1)[:, :, None]
        assert flush_interval_of_weights(steps, low, high, 16, signed=True) == len(group), "a group of taps overflows"
    return groups


@dataclass(frozen=True, eq=False)
class Packed:
    """weights [taps][lanes], places and flags [taps], block after block, and one tap behind; groups: in all."""

    weights: NDArray[np.int8]
    places: NDArray[np.int64]  # (row, column) of each tap, dilated
    flags: NDArray[np.int64]
    groups: int


def _weights(op: QConv) -> Weights:
    """[channels, taps], less the zero points."""
    return centred(op.w, axis=0).reshape(op.w.type.shape[0], -1)


@remembered
def packed(op: QConv, lanes: int) -> Packed:
    """The taps of every block of channels, in groups."""
    s, weights = spatial(op), _weights(op)
    low, high = signed_range(op)
    rows: list[Weights] = []
    places: list[tuple[int, int]] = []
    flags: list[int] = []
    count = 0
    for channels in blocks_of(op.type.shape[1], lanes, s.results[1], s.strides[1]).channels:
        groups = groups_of(weights[list(channels)], low, high)
        count += len(groups)
        for group in groups:
            for tap, part in group:
                ky, kx = divmod(tap, s.kernel[1])
                rows.append(part)
                places.append((ky * s.dilations[0], kx * s.dilations[1]))
                flags.append(0)
            flags[-1] = _ENDS_GROUP
        flags[-1] = _ENDS_GROUP | _ENDS_BLOCK
    beyond = np.zeros(lanes, np.int64)  # is loaded with the last tap
    return Packed(np.array([*rows, beyond], np.int8), np.array([*places, (0, 0)]), np.array([*flags, 0]), count)


@dataclass(frozen=True)
class Cut:
    """Tiles of an image and the window of one: pixels of a row, and bytes."""

    tiles: int
    columns: int
    scratch_bytes: int


def _cut(s: Spatial, channels: int, abreast: int) -> Cut:
    """Few tiles, whose windows fit the first cache level where they can."""
    columns = (s.results[1] - 1) * s.strides[1] + (s.kernel[1] - 1) * s.dilations[1] + 1
    beyond = (_PIXELS * s.strides[1] * abreast + 1) * channels + 16  # pixels that no result is made of

    def window(tiles: int) -> int:
        rows = (ceil_div(s.results[0], tiles) - 1) * s.strides[0] + (s.kernel[0] - 1) * s.dilations[0] + 1
        return rows * columns * channels + beyond

    tiles = max(1, min(s.results[0], math.prod(s.results) * math.prod(s.kernel) * channels // _TILE_PRODUCTS))
    while tiles < s.results[0] and window(tiles) > _WINDOW_BYTES:
        tiles += 1
    return Cut(tiles, columns, window(tiles))


def _call(op: QConv, lanes: int) -> Call:
    s, channels, r = spatial(op), op.type.shape[1], op.requantization
    assert r is not None
    blocks = blocks_of(channels, lanes, s.results[1], s.strides[1])
    found, cut, flip = packed(op, lanes), _cut(s, channels, blocks.abreast), flip_of(op.x.type)
    bias = np.zeros(channels, np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)
    zero = zero_point(op.x.type) - flip
    offsets = (found.places[:, 0] * cut.columns + found.places[:, 1]) * channels
    order = np.array(blocks.channels).reshape(-1)

    def by_lane(role: str, values: NDArray[np.generic], dtype: type[np.generic]) -> ConstantArray:
        return ConstantArray(role, as_array(np.broadcast_to(values, (channels,))[order], dtype))

    geometry = ConstantStruct(
        "subbyte_arm_depthwise",
        (
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", channels),
            ("multiplier", channels // op.group),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("reach_height", (s.kernel[0] - 1) * s.dilations[0] + 1),
            ("columns", cut.columns),
            ("row_tiles", cut.tiles),
            ("blocks", len(blocks.channels)),
            ("abreast", blocks.abreast),
            ("flip", flip),
            ("x_zero", zero),
            ("y_zero", r.zero_point),
            ("qmin", r.qmin),
            ("qmax", r.qmax),
        ),
    )
    data: OperandPointer = operand(op, op.x)
    return Call(
        "subbyte_arm_depthwise",
        (
            data,
            ConstantArray("weights", as_array(found.weights, np.int8), f"taps_o{lanes}"),
            ConstantArray("taps", as_array(offsets * 4 + found.flags, np.int32)),
            by_lane("bias", bias - zero * _weights(op).sum(axis=1), np.int32),
            by_lane("multiplier", r.multiplier, np.float32),
            Integer(0) if r.shift is None else by_lane("shift", r.shift, np.float32),
            ResultPointer(),
            geometry,
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * cut.tiles,
        scratch_bytes=cut.scratch_bytes,
        proof="N4 in float32",
    )


def is_depthwise(op: QConv) -> bool:
    """One channel for each group, one filter or several."""
    return op.group == op.x.type.shape[1]


def _accepts(op: QConv) -> bool:
    """Constant weights of a byte, bytes in and out, pixels in memory, sums that fit int32."""
    if not is_depthwise(op) or op.requantization is None or op.requantization.table is not None or not is_byte(op.type):
        return False
    if not is_byte_grid(op.x.type) or not is_signed_weights(op.w):
        return False
    if (op.bias is not None and not is_constant(op.bias)) or min(op.pads) < 0:
        return False
    if not is_spatial(op.x.type) or not is_channels_last(op.x.type) or not is_channels_last(op.type):
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def _cost(op: QConv, facts: TargetFacts, lanes: int) -> float:
    """By tap and by group for each block of channels of four pixels, with what makes codes of sums, and the copy."""
    s, found = spatial(op), packed(op, lanes)
    blocks = blocks_of(op.type.shape[1], lanes, s.results[1], s.strides[1])
    rows = op.type.shape[0] * s.results[0]
    places = rows * blocks.tiles(s.results[1]) / len(blocks.channels)  # each takes every block once
    of_tap, of_group, of_block = (14.0, 18.0, 110.0) if in_order(facts) else (10.0, 10.0, 60.0)
    if lanes == 8:
        of_tap, of_group, of_block = (12.0, 18.0, 90.0) if in_order(facts) else (7.0, 10.0, 60.0)
    cycles = places * ((len(found.flags) - 1) * of_tap + found.groups * of_group + len(blocks.channels) * of_block)
    multiplier = op.type.shape[1] // op.group
    copied = op.x.type.elements * (0.3 if multiplier == 1 else 2.0 * multiplier)
    return (cycles + copied + 500.0) * CYCLE


ROWS: tuple[Kernel, ...] = tuple(
    row(
        QConv,
        "subbyte_arm_depthwise",
        "arm_depthwise.h",
        Storage.CHANNELS_LAST,
        lambda op, lanes=lanes: _call(op, lanes),
        _accepts,
        "b8 s8 -> b8, channels apart",
        lambda op, facts, lanes=lanes: _cost(op, facts, lanes),
        features=NEON | {state},
    )
    for state, lanes in _LANES.items()
)
