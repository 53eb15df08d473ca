"""Rows for exact sums of products: QConv, QConvTranspose, QGemm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32, INT64, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import has_integers, is_affine, is_short_code, storage_code, type_code
from subbyte.targets.common.constants import (
    bias_array,
    centred,
    centred_range,
    has_one_zero_point,
    is_constant,
    narrowest,
    operand,
    zero_point,
    zero_points,
)
from subbyte.targets.common.epilogue import can_finish, epilogue
from subbyte.targets.common.geometry import is_channels_last, is_row_major, pieces
from subbyte.targets.common.windows import is_spatial, spatial
from subbyte.targets.portable.rows import row
from subbyte.targets.portable.structs import conv_struct

SumOfProducts = QConv | QConvTranspose | QGemm
BLOCK = 64  # SUBBYTE_BLOCK of kernels/codes.h

VARIANTS = ("s16s8s32", "s16s16s32", "s16s8s64", "s16s16s64", "s16s32s64", "s32s8s64", "s32s16s64", "s32s32s64")


@dataclass(frozen=True, eq=False)
class Packed:
    """The types in which a sum of products is computed, and its weights less their zero point."""

    value: DType
    weight: DType
    sum: DType
    weights: NDArray[np.int64]

    @property
    def name(self) -> str:
        """s16s8s32: values, weights, sums."""
        return "".join(f"s{dtype.bits}" for dtype in (self.value, self.weight, self.sum))

    def array(self, layout: str) -> ConstantArray:
        return ConstantArray("weights", as_array(self.weights, self.weight.numpy), layout)


def _weights(op: SumOfProducts) -> NDArray[np.int64]:
    """The weights less their zero point, in the order in which the kernel reads them."""
    match op:
        case QConv(w=w):  # [O, I / G, kernel...] -> [O, kernel..., I / G]
            return np.moveaxis(centred(w, axis=0), 1, -1)
        case QConvTranspose(w=w, group=group):  # [I, O / G, kernel...] -> [O, kernel..., I / G]
            values = centred(w, axis=1)
            split = values.reshape(group, values.shape[0] // group, *values.shape[1:])
            return np.moveaxis(split, 1, -1).reshape(-1, *values.shape[2:], values.shape[0] // group)
        case QGemm(b=b):  # [..., K, N] -> [..., N, K]
            return np.swapaxes(centred(b, axis=b.type.rank - 1), -1, -2)


@lru_cache(maxsize=16)
def pack(op: SumOfProducts) -> Packed:
    """Values and weights in the narrowest types that hold them, sums in the accumulator that is proved to hold them."""
    weights = _weights(op)
    data = op.a if isinstance(op, QGemm) else op.x
    value = narrowest(*centred_range(data.type), widths=(16, 32))
    weight = narrowest(int(weights.min(initial=0)), int(weights.max(initial=0)))
    wide = INT32 in (value, weight) or accumulator_of(op) == INT64
    return Packed(value, weight, INT64 if wide else INT32, weights)


def _can_pack(op: SumOfProducts, data: Value, weights: Value) -> bool:
    return (
        is_short_code(data.type.dtype)
        and has_one_zero_point(data.type)
        and is_constant(weights)
        and is_short_code(weights.type.dtype)
        and has_integers(weights.type)
        and _can_finish(op)
    )


def _can_finish(op: SumOfProducts) -> bool:
    """Whether the epilogue knows the result, and int64 holds every sum."""
    if op.bias is not None and not is_constant(op.bias):
        return False
    if op.requantization is not None and not is_short_code(op.dtype):
        return False
    if not can_finish(op.requantization):
        return False
    try:
        accumulator_of(op)
    except NumericsError:
        return False
    return True


def epilogue_struct(op: SumOfProducts) -> ConstantStruct:
    """The struct subbyte_epilogue."""
    return epilogue(op.requantization).struct(op.type)


def proof_of(op: SumOfProducts) -> str:
    """How its requantization is shown equal to N4."""
    return epilogue(op.requantization).proof


# Convolutions ---------------------------------------------------------------------------------------------------------


def is_conv(op: QConv | QConvTranspose) -> bool:
    """Whether the kernels know its geometry, its weights and its end."""
    stored = is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)
    return stored and _can_pack(op, op.x, op.w)


def is_depthwise(op: QConv) -> bool:
    return op.group == op.x.type.shape[1] == op.type.shape[1]


def _accepts_conv(variant: str) -> Callable[[QConv | QConvTranspose], bool]:
    return lambda op: is_conv(op) and not (isinstance(op, QConv) and is_depthwise(op)) and pack(op).name == variant


def _conv_call(op: QConv | QConvTranspose) -> Call:
    packed = pack(op)
    finish = epilogue(op.requantization)
    window = packed.weights[0].size
    return Call(
        f"subbyte_conv_{packed.name}",
        (
            operand(op, op.x),
            packed.array("ohwi"),
            bias_array(op.bias, packed.sum),
            finish.multiplier,
            finish.shift,
            finish.steps,
            finish.results,
            ResultPointer(),
            conv_struct(op),
            epilogue_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * spatial(op).results[0],
        scratch_bytes=window * packed.value.numpy.itemsize,
        proof=proof_of(op),
    )


def _accepts_depthwise(variant: str) -> Callable[[QConv], bool]:
    return lambda op: is_conv(op) and is_depthwise(op) and pack(op).name == variant


def _depthwise_call(op: QConv) -> Call:
    packed = pack(op)
    finish = epilogue(op.requantization)
    weights = np.moveaxis(packed.weights[..., 0], 0, -1)  # [C, kernel...] -> [kernel..., C]
    return Call(
        f"subbyte_depthwise_{packed.name}",
        (
            operand(op, op.x),
            ConstantArray("weights", as_array(weights, packed.weight.numpy), "hwc"),
            bias_array(op.bias, packed.sum),
            finish.multiplier,
            finish.shift,
            finish.steps,
            finish.results,
            ResultPointer(),
            conv_struct(op),
            epilogue_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.shape[0] * spatial(op).results[0],
        proof=proof_of(op),
    )


# Matrix products ------------------------------------------------------------------------------------------------------


def _is_gemm(op: QGemm) -> bool:
    return all(is_row_major(of_type) for of_type in (op.a.type, op.b.type, op.type)) and has_one_zero_point(op.a.type)


def is_gemm_of_constants(op: QGemm) -> bool:
    return _is_gemm(op) and _can_pack(op, op.a, op.b)


def matrices(op: QGemm, value: Value, role: str) -> ConstantArray:
    """Which matrix of `value` each batch of the result takes."""
    batches = op.type.shape[:-2]
    own = value.type.shape[:-2]
    numbers = np.arange(int(np.prod(own)), dtype=np.int32).reshape(own)
    return ConstantArray(role, as_array(np.broadcast_to(numbers, batches).reshape(-1), np.int32))


def gemm_struct(op: QGemm) -> ConstantStruct:
    """The struct subbyte_gemm of kernels/gemm.h."""
    m, k = op.a.type.shape[-2:]
    fields = (
        ("a_type", storage_code(op.a.type)),
        ("a_zero", zero_point(op.a.type)),
        ("rows", m),
        ("columns", op.type.shape[-1]),
        ("depth", k),
    )
    return ConstantStruct("subbyte_gemm", fields)


def _gemm_tiles(op: QGemm) -> int:
    return op.type.elements // op.type.shape[-1] * pieces(op.type.shape[-1], BLOCK)


def _accepts_gemm(variant: str) -> Callable[[QGemm], bool]:
    return lambda op: is_gemm_of_constants(op) and pack(op).name == variant


def _gemm_call(op: QGemm) -> Call:
    packed = pack(op)
    finish = epilogue(op.requantization)
    return Call(
        f"subbyte_gemm_{packed.name}",
        (
            operand(op, op.a),
            packed.array("nk"),
            bias_array(op.bias, packed.sum),
            finish.multiplier,
            finish.shift,
            finish.steps,
            finish.results,
            ResultPointer(),
            matrices(op, op.a, "matrices_of_a"),
            matrices(op, op.b, "matrices_of_b"),
            gemm_struct(op),
            epilogue_struct(op),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=_gemm_tiles(op),
        scratch_bytes=op.a.type.shape[-1] * packed.value.numpy.itemsize,
        proof=proof_of(op),
    )


def _accepts_run_time_gemm(op: QGemm) -> bool:
    quant = op.b.type.quant
    return (
        _is_gemm(op)
        and is_short_code(op.a.type.dtype)
        and is_short_code(op.b.type.dtype)
        and (quant is None or is_affine(quant))
        and _can_finish(op)
    )


def _run_time_gemm_call(op: QGemm) -> Call:
    finish = epilogue(op.requantization)
    zeros = zero_points(op.b.type, op.b.type.rank - 1)
    arguments: tuple[Argument, ...] = (
        operand(op, op.a),
        operand(op, op.b),
        bias_array(op.bias, INT64),
        finish.multiplier,
        finish.shift,
        finish.steps,
        finish.results,
        ResultPointer(),
        ConstantArray("zero_points", as_array(zeros, np.int32)),
        matrices(op, op.a, "matrices_of_a"),
        matrices(op, op.b, "matrices_of_b"),
        Integer(type_code(op.b.type.dtype)),
        gemm_struct(op),
        epilogue_struct(op),
        Special.TILE_BEGIN,
        Special.TILE_END,
        Special.SCRATCH,
    )
    return Call(
        "subbyte_gemm_codes",
        arguments,
        tiles=_gemm_tiles(op),
        scratch_bytes=op.a.type.shape[-1] * 4,
        proof=proof_of(op),
    )


def _rows() -> Iterator[Kernel]:
    last = Storage.CHANNELS_LAST
    for variant in VARIANTS:
        says = f"codes codes -> codes, as {variant}"
        depthwise, symbol = f"subbyte_depthwise_{variant}", f"subbyte_conv_{variant}"
        yield row(
            QConv, depthwise, "depthwise.h", last, _depthwise_call, _accepts_depthwise(variant), says, packed=True
        )
        convolutions: tuple[type[Node], ...] = (QConv, QConvTranspose)
        for op in convolutions:
            yield row(op, symbol, "conv.h", last, _conv_call, _accepts_conv(variant), says, packed=True)
        yield row(
            QGemm,
            f"subbyte_gemm_{variant}",
            "gemm.h",
            Storage.ROW_MAJOR,
            _gemm_call,
            _accepts_gemm(variant),
            says,
            packed=True,
        )
    yield row(
        QGemm, "subbyte_gemm_codes", "gemm.h", Storage.ROW_MAJOR, _run_time_gemm_call, _accepts_run_time_gemm,
        "codes codes -> codes, both at run time",
    )  # fmt: skip


ROWS = tuple(_rows())
