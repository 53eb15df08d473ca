"""Compute no float behind a sum whose codes are few: whatever happens to it element by element becomes thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.accumulators import result_range_of
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.arrays import Array, Codes
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.thresholds import staircase
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target

SumOfProducts = QConv | QConvTranspose | QGemm
_ELEMENTWISE = (ops.Unary, ops.Binary, ops.PRelu, ops.DequantizeLinear, ops.QuantizeLinear)
_LARGEST_SUM = 1 << 24  # float32 holds every integer up to it
_MOST_ENTRIES = 1 << 22  # sums times channels that are tried


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def merge_functions(graph: Graph, target: Target) -> Graph:
    """QuantizeLinear(f(DequantizeLinear(sum))) -> the sum with a table of all that it can be, and thresholds.

    f: any elementwise operations of the sum and of constants that differ from channel to channel at most (LeakyRelu,
    x * sigmoid(x), a normalization, ...). Where nobody reads what lies between, the steps are as few as the target's
    facts ask, and the target then takes less time. Exact: f is evaluated for each reachable sum.
    Source: design.md N5 and N8.
    """
    return _Merging(graph, target).run() if target.facts.threshold_steps else graph


class _Merging:
    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph = graph
        self.target = target
        self.users = graph.users()
        self.shown = {output.value for output in graph.outputs}

    def run(self) -> Graph:
        rewriter = Rewriter(self.graph)
        for node in self.graph.nodes():
            merged = self._merged(node) if isinstance(node, ops.QuantizeLinear) else None
            rewriter.replace(node, rewriter.rebuilt(merged or node))
        return rewriter.finish()

    def _merged(self, last: ops.QuantizeLinear) -> Node | None:
        """The sum that `last` quantizes a function of, with that function in its requantization."""
        region = self._region(last)
        sums = {value.node for node in region for value in node.operands} - set(region)
        made = next((node for node in sums if isinstance(node, (QConv, QConvTranspose, QGemm))), None)
        if made is None or any(node is not made and not isinstance(node, Constant) for node in sums):
            return None
        if made.requantization is not None or made.layout != last.layout or not _keeps_channels(made, region):
            return None
        inside = {*region, made}
        if any(value in self.shown or not set(self.users[value]) <= inside for value in _between(inside, last)):
            return None
        requantization = _requantization(made, region, self.target.facts.threshold_steps)
        if requantization is None:
            return None
        merged = made.replace(
            requantization=requantization,
            dtype=last.dtype,
            quant=last.quant,
            sources=union_sources(made, *region),
            tensor=last.tensor,
        )
        cost, apart = self.target.cost(merged), [self.target.cost(node) for node in (made, *region)]
        if cost is None or (None not in apart and cost > sum(filter(None, apart))):
            return None
        return merged

    def _region(self, last: Node) -> list[Node]:
        """`last` and the elementwise operations that it depends on, operands first."""
        found: dict[Node, None] = {}
        stack = [last]
        while stack:
            node = stack.pop()
            if node not in found:
                found[node] = None
                stack += [value.node for value in node.operands if isinstance(value.node, _ELEMENTWISE)]
        return [node for node in self.graph.nodes() if node in found]


def _between(inside: set[Node], last: Node) -> list[Value]:
    return [node.out for node in inside if node is not last]


def _axis(made: SumOfProducts) -> int:
    return made.type.rank - 1 if isinstance(made, QGemm) else 1


def _keeps_channels(made: SumOfProducts, region: Sequence[Node]) -> bool:
    """Whether each operation of `region` does the same to all sums of a channel."""
    axis, rank, shape = _axis(made), made.type.rank, made.type.shape
    for node in region:
        types = [*node.types, *(value.type for value in node.operands)]
        for of_type in types:
            quant = of_type.quant
            if quant is not None and (not quant.is_static or quant.block is not None):
                return False
        if node.types[0].shape != shape:
            return False
        for value in node.operands:
            own = (1,) * (rank - value.type.rank) + value.type.shape
            if value.constant is not None and any(extent != 1 for k, extent in enumerate(own) if k != axis):
                return False
            quant = value.type.quant
            if quant is not None and quant.axis is not None and rank - value.type.rank + quant.axis != axis:
                return False
        quant = node.types[0].quant
        if quant is not None and quant.axis not in (None, axis):
            return False
    return True


def _requantization(made: SumOfProducts, region: Sequence[Node], most: int) -> Requantization | None:
    """The code of each reachable sum, as a table behind an N4 that keeps sums; None where it is too long."""
    channels, axis = made.type.shape[_axis(made)], _axis(made)
    try:
        low, high = result_range_of(made)
    except NumericsError:  # beyond int64
        return None
    first, last = int(low.min()), int(high.max())
    if max(-first, last) > _LARGEST_SUM or (last - first + 1) * channels > _MOST_ENTRIES:
        return None
    sums = np.arange(first, last + 1)
    shape = [1] * made.type.rank
    shape[0], shape[axis] = len(sums), channels
    column = sums.reshape([-1 if k == 0 else 1 for k in range(made.type.rank)])
    codes = _evaluated(made, region, np.ascontiguousarray(np.broadcast_to(column, shape), made.dtype.numpy))
    table = codes.reshape(len(sums), channels).T.astype(np.int64)
    if (table == table[0]).all():
        table = table[0]
    r = Requantization(np.ones((), np.float32), None, 0, first, last, table)
    found = staircase(r, low, high, most)
    return None if found is None else replace(r, staircase=found)


def _evaluated(made: SumOfProducts, region: Sequence[Node], sums: Array) -> Codes:
    """What the last operation of `region` makes of `sums` in place of those of `made`."""
    given = Input("sums", TensorType(made.dtype, sums.shape, made.type.quant)).out
    values: dict[Value, Value] = {made.out: given}
    arrays: dict[Value, Array] = {given: sums}
    for node in region:
        built = node.map_operands(lambda value: _standing_for(value, values)).replace(layout=None)
        operands = [arrays[value] if value.constant is None else value.constant for value in built.operands]
        (arrays[built.out],) = evaluate_node(built, operands)
        values[node.out] = built.out
    return np.asarray(arrays[values[region[-1].out]])


def _standing_for(value: Value, values: Mapping[Value, Value]) -> Value:
    """The value of small shape in place of `value`; a constant in its logical order."""
    if isinstance(value.node, Constant):
        return Constant(value.node.value, value.type.with_layout(None)).out
    return values[value]
