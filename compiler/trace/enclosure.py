"""Exact real numbers and how far float32 may be from them: what every correct engine's result is enclosed by.

An Enclosure is the value of a float tensor in exact arithmetic on the numbers that the engine read, and a bound on the
distance of any engine's float32 result, however it orders its sums, fuses its products, or folds constants. So a code
that two engines round differently has a tie of the rounding inside its enclosure, or one of them is wrong.

u = 2^-24 bounds the relative error of one rounding; a sum of n products in any order, with or without FMA, is within
gamma(n) * sum |a * b| of the exact one, gamma(n) = n * u / (1 - n * u).  Source: Higham, Accuracy and Stability of
Numerical Algorithms, 2nd edition, lemma 3.1 and section 3.1.

Each rule allows EXTRA more roundings of every term than the ONNX graph writes, which pays for the other ways to compute
the same: N4 (scales multiplied first, a folded normalization, a shift divided by the output's scale), and ONNX
Runtime's fused operators. The exact value is computed in float64, whose own error is 2^-29 of these bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT16
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Node, Value

Doubles = NDArray[np.float64]

U = 2.0**-24
EXTRA = 8
LIBRARY = 16
"""Roundings that an engine's exp, tanh, erf... may be off: ours are within 4 (docs/semantics.md), others' near that."""
SMALLEST = 2.0**-149
"""The distance of subnormal numbers of float32: what a rounding below 2^-126 may be off."""


def gamma(roundings: int) -> float:
    """The relative error after `roundings` float32 roundings of a term; 2^-20 of it is float64's."""
    return roundings * U / (1 - roundings * U) * (1 + 2.0**-20)


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Each element of an engine's float32 tensor lies within `error` of `real`; both of the tensor's shape."""

    real: Doubles
    error: Doubles

    @classmethod
    def exact(cls, array: Any) -> Enclosure:
        real = np.asarray(array, np.float64)
        return cls(real, np.zeros(real.shape))

    @property
    def largest(self) -> Doubles:
        """The largest magnitude of each element."""
        return np.asarray(np.abs(self.real) + self.error)

    def ratio(self) -> float:
        """The largest error as a multiple of the element; an error of zeros below float32's reach is left out."""
        if not self.error.any():
            return 0.0
        real = np.abs(self.real)
        with np.errstate(all="ignore"):
            return float(np.max(np.where(self.error <= 16 * SMALLEST, 0, self.error / real), initial=0.0))

    def widened(self, roundings: int, magnitude: Any) -> Enclosure:
        """With the error of so many more roundings of terms of this magnitude."""
        return Enclosure(self.real, self.error + gamma(roundings) * magnitude + roundings * SMALLEST)


Operand = Enclosure | NDArray[Any]
"""What is known of an operand: floats by their enclosure; integers and bools exactly."""

Rule = Callable[..., "Enclosure | tuple[Enclosure, ...]"]
RuleT = TypeVar("RuleT", bound=Rule)
_RULES: dict[type[Node], Rule] = {}


def encloses(*operations: type[Node]) -> Callable[[RuleT], RuleT]:
    """Register `rule(node, *operands)`: the enclosures of the float results of `operations`."""

    def register(rule: RuleT) -> RuleT:
        for operation in operations:
            _RULES[operation] = rule
        return rule

    return register


def enclose(node: Node, operands: Sequence[Operand]) -> tuple[Enclosure, ...]:
    """The enclosures of the results of `node`, a float operation.

    Raises: UnsupportedError: no bound is known for this operation.
    """
    rule = _RULES.get(type(node))
    need_float32(node)
    if rule is None:
        raise UnsupportedError(f"{node.label} has no known bound on its float32 error")
    with np.errstate(all="ignore"):
        found = rule(node, *operands)
    return found if isinstance(found, tuple) else (found,)


def need_float32(node: Node) -> None:
    """Raises UnsupportedError where a float of `node` is a float16: engines round it at places of their own."""
    of_values = [operand.type for operand in node.operands] + list(node.types)
    if any(of_value.dtype == FLOAT16 for of_value in of_values):
        raise UnsupportedError(f"{node.label} computes with float16, which has no known bound on its error")


def operand_of(value: Value, known: dict[Value, Operand]) -> Operand:
    """A constant, or what is known of a value."""
    constant = value.constant
    if constant is None:
        return known[value]
    return Enclosure.exact(constant) if value.type.dtype.is_float else constant
