"""Rows for depthwise convolutions 3x3 of stride 1 by `sdot`: four rows of a channel are the four products of a lane.

Four rows, zipped together, serve two rows of results and three columns. With larger strides they serve fewer, and
zipping costs as much as it saves: those are left to kernels_depthwise.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.target import Call, ConstantArray, Kernel, ResultPointer, Special, Storage, TargetFacts, as_array
from subbyte.targets.arm.rows import AARCH64, CYCLE, in_order, is_byte, is_byte_grid, row
from subbyte.targets.arm.sums import Cut, conv_struct, cut_into, results_arrays
from subbyte.targets.arm.tiles import TILE_PRODUCTS
from subbyte.targets.common.constants import centred, is_constant, is_signed_weights, operand
from subbyte.targets.common.geometry import is_channels_last
from subbyte.targets.common.sums import geometry
from subbyte.targets.common.tiles import ceil_div

PIXELS, CHANNELS, SIDE = 4, 8, 3  # of a register tile, as in kernels/arm_depthwise_sdot.h
_WINDOW_BYTES = 24 * 1024
_PIXEL_CYCLES = {
    True: 50.0,
    False: 18.0,
}  # of two rows by 8 channels, codes and all; llvm-mca 19: Cortex-A55, Neoverse N1


def _weights(op: QConv) -> NDArray[np.int64]:
    """[channels, rows, columns], less the zero points."""
    return centred(op.w, axis=0)[:, 0]


def pack_weights(weights: NDArray[np.int64]) -> NDArray[np.int8]:
    """[blocks of 8 channels][2 rows of results][3 columns][8 channels][4 rows of the window] of [channels, 3, 3]."""
    by_column = weights.transpose(0, 2, 1)  # [channels, columns, rows]
    shifted = np.stack([np.pad(by_column, ((0, 0), (0, 0), pad)) for pad in ((0, 1), (1, 0))])
    blocks = shifted.reshape(2, -1, CHANNELS, SIDE, SIDE + 1).transpose(1, 0, 3, 2, 4)
    return as_array(blocks.reshape(-1), np.int8)


@lru_cache(maxsize=64)
def _cut(op: QConv) -> Cut:
    """Tiles of an even number of rows, of enough work, whose windows fit the first cache level where they can."""
    g = geometry(op)
    height, width = g.results
    of_row = (width + SIDE - 1) * g.channels
    fitting = max(_WINDOW_BYTES // of_row - (SIDE - 1), 2)
    worth = max(ceil_div(TILE_PRODUCTS, width * g.channels * SIDE * SIDE), 2)
    rows = min(fitting, worth) // 2 * 2
    row_tiles = max(1, min(height // 2, ceil_div(height, rows)))
    pixels = ceil_div(width, ceil_div(width, PIXELS))  # register tiles of about equal width
    return cut_into(
        op, pixels, g.channels, reads=CHANNELS, always_window=True,
        row_tiles=row_tiles, column_tiles=1, panel_tiles=1,
    )  # fmt: skip


def _call(op: QConv) -> Call:
    cut, weights = _cut(op), _weights(op)
    return Call(
        "subbyte_arm_depthwise_sdot",
        (
            operand(op, op.x),
            ConstantArray("weights", pack_weights(weights), f"rows_o{CHANNELS}"),
            *results_arrays(op, cut, weights),
            ResultPointer(),
            conv_struct(op, cut),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=cut.geometry.images * cut.tiles.rows,
        scratch_bytes=cut.scratch_bytes,
        proof="N4 in float32",
    )


def _is_square(op: QConv) -> bool:
    """3x3, stride 1, one filter for each channel."""
    channels = op.x.type.shape[1]
    alone = op.group == channels == op.type.shape[1] and channels % CHANNELS == 0
    return alone and op.w.type.shape[2:] == (SIDE, SIDE) and set(op.strides) == set(op.dilations) == {1}


def _accepts(op: QConv) -> bool:
    """Constant weights of a byte, bytes in and out, pixels in memory, sums that fit int32."""
    r = op.requantization
    if not _is_square(op) or r is None or r.table is not None or not is_byte(op.type) or not is_byte_grid(op.x.type):
        return False
    if not is_signed_weights(op.w) or min(op.pads) < 0 or (op.bias is not None and not is_constant(op.bias)):
        return False
    weights = _weights(op)
    if weights.min() < -128 or weights.max() > 127:
        return False
    if not is_channels_last(op.x.type) or not is_channels_last(op.type):
        return False
    try:
        return accumulator_of(op) == INT32
    except NumericsError:
        return False


def _cost(op: QConv, facts: TargetFacts) -> float:
    """The register tiles, of two rows each, and the windows."""
    ordered, cut = in_order(facts), _cut(op)
    height, width = cut.geometry.results
    tiles = cut.geometry.images * ceil_div(height, 2) * ceil_div(width, cut.pixels) * cut.geometry.channels / CHANNELS
    copied = cut.geometry.images * cut.tiles.rows * cut.tiles.scratch_bytes * (0.3 if ordered else 0.1)
    return (tiles * (cut.pixels * _PIXEL_CYCLES[ordered] + 5.0) + copied + 500.0) * CYCLE


ROWS: tuple[Kernel, ...] = (
    row(
        QConv,
        "subbyte_arm_depthwise_sdot",
        "arm_depthwise_sdot.h",
        Storage.CHANNELS_LAST,
        _call,
        _accepts,
        "b8 s8 -> b8, depthwise 3x3",
        _cost,
        features=AARCH64 | {"dotprod"},
    ),
)
