"""Bipolar codes of sums, products and means of codes: +1 where the real result is not negative, else -1."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import INT8
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics import elementwise
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.numerics.arrays import Array, Floats
from subbyte.passes.quantization.demands import Demand, Origin

_FUNCTIONS: dict[type[qops.QBinary], Callable[..., Array]] = {
    qops.QAdd: elementwise.add,
    qops.QSub: elementwise.subtract,
    qops.QMul: elementwise.multiply,
    qops.QDiv: elementwise.divide,
}
_MOST_PAIRS = 1 << 20
_LEAST_NORMAL = 2.0**-126


def sign_codes(build: Callable[[Demand, Origin], Value | None], demand: Demand, origin: Origin) -> Value | None:
    """sign(op(...)) -> Lookup(op(...) as -1, 0 or 1); `build` makes the operation for a plain demand.

    The scale of the three codes is a power of two that no negative result is nearer to zero than, so that none of them
    rounds to 0. Exact: for two tensors of codes by looking at all pairs, for means and sums because they are monotone.
    None where the results are not codes' or have too many pairs.
    """
    steps = QuantParams(np.ones((), np.float32), np.zeros((), np.int64), -1, 1)
    built = build(Demand(INT8, steps), replace(origin, tensor=""))
    least = None if built is None else _nearest_below_zero(built.node)
    if built is None or least is None or least < _LEAST_NORMAL:
        return None
    scale = np.array(2.0 ** math.floor(math.log2(min(least, 1.0))), np.float32)
    three = built.node.replace(quant=replace(steps, scale=scale)).out
    signs = np.where(np.arange(INT8.min, INT8.max + 1) < 0, -1, 1)
    table = np.clip(signs, demand.quant.qmin, demand.quant.qmax).astype(demand.dtype.numpy)
    return qops.Lookup(three, table, demand.dtype, demand.quant, sources=origin.sources, tensor=origin.tensor).out


def _nearest_below_zero(node: Node) -> float | None:
    """The least |real| of the negative results that `node` can have, inf where it has none; None where unknown."""
    match node:
        case qops.QBinary():
            a, b = _reals(node.a), _reals(node.b)
            if a is None or b is None or a.size * b.size > _MOST_PAIRS:
                return None
            results = _FUNCTIONS[type(node)](a[:, None], None, b, None, None)
        case qops.QAveragePool():
            results = elementwise.average(-1, math.prod(node.kernel), _scale(node.x), None)
        case qops.QReduceMean():
            count = math.prod(node.x.type.shape[axis] for axis in node.axes)
            results = elementwise.average(-1, count, _scale(node.x), None)
        case qops.QReduceSum():
            results = elementwise.reduce_sum(-1, _scale(node.x), None)
        case _:
            return None
    return float(-results[results < 0].max(initial=-np.inf))


def _scale(value: Value) -> float:
    quant = value.type.quant
    assert quant is not None, "means are of codes with a scale"
    return quant.scalar()[0]


def _reals(operand: Value) -> Floats | None:
    """Every real number that an operand can stand for; None where it is a float, or has too many codes."""
    quant, constant = operand.type.quant, operand.constant
    if constant is not None:
        values: Any = np.unique(constant)
    elif quant is not None and operand.type.dtype.bits <= 16:
        low, high = operand.type.code_range()
        values = np.arange(low, high + 1)
    else:
        return None
    return np.asarray(values, np.float32) if quant is None else to_real(values, quant)
