"""The enclosure of elementwise functions: how steep each is, and how far a float32 library may be from it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.trace.enclosure import EXTRA, LIBRARY, Doubles, Enclosure, encloses

_erf: Callable[[Doubles], Doubles] = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _gelu(x: Doubles) -> Doubles:
    return np.asarray(0.5 * x * (1 + _erf(x * math.sqrt(0.5))))


def _gelu_tanh(x: Doubles) -> Doubles:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _softplus(x: Doubles) -> Doubles:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


_SMOOTH: dict[str, tuple[Callable[[Doubles], Doubles], float]] = {
    # function -> (in float64, its largest slope)
    "Sigmoid": (_sigmoid, 0.25),
    "Tanh": (np.tanh, 1.0),
    "Erf": (_erf, 1.13),
    "Gelu": (_gelu, 1.13),
    "GeluTanh": (_gelu_tanh, 1.13),
    "HardSwish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 1.5),
    "Softplus": (_softplus, 1.0),
    "Softsign": (lambda x: x / (1 + np.abs(x)), 1.0),
    "Mish": (lambda x: x * np.tanh(_softplus(x)), 1.09),
    "Abs": (np.abs, 1.0),
    "Neg": (np.negative, 1.0),
    "Relu": (lambda x: np.maximum(x, 0), 1.0),
}
_MONOTONE: dict[str, Callable[[Doubles], Doubles]] = {
    "Exp": np.exp,
    "Log": np.log,
    "Sqrt": np.sqrt,
    "Reciprocal": np.reciprocal,
}


@encloses(ops.Unary)
def function(node: ops.Unary, x: Enclosure) -> Enclosure:
    """The error of x times the largest slope, and LIBRARY roundings of |x|, 1 or the result, whichever is largest.

    Exp, Log, Sqrt and Reciprocal are evaluated at both ends instead; an end beyond their domain gives no bound.
    """
    name, parameters = node.function, [float(np.float32(p)) for p in node.parameters]
    if name in _MONOTONE:
        return _between_ends(_MONOTONE[name], x, name == "Reciprocal")
    if name in ("Relu", "Neg", "Abs"):
        return Enclosure(np.asarray(_SMOOTH[name][0](x.real)), x.error)
    if name in _SMOOTH:
        real, slope = np.asarray(_SMOOTH[name][0](x.real)), _SMOOTH[name][1]
        reach = np.maximum(np.minimum(1, x.largest), np.abs(real))
        if name in ("Gelu", "GeluTanh", "HardSwish", "Mish"):
            reach = x.largest
        return Enclosure(real, slope * x.error).widened(LIBRARY, reach)
    match name, parameters:
        case "LeakyRelu", [alpha]:
            real = np.where(x.real < 0, alpha * x.real, x.real)
            return Enclosure(real, max(1, abs(alpha)) * x.error).widened(EXTRA, np.abs(real))
        case "Clip", [low, high]:
            return Enclosure(np.clip(x.real, low, high), x.error)
        case "HardSigmoid", [alpha, beta]:
            real = np.clip(alpha * x.real + beta, 0, 1)
            return Enclosure(real, abs(alpha) * x.error).widened(EXTRA, abs(alpha) * x.largest + abs(beta))
        case (("Elu" | "Celu"), [alpha]):
            inner = x.real if name == "Elu" else x.real / alpha
            real = np.where(x.real < 0, alpha * np.expm1(np.minimum(inner, 0)), x.real)
            return Enclosure(real, max(1, abs(alpha)) * x.error).widened(LIBRARY, np.maximum(abs(alpha), x.largest))
    raise UnsupportedError(f"{node.label} has no known bound on its float32 error")


def _between_ends(of: Callable[[Doubles], Doubles], x: Enclosure, has_pole: bool) -> Enclosure:
    real, ends = of(x.real), (of(x.real - x.error), of(x.real + x.error))
    error = np.maximum(np.abs(ends[0] - real), np.abs(ends[1] - real))
    if has_pole:
        error = np.where(np.abs(x.real) > x.error, error, np.inf)
    return Enclosure(np.asarray(real), np.where(np.isnan(error), np.inf, error)).widened(LIBRARY, np.abs(real))
