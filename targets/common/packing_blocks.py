"""Weights in blocks as vector kernels read them: a record of scales, codes and zero points for each block.

Such kernels are targets/x86/kernels/x86_blocks.h and targets/arm/kernels/arm_blocks.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops_blocks import QBlockGemm, WeightOnlyMatMul
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.target import as_array
from subbyte.targets.common.blocks import largest_activation
from subbyte.targets.common.constants import constant_of, is_constant
from subbyte.targets.common.geometry import is_row_major, tensor_types
from subbyte.targets.common.tiles import ceil_div, padded_to

STORED_BITS = (2, 4, 8)
_LANE_BYTES = 4
LOWEST_WORD, LOWEST_ACTIVATION = -(1 << 15), -128  # what vpmaddubsw adds in, and multiplies; above 0 is more room


def stored_bits(bits: int) -> int:
    """How many bits a code takes in its byte: those that divide 8 evenly."""
    return next(stored for stored in STORED_BITS if bits <= stored)


def groups_in_run(bits: int, largest_code: int) -> int:
    """How many groups the kernels for vpmaddubsw add in 16 bits: as many as fit whatever the codes are.

    A group adds to each lane two products of every plane; codes of 8 bits are two planes of 4 with lanes of their own.
    """
    planes, largest = (1, min(largest_code, 15)) if bits == 8 else (8 // bits, largest_code)
    return LOWEST_WORD // (planes * 2 * largest * LOWEST_ACTIVATION)


@dataclass(frozen=True, eq=False)
class Blocks:
    """Weights before they are packed: by blocks and columns, N columns.

    codes: [K, N], less the least one of their type. scales: float32 [ceil(K / block), N]. zero_points, terms: the same
    shape, bytes and int32; None where all codes have the one zero point `zero`, where there are no terms.
    """

    codes: NDArray[np.int64]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64] | None
    terms: NDArray[np.int64] | None
    bits: int
    block: int
    zero: int = 0

    @property
    def zeros(self) -> int:
        """0 where all zero points are 0, 1 where they are `zero`, 2 where blocks have their own."""
        return 2 if self.zero_points is not None else int(self.zero != 0)

    @property
    def groups(self) -> int:
        """Groups of a block: so many codes as the lanes of a register hold."""
        return ceil_div(self.block, _LANE_BYTES * 8 // self.bits)


def quant_of_blocks(b: Value) -> QuantParams:
    """The scales and zero points of codes in blocks."""
    quant = b.type.quant
    if quant is None or quant.block is None:
        raise GraphError(f"{b.type} has no blocks; this kernel packs weights in blocks")
    return quant


def blocks_of(b: Value) -> Blocks:
    """The weights of a constant [K, N] in blocks, without terms; a block is not longer than a column."""
    quant, dtype = quant_of_blocks(b), b.type.dtype
    scales, zeros = quant.static()
    moved = zeros.astype(np.int64) - dtype.min
    one_zero = bool((moved == moved[0, 0]).all())
    return Blocks(
        constant_of(b).astype(np.int64) - dtype.min,
        as_array(scales, np.float32),
        None if one_zero else moved,
        None,
        stored_bits(dtype.bits),
        min(quant.block or 1, b.type.shape[0]),
        int(moved[0, 0]) if one_zero else 0,
    )


def fits_int32(op: QBlockGemm) -> bool:
    """Whether no sum of a block leaves int32, with its zero points, and with codes where they are in their bytes."""
    block = min(quant_of_blocks(op.b).block or 1, op.b.type.shape[0])
    return 2 * max(largest_activation(op), 128) * 255 * block <= INT32.max


def is_packable(op: QBlockGemm | WeightOnlyMatMul) -> bool:
    """Constant codes of at most 8 bits times what is computed, all row-major, none empty."""
    a, b = op.a.type, op.b.type
    if not is_constant(op.b) or b.dtype.kind not in ("int", "uint") or b.dtype.bits > 8 or is_constant(op.a):
        return False
    return 0 not in (*a.shape, *b.shape) and all(is_row_major(of_type) for of_type in tensor_types(op))


def pack_blocks(b: Blocks, lanes: int, vectors: int) -> NDArray[np.uint8]:
    """The stream of weights for registers of `lanes` lanes in panels of `vectors` vectors, the last of what is left."""
    depth = b.codes.shape[0]
    blocks, planes = ceil_div(depth, b.block), 8 // b.bits
    codes = padded_to(padded_to(b.codes.astype(np.uint8), 0, b.block), 1, lanes)
    wide = codes.shape[1]
    codes = padded_to(codes.reshape(blocks, b.block, wide), 1, planes * _LANE_BYTES)
    apart = codes.reshape(blocks, b.groups, planes, _LANE_BYTES, wide // lanes, lanes)
    shifts = (np.arange(planes, dtype=np.uint8) * b.bits).reshape(planes, 1, 1, 1)
    merged = np.bitwise_or.reduce(apart << shifts, axis=2)  # [blocks, groups, 4, vectors, lanes]
    by_vector = merged.transpose(3, 0, 1, 4, 2)  # [vectors, blocks, groups, lanes, 4]
    panels = []
    for first in range(0, wide // lanes, vectors):
        some = by_vector[first : first + vectors]
        taken = slice(first * lanes, first * lanes + len(some) * lanes)
        parts = [
            _record(b.scales, lanes, taken, np.float32),
            np.ascontiguousarray(some.transpose(1, 2, 0, 3, 4)).reshape(blocks, -1),
        ]
        if b.zero_points is not None:
            parts.append(padded_to(_record(b.zero_points, lanes, taken, np.uint8), 1, lanes * _LANE_BYTES))
        if b.terms is not None:
            parts.append(_record(b.terms, lanes, taken, np.int32))
        panels.append(np.concatenate(parts, axis=1).reshape(-1))
    return np.concatenate(panels)


def _record(values: NDArray[Any], lanes: int, taken: slice, dtype: Any) -> NDArray[np.uint8]:
    """The bytes of [blocks, N] for some columns, zeros beyond N: [blocks, bytes]."""
    held = np.ascontiguousarray(padded_to(values.astype(dtype), 1, lanes)[:, taken])
    return held.view(np.uint8).reshape(held.shape[0], -1)
