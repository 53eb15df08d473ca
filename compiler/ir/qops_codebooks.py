"""Float sums of products whose constant weights are kept as indices into a table of a few floats (design.md N8, N11).

The weights are codes with quant.levels: real = f32(scale * levels[code]) (N1). They are the floats that the model
gives, bit for bit, and the sums are those of ops.Conv and ops.MatMul.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import conv_shape, matmul_shape
from subbyte.compiler.ir.types import TensorType


def _need_codebook(name: str, value: Value, axis: int | None) -> None:
    """Indices into one table, with one scale, or one for each entry of `axis`."""
    quant = value.type.quant
    known = value.constant is not None and quant is not None and quant.is_static and quant.block is None
    if not known or quant is None or quant.levels is None or quant.axis not in (None, axis):
        raise GraphError(f"{name} is {value.type}; constant indices into one table of floats are needed")
    held = np.asarray(quant.levels, np.float32)
    if quant.static()[1].any() or quant.qmin < 0 or quant.qmax >= held.size or not np.isfinite(held).all():
        raise GraphError(
            f"{name} is {value.type} with codes {quant.qmin}..{quant.qmax} of the levels {quant.levels}; "
            "zero points of 0 and a finite float for each code are needed"
        )


def _need_float(name: str, value: Value | None) -> None:
    if value is not None and value.type.dtype != FLOAT32:
        raise GraphError(f"{name} is {value.type}; float32 is needed")


@dataclass(frozen=True, eq=False, repr=False)
class CodebookConv(Node):
    """ops.Conv of float32 x with w = f32(scale * levels[codes]): codes [O, C / group, kernel...], scale [] or [O]."""

    x: Value
    w: Value
    b: Value | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int

    def infer_type(self) -> TensorType:
        _need_float("x", self.x)
        _need_codebook("w", self.w, 0)
        _need_float("b", self.b)
        shape = conv_shape(self.x.type.shape, self.w.type.shape, self.strides, self.pads, self.dilations, self.group)
        if self.b is not None and self.b.type.shape != (shape[1],):
            raise GraphError(f"b is {self.b.type}; [{shape[1]}] is needed")
        return TensorType(FLOAT32, shape)


@dataclass(frozen=True, eq=False, repr=False)
class CodebookMatMul(Node):
    """ops.MatMul of float32 a [..., M, K] with b = f32(scale * levels[codes]), codes [K, N], scale []."""

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        _need_float("a", self.a)
        _need_codebook("b", self.b, None)
        if self.b.type.rank != 2:
            raise GraphError(f"b is {self.b.type}; a matrix [K, N] is needed")
        return TensorType(FLOAT32, matmul_shape(self.a.type.shape, self.b.type.shape))
