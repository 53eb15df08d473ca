"""Chains of elementwise float operations around one rounding: what fake quantization looks like once it is exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.numerics.arrays import Floats
from subbyte.passes.quantization.tables import arithmetic, real_function

Function = Callable[[Any], Floats]

_ROUNDINGS = {"Round": "HALF_EVEN", "Floor": "FLOOR", "Ceil": "CEIL", "Sign": "UP"}
"""The rounding that each function is; Sign is UP (away from zero) of what a clamp to -1..1 follows."""
_MONOTONE = ("Relu", "Clip")


@dataclass(frozen=True)
class Step:
    """One non-decreasing float32 operation of one tensor and constants: its operand, and what it does to numbers.

    Where the constants differ along `axis` of x, `channels` has a function for each place there.
    """

    x: Value
    function: Function
    source: Node
    axis: int | None = None
    channels: tuple[Function, ...] = ()


@dataclass(frozen=True)
class Chain:
    """y = after(round(before(x))), each part a sequence of non-decreasing float32 operations, x first.

    rounding: of `numerics.rounding`; is_sign: the rounding is ONNX's Sign, which also clamps to -1..1.
    """

    before: tuple[Step, ...]
    rounding: Step
    after: tuple[Step, ...]
    mode: str
    is_sign: bool

    @property
    def x(self) -> Value:
        """What is quantized."""
        return self.before[0].x if self.before else self.rounding.x

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The operations of the chain, the first one first."""
        return tuple(step.source for step in (*self.before, self.rounding, *self.after))

    @property
    def axes(self) -> dict[int, int]:
        """The axes of x along which the constants differ, and how long these are."""
        return {step.axis: len(step.channels) for step in (*self.before, *self.after) if step.axis is not None}

    def channel(self, index: int) -> Chain:
        """What the chain does to the numbers at one place along its axis."""
        before, after = (tuple(_at(step, index) for step in part) for part in (self.before, self.after))
        return replace(self, before=before, after=after)

    def rounded(self, x: Any) -> Floats:
        """The whole numbers between the two parts, float32."""
        return _applied((*self.before, self.rounding), x)

    def finished(self, whole: Any) -> Floats:
        """The results for whole numbers."""
        return _applied(self.after, whole)

    def shortened(self) -> Chain | None:
        """The chain that begins one operation later; None where that is the rounding."""
        return replace(self, before=self.before[1:]) if self.before else None


def _at(step: Step, index: int) -> Step:
    return Step(step.x, step.channels[index], step.source) if step.channels else step


def _applied(steps: tuple[Step, ...], x: Any) -> Floats:
    result = np.asarray(x, np.float32)
    for step in steps:
        result = step.function(result)
    return result


def chain_to(value: Value) -> Chain | None:
    """The longest chain that ends in `value`; None where no rounding is on the way."""
    after: list[Step] = []
    while (step := monotone_step(value)) is not None:
        after.append(step)
        value = step.x
    found = rounding_step(value)
    if found is None:
        return None
    rounding, mode = found
    before: list[Step] = []
    value = rounding.x
    while (step := monotone_step(value)) is not None:
        before.append(step)
        value = step.x
    is_sign = isinstance(rounding.source, ops.Unary) and rounding.source.function == "Sign"
    return Chain(tuple(reversed(before)), rounding, tuple(reversed(after)), mode, is_sign)


def rounding_step(value: Value) -> tuple[Step, str] | None:
    """(the step, its rounding) where `value` is Round, Floor, Ceil, Sign, or a straight-through Round."""
    node = value.node
    if value.type.dtype != FLOAT32:
        return None
    match node:
        case ops.Unary(x=x, function=function) if function in _ROUNDINGS:
            return _step(x, node, node), _ROUNDINGS[function]
        case ops.Add(a=a, b=b):
            for difference, u in ((a, b), (b, a)):
                rounded = _straight_through(difference, u)
                if rounded is not None:
                    return _step(u, rounded, node), "HALF_EVEN"
    return None


def _step(x: Value, unary: ops.Unary, source: Node) -> Step:
    return Step(x, lambda v: real_function(unary, v), source)


def _straight_through(difference: Value, u: Value) -> ops.Unary | None:
    """The Round(u) of (Round(u) - u) + u, which is Round(u): |Round(u) - u| <= 1/2 is exact in float32."""
    match difference.node:
        case ops.Sub(a=a, b=b) if b == u:
            match a.node:
                case ops.Unary(x=x, function="Round") as rounded if x == u:
                    return rounded
    return None


def monotone_step(value: Value) -> Step | None:
    """The operation that makes `value`, where it never decreases as its only operand that is no constant grows."""
    node = value.node
    if value.type.dtype != FLOAT32:
        return None
    match node:
        case ops.Unary(x=x, function=function) if function in _MONOTONE:
            return _step(x, node, node)
        case ops.Add(a=a, b=b) | ops.Mul(a=a, b=b) | ops.Minimum(a=a, b=b) | ops.Maximum(a=a, b=b):
            for x, constant in ((a, b), (b, a)):
                step = _with_number(node, x, constant)
                if step is not None:
                    return step
        case ops.Sub(a=a, b=b) | ops.Div(a=a, b=b):
            return _with_number(node, a, b)
    return None


def _with_number(node: ops.Binary, x: Value, constant: Value) -> Step | None:
    array = constant.constant
    if array is None or x.constant is not None or x.type.shape != node.type.shape or not np.isfinite(array).all():
        return None
    if isinstance(node, (ops.Mul, ops.Div)) and not (array > 0).all():
        return None
    operation = arithmetic(node)

    def with_number(number: float) -> Function:
        return lambda v: np.asarray(operation(v, np.float32(number)), np.float32)

    functions = tuple(with_number(number) for number in array.reshape(-1).tolist())
    if array.size == 1:
        return Step(x, functions[0], node)
    wide = (1,) * (len(x.type.shape) - array.ndim) + array.shape
    axes = [axis for axis, extent in enumerate(wide) if extent > 1]
    return Step(x, functions[0], node, axes[0], functions) if len(axes) == 1 else None
