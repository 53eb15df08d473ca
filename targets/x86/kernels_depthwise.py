"""Rows for depthwise convolutions: QConv with as many groups as channels, one output for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT64
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    KernelKnob,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import centred, constant_of, is_constant, is_signed_weights, operand, zero_point
from subbyte.targets.common.geometry import is_channels_last
from subbyte.targets.common.sums import may_reach_int32
from subbyte.targets.common.tiles import ceil_div
from subbyte.targets.common.windows import Spatial, is_spatial, spatial
from subbyte.targets.x86.dots import DOTS
from subbyte.targets.x86.packing import summands
from subbyte.targets.x86.registers import PIECES, WINDOW_BYTES, Dot
from subbyte.targets.x86.rows import is_unsigned_grid, row

_TILE_PRODUCTS = 1 << 17  # about a microsecond of work
_MOST_EXTRAS = 16  # SUBBYTE_X86_EXTRA_TAPS of kernels/x86_depthwise.h
_MOST_BLOCKS = 16  # of parameters, before a row is worked off pixel by pixel


@dataclass(frozen=True)
class Blocks:
    """How a row of results is cut: segments of `length` bytes, in blocks whose parameters repeat after `blocks`."""

    segments: int
    length: int
    blocks: int


def blocks_of(channels: int, out_width: int, block_bytes: int, stride: int = 1) -> Blocks:
    """The whole row where its channels repeat within a few blocks and nothing is skipped, else a segment a pixel."""
    period = channels // math.gcd(channels, block_bytes)
    needed = min(period, ceil_div(channels * out_width, block_bytes))
    if stride == 1 and needed <= max(_MOST_BLOCKS, ceil_div(channels, block_bytes)):
        return Blocks(1, channels * out_width, needed)
    return Blocks(out_width, channels, ceil_div(channels, block_bytes))


def pack_channels(values: NDArray[Any], blocks: int, block_bytes: int) -> NDArray[Any]:
    """[channels, ...] -> [blocks][4 vectors][lanes][...]: the channels of each block in the order that unpacking gives.

    Byte b of a block is channel b modulo the channels; vector i holds bytes 4 * i to 4 * i + 3 of every 16.
    """
    of_bytes = values[np.arange(blocks * block_bytes) % values.shape[0]]
    lanes = of_bytes.reshape(blocks, block_bytes // 16, 4, 4, *values.shape[1:])
    return np.ascontiguousarray(np.moveaxis(lanes, 1, 2)).reshape(blocks, 4, block_bytes // 4, *values.shape[1:])


def pack_taps(weights: NDArray[Any], blocks: int, block_bytes: int, group: int) -> NDArray[Any]:
    """[channels, taps] -> [blocks][groups of taps][4 vectors][lanes][group], zeros where there is no tap."""
    channels, taps = weights.shape
    padded = np.zeros((channels, ceil_div(taps, group) * group), weights.dtype)
    padded[:, :taps] = weights
    packed = pack_channels(padded.reshape(channels, -1, group), blocks, block_bytes)
    return np.ascontiguousarray(np.moveaxis(packed, 3, 1))


@dataclass(frozen=True)
class Tiles:
    """Tiles of an image, each some rows of the result, and the bytes of the input that a tile copies to scratch."""

    rows: int
    scratch_bytes: int


def _tiles(s: Spatial, channels: int, block_bytes: int, asked: int | None) -> Tiles:
    """As many as `asked`; else of about a microsecond of work, with windows that fit the first cache level."""
    columns = (s.results[1] - 1) * s.strides[1] + (s.kernel[1] - 1) * s.dilations[1] + 1

    def window(tiles: int) -> int:
        rows = (ceil_div(s.results[0], tiles) - 1) * s.strides[0] + (s.kernel[0] - 1) * s.dilations[0] + 1
        return rows * columns * channels + block_bytes

    if asked is not None:
        return Tiles(asked, window(asked))
    tiles = max(1, min(s.results[0], math.prod(s.results) * math.prod(s.kernel) * channels // _TILE_PRODUCTS))
    while tiles < s.results[0] and window(tiles) > WINDOW_BYTES:
        tiles += 1
    return Tiles(tiles, window(tiles))


KNOBS = (KernelKnob("row_tiles", "pieces that the rows of an image are cut into", PIECES),)


def _fits(op: QConv, setting: Mapping[str, int]) -> bool:
    """No piece is empty."""
    return setting.get("row_tiles", 1) <= spatial(op).results[0]


def is_depthwise(op: QConv) -> bool:
    return op.group == op.x.type.shape[1] == op.type.shape[1]


@dataclass(frozen=True, eq=False)
class Taps:
    """weights [channels, slots] as the instruction takes them: the taps of the window, then what is left of some."""

    weights: NDArray[np.int64]
    extra: tuple[int, ...]


@lru_cache(maxsize=8)
def taps_of(op: QConv, dot: Dot) -> Taps:
    """The weights less their zero points; where a byte does not hold one, its tap is multiplied again by the rest."""
    weights = centred(op.w, axis=0).reshape(op.w.type.shape[0], -1)
    if dot.words:
        return Taps(weights, ())
    main, *rests = summands(weights, dot, 255)
    extra = [(tap, rest) for rest in rests for tap in np.flatnonzero(rest.any(axis=0)).tolist()]
    return Taps(np.stack([*main.T, *(rest[:, tap] for tap, rest in extra)], axis=1), tuple(tap for tap, _ in extra))


def _struct(op: QConv, s: Spatial, blocks: Blocks, tiles: Tiles, extra: tuple[int, ...]) -> ConstantStruct:
    """The struct subbyte_x86_depthwise of kernels/x86_depthwise.h."""
    r = op.requantization
    assert r is not None
    return ConstantStruct(
        "subbyte_x86_depthwise",
        (
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", op.type.shape[1]),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("kernel_height", s.kernel[0]),
            ("kernel_width", s.kernel[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("dilation_height", s.dilations[0]),
            ("dilation_width", s.dilations[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("row_tiles", tiles.rows),
            ("segments", blocks.segments),
            ("length", blocks.length),
            ("blocks", blocks.blocks),
            ("x_zero", zero_point(op.x.type)),
            ("y_zero", r.zero_point),
            ("qmin", r.qmin),
            ("qmax", r.qmax),
            ("wide", int(may_reach_int32(op))),
            ("extras", len(extra)),
            ("extra", extra + (0,) * (_MOST_EXTRAS - len(extra))),
        ),
    )


def _call(op: QConv, dot: Dot, row_tiles: int | None = None) -> Call:
    s, own, r = spatial(op), taps_of(op, dot), op.requantization
    assert r is not None
    channels, block_bytes = op.type.shape[1], 4 * dot.lanes
    blocks = blocks_of(channels, s.results[1], block_bytes, s.strides[1])
    tiles = _tiles(s, channels, block_bytes, row_tiles)
    bias = np.zeros(channels, np.int64) if op.bias is None else constant_of(op.bias).astype(np.int64)

    def packed(role: str, values: NDArray[Any], dtype: Any) -> ConstantArray:
        spread = np.broadcast_to(values, (channels,))
        return ConstantArray(role, as_array(pack_channels(spread, blocks.blocks, block_bytes), dtype))

    taps = pack_taps(own.weights, blocks.blocks, block_bytes, dot.group)
    return Call(
        _symbol(dot),
        (
            operand(op, op.x),
            ConstantArray("weights", as_array(taps, np.int16 if dot.words else np.int8), f"taps{dot.group}"),
            packed("bias", bias - zero_point(op.x.type) * own.weights.sum(axis=1), np.int32),
            packed("multiplier", r.multiplier, np.float32),
            Integer(0) if r.shift is None else packed("shift", r.shift, np.float32),
            ResultPointer(),
            _struct(op, s, blocks, tiles, own.extra),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * tiles.rows,
        scratch_bytes=tiles.scratch_bytes,
        proof="N4 in float32",
    )


def _symbol(dot: Dot) -> str:
    return f"subbyte_x86_depthwise_u8s8u8_{dot.name}"


def is_depthwise_of_bytes(op: QConv) -> bool:
    """A filter of constant signed bytes for each channel, unsigned bytes in and out, pixels in memory."""
    if not is_depthwise(op) or op.requantization is None or not is_unsigned_byte(op.dtype):
        return False
    if op.requantization.table is not None:
        return False
    if not is_unsigned_grid(op.x.type) or not is_signed_weights(op.w):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    if (
        min(op.pads) < 0
        or not is_spatial(op.x.type)
        or not is_channels_last(op.x.type)
        or not is_channels_last(op.type)
    ):
        return False
    try:
        return accumulator_of(op) != INT64
    except NumericsError:
        return False


def _accepts(op: QConv, dot: Dot) -> bool:
    return is_depthwise_of_bytes(op) and len(taps_of(op, dot).extra) <= _MOST_EXTRAS


def seconds(op: QConv, dot: Dot, instructions: float) -> float:
    """The time for so many instructions for each vector of sums, of which a processor does some ten a nanosecond."""
    return op.type.elements / dot.lanes * instructions * 1e-10


def _cost(op: QConv, facts: TargetFacts, dot: Dot) -> float:
    """A group of taps takes its loads, the unpacking and the products of four vectors; the window is copied before."""
    del facts
    taps = math.prod(op.w.type.shape[2:]) + (0 if dot.words else len(taps_of(op, dot).extra))
    return seconds(op, dot, 6.0 * ceil_div(taps, dot.group) + 8.0)


def _rows() -> Iterator[Kernel]:
    for dot in DOTS:
        if dot.name.endswith("maddubs"):
            continue  # it adds neighbouring channels up, not the taps of one
        made = row(
            QConv,
            _symbol(dot),
            f"x86_depthwise_{dot.name}.h",
            Storage.CHANNELS_LAST,
            partial(_call, dot=dot),
            partial(_accepts, dot=dot),
            "u8 s8 -> u8",
            dot.features,
            partial(_cost, dot=dot),
        )
        yield replace(made, knobs=KNOBS, fits=_fits)


ROWS = tuple(_rows())
