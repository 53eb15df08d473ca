"""Rows for convolutions in groups, above all depthwise ones: QConv with outputs in lanes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

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
from subbyte.targets.arm.rows import CYCLE, NEON, flip_of, is_byte, is_byte_grid, row
from subbyte.targets.common.constants import centred, constant_of, is_constant, is_signed_weights, operand, zero_point
from subbyte.targets.common.geometry import is_channels_last
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.common.windows import Spatial, is_spatial, spatial

_LANES = {"aarch64": 16, "aarch32": 8}  # SUBBYTE_ARM_DEPTHWISE_LANES of kernels/arm_depthwise.h
_PIXELS = (4, 3)  # of a register tile; SUBBYTE_ARM_DEPTHWISE_PIXELS is the most
_CYCLES = {"cortex-a7": 1.2, "cortex-a9": 0.9, "cortex-a72": 0.5, "neoverse-n1": 0.45, "neoverse-n2": 0.4}
_WINDOW_BYTES = 24 * 1024  # of the first cache level; the rest is for the result and the weights
_TILE_PRODUCTS = 1 << 17

Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Which channels stand in the lanes of each block of `abreast` neighbouring pixels."""

    channels: tuple[tuple[int, ...], ...]  # [blocks][lanes]
    abreast: int

    def tiles(self, width: int, pixels: int) -> int:
        """How many register tiles a row of `width` pixels takes."""
        return len(self.channels) * ceil_div(ceil_div(width, self.abreast), pixels)


