"""Elementwise operations on PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops, ops_logic
from subbyte.compiler.torch_graph.registry import broadcast, first_alone, runs
from subbyte.compiler.torch_graph.tensors import held

if TYPE_CHECKING:
    from torch import Tensor


@runs(ops.Add, together=broadcast)
def add(node: ops.Add, a: Tensor, b: Tensor) -> Tensor:
    return a + b


@runs(ops.Sub, together=broadcast)
def subtract(node: ops.Sub, a: Tensor, b: Tensor) -> Tensor:
    return a - b


@runs(ops.Mul, together=broadcast)
def multiply(node: ops.Mul, a: Tensor, b: Tensor) -> Tensor:
    return a * b


@runs(ops.Div, together=broadcast)
def divide(node: ops.Div, a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else a.div(b, rounding_mode="trunc")


@runs(ops.Pow, together=broadcast)
def power(node: ops.Pow, a: Tensor, b: Tensor) -> Tensor:
    return a.pow(b)


@runs(ops.Minimum, together=broadcast)
def minimum(node: ops.Minimum, a: Tensor, b: Tensor) -> Tensor:
    return a.minimum(b)


@runs(ops.Maximum, together=broadcast)
def maximum(node: ops.Maximum, a: Tensor, b: Tensor) -> Tensor:
    return a.maximum(b)


@runs(ops_logic.Mod, together=broadcast)
def modulo(node: ops_logic.Mod, a: Tensor, b: Tensor) -> Tensor:
    return a.remainder(b)


@runs(ops_logic.Remainder, together=broadcast)
def remainder(node: ops_logic.Remainder, a: Tensor, b: Tensor) -> Tensor:
    return a.fmod(b)


@runs(ops_logic.BitAnd, together=broadcast)
def bit_and(node: ops_logic.BitAnd, a: Tensor, b: Tensor) -> Tensor:
    return a & b


@runs(ops_logic.BitOr, together=broadcast)
def bit_or(node: ops_logic.BitOr, a: Tensor, b: Tensor) -> Tensor:
    return a | b


@runs(ops_logic.BitXor, together=broadcast)
def bit_xor(node: ops_logic.BitXor, a: Tensor, b: Tensor) -> Tensor:
    return a ^ b


@runs(ops_logic.Compare, together=broadcast)
def compare(node: ops_logic.Compare, a: Tensor, b: Tensor) -> Tensor:
    match node.relation:
        case "equal":
            return a == b
        case "less":
            return a < b
    return a <= b


@runs(ops_logic.Where, together=broadcast)
def where(node: ops_logic.Where, condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.where(condition, b)


@runs(ops.PRelu, together=broadcast)
def prelu(node: ops.PRelu, x: Tensor, slope: Tensor) -> Tensor:
    return x.where(x >= 0, slope * x)


@runs(ops.Cast, together=first_alone)
def cast(node: ops.Cast, x: Tensor) -> Tensor:
    """Floats become integers toward zero, saturated; NaN becomes 0. Gradients end there."""
    import torch

    wanted = held(node.type, x.dtype if x.is_floating_point() else torch.float64)
    if wanted.is_floating_point or not x.is_floating_point() or not node.dtype.is_integer:
        return x.to(wanted)
    low, high = node.dtype.min, node.dtype.max
    whole = x.detach().double().nan_to_num(0.0, high, low).trunc()
    saturated = whole.clamp(low, high).to(wanted)
    return saturated.masked_fill(whole >= high, high)  # the largest int64 is no float


@runs(ops.Unary, together=first_alone)
def unary(node: ops.Unary, x: Tensor) -> Tensor:
    found = FUNCTIONS.get(node.function)
    if found is None:
        raise UnsupportedError(
            f"{node.label} is {node.function}, which does not run on torch; {', '.join(FUNCTIONS)} do"
        )
    return found(x, *node.parameters)


def _clip(x: Tensor, low: float, high: float) -> Tensor:
    return x.clamp(None if low == -math.inf else low, None if high == math.inf else high)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0.0, 1.0)


def _gelu_tanh(x: Tensor) -> Tensor:
    return x / 2 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).tanh())


def _softplus(x: Tensor) -> Tensor:
    """relu(x) + log1p(exp(-|x|)), as the interpreter writes it: torch's own is linear above 20."""
    return x.relu() + (-x.abs()).exp().log1p()


def _elu(x: Tensor, alpha: float) -> Tensor:
    return x.where(x > 0, alpha * x.clamp(max=0.0).expm1())


def _celu(x: Tensor, alpha: float) -> Tensor:
    return x.where(x > 0, alpha * (x / alpha if alpha < 0 else x.clamp(max=0.0) / alpha).expm1())


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "Relu": lambda x: x.relu(),
    "LeakyRelu": lambda x, alpha: x.where(x >= 0, alpha * x),
    "Clip": _clip,
    "Sigmoid": lambda x: x.sigmoid(),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "Tanh": lambda x: x.tanh(),
    "Gelu": lambda x: x / 2 * (1 + (x * math.sqrt(0.5)).erf()),
    "GeluTanh": _gelu_tanh,
    "Erf": lambda x: x.erf(),
    "Exp": lambda x: x.exp(),
    "Log": lambda x: x.log(),
    "Sqrt": lambda x: x.sqrt(),
    "Reciprocal": lambda x: x.reciprocal(),
    "Neg": lambda x: -x,
    "Abs": lambda x: x.abs(),
    "Floor": lambda x: x.floor(),
    "Ceil": lambda x: x.ceil(),
    "Round": lambda x: x.round(),
    "Sign": lambda x: x.sign(),
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + x.abs()),
    "Elu": _elu,
    "Selu": lambda x, alpha, gamma: gamma * _elu(x, alpha),
    "Celu": _celu,
    "ThresholdedRelu": lambda x, alpha: x.where(x > alpha, x * 0),
    "Mish": lambda x: x * _softplus(x).tanh(),
}
"""Every function of ops.UNARY_FUNCTIONS, of x and its parameters."""
