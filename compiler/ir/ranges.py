"""Which codes can occur: an interval for every element of every value, proved from weights, biases and scales.

The intervals are those of single elements, not of tensors, so that a channel that its bias or its clamp makes constant
is seen, and so is what a padded border makes of it. Each step is a proof of one of three kinds:

* An operation that is monotone in every operand maps ends to ends. Moving and choosing codes is monotone; so are N4,
  and N2 after sums, means and interpolation with weights that are not negative, because each of their roundings is.
* A product or quotient of two numbers is monotone in either for a fixed other: its extremes lie at the four corners.
* Sums of products: range_of_sums.py.

Everything else has the range of its type. Source: interval arithmetic; design.md N3, N4 and N6.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.interpret_codes import dequantized
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_indexing import Expand
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.range_of_sums import SumOfProducts, is_affine, sum_range
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.arrays import Array, Codes

_MONOTONE = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Pad, ops.DepthToSpace, ops.SpaceToDepth,
    ops.ResizeNearest, ops.MaxPool, ops.ReduceMax, ops.ReduceMin, ops.Repack, Expand, qops.Clamp, qops.OffsetCodes,
    qops.QAveragePool, qops.QReduceSum, qops.QReduceMean, qops.QResizeLinear,
)  # fmt: skip
_LARGEST_REAL = 2.0**100  # sums and products of two such numbers are never NaN


@dataclass(frozen=True, eq=False)
class CodeRange:
    """low <= code <= high, for every element; arrays of the value's shape, or 1 along axis 0 where all are alike."""

    low: Array
    high: Array

    @property
    def is_known(self) -> bool:
        """Whether every element has one value only."""
        return bool((self.low == self.high).all())

    def along(self, axis: int) -> tuple[Codes, Codes]:
        """(lowest [C], highest [C]) of each entry of `axis` (not 0 unless the value has one entry there)."""
        others = tuple(k for k in range(self.low.ndim) if k != axis)
        low, high = self.low.min(axis=others), self.high.max(axis=others)
        return np.asarray(low, np.int64), np.asarray(high, np.int64)


Ends = tuple[Array, Array]
Ranges = dict[Value, CodeRange]

_LATEST: WeakKeyDictionary[Graph, Ranges] = WeakKeyDictionary()


def code_ranges(graph: Graph) -> Ranges:
    """The range of every value of integers of `graph`; inputs may hold whatever their types allow.

    Those of the latest graph are kept for the next pass that asks, as long as the graph lives.
    """
    if graph not in _LATEST:
        found = _code_ranges(graph)
        _LATEST.clear()
        _LATEST[graph] = found
    return _LATEST[graph]


def _code_ranges(graph: Graph) -> Ranges:
    ranges: Ranges = {}
    for node in graph.nodes():
        found = _ends(node, ranges) or (None,) * len(node.types)
        for index, (of_type, ends) in enumerate(zip(node.types, found, strict=True)):
            if of_type.dtype.is_integer:
                ranges[Value(node, index)] = _range(of_type, ends)
    return ranges


def _range(of_type: TensorType, ends: Ends | None) -> CodeRange:
    """Ends in the container of the type, its own where there are none; axis 0 is one entry if all are alike."""
    codes = of_type.dtype.numpy
    if ends is None:
        qmin, qmax = of_type.code_range()
        ends = np.broadcast_to(codes.type(qmin), of_type.shape), np.broadcast_to(codes.type(qmax), of_type.shape)
    low, high = (np.asarray(end, codes) for end in ends)
    if low.ndim and low.shape[0] > 1 and (low == low[:1]).all() and (high == high[:1]).all():
        low, high = low[:1], high[:1]
    return CodeRange(low, high)


def _ends(node: Node, ranges: Ranges) -> tuple[Ends, ...] | None:
    """The ends of each output of `node`; None where only its type is known."""
    try:
        match node:
            case Input():
                return None
            case Constant(value=value):
                return ((value, value),)
            case qops.QConv() | qops.QConvTranspose() | qops.QGemm():
                ends = _of_sums(node, ranges)
                return None if ends is None else (ends,)
            case qops.QBinary():
                return _of_binary(node, ranges)
            case Where(a=a, b=b):
                return _of_either(node, _full(a, ranges), _full(b, ranges))
            case qops.Lookup():
                return _of_table(node, ranges)
            case _:
                return _of_ends(node, ranges)
    except NumericsError:  # a bound beyond int64
        return None


