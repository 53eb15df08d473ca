"""Cases of elementwise work on codes: quantization, tables, clamps, arithmetic with broadcasting, softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import (
    BIPOLAR,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    INT16,
    INT32,
    TERNARY,
    UINT4,
    UINT8,
    UINT16,
    DType,
)
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.qops import Clamp, Lookup, OffsetCodes, QAdd, QBinary, QDiv, QMul, QSoftmax, QSub
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.compiler.numerics.softmax import softmax_table
from tests.conformance.cases import Case, Operand, cases, codes, every_code, generator, quantized, reals

CODES = (UINT8, INT8, UINT16, INT16, UINT4, INT4)


def _odd_zero(dtype: DType) -> int:
    return (dtype.min + 2 * dtype.max) // 3 | 1


def _channel_numbers(name: str, dtype: DType, channels: int) -> tuple[Any, Any]:
    random = generator(name)
    scale = random.uniform(50, 200, channels) / (dtype.max - dtype.min)
    return scale, random.integers(dtype.min, dtype.max, channels, endpoint=True)


@cases
def quantize_linear() -> Iterator[Case]:
    for dtype in CODES:
        quant = quantized(dtype, 128 / (dtype.max - dtype.min + 1), _odd_zero(dtype))
        x = reals(f"quantize_{dtype}", (3, 5, 7, 9), FLOAT32, spread=20.0, specials=True)
        yield Case(f"quantize_{dtype}", lambda v, d=dtype, q=quant: QuantizeLinear(v, d, q), (x,))
        scales = _channel_numbers(f"quantize_axis_{dtype}", dtype, 5)
        by_axis = quantized(dtype, *scales, axis=1)
        yield Case(f"quantize_axis_{dtype}", lambda v, d=dtype, q=by_axis: QuantizeLinear(v, d, q), (x,))
    quant = quantized(INT8, 0.5, -3, qmin=-100, qmax=90)
    for mode in Rounding:
        if mode is Rounding.BIPOLAR:
            continue
        for first in (False, True):
            name = f"quantize_{mode.name}_{first}"
            x = reals(name, (70,), FLOAT32, spread=30.0, specials=True)
            halves = np.arange(70, dtype=np.float32) / 4 - 8
            x = Operand(np.where(np.arange(70) % 2, x.values, halves).astype(np.float32), FLOAT32)
            yield Case(name, lambda v, m=mode, f=first: QuantizeLinear(v, INT8, quant, m.name, f), (x,))
    sign = quantized(BIPOLAR, 0.5, 0)
    x = reals("quantize_bipolar", (3, 70), FLOAT32, specials=True)
    yield Case("quantize_bipolar", lambda v: QuantizeLinear(v, BIPOLAR, sign, "BIPOLAR"), (x,))
    half = reals("quantize_float16", (3, 50), FLOAT16, specials=True)
    yield Case("quantize_float16", lambda v: QuantizeLinear(v, INT8, quant), (half,))
    long = reals("quantize_long", (5000,), FLOAT32, spread=50.0)
    yield Case("quantize_long", lambda v: QuantizeLinear(v, INT8, quant), (long,))


@cases
def dequantize_linear() -> Iterator[Case]:
    for dtype in (*CODES, INT32):
        quant = quantized(dtype, 0.0371, 0 if dtype == INT32 else _odd_zero(dtype))
        x = codes(f"dequantize_{dtype}", (3, 5, 7, 9), dtype, quant)
        yield Case(f"dequantize_{dtype}", lambda v: DequantizeLinear(v), (x,))
        if dtype != INT32:
            by_axis = quantized(dtype, *_channel_numbers(f"dequantize_axis_{dtype}", dtype, 5), axis=1)
            x = codes(f"dequantize_axis_{dtype}", (3, 5, 7, 9), dtype, by_axis)
            yield Case(f"dequantize_axis_{dtype}", lambda v: DequantizeLinear(v), (x,))
    last = quantized(INT8, *_channel_numbers("dequantize_last", INT8, 9), axis=1)
    yield Case("dequantize_last_axis", lambda v: DequantizeLinear(v), (codes("last", (4, 9), INT8, last),))


@cases
def clamps() -> Iterator[Case]:
    for dtype in CODES:
        quant = quantized(dtype, 0.1, _odd_zero(dtype))
        low, high = dtype.min + 2, dtype.max - 1
        x = codes(f"clamp_{dtype}", (3, 5, 7, 9), dtype, quant)
        yield Case(f"clamp_{dtype}", lambda v, lo=low, hi=high: Clamp(v, lo, hi), (x,))
        yield Case(f"offset_{dtype}", lambda v: OffsetCodes(v), (x,))
    yield Case("clamp_one", lambda v: Clamp(v, 0, 9), (codes("one", (1,), INT8, quantized(INT8, 0.1, 0)),))
    yield Case("clamp_long", lambda v: Clamp(v, 0, 9), (codes("long", (4111,), INT8, quantized(INT8, 0.1, 0)),))


@cases
def lookups() -> Iterator[Case]:
    for dtype in (UINT8, INT8, UINT4, INT4, TERNARY):
        quant = quantized(dtype, 0.1, 0)
        entries = 3 if dtype == TERNARY else 1 << dtype.bits
        for result in (INT8, UINT8, INT16, UINT16, INT32, FLOAT32):
            name = f"lookup_{dtype}_{result}"
            random = generator(name)
            if result == FLOAT32:
                table, meaning = random.normal(size=entries).astype(np.float32), None
            else:
                table = random.integers(result.min, result.max, entries, endpoint=True).astype(result.numpy)
                meaning = quantized(result, 0.05, 0)
            x = every_code((2, 5, 7, 9), dtype, quant)
            yield Case(name, lambda v, t=table, r=result, m=meaning: Lookup(v, t, r, m), (x,))
    for extent in (1, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 2048, 2049):
        x = codes(f"lookup_length_{extent}", (extent,), UINT8, quantized(UINT8, 0.1, 0))
        table = generator("table").integers(0, 256, 256).astype(np.uint8)
        meaning = quantized(UINT8, 0.1, 0)
        yield Case(f"lookup_length_{extent}", lambda v, t=table, m=meaning: Lookup(v, t, UINT8, m), (x,))
    for dtype in (INT16, UINT16, DType("int", 9), DType("uint", 14)):
        for result in (UINT8, INT16, FLOAT32):
            name = f"lookup_{dtype}_{result}"
            table = generator(name).integers(0, 100, 1 << dtype.bits).astype(result.numpy)
            meaning = None if result == FLOAT32 else quantized(result, 0.05, 0)
            x = codes(name, (3, 5, 7, 41), dtype, quantized(dtype, 0.1, 0))
            yield Case(name, lambda v, t=table, r=result, m=meaning: Lookup(v, t, r, m), (x,))
    table = generator("channels").integers(-128, 128, (5, 256)).astype(np.int8)
    meaning = quantized(INT8, 0.1, 0)
    x = every_code((2, 5, 7, 9), UINT8, quantized(UINT8, 0.1, 0))
    yield Case("lookup_channels", lambda v: Lookup(v, table, INT8, meaning, 1), (x,))
    yield Case("lookup_last_axis", lambda v: Lookup(v, table, INT8, meaning, 1), (every_code((60, 5), INT8),))


REAL: dict[type[QBinary], Callable[[Any, Any], Any]] = {
    QAdd: np.add,
    QSub: np.subtract,
    QMul: np.multiply,
    QDiv: np.divide,
}
SHAPES = {
    "same": ((2, 5, 7, 9), (2, 5, 7, 9)),
    "scalar": ((2, 5, 7, 9), ()),
    "channels": ((2, 5, 7, 9), (5, 1, 1)),
    "channels_of_rank_4": ((2, 5, 7, 9), (1, 5, 1, 1)),
    "squeeze": ((2, 5, 7, 9), (2, 5, 1, 1)),
    "row": ((2, 5, 7, 9), (9,)),
    "outer": ((7, 1), (1, 70)),
    "swapped": ((1, 5, 1, 1), (2, 5, 7, 9)),
    "one": ((1,), (1,)),
    "long": ((4111,), (4111,)),
}


def _real(operand: Operand) -> NDArray[Any]:
    if operand.quant is None:
        return operand.values.astype(np.float64)
    scale, zero = operand.quant.scalar()
    return (operand.values.astype(np.float64) - zero) * scale


def binary(
    name: str,
    op: type[QBinary],
    a: Operand,
    b: Operand,
    y: DType,
    zero: int,
    scale: float | None = None,
    qmin: int | None = None,
) -> Case:
    """op(a, b) in codes of `y`; without a scale, one that spreads most of the results over the codes."""
    with np.errstate(all="ignore"):
        real = np.asarray(REAL[op](_real(a), _real(b)))
    finite = np.abs(real[np.isfinite(real)])
    step = np.quantile(finite, 0.8) / (y.max - y.min) * 2 if scale is None else scale
    quant = quantized(y, step, zero, qmin=qmin)

    def build(left: Value, right: Value) -> Node:
        return op(left, right, y, quant)

    return Case(name, build, (a, b))


@cases
def binaries() -> Iterator[Case]:
    for op in REAL:
        label = op.__name__.lower()
        for dtype in (UINT8, INT8, UINT16, INT16, UINT4):
            zero = _odd_zero(dtype)
            name = f"{label}_{dtype}"
            a = codes(f"{name} a", (2, 5, 7, 9), dtype, quantized(dtype, 0.02, zero))
            b = codes(f"{name} b", (2, 5, 7, 9), dtype, quantized(dtype, 0.031, zero - 1))
            yield binary(name, op, a, b, dtype, zero)
        for shapes, (left, right) in SHAPES.items():
            name = f"{label}_{shapes}"
            a = codes(f"{name} a", left, UINT8, quantized(UINT8, 0.02, 117))
            b = codes(f"{name} b", right, UINT8, quantized(UINT8, 0.031, 5))
            yield binary(name, op, a, b, UINT8, 101)
        # every pair of codes, scales of powers of two: ties everywhere
        grid = quantized(UINT8, 0.25, 3)
        pairs = every_code((256, 1), UINT8, grid), every_code((1, 256), UINT8, grid)
        step = 16.0 if op is QMul else 0.5
        yield binary(f"{label}_ties", op, *pairs, UINT8, 127, step)
        yield binary(f"{label}_ties_s8", op, *pairs, INT8, -1, step, qmin=-1)
        a = codes(f"{label} mixed", (3, 70), UINT8, quantized(UINT8, 0.02, 117))
        b = codes(f"{label} mixed", (3, 70), INT8, quantized(INT8, 0.01, -7))
        yield binary(f"{label}_mixed", op, a, b, INT16, 55)
        constant = reals(f"{label} constant", (70,), FLOAT32, constant=True)
        yield binary(f"{label}_float_constant", op, a, constant, UINT8, 101)
        yield binary(f"{label}_constant_float", op, constant, a, UINT8, 101)
        known = Operand(b.values, b.dtype, b.quant, True)
        yield binary(f"{label}_constant_codes", op, a, known, UINT8, 101)
        weird = reals(f"{label} specials", (3, 70), FLOAT32, specials=True)
        yield binary(f"{label}_specials", op, a, weird, UINT8, 101)
    same = codes("twice", (3, 70), UINT8, quantized(UINT8, 0.02, 117))
    quant = quantized(UINT8, 0.04, 117)
    yield Case("qadd_twice", lambda v: QAdd(v, v, UINT8, quant), (same,))


@cases
def softmaxes() -> Iterator[Case]:
    def softmax(name: str, x: Operand, axis: int, y: DType, scale: float, zero: int) -> Case:
        assert x.quant is not None
        entries = x.dtype.max - x.dtype.min + 1
        table = softmax_table(x.quant.scalar()[0], (entries - 1).bit_length())[:entries]
        quant = quantized(y, scale, zero)
        build: Callable[[Value], Node] = lambda v: QSoftmax(v, table, y, quant, axis)  # noqa: E731
        return Case(name, build, (x,))

    grid = quantized(UINT8, 0.02, 100)
    for extent in (1, 2, 10, 15, 16, 17, 31, 33, 64, 65, 300):
        x = codes(f"softmax_{extent}", (3, extent), UINT8, grid)
        yield softmax(f"qsoftmax_{extent}", x, 1, UINT8, 1 / 256, 0)
        yield softmax(f"qsoftmax_s8_{extent}", x, 1, INT8, 1 / 256, -128)
    for dtype in (INT8, UINT4, INT4):
        x = codes(f"softmax_{dtype}", (4, 33), dtype, quantized(dtype, 0.3, 1))
        yield softmax(f"qsoftmax_{dtype}", x, 1, UINT8, 0.0039, 3)
    signs = generator("softmax signs").choice([-1, 1], (4, 33)).astype(np.int8)
    yield softmax("qsoftmax_bipolar", Operand(signs, BIPOLAR, quantized(BIPOLAR, 0.3, 0)), 1, UINT8, 0.0039, 3)
    x = codes("softmax_axis", (2, 5, 7, 9), UINT8, grid)
    for axis in range(4):
        yield softmax(f"qsoftmax_axis_{axis}", x, axis, UINT8, 1 / 256, 0)
    flat = codes("softmax_flat", (2, 21), UINT8, grid, "highest")
    yield softmax("qsoftmax_flat", flat, 1, UINT8, 1 / 256, 0)
    yield softmax("qsoftmax_u16", codes("u16", (2, 21), UINT8, grid), 1, UINT16, 1 / 65536, 0)
    steep = codes("steep", (2, 21), UINT8, quantized(UINT8, 3.0, 0), "extremes")
    yield softmax("qsoftmax_steep", steep, 1, INT8, 1 / 128, -128)
