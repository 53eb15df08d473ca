"""Faster forms of N6 for two tensors of bytes, each accepted only where it equals N6 for every pair of codes.

A pair of bytes has 65,536 values, so the comparison is exhaustive. What a form is made of, instructions decide; here is
what all have in common, and the forms that need nothing but float32 products and sums, each rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.qops import QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_real

Floats = NDArray[np.float32]
Codes = NDArray[Any]


def quant_of(of_type: TensorType) -> QuantParams:
    if of_type.quant is None:
        raise GraphError(f"{of_type} has no scale; codes with a scale are needed")
    return of_type.quant


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

    def all_pairs(self) -> tuple[Codes, Codes, Codes]:
        """(a, b, y) for every pair of codes in use, y by the interpreter."""
        (a_low, a_high), (b_low, b_high) = self.a.code_range(), self.b.code_range()
        a = np.arange(a_low, a_high + 1).astype(self.a.dtype.numpy)[:, None]
        b = np.arange(b_low, b_high + 1).astype(self.b.dtype.numpy)[None, :]
        left = Input("a", TensorType(self.a.dtype, a.shape, self.a.quant))
        right = Input("b", TensorType(self.b.dtype, b.shape, self.b.quant))
        op = self.operation(left.out, right.out, self.y.dtype, quant_of(self.y))
        return a, b, evaluate_node(op, (a, b))[0]

    def centred(self, a: Codes, b: Codes) -> tuple[Codes, Codes]:
        """The codes less their zero points."""
        (_, z_a), (_, z_b) = (quant_of(of_type).scalar() for of_type in (self.a, self.b))
        return a.astype(np.int64) - z_a, b.astype(np.int64) - z_b


def fused_multiply_add(a: Any, b: Any, c: Any) -> Floats | None:
    """f32(a * b + c), rounded once; None where double precision does not show it.

    a * b is exact in float64. Where the sum is not, rounding it again might not give the nearest float32.
    """
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    total = product + np.asarray(c, np.float64)
    back = total - product
    error = (product - (total - back)) + (np.asarray(c, np.float64) - back)  # Knuth's exact error of the sum
    return None if error.any() else total.astype(np.float32)


def gives(steps: Floats, of_type: TensorType, y: Codes) -> bool:
    """Whether steps that are rounded half to even, moved by the zero point and clamped are the codes y."""
    if np.abs(steps).max() >= 2**30:
        return False
    codes = np.clip(np.rint(steps).astype(np.int64) + quant_of(of_type).scalar()[1], *of_type.code_range())
    return bool((codes == y).all())


def neighbours(value: np.float32, ulps: int) -> Iterator[np.float32]:
    """The value, then floats up to `ulps` steps above and below it."""
    yield value
    up = down = value
    for _ in range(ulps):
        up, down = np.nextafter(up, np.float32(np.inf)), np.nextafter(down, np.float32(-np.inf))
        yield up
        yield down


def product_constant(grids: Grids, a: Codes, b: Codes, y: Codes) -> np.float32 | None:
    """A constant near the exact one such that f32(A * B) * constant gives y, A and B less their zero points."""
    s_a, s_b, s_y = (quant_of(of_type).scalar()[0] for of_type in (grids.a, grids.b, grids.y))
    left, right = grids.centred(a, b)
    products = (left * right).astype(np.float32)
    found = neighbours(np.float32(s_a * s_b / s_y), 8)
    return next((constant for constant in found if gives(products * constant, grids.y, y)), None)


def reals(grids: Grids, a: Codes, b: Codes) -> Floats:
    """f32(f32(s_a * A) op f32(s_b * B)), before it is quantized."""
    left, right = to_real(a, quant_of(grids.a)), to_real(b, quant_of(grids.b))
    if grids.operation is QMul:
        return left * right
    return left - right if grids.operation is QSub else left + right


def reciprocal_factor(grids: Grids, a: Codes, b: Codes, y: Codes) -> np.float32 | None:
    """A factor near 1 / s_y whose product with N6's real number gives y, in the place of N6's division."""
    exact, nearest = reals(grids, a, b), 1 / quant_of(grids.y).scalar()[0]
    if nearest > float(np.finfo(np.float32).max):
        return None
    found = neighbours(np.float32(nearest), 2)
    return next((factor for factor in found if gives(exact * factor, grids.y, y)), None)
