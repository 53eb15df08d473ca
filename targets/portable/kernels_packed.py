"""Rows for exact sums of products whose weights are stored in fewer than 8 bits: QConv, QConvTranspose, QGemm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.target import Argument, Call, Kernel, ResultPointer, Special, Storage, TargetFacts
from subbyte.targets.common.constants import bias_array, operand
from subbyte.targets.common.epilogue import epilogue
from subbyte.targets.common.geometry import pieces
from subbyte.targets.common.packing import Packing, packing_of
from subbyte.targets.common.windows import spatial
from subbyte.targets.portable.kernels_sums import (
    BLOCK,
    Packed,
    SumOfProducts,
    epilogue_struct,
    gemm_struct,
    is_conv,
    is_depthwise,
    is_gemm_of_constants,
    matrices,
    pack,
    proof_of,
)
from subbyte.targets.portable.rows import row, scalar_cost
from subbyte.targets.portable.structs import conv_struct

FILTERS = 8  # SUBBYTE_FILTERS of kernels/packed_sums.h
VARIANTS = ("s16s8s32", "s16s8s64", "s32s8s64")
_UNPACKING = 2.0  # how much longer it takes to unpack and multiply than to multiply, with vectors
_SMALLER = 0.9  # without vectors the products take most of the time, and fewer bytes are read


@lru_cache(maxsize=16)
def _packing(op: SumOfProducts) -> Packing | None:
    """How the weights are stored: only those that the model gives in fewer than 8 bits, whatever type holds them."""
    weights = op.b if isinstance(op, QGemm) else op.w
    low, high = weights.type.code_range()
    return packing_of(pack(op).weights) if high - low < 1 << 7 else None


def _is_packed(op: SumOfProducts, variant: str) -> bool:
    packed = pack(op)
    return packed.name == variant and packed.weight == INT8 and _packing(op) is not None


def _arguments(
    op: SumOfProducts, packed: Packed, rows: NDArray[np.int64], order: str, *batches: Argument
) -> tuple[Argument, ...]:
    """What all three kernels are given: rows are [row, ...] of weights."""
    packing, finish = _packing(op), epilogue(op.requantization)
    if packing is None:
        raise GraphError(f"the weights of {op.label} take 8 bits; this kernel reads fewer")
    return (
        operand(op, op.a if isinstance(op, QGemm) else op.x),
        *packing.arrays(rows, order),
        bias_array(op.bias, packed.sum),
        finish.multiplier,
        finish.shift,
        finish.steps,
        finish.results,
        ResultPointer(),
        *batches,
        packing.struct(),
        gemm_struct(op) if isinstance(op, QGemm) else conv_struct(op),
        epilogue_struct(op),
        Special.TILE_BEGIN,
        Special.TILE_END,
        Special.SCRATCH,
    )


def _accepts_conv(variant: str) -> Callable[[QConv | QConvTranspose], bool]:
    return lambda op: is_conv(op) and not (isinstance(op, QConv) and is_depthwise(op)) and _is_packed(op, variant)


def _conv_call(op: QConv | QConvTranspose) -> Call:
    packed = pack(op)
    depth = packed.weights[0].size
    return Call(
        f"subbyte_packed_conv_{packed.name}",
        _arguments(op, packed, packed.weights.reshape(-1, depth), "ohwi"),
        tiles=op.type.shape[0] * spatial(op).results[0],
        scratch_bytes=depth * (packed.value.numpy.itemsize + FILTERS),
        proof=proof_of(op),
    )


def _accepts_depthwise(variant: str) -> Callable[[QConv], bool]:
    return lambda op: is_conv(op) and is_depthwise(op) and _is_packed(op, variant)


def _depthwise_call(op: QConv) -> Call:
    packed = pack(op)
    channels = op.type.shape[1]
    taps = packed.weights.reshape(channels, -1).T
    return Call(
        f"subbyte_packed_depthwise_{packed.name}",
        _arguments(op, packed, taps, "hwc"),
        tiles=op.type.shape[0] * spatial(op).results[0],
        scratch_bytes=len(taps) * BLOCK,
        proof=proof_of(op),
    )


def _accepts_gemm(variant: str) -> Callable[[QGemm], bool]:
    return lambda op: is_gemm_of_constants(op) and _is_packed(op, variant)


def _gemm_call(op: QGemm) -> Call:
    packed = pack(op)
    depth, columns = op.b.type.shape[-2:]
    batches = math.prod(op.type.shape[:-2])
    of = (matrices(op, op.a, "matrices_of_a"), matrices(op, op.b, "matrices_of_b"))
    return Call(
        f"subbyte_packed_gemm_{packed.name}",
        _arguments(op, packed, packed.weights.reshape(-1, depth), "nk", *of),
        tiles=batches * pieces(columns, FILTERS),
        scratch_bytes=depth * (packed.value.numpy.itemsize + FILTERS),
        proof=proof_of(op),
    )


def _cost(op: Node, facts: TargetFacts) -> float:
    """Less than with a byte for each weight, but where vectors multiply faster than codes are unpacked."""
    return scalar_cost(op, facts) * (_UNPACKING if facts.vector_bits else _SMALLER)


def _rows() -> Iterator[Kernel]:
    header, last = "packed_sums.h", Storage.CHANNELS_LAST
    for variant in VARIANTS:
        says = f"codes, codes of less than 8 bits -> codes, as {variant}"
        depthwise, symbol = f"subbyte_packed_depthwise_{variant}", f"subbyte_packed_conv_{variant}"
        yield row(QConv, depthwise, header, last, _depthwise_call, _accepts_depthwise(variant), says, packed=True)
        convolutions: tuple[type[Node], ...] = (QConv, QConvTranspose)
        for op in convolutions:
            yield row(op, symbol, header, last, _conv_call, _accepts_conv(variant), says, packed=True)
        gemm = f"subbyte_packed_gemm_{variant}"
        yield row(QGemm, gemm, header, Storage.ROW_MAJOR, _gemm_call, _accepts_gemm(variant), says, packed=True)


ROWS = tuple(replace(one, cost=_cost) for one in _rows())
