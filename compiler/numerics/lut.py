"""Unary functions of narrow tensors (N7): tables computed by the compiler, so that no libm of any machine shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.affine import Quantization, dequantize, quantize
from subbyte.compiler.numerics.arrays import Array, Floats
from subbyte.compiler.numerics.unary import FUNCTIONS, unary

Step = tuple[str, tuple[float, ...]]
"""An ONNX operator, named as in `unary.FUNCTIONS`, and its float parameters."""

MAX_BITS = 8


def table(steps: Sequence[Step], dtype: DType, params: Quantization, out: Quantization | None) -> Array:
    """What every code of a tensor becomes: N2(f_n(...f_1(scale * (code - zero_point)))), each f_i rounded to float32.

    No steps: the tensor requantized to another grid, N2 of N1.

    Args:
        steps: the operators, first to last.
        dtype: of the codes, at most 8 bits; params: their meaning, per tensor or per axis.
        out: the grid of the result, per tensor, or per axis with as many scales; None leaves the result in float32.
    Returns: [2**bits], or [C, 2**bits] for params per axis: int64 codes, or float32; the index is code - dtype.min.
    Raises: NumericsError: the dtype has more than 8 bits, or the params are per block.
    Source: design.md N7.
    """
    if dtype.bits > MAX_BITS or not dtype.is_integer:
        raise NumericsError(
            f"a table was asked for codes of {dtype}; tables are for codes of at most {MAX_BITS} bits, "
            "wider tensors are computed in float32"
        )
    if params.block is not None or (out is not None and (out.block is not None or out.levels is not None)):
        raise NumericsError(
            "a table was asked between grids of which one is per block or a codebook; "
            "tables map affine codes per tensor or per axis"
        )
    codes = np.arange(dtype.min, dtype.max + 1)
    scale, zero_point = (values[..., None] for values in params.static())
    if params.levels is None:
        x = dequantize(codes, scale, zero_point)
    else:
        x = np.asarray(params.levels, np.float32)[codes.clip(0, len(params.levels) - 1)] * scale
    x = x if params.axis is not None else x.reshape(-1)
    for function, parameters in steps:
        x = correctly_rounded(function, x, parameters)
    if out is None:
        return x
    scale, zero_point = (values if values.ndim == 0 else values[..., None] for values in out.static())
    return quantize(x, scale, zero_point, out.qmin, out.qmax)


def correctly_rounded(function: str, x: Any, parameters: tuple[float, ...] = ()) -> Floats:
    """The float32 nearest to the exact value of an ONNX operator, ties to even.

    The parameters count as float32. NaN, infinities and arguments outside the domain give what `unary` gives.

    Args: function: a name of `unary.FUNCTIONS`; x: float32, any shape.
    Returns: float32, the shape of x; a zero is +0.0.
    Raises: NumericsError: there is no such function.
    Source: design.md N7.
    """
    if function not in FUNCTIONS:
        raise NumericsError(f"there is no float function '{function}'; there are {', '.join(FUNCTIONS)}")
    x = np.asarray(x, np.float32)
    narrowed = tuple(float(np.float32(parameter)) for parameter in parameters)
    distinct, inverse = np.unique(x, return_inverse=True)
    values = [_value(function, float(point), narrowed) for point in distinct]
    return np.asarray(values, np.float32)[inverse].reshape(x.shape)


@lru_cache(maxsize=1 << 16)
def _value(function: str, x: float, parameters: tuple[float, ...]) -> float:
    """One value of `correctly_rounded`: the precision grows until both ends of the error interval round alike."""
    import mpmath  # here and not above: few models need it, and every import of the compiler would pay for it

    if not math.isfinite(x) or (function == "Log" and x <= 0) or (function == "Sqrt" and x < 0):
        return float(unary(function, x, parameters))
    if function == "Reciprocal" and x == 0:
        return math.inf
    exact = _exact_functions()[function]
    for precision in (64, 128, 512):
        with mpmath.workprec(precision):
            value = exact(mpmath.mpf(x), *map(mpmath.mpf, parameters))
            error = mpmath.ldexp(abs(value), 16 - precision)
            low, high = round_float32(value - error), round_float32(value + error)
        if low == high:
            return low
    return round_float32(value)  # a tie: with 512 bits the sums and products that reach one are exact


@lru_cache(maxsize=1)
def _exact_functions() -> dict[str, Callable[..., Any]]:
    """Each function in mpmath, written so that no leading digits cancel."""
    import mpmath as mp

    def hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
        return min(max(alpha * x + beta, mp.mpf(0)), mp.mpf(1))

    def elu(x: Any, alpha: Any) -> Any:
        return x if x > 0 else alpha * mp.expm1(x)

    def softplus(x: Any) -> Any:
        return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))

    def gelu_tanh(x: Any) -> Any:
        return x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)))

    return {
        "Relu": lambda x: max(x, mp.mpf(0)),
        "LeakyRelu": lambda x, alpha: alpha * x if x < 0 else x,
        "Clip": lambda x, low, high: min(max(x, low), high),
        "Sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "HardSigmoid": hard_sigmoid,
        "HardSwish": lambda x: x * hard_sigmoid(x, mp.mpf(1) / 6, mp.mpf(1) / 2),
        "Tanh": mp.tanh,
        "Gelu": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
        "GeluTanh": gelu_tanh,
        "Erf": mp.erf,
        "Exp": mp.exp,
        "Log": mp.log,
        "Sqrt": mp.sqrt,
        "Reciprocal": lambda x: 1 / x,
        "Neg": lambda x: -x,
        "Abs": abs,
        "Floor": mp.floor,
        "Ceil": mp.ceil,
        "Round": mp.nint,
        "Sign": mp.sign,
        "Softplus": softplus,
        "Softsign": lambda x: x / (1 + abs(x)),
        "Elu": elu,
        "Selu": lambda x, alpha, gamma: gamma * elu(x, alpha),
        "Celu": lambda x, alpha: x if x > 0 else alpha * mp.expm1(x / alpha),
        "ThresholdedRelu": lambda x, alpha: x if x > alpha else mp.mpf(0),
        "Mish": lambda x: x * mp.tanh(softplus(x)),
    }


def round_float32(value: Any) -> float:
    """An mpmath number rounded once to float32, half to even; it overflows to infinity and underflows gradually."""
    mantissa, exponent = (int(part) for part in value.man_exp)
    magnitude = abs(mantissa)
    lowest = max(exponent + magnitude.bit_length() - 24, -149)
    drop = lowest - exponent
    if drop > magnitude.bit_length() + 1:
        return 0.0
    if drop > 0:
        kept, rest = magnitude >> drop, magnitude & ((1 << drop) - 1)
        half = 1 << (drop - 1)
        kept += rest > half or (rest == half and kept & 1)
    else:
        kept = magnitude << -drop
    if kept.bit_length() + lowest > 128:
        return -math.inf if value < 0 else math.inf
    return math.ldexp(-kept if value < 0 else kept, lowest)
