"""Normalisations over the last axes, as one float operation each: mean, variance, one reciprocal root.

The rules of ops.py hold: the sums run in the tree of 8 lanes, every operation rounds once to float32.
"""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.dtype import FLOAT16, FLOAT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import TensorType


@dataclass(frozen=True, eq=False, repr=False)
class Normalization(Node):
    """A normalisation over `axis` and all axes after it: of each row of n elements, numbered k in row-major order.

    scale, bias: of the shape of a row, x.shape[axis:]; a bias stands only beside a scale. Where one is absent, so is
    its operation. All are of the dtype of x; the normalized element, its product and its sum are rounded to it.
    divides: the difference is divided by the deviation, f32(d / deviation), and not multiplied by its inverse.
    """

    x: Value
    scale: Value | None
    bias: Value | None
    axis: int
    epsilon: float
    divides: bool = False

    def infer_type(self) -> TensorType:
        found = self.x.type
        if found.dtype not in (FLOAT16, FLOAT32) or any(v.type.dtype != found.dtype for v in self.operands):
            raise GraphError(f"operands are {', '.join(str(v.type) for v in self.operands)}; one float type is needed")
        if not 0 <= self.axis < found.rank or 0 in found.shape:
            raise GraphError(f"axis {self.axis} of {found} has no rows; an axis of one element or more is needed")
        if self.scale is None and self.bias is not None:
            raise GraphError("there is a bias without a scale; add it with Add")
        for name, value in (("scale", self.scale), ("bias", self.bias)):
            if value is not None and value.type.shape != found.shape[self.axis :]:
                raise GraphError(f"{name} is {value.type}; a row, {list(found.shape[self.axis :])}, is needed")
        return TensorType(found.dtype, found.shape)


class LayerNormalization(Normalization):
    """f32(f32(f32(d * inverse) * scale) + bias), d = f32(x - mean), mean = f32((tree over k of x_k) / n).

    inverse = f32(1 / f32(sqrt(f32(f32((tree over k of f32(d_k * d_k)) / n) + epsilon)))).
    Source: numerics/float32.normalize; ONNX LayerNormalization-17.
    """


class RMSNormalization(Normalization):
    """LayerNormalization without the mean: d = x.  Source: ONNX RMSNormalization-23."""