def blocks_of(channels: int, lanes: int, width: int, stride: int, pixels: int) -> Blocks:
    """Blocks of the channels of a pixel, the last one over some of the one before; or of as many pixels as fill some.

    width, stride: of a row of the result. pixels: of a register tile.
    """
    starts = [min(at, max(channels - lanes, 0)) for at in range(0, channels, lanes)]
    apart = Blocks(tuple(tuple(lane % channels for lane in range(start, start + lanes)) for start in starts), 1)
    if stride != 1 or channels % lanes == 0:
        return apart
    period = math.lcm(channels, lanes)
    firsts = range(0, period, lanes)
    joined = tuple(tuple(lane % channels for lane in range(first, first + lanes)) for first in firsts)
    return min(apart, Blocks(joined, period // channels), key=lambda blocks: blocks.tiles(width, pixels))


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
    """weights [taps][lanes] and places (channel of a group, row, column) [taps], block after block, and one tap behind.

    counts: how many groups each block has, and how many taps each group.
    """

    weights: NDArray[np.int8]
    places: NDArray[np.int64]
    counts: tuple[tuple[int, ...], ...]

    @property
    def groups(self) -> int:
        return sum(map(len, self.counts))

    @property
    def taps(self) -> int:
        return sum(map(sum, self.counts))


def _weights(op: QConv) -> Weights:
    """[channels, taps], less the zero points."""
    return centred(op.w, axis=0).reshape(op.w.type.shape[0], -1)


@remembered
def packed(op: QConv, lanes: int, pixels: int) -> Packed:
    """The taps of every block of channels, in groups."""
    s, weights = spatial(op), _weights(op)
    low, high = signed_range(op)
    rows: list[Weights] = []
    places: list[tuple[int, int, int]] = []
    counts: list[tuple[int, ...]] = []
    for channels in _blocks(op, lanes, pixels).channels:
        groups = groups_of(weights[list(channels)], low, high)
        counts.append(tuple(map(len, groups)))
        for tap, part in (one for group in groups for one in group):
            channel, ky, kx = (int(at) for at in np.unravel_index(tap, (op.w.type.shape[1], *s.kernel)))
            rows.append(part)
            places.append((channel, ky * s.dilations[0], kx * s.dilations[1]))
    beyond = np.zeros(lanes, np.int64)  # is loaded with the last tap
    return Packed(np.array([*rows, beyond], np.int8), np.array([*places, (0, 0, 0)]), tuple(counts))


def _blocks(op: QConv, lanes: int, pixels: int) -> Blocks:
    s = spatial(op)
    return blocks_of(op.type.shape[1], lanes, s.results[1], s.strides[1], pixels)


@dataclass(frozen=True)
class Cut:
    """Tiles of an image and the window of one: pixels of a row, bytes for a channel of each group, and in all."""

    tiles: int
    columns: int
    plane_bytes: int
    scratch_bytes: int


def _cut(s: Spatial, channels: int, planes: int, beyond: int) -> Cut:
    """Few tiles, whose windows fit the first cache level where they can.

    planes: channels of a group, each with a window of `channels` bytes a pixel. beyond: bytes of no result.
    """
    columns = (s.results[1] - 1) * s.strides[1] + (s.kernel[1] - 1) * s.dilations[1] + 1

    def plane(tiles: int) -> int:
        rows = (ceil_div(s.results[0], tiles) - 1) * s.strides[0] + (s.kernel[0] - 1) * s.dilations[0] + 1
        return ceil_div(rows * columns * channels, 8) * 8

    products = math.prod(s.results) * math.prod(s.kernel) * channels * planes
    tiles = max(1, min(s.results[0], products // _TILE_PRODUCTS))
    while tiles < s.results[0] and plane(tiles) * planes + beyond > _WINDOW_BYTES:
        tiles += 1
    # What is written beyond a plane by eight bytes at a time, the next one is written over.
    return Cut(tiles, columns, plane(tiles), plane(tiles) * planes + beyond)


def _call(op: QConv, lanes: int, pixels: int) -> Call:
    s, channels, r = spatial(op), op.type.shape[1], op.requantization
    assert r is not None
    blocks, found, flip = _blocks(op, lanes, pixels), packed(op, lanes, pixels), flip_of(op.x.type)
    beyond = (pixels * s.strides[1] * blocks.abreast + 1) * channels + lanes
    cut = _cut(s, channels, op.w.type.shape[1], beyond)
    counts = [len(groups) for groups in found.counts] + [taps for groups in found.counts for taps in groups]
    bias = np.zeros(channels, np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)
    zero = zero_point(op.x.type) - flip
    plane, row_of_window, column = found.places.T
    offsets = plane * cut.plane_bytes + (row_of_window * cut.columns + column) * channels
    order = np.array(blocks.channels).reshape(-1)

    def by_lane(role: str, values: NDArray[np.generic], dtype: type[np.generic]) -> ConstantArray:
        return ConstantArray(role, as_array(np.broadcast_to(values, (channels,))[order], dtype))

    geometry = ConstantStruct(
        "subbyte_arm_depthwise",
        (
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", channels),
            ("group_channels", op.w.type.shape[1]),
            ("group_outputs", channels // op.group),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("reach_height", (s.kernel[0] - 1) * s.dilations[0] + 1),
            ("columns", cut.columns),
            ("plane_bytes", cut.plane_bytes),
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
        f"subbyte_arm_depthwise_of_{pixels}",
        (
            data,
            ConstantArray("weights", as_array(found.weights, np.int8), f"taps_o{lanes}"),
            ConstantArray("places", as_array(offsets, np.int32)),
            ConstantArray("counts", as_array(counts, np.int32)),
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


def _accepts(op: QConv) -> bool:
    """Several groups, or one channel; constant weights of a byte, bytes in and out, pixels in memory, sums of int32."""
    if op.group == 1 and op.x.type.shape[1] > 1:
        return False
    if op.requantization is None or op.requantization.table is not None or not is_byte(op.type):
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


def _cost(op: QConv, facts: TargetFacts, lanes: int, pixels: int) -> float:
    """By the instructions of a tap and of a group in each register tile, of what makes codes of sums, of the copy."""
    s, found, blocks = spatial(op), packed(op, lanes, pixels), _blocks(op, lanes, pixels)
    tiles = op.type.shape[0] * s.results[0] * blocks.tiles(s.results[1], pixels) / len(blocks.channels)
    halves, outputs, planes = lanes // 8, op.type.shape[1] // op.group, op.w.type.shape[1]
    narrow = int(halves == 1)  # addresses are additions there, and rounding takes more steps
    of_tap = 6 + 2 * narrow + pixels * (halves + 1)
    of_group = 8 + 12 * narrow + 2 * pixels * halves
    of_block = 30 + 10 * narrow + pixels * (14 + 8 * halves + 4 * narrow)
    instructions = tiles * (found.taps * of_tap + found.groups * of_group + len(blocks.channels) * of_block)
    instructions += op.x.type.elements * (0.35 if planes == outputs == 1 else 4.0 + 2.0 * ceil_div(outputs, 8))
    return (instructions * _CYCLES.get(facts.core, 1.0) + 500.0) * CYCLE


ROWS: tuple[Kernel, ...] = tuple(
    row(
        QConv,
        f"subbyte_arm_depthwise_of_{pixels}",
        "arm_depthwise.h",
        Storage.CHANNELS_LAST,
        partial(_call, lanes=lanes, pixels=pixels),
        _accepts,
        "b8 s8 -> b8, groups",
        partial(_cost, lanes=lanes, pixels=pixels),
        features=NEON | {state},
    )
    for state, lanes in _LANES.items()
    for pixels in _PIXELS
)
