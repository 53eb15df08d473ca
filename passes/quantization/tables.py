"""Float functions evaluated on all codes of a narrow tensor: each ONNX operation rounds once to float32 (N7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node
from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.float32 import power
from subbyte.compiler.numerics.lut import correctly_rounded
from subbyte.compiler.numerics.unary import unary

_ONE_ROUNDING = frozenset(
    (
        "Relu",
        "LeakyRelu",
        "Clip",
        "Sqrt",
        "Reciprocal",
        "Neg",
        "Abs",
        "Floor",
        "Ceil",
        "Round",
        "Sign",
        "ThresholdedRelu",
    )
)
"""Functions of at most one float32 operation: as they are written, they are correctly rounded."""

_OPERATIONS: dict[type[Node], Callable[[Any, Any], Any]] = {
    ops.Add: np.add,
    ops.Sub: np.subtract,
    ops.Mul: np.multiply,
    ops.Div: np.divide,
    ops.Minimum: np.minimum,
    ops.Maximum: np.maximum,
    ops.Pow: power,
}


def real_function(node: ops.Unary, x: Floats) -> Floats:
    """The float32 nearest to the exact value of `node`'s function."""
    with np.errstate(all="ignore"):
        if node.function in _ONE_ROUNDING:
            return unary(node.function, x, node.parameters)
        return correctly_rounded(node.function, x, node.parameters)


def arithmetic(node: ops.Binary) -> Callable[[Any, Any], Any]:
    """`node`'s operation on float32 arrays, rounded once."""
    operation = _OPERATIONS[type(node)]

    def rounded(a: Any, b: Any) -> Any:
        with np.errstate(all="ignore"):
            return operation(np.asarray(a, np.float32), np.asarray(b, np.float32))

    return rounded


def prelu(x: Any, slope: Any) -> Any:
    """f32(slope * x) where x < 0, else x."""
    with np.errstate(all="ignore"):
        return np.where(x < 0, np.asarray(slope, np.float32) * x, x)


def normalized(x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float) -> Floats:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, computed in float64 and rounded once."""
    deviation = np.sqrt(variance + np.float64(np.float32(epsilon)))
    return np.asarray((np.asarray(x, np.float64) - mean) / deviation * scale + bias, np.float32)
