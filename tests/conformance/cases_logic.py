"""Cases of comparisons, selection, whole-number arithmetic and remainders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbyte.compiler.dtype import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT4,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    DType,
)
from subbyte.compiler.ir import ops, ops_indexing, ops_logic
from subbyte.compiler.ir.node import Node, Value
from tests.conformance.cases import Case, Operand, cases, codes, generator, quantized, reals

WHOLE = (UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64)
SHAPES = (((2, 5, 3, 4), (2, 5, 3, 4)), ((2, 5, 3, 4), (5, 1, 1)), ((1, 5, 1, 4), (2, 1, 3, 1)), ((130,), ()))


def numbers(name: str, shape: tuple[int, ...], dtype: DType, fill: str = "random") -> Operand:
    """Any values of the type: floats with NaN and infinities among them, integers of the whole range, bools."""
    if dtype == BOOL:
        return Operand(np.asarray(generator(name).random(shape) < 0.5), BOOL)
    if dtype == FLOAT64:
        return Operand(np.asarray(np.round(generator(name).normal(0, 1, shape), 1)), FLOAT64)
    if dtype.is_float:
        return reals(name, shape, dtype, specials=True)
    if dtype.bits == 64:
        low, high = np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max
        values = generator(f"{name} {fill}").integers(low, high, shape, dtype.numpy, endpoint=True)
        return Operand(np.asarray(values, dtype.numpy), dtype)
    return codes(name, shape, dtype, None, fill)


@cases
def comparisons() -> Iterator[Case]:
    for dtype in (*WHOLE, UINT4, BOOL, FLOAT16, FLOAT32, FLOAT64):
        for number, (left, right) in enumerate(SHAPES):
            for relation in ops_logic.RELATIONS:
                name = f"compare_{relation}_{dtype}_{number}"
                fill = "extremes" if number % 2 else "random"
                operands = (numbers(f"{name} a", left, dtype, fill), numbers(f"{name} b", right, dtype, fill))
                yield Case(name, lambda a, b, r=relation: ops_logic.Compare(a, b, r), operands)


@cases
def selections() -> Iterator[Case]:
    shapes = (((2, 5, 3, 4),) * 3, ((5, 1, 4), (2, 1, 1, 1), (2, 5, 3, 4)), ((1,), (3, 1), (1, 7)), ((), (9,), ()))
    for dtype in (BOOL, INT8, INT16, FLOAT32, FLOAT64, INT64):
        for number, (condition, a, b) in enumerate(shapes):
            name = f"where_{dtype}_{number}"
            operands = (
                numbers(f"{name} condition", condition, BOOL),
                numbers(f"{name} a", a, dtype),
                numbers(f"{name} b", b, dtype),
            )
            yield Case(name, ops_logic.Where, operands)
    for dtype in (INT8, UINT8, INT16):
        a = codes("where codes a", (3, 1, 7), dtype, quantized(dtype, 0.1, 3, qmax=100))
        b = codes("where codes b", (2, 7), dtype, quantized(dtype, 0.1, 3, qmin=5))
        yield Case(f"where_codes_{dtype}", ops_logic.Where, (numbers("where codes", (2, 1), BOOL), a, b))


def _divisors(name: str, shape: tuple[int, ...], dtype: DType) -> Operand:
    """Integers other than 0, -1 among them."""
    found = numbers(name, shape, dtype)
    values = np.where(generator(name).random(shape) < 0.3, -1 if dtype.kind == "int" else 1, found.values)
    return Operand(np.asarray(np.where(values == 0, 3, values), dtype.numpy), dtype)


@cases
def whole_numbers() -> Iterator[Case]:
    bits: tuple[type[Node], ...] = (ops_logic.BitAnd, ops_logic.BitOr, ops_logic.BitXor)
    shifts: tuple[type[Node], ...] = (ops_logic.ShiftLeft, ops_logic.ShiftRight)
    divisions: tuple[type[Node], ...] = (ops.Div, ops_logic.Mod, ops_logic.Remainder)
    orders: tuple[type[Node], ...] = (ops.Minimum, ops.Maximum)
    for dtype in (*WHOLE, BOOL):
        for number, (left, right) in enumerate(SHAPES):
            a = numbers(f"whole a {dtype} {number}", left, dtype, "extremes" if number == 1 else "random")
            b = numbers(f"whole b {dtype} {number}", right, dtype)
            for op in bits if dtype == BOOL else (*bits, *orders):
                yield Case(f"whole_{op.__name__}_{dtype}_{number}", op, (a, b))
            if dtype == BOOL:
                continue
            near = np.asarray(generator(f"shift {dtype} {number}").integers(-2, 70, right))
            steps = Operand(np.asarray(np.where(near < 0, near, near % (dtype.bits + 2)), dtype.numpy), dtype)
            for op in shifts:
                yield Case(f"whole_{op.__name__}_{dtype}_{number}", op, (a, steps))
            divisor = _divisors(f"divisor {dtype} {number}", right, dtype)
            for op in divisions:
                yield Case(f"whole_{op.__name__}_{dtype}_{number}", op, (a, divisor))
            exponent = Operand(np.asarray(generator(f"power {dtype}").integers(0, 20, right), dtype.numpy), dtype)
            yield Case(f"whole_Pow_{dtype}_{number}", ops.Pow, (a, exponent))


@cases
def remainders() -> Iterator[Case]:
    kinds: tuple[type[Node], ...] = (ops_logic.Mod, ops_logic.Remainder)
    for op in kinds:
        for dtype in (FLOAT16, FLOAT32):
            for number, (left, right) in enumerate(SHAPES):
                name = f"{op.__name__}_{dtype}_{number}"
                operands = (reals(f"{name} a", left, dtype, 50.0, True), reals(f"{name} b", right, dtype, 3.0, True))
                yield Case(name, op, operands)
        random = generator(f"remainder {op.__name__}")
        anything = [random.integers(0, 2**32, 20000, np.uint32).view(np.float32) for _ in range(2)]
        yield Case(f"{op.__name__}_anything", op, tuple(Operand(values, FLOAT32) for values in anything))
        tiny = [random.integers(0, 2**24, 4000, np.uint32).view(np.float32) for _ in range(2)]
        yield Case(f"{op.__name__}_subnormal", op, tuple(Operand(values, FLOAT32) for values in tiny))


@cases
def integer_reductions() -> Iterator[Case]:
    reductions: tuple[type[Any], ...] = (ops.ReduceSum, ops.ReduceMean, ops.ReduceProd, ops.ReduceMax, ops.ReduceMin)
    for op in reductions:
        for dtype in (*WHOLE, BOOL):
            if dtype == BOOL and op not in (ops.ReduceMax, ops.ReduceMin):
                continue
            for axes, keepdims in (((1,), True), ((0, 3), False), ((0, 1, 2, 3), False)):
                name = f"integers_{op.__name__}_{dtype}_{len(axes)}_{keepdims}"
                x = numbers(name, (2, 5, 3, 4), dtype)
                yield Case(name, lambda v, o=op, a=axes, k=keepdims: o(v, a, k), (x,))
    for dtype in (FLOAT16, FLOAT32):
        for axes in ((1,), (0, 3), (0, 1, 2, 3)):
            x = reals(f"product {dtype} {axes}", (2, 5, 3, 4), dtype, 1.0, True)
            yield Case(f"product_{dtype}_{len(axes)}", lambda v, a=axes: ops.ReduceProd(v, a, True), (x,))


@cases
def casts_to_few_bits() -> Iterator[Case]:
    for source in (INT8, UINT8, INT32, INT64, UINT64):
        x = numbers(f"few bits {source}", (300,), source)
        yield Case(f"cast_{source}_to_uint4", lambda v: ops.Cast(v, UINT4), (x,))


@cases
def repetitions() -> Iterator[Case]:
    for dtype in (BOOL, INT8, INT16, FLOAT32, INT64):
        for number, (given, wanted) in enumerate(
            (((1, 5, 1, 4), (3, 5, 2, 4)), ((5, 1), (2, 3, 5, 6)), ((), (4, 9)), ((3, 1, 7), (3, 130, 7)))
        ):
            x = numbers(f"expand {dtype} {number}", given, dtype)

            def build(v: Value, w: tuple[int, ...] = wanted) -> Node:
                return ops_indexing.Expand(v, w)

            yield Case(f"expand_{dtype}_{number}", build, (x,))
