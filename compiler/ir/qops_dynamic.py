"""Operations on codes whose scale is computed while the model runs (design.md N9).

A sum of products takes such codes less their zero point: `Centre` makes int16 of them, so that QConv and QGemm know
nothing of run-time zero points, and padding is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, INT16, UINT8
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType

_CENTRED = QuantParams(np.ones((), np.float32), np.zeros((), np.int64), -255, 255)


@dataclass(frozen=True, eq=False, repr=False)
class DynamicRange(Node):
    """(scale float32 [], zero_point uint8 []) of codes 0..255 that cover x and 0.

    Source: numerics/dynamic.dynamic_range; ONNX DynamicQuantizeLinear, outputs 1 and 2.
    """

    x: Value

    def infer_type(self) -> tuple[TensorType, ...]:
        if self.x.type.dtype != FLOAT32:
            raise GraphError(f"x is {self.x.type}; float32 is needed")
        return TensorType(FLOAT32, ()), TensorType(UINT8, ())


@dataclass(frozen=True, eq=False, repr=False)
class DynamicQuantize(Node):
    """uint8 codes clamp(rne(f32(x / scale)) + zero_point, 0, 255): N2 with a scale that is a run-time value.

    x: float32; scale: float32 []; zero_point: uint8 [].  Source: design.md N9; ONNX DynamicQuantizeLinear, output 0.
    """

    x: Value
    scale: Value
    zero_point: Value

    def infer_type(self) -> TensorType:
        needed = (TensorType(FLOAT32, self.x.type.shape), TensorType(FLOAT32, ()), TensorType(UINT8, ()))
        for operand, wanted in zip(self.operands, needed, strict=True):
            if (operand.type.dtype, operand.type.shape) != (wanted.dtype, wanted.shape):
                raise GraphError(f"an operand is {operand.type}; {wanted} is needed")
        return TensorType(UINT8, self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Centre(Node):
    """int16 x - zero_point, in -255..255, of 8-bit codes with a run-time zero point [] of their dtype."""

    x: Value
    zero_point: Value

    def infer_type(self) -> TensorType:
        x, zero = self.x.type, self.zero_point.type
        if x.dtype not in (UINT8, INT8) or (zero.dtype, zero.shape) != (x.dtype, ()):
            raise GraphError(f"x is {x} with the zero point {zero}; uint8 or int8, the zero point a scalar, are needed")
        return TensorType(INT16, x.shape, _CENTRED)
