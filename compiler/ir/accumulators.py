"""Which accumulator a sum of products needs: N3's proof for an operation, from its weights, its bias and its codes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

import numpy as np

from subbyte.compiler.dtype import INT64, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.numerics.accumulate import (
    accumulator_dtype,
    accumulator_range,
    accumulator_range_of_codes,
    result_range,
)
from subbyte.compiler.numerics.affine import to_integers
from subbyte.compiler.numerics.arrays import Codes

SumOfProducts = QConv | QConvTranspose | QGemm

Bounds = Callable[..., tuple[Codes, Codes]]

_RANGES: WeakKeyDictionary[Node, dict[Hashable, tuple[Codes, Codes]]] = WeakKeyDictionary()
"""By the constant factor, which stays while its operation is rewritten; by the operation where no factor is one."""


def accumulator_of(op: Node) -> DType:
    """INT32 where it is proved that nothing on the way to any sum of `op` leaves int32, else INT64.

    Raises NumericsError, naming the operation: even int64 may overflow.
    """
    low, high = accumulator_range_of(op)
    return accumulator_dtype(low, high)


def accumulator_range_of(op: Node) -> tuple[Codes, Codes]:
    """Bounds, [C] or one for all channels, of every partial sum of `op` in any order, bias and zero points included."""
    return _known(op, accumulator_range)


def result_range_of(op: Node) -> tuple[Codes, Codes]:
    """Bounds, [C] or one for all channels, of the finished sums of `op`: what its requantization can meet."""
    return _known(op, result_range)


def _known(op: Node, bounds: Bounds) -> tuple[Codes, Codes]:
    if not isinstance(op, SumOfProducts):
        raise NumericsError(f"{op.label} is no sum of products; it has no accumulator")
    owner, key = _what_counts(op)
    known = _RANGES.setdefault(owner, {})
    if (bounds, key) not in known:
        try:
            known[bounds, key] = _range(op, bounds)
        except NumericsError as error:
            raise NumericsError(f"{op.label}: {error}") from error
    return known[bounds, key]


def _factors(op: SumOfProducts) -> tuple[Value, Value]:
    """(data, weights): the product is symmetric, so a constant left operand of a QGemm stands for the weights."""
    data, weights = (op.a, op.b) if isinstance(op, QGemm) else (op.x, op.w)
    if isinstance(op, QGemm) and data.constant is not None and weights.constant is None:
        return weights, data
    return data, weights


def _what_counts(op: SumOfProducts) -> tuple[Node, Hashable]:
    """The constant factor, and all else that the bounds depend on; the operation itself where no factor is constant."""
    data, weights = _factors(op)
    if weights.constant is None:
        return op, None
    zeros = _zero_points(data)
    of_data = (data.type.code_range(), None if zeros is None else (zeros.shape, zeros.tobytes()))
    return weights.node, (type(op), getattr(op, "group", 1), *of_data, op.bias, data is op.operands[0])


def _range(op: SumOfProducts, bounds_of: Bounds) -> tuple[Codes, Codes]:
    """By `bounds_of` the weights where they are constant; else of codes, the same for partial and for finished sums."""
    data, weights = _factors(op)  # where they are swapped, the bound is over all rows
    bias = None if op.bias is None else op.bias.constant
    constant = weights.constant
    if op.bias is not None and bias is None:
        return _anything(op)
    qmin, qmax = data.type.code_range()
    zero_points = _zero_points(data)
    weight_zeros = _zero_points(weights)
    if zero_points is None or weight_zeros is None or zero_points.ndim:
        return _anything(op)
    zero_point = int(zero_points)
    quant = weights.type.quant
    if constant is not None and quant is not None and quant.levels is not None:
        constant, weight_zeros = to_integers(constant, quant), np.zeros((), np.int64)
    if constant is None:
        products = op.a.type.shape[-1] if isinstance(op, QGemm) else int(np.prod(op.w.type.shape[1:]))
        low_w, high_w = weights.type.code_range()
        of_codes = [
            accumulator_range_of_codes(products, low_w, high_w, int(z), qmin, qmax, zero_point)
            for z in np.unique(weight_zeros)
        ]
        shift = np.zeros(1, np.int64) if bias is None else bias.astype(np.int64)
        return min(b[0] for b in of_codes) + np.minimum(shift, 0), max(b[1] for b in of_codes) + np.maximum(shift, 0)
    swapped = isinstance(op, QGemm) and weights is op.a
    biases = [bias]
    if swapped and bias is not None:  # the rows of the left operand are no channels: any bias may meet any of them
        biases = [np.asarray(min(int(bias.min()), 0)), np.asarray(max(int(bias.max()), 0))]
    bounds = [
        bounds_of(rows, weight_zeros, qmin, qmax, zero_point, b)
        for rows in _by_channel(op, constant, swapped)
        for b in biases
    ]
    low, high = np.minimum.reduce([low for low, _ in bounds]), np.maximum.reduce([high for _, high in bounds])
    return (low.min(keepdims=True), high.max(keepdims=True)) if swapped else (low, high)


def _by_channel(op: SumOfProducts, w: Codes, swapped: bool) -> Codes:
    """The weights as [batch, C, K]: all that is summed into one output channel, in rows."""
    match op:
        case QConv():
            return w.reshape(1, w.shape[0], -1)
        case QConvTranspose(group=group):
            inputs, outputs = w.shape[:2]
            grouped = w.reshape(group, inputs // group, outputs, -1)
            return np.moveaxis(grouped, 2, 1).reshape(1, group * outputs, -1)
        case QGemm():
            rows = w if swapped else np.moveaxis(w, -1, -2)  # [..., C, K]
            return rows.reshape(-1, *rows.shape[-2:])


def _zero_points(value: Value) -> Codes | None:
    """The zero point of an operand, 0 without a scale; None where it is a run-time value."""
    quant = value.type.quant
    if quant is None:
        return np.zeros((), np.int64)
    return quant.static()[1] if quant.is_static else None


def _anything(op: SumOfProducts) -> tuple[Codes, Codes]:
    """No bound is known: what int64 holds."""
    bounds = INT64.min, INT64.max
    return np.array([bounds[0]]), np.array([bounds[1]])
