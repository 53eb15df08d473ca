"""ONNX's elementwise float functions in float32 (N8), by name, each a written sequence of float32 operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Floats
from subbyte.compiler.numerics.elementary import (
    HALF,
    ONE,
    constant,
    erf,
    exp,
    expm1,
    floats,
    log,
    log1p,
    reciprocal,
    sigmoid,
    sqrt,
    tanh,
)
from subbyte.compiler.numerics.rounding import Rounding, apply_rounding

SQRT_HALF, SQRT_TWO_OVER_PI = constant("0x1.6a09e6p-1"), constant("0x1.988454p-1")
GELU_CUBIC, ONE_SIXTH = np.float32(0.044715), np.float32(1) / np.float32(6)
ZERO = np.float32(0)


def relu(x: Any) -> Floats:
    """0 where x < 0, else x; NaN stays."""
    x = floats(x)
    return floats(np.where(x < 0, ZERO, x))


def clip(x: Any, low: Any, high: Any) -> Floats:
    """low where x < low, then high where that is above high; NaN stays."""
    x = floats(x)
    x = np.where(x < low, np.float32(low), x)
    return floats(np.where(x > high, np.float32(high), x))


def leaky_relu(x: Any, alpha: Any) -> Floats:
    """f32(alpha * x) where x < 0, else x; PRelu with an alpha for each element."""
    x = floats(x)
    return floats(np.where(x < 0, floats(alpha) * x, x))


def hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Floats:
    """f32(f32(alpha * x) + beta) clipped to 0..1."""
    return clip(np.float32(alpha) * floats(x) + np.float32(beta), 0.0, 1.0)


def hard_swish(x: Any) -> Floats:
    """f32(x * hard_sigmoid(x, 1/6, 1/2))."""
    return floats(floats(x) * hard_sigmoid(x, ONE_SIXTH, HALF))


def gelu(x: Any) -> Floats:
    """f32(f32(x / 2) * f32(1 + erf(f32(x * sqrt(1/2)))))."""
    x = floats(x)
    return floats(x * HALF * (erf(x * SQRT_HALF) + ONE))


def gelu_tanh(x: Any) -> Floats:
    """f32(f32(x / 2) * f32(1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))), the products from the left."""
    x = floats(x)
    return floats(x * HALF * (tanh((GELU_CUBIC * x * x * x + x) * SQRT_TWO_OVER_PI) + ONE))


def softplus(x: Any) -> Floats:
    """ln(1 + e**x) as f32(relu(x) + log1p(exp(-|x|)))."""
    x = floats(x)
    return floats(relu(x) + log1p(exp(-np.abs(x))))


def softsign(x: Any) -> Floats:
    """f32(x / f32(1 + |x|))."""
    x = floats(x)
    return floats(x / (np.abs(x) + ONE))


def elu(x: Any, alpha: Any) -> Floats:
    """x where x > 0, else f32(alpha * expm1(x))."""
    x = floats(x)
    return floats(np.where(x > 0, x, np.float32(alpha) * expm1(x)))


def selu(x: Any, alpha: Any, gamma: Any) -> Floats:
    """f32(gamma * elu(x, alpha))."""
    return floats(np.float32(gamma) * elu(x, alpha))


def celu(x: Any, alpha: Any) -> Floats:
    """x where x > 0, else f32(alpha * expm1(f32(x / alpha)))."""
    x = floats(x)
    return floats(np.where(x > 0, x, np.float32(alpha) * expm1(x / np.float32(alpha))))


def thresholded_relu(x: Any, alpha: Any) -> Floats:
    """x where x > alpha, else 0."""
    x = floats(x)
    return floats(np.where(x > np.float32(alpha), x, ZERO))


def mish(x: Any) -> Floats:
    """f32(x * tanh(softplus(x)))."""
    return floats(floats(x) * tanh(softplus(x)))


def sign(x: Any) -> Floats:
    """1, -1, or x itself where it is zero or NaN."""
    x = floats(x)
    return floats(np.where(x > 0, ONE, np.where(x < 0, -ONE, x)))


def _whole(mode: Rounding) -> Callable[[Any], Floats]:
    """Rounding to a whole number that keeps the sign: -0.3 becomes -0.0."""
    return lambda x: floats(np.copysign(apply_rounding(x, mode), floats(x)))


FUNCTIONS: dict[str, Callable[..., Floats]] = {
    "Relu": relu,
    "LeakyRelu": leaky_relu,
    "Clip": clip,
    "Sigmoid": sigmoid,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Tanh": tanh,
    "Gelu": gelu,
    "GeluTanh": gelu_tanh,
    "Erf": erf,
    "Exp": exp,
    "Log": log,
    "Sqrt": sqrt,
    "Reciprocal": reciprocal,
    "Neg": lambda x: floats(np.negative(floats(x))),
    "Abs": lambda x: floats(np.abs(floats(x))),
    "Floor": _whole(Rounding.FLOOR),
    "Ceil": _whole(Rounding.CEIL),
    "Round": _whole(Rounding.HALF_EVEN),
    "Sign": sign,
    "Softplus": softplus,
    "Softsign": softsign,
    "Elu": elu,
    "Selu": selu,
    "Celu": celu,
    "ThresholdedRelu": thresholded_relu,
    "Mish": mish,
}
"""ONNX operator -> function of x and its float parameters, in the order of its attributes (GeluTanh: Gelu, tanh)."""


def unary(function: str, x: Any, parameters: tuple[float, ...] = ()) -> Floats:
    """The ONNX operator `function` of float32 x with its parameters.

    Raises: NumericsError: there is no such function.
    Source: design.md N8; the ONNX operator of the same name.
    """
    if function not in FUNCTIONS:
        raise NumericsError(f"there is no float function '{function}'; there are {', '.join(FUNCTIONS)}")
    with np.errstate(all="ignore"):
        return FUNCTIONS[function](x, *parameters)