def _of_ends(node: Node, ranges: Ranges) -> tuple[Ends, ...] | None:
    """Ends to ends where `node` is monotone; where all its operands are known, so are its results."""
    operands = [_full(value, ranges) for value in node.operands]
    known = [ends for ends in operands if ends is not None]
    moves = isinstance(node, _MONOTONE) or (isinstance(node, ops.Gather) and node.indices.constant is not None)
    if len(known) < len(operands) or not (moves or all(np.array_equal(low, high) for low, high in known)):
        return None
    lows, highs = (evaluate_node(node, [ends[k] for ends in known]) for k in (0, 1))
    return tuple(zip(lows, highs, strict=True))


def _of_either(node: Where, a: Ends | None, b: Ends | None) -> tuple[Ends, ...] | None:
    """The ends of both, as either may be chosen; of the chosen one where the condition is known."""
    if a is None or b is None:
        return None
    condition = node.condition.constant
    low = np.minimum(a[0], b[0]) if condition is None else np.where(condition, a[0], b[0])
    high = np.maximum(a[1], b[1]) if condition is None else np.where(condition, a[1], b[1])
    return ((np.broadcast_to(low, node.type.shape), np.broadcast_to(high, node.type.shape)),)


def _full(value: Value, ranges: Ranges) -> Ends | None:
    """The ends of a value over its whole shape: codes, or constants of any kind; None for other floats."""
    if value.constant is not None:
        return value.constant, value.constant
    if value not in ranges:
        return None
    found, shape = ranges[value], value.type.shape
    return np.broadcast_to(found.low, shape), np.broadcast_to(found.high, shape)


def _of_table(node: qops.Lookup, ranges: Ranges) -> tuple[Ends, ...] | None:
    """The extremes of each window of the table, by a table of the extremes of all windows of 2^k entries."""
    if not node.dtype.is_integer:
        return None
    found, first = ranges[node.x], node.x.type.dtype.min
    low, high = found.low.astype(np.int64) - first, found.high.astype(np.int64) - first
    smallest, largest = [node.table], [node.table]
    for doubling in range(int((high - low + 1).max(initial=1)).bit_length() - 1):
        half = 1 << doubling
        smallest.append(np.minimum(smallest[-1], _shifted(smallest[-1], half)))
        largest.append(np.maximum(largest[-1], _shifted(largest[-1], half)))
    level = np.frexp((high - low + 1).astype(np.float64))[1] - 1  # floor(log2(entries)), exactly
    last = high + 1 - (np.int64(1) << level.astype(np.int64))
    channel: tuple[Array, ...] = ()
    if node.axis is not None:
        channel = (spread(np.arange(node.table.shape[0]), node.x.type.shape, node.axis),)
    small, large = np.stack(smallest), np.stack(largest)
    return (
        (
            np.minimum(small[(level, *channel, low)], small[(level, *channel, last)]),
            np.maximum(large[(level, *channel, low)], large[(level, *channel, last)]),
        ),
    )


def _shifted(table: Array, by: int) -> Array:
    """table[..., i + by], the last entry repeated."""
    return np.concatenate([table[..., by:], np.repeat(table[..., -1:], by, axis=-1)], axis=-1)


def _of_binary(node: qops.QBinary, ranges: Ranges) -> tuple[Ends, ...] | None:
    """The extremes over the corners of both intervals; a quotient has them where the divisor keeps its sign."""
    a, b = _full(node.a, ranges), _full(node.b, ranges)
    if a is None or b is None:
        return None
    of_a, of_b = (_reals(value, ends) for value, ends in ((node.a, a), (node.b, b)))
    if of_a is None or of_b is None or (isinstance(node, qops.QDiv) and not ((of_b[0] > 0) | (of_b[1] < 0)).all()):
        return None
    corners = [evaluate_node(node, [one, other])[0] for one in a for other in b]
    return ((np.minimum.reduce(corners), np.maximum.reduce(corners)),)


def _reals(value: Value, ends: Ends) -> Ends | None:
    """The reals at both ends; None where the codes are not in the order of their reals, or one is huge or NaN."""
    quant = value.type.quant
    if quant is not None and (quant.levels is not None or not quant.is_static):
        return None
    low, high = ends if quant is None else (dequantized(value, end) for end in ends)
    ordinary = (np.abs(low) < _LARGEST_REAL).all() and (np.abs(high) < _LARGEST_REAL).all()
    return (low, high) if ordinary else None


def _of_sums(node: SumOfProducts, ranges: Ranges) -> Ends | None:
    """The ends of a sum of products, as far as those of its operands are known."""
    x, w = (node.a, node.b) if isinstance(node, qops.QGemm) else (node.x, node.w)
    weights, bias = _full(w, ranges), None if node.bias is None else _full(node.bias, ranges)
    codes = _full(x, ranges) if x.type.rank < node.type.rank else (ranges[x].low, ranges[x].high)
    if codes is None or weights is None or not (is_affine(x) and is_affine(w)):
        return None
    return sum_range(node, codes, weights, bias)
