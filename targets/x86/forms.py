"""Faster forms of N6 for two tensors of bytes, each accepted only where it equals N6 for every pair of codes.

A pair of bytes has 65,536 values, so the comparison is exhaustive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_real

ADD, SUBTRACT, MULTIPLY, LINEAR, PRODUCT = range(5)  # as in kernels/x86_binary.h
_OPERATIONS: dict[type[QBinary], int] = {QAdd: ADD, QSub: SUBTRACT, QMul: MULTIPLY}

Floats = NDArray[np.float32]


def _quant(of_type: TensorType) -> QuantParams:
    if of_type.quant is None:
        raise GraphError(f"{of_type} has no scale; codes with a scale are needed")
    return of_type.quant


@dataclass(frozen=True)
class Form:
    """How a binary operation is computed: the fields of the struct subbyte_x86_binary, and why that is N6."""

    form: int
    a_scale: float
    b_scale: float
    y_scale: float
    constant: float
    reciprocal: bool
    proof: str


@dataclass(frozen=True)
class Grids:
    """The operation on two tensors of bytes: dtypes, scales, zero points and ranges are in the types."""

    operation: type[QBinary]
    a: TensorType
    b: TensorType
    y: TensorType

    @classmethod
    def of(cls, op: QBinary) -> Grids:
        """Of `op`, whatever its shape."""
        a, b, y = (TensorType(t.dtype, (), t.quant) for t in (op.a.type, op.b.type, op.type))
        return cls(type(op), a, b, y)

    def all_pairs(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[Any]]:
        """(a, b, y) for every pair of codes in use, y by the interpreter."""
        (a_low, a_high), (b_low, b_high) = self.a.code_range(), self.b.code_range()
        a = np.arange(a_low, a_high + 1, dtype=np.uint8)[:, None]
        b = np.arange(b_low, b_high + 1, dtype=np.uint8)[None, :]
        left = Input("a", TensorType(self.a.dtype, a.shape, self.a.quant))
        right = Input("b", TensorType(self.b.dtype, b.shape, self.b.quant))
        op = self.operation(left.out, right.out, self.y.dtype, _quant(self.y))
        return a, b, evaluate_node(op, (a, b))[0]


def fused_multiply_add(a: Any, b: Any, c: Any) -> Floats | None:
    """f32(a * b + c), rounded once; None where double precision does not show it.

    a * b is exact in float64. Where the sum is not, rounding it again might not give the nearest float32.
    """
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    total = product + np.asarray(c, np.float64)
    back = total - product
    error = (product - (total - back)) + (np.asarray(c, np.float64) - back)  # Knuth's exact error of the sum
    return None if error.any() else total.astype(np.float32)


def _codes(steps: Floats, y: TensorType) -> NDArray[np.int64]:
    return np.clip(np.rint(steps).astype(np.int64) + _quant(y).scalar()[1], *y.code_range())


def _neighbours(value: np.float32, ulps: int) -> Iterator[np.float32]:
    """The value, then floats up to `ulps` steps above and below it."""
    yield value
    up = down = value
    for _ in range(ulps):
        up, down = np.nextafter(up, np.float32(np.inf)), np.nextafter(down, np.float32(-np.inf))
        yield up
        yield down


def _linear(grids: Grids, a: Any, b: Any, y: Any) -> Form | None:
    """fma(a_scale, a, fma(b_scale, b, constant)) with coefficients near the exact ones."""
    sign = -1.0 if grids.operation is QSub else 1.0
    (s_a, z_a), (s_b, z_b), (s_y, _) = (_quant(of_type).scalar() for of_type in (grids.a, grids.b, grids.y))
    for a_scale in _neighbours(np.float32(s_a / s_y), 1):
        for b_scale in _neighbours(np.float32(sign * s_b / s_y), 1):
            for constant in _neighbours(np.float32(-z_a * (s_a / s_y) - sign * z_b * (s_b / s_y)), 4):
                inner = fused_multiply_add(b, b_scale, constant)
                steps = None if inner is None else fused_multiply_add(a, a_scale, inner)
                if steps is not None and np.abs(steps).max() < 2**30 and (_codes(steps, grids.y) == y).all():
                    values = (float(a_scale), float(b_scale), 1.0, float(constant))
                    return Form(LINEAR, *values, False, "two fused multiply-adds, equal to N6 for all pairs of codes")
    return None


def _product(grids: Grids, a: Any, b: Any, y: Any) -> Form | None:
    """f32(A * B) * constant with a constant near the exact one."""
    (s_a, z_a), (s_b, z_b), (s_y, _) = (_quant(of_type).scalar() for of_type in (grids.a, grids.b, grids.y))
    products = ((a.astype(np.int64) - z_a) * (b.astype(np.int64) - z_b)).astype(np.float32)
    for constant in _neighbours(np.float32(s_a * s_b / s_y), 8):
        steps = products * constant
        if np.abs(steps).max() < 2**30 and (_codes(steps, grids.y) == y).all():
            return Form(
                PRODUCT, 1.0, 1.0, 1.0, float(constant), False, "one product, equal to N6 for all pairs of codes"
            )
    return None


def _reals(grids: Grids, a: Any, b: Any) -> Floats:
    """f32(f32(s_a * A) op f32(s_b * B)), before it is quantized."""
    left, right = to_real(a, _quant(grids.a)), to_real(b, _quant(grids.b))
    if grids.operation is QMul:
        return left * right
    return left - right if grids.operation is QSub else left + right


def _reciprocal(grids: Grids, a: Any, b: Any, y: Any) -> Form | None:
    """N6 with a product in the place of the division."""
    s_a, s_b, s_y = (_quant(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    reals = _reals(grids, a, b)
    for factor in _neighbours(np.float32(1 / s_y), 2):
        steps = reals * factor
        if np.abs(steps).max() < 2**30 and (_codes(steps, grids.y) == y).all():
            values = (s_a, s_b, float(factor), 0.0, True)
            return Form(
                _OPERATIONS[grids.operation], *values, "a product for N6's division, equal for all pairs of codes"
            )
    return None


@lru_cache(maxsize=256)
def form_of(grids: Grids) -> Form:
    """The fastest form that is equal to N6 for all pairs of codes; N6 itself, with its division, where none is."""
    a, b, y = grids.all_pairs()
    found = _product(grids, a, b, y) if grids.operation is QMul else _linear(grids, a, b, y)
    found = found or _reciprocal(grids, a, b, y)
    if found is not None:
        return found
    s_a, s_b, s_y = (_quant(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    return Form(_OPERATIONS[grids.operation], s_a, s_b, s_y, 0.0, False, "N6 in float32")
