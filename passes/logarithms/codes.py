"""q = clamp(rne(-2 log2(x / scale))) and what it stands for, 2^-ceil(q / 2) * (sqrt(2) where q is odd) * scale.

Written as a chain of operations of one operand, or of two that are functions of the same one: where x is codes of at
most 8 bits, whatever the chain computes is a table (design.md N7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import QuantParams

MOST_BITS = 4  # the largest power is 2^(2^(bits - 1) - 1): 128 is a code of 8 bits


@dataclass(frozen=True)
class Logarithm:
    """One value on the grid of logarithms: magnitude * (1 or sqrt(2)), odd tells which, both as values of the graph."""

    magnitude: Value
    odd: Value
    bits: int
    scale: float


def on_grid(x: NDArray[Any], scale: float, bits: int, steps_per_octave: int = 2) -> NDArray[np.float64]:
    """What x becomes: scale * 2^(-q / steps), q = rne(-steps * log2(x / scale)) from 0 to 2^bits - 1; 0 beyond.

    steps_per_octave: 2 for the base sqrt(2), 1 for the base 2.
    Source: Li et al. 2023, RepQ-ViT, eq. 12 and 13; Lin et al. 2022, FQ-ViT, for the base 2.
    """
    with np.errstate(divide="ignore"):
        q = np.rint(-steps_per_octave * np.log2(np.asarray(x, np.float64) / scale))
    kept = np.maximum(q, 0)
    return np.asarray(np.where(q < 1 << bits, scale * 2.0 ** (-kept / steps_per_octave), 0.0))


def write_logarithm(x: Value, scale: float, bits: int, sources: tuple[str, ...]) -> Value:
    """x, at least 0, on the grid of `bits` bits; x / scale below its least power becomes 0."""

    def unary(value: Value, function: str, *parameters: float) -> Value:
        return ops.Unary(value, function, parameters, sources=sources).out

    def binary(kind: type[ops.Binary], a: Value | float, b: Value | float) -> Value:
        return kind(_value(a), _value(b), sources=sources).out

    beyond = float(1 << bits)
    least = scale * 2.0 ** -(beyond / 2 + 1)  # its code is beyond all, and x = 0 has no logarithm
    logarithm = unary(unary(x, "Clip", float(np.float32(least)), float(np.float32(scale))), "Log")
    octaves = binary(ops.Sub, binary(ops.Mul, logarithm, 2 / math.log(2)), 2 * math.log2(float(np.float32(scale))))
    code = unary(unary(octaves, "Round"), "Neg")
    half = unary(binary(ops.Mul, code, 0.5), "Ceil")
    odd = binary(ops.Sub, binary(ops.Mul, half, 2.0), code)
    kept = unary(binary(ops.Sub, beyond, code), "Clip", 0.0, 1.0)
    power = binary(ops.Mul, binary(ops.Pow, 2.0, unary(half, "Neg")), kept)
    factor = binary(ops.Add, binary(ops.Mul, odd, math.sqrt(2) - 1), 1.0)
    return binary(ops.Mul, binary(ops.Mul, power, scale), factor)


def find_logarithm(value: Value) -> Logarithm | None:
    """The parts of a value that `write_logarithm` wrote; None where it is none."""
    match value.node:
        case ops.Mul(a=Value(node=ops.Mul(a=power, b=scale)) as magnitude, b=Value(node=ops.Add(a=excess, b=one))):
            odd = _times(excess, math.sqrt(2) - 1)
            bits = None if odd is None else _bits_of(power.node, odd.node)
            if odd is not None and bits is not None and _number(one) == 1 and (found := _number(scale)):
                return Logarithm(magnitude, odd, bits, found)
    return None


def _bits_of(power: Node, odd: Node) -> int | None:
    """The bits of the codes of which `power` and `odd` are functions; None where they are not those written here."""
    match power, odd:
        case (
            ops.Mul(
                a=Value(node=ops.Pow(a=two, b=Value(node=ops.Unary(function="Neg", x=half)))),
                b=Value(
                    node=ops.Unary(function="Clip", parameters=(0.0, 1.0), x=Value(node=ops.Sub(a=beyond, b=code)))
                ),
            ),
            ops.Sub(a=double, b=other),
        ) if other == code and _number(two) == 2 and _times(double, 2.0) == half:
            match half.node:
                case ops.Unary(function="Ceil", x=x) if _times(x, 0.5) == code and (limit := _number(beyond)):
                    bits = round(math.log2(limit))
                    return bits if limit == 1 << bits else None
    return None


def split_by_parity(found: Logarithm, sources: tuple[str, ...]) -> tuple[Value, Value]:
    """(even, odd) whose sum is the value: each 0 or a power of two times a scale of its own, as codes of 8 bits.

    With 4 bits, even codes are 2^0 to 2^7 on scale * 2^-7, odd ones on scale * sqrt(2) * 2^-8.
    """
    lowest = 1 << (found.bits - 1)  # ceil(q / 2) of the highest q, which is odd; the highest even one is 1 less
    one = _value(1.0)
    even = ops.Mul(found.magnitude, ops.Sub(one, found.odd, sources=sources).out, sources=sources).out
    odd = ops.Mul(found.magnitude, found.odd, sources=sources).out
    odd = ops.Mul(odd, _value(math.sqrt(2)), sources=sources).out
    scales = (found.scale * 2.0 ** (1 - lowest), found.scale * math.sqrt(2) * 2.0**-lowest)
    parts = (_coded(part, scale, sources) for part, scale in zip((even, odd), scales, strict=True))
    even_codes, odd_codes = parts
    return even_codes, odd_codes


def _coded(x: Value, scale: float, sources: tuple[str, ...]) -> Value:
    """x as codes of 8 bits and back: exact where it is on their grid."""
    quant = QuantParams(np.asarray(scale, np.float32), np.zeros((), np.int64), 0, UINT8.max)
    codes = ops.QuantizeLinear(x, UINT8, quant, sources=sources)
    return ops.DequantizeLinear(codes.out, FLOAT32, sources=sources).out


def _value(number: Value | float) -> Value:
    return number if isinstance(number, Value) else Constant.of(np.float32(number), FLOAT32).out


def _number(value: Value) -> float | None:
    """The one number that a constant holds."""
    array = value.constant
    return None if array is None or array.size != 1 else float(array.reshape(()))


def _times(value: Value, number: float) -> Value | None:
    """x where `value` is x times that constant."""
    match value.node:
        case ops.Mul(a=x, b=b) if _number(b) == float(np.float32(number)):
            return x
    return None
