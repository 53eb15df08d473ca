"""Clamp and look up where a value is made: activations become code ranges, chains of tables become one table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_functions import QNormalization, QPiecewise, QWideSoftmax
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.pass_manager import graph_pass
from subbyte.passes.quantization.coded import TABLE_BITS, all_codes

_SUMS = (qops.QConv, qops.QConvTranspose, qops.QGemm)
_QUANTIZING = (
    qops.QBinary, qops.QAveragePool, qops.QReduce, qops.QResizeLinear, qops.QSoftmax, ops.QuantizeLinear,
    QNormalization, QWideSoftmax, QPiecewise,
)  # fmt: skip
_PASSED = (
    ops.Reshape, ops.Transpose, ops.Slice, ops.Pad, ops.DepthToSpace, ops.SpaceToDepth, ops.ResizeNearest,
    ops.MaxPool, ops.ReduceMax, ops.ReduceMin,
)  # fmt: skip
"""Operations of one tensor that a clamp may move across: they move codes, or choose them by their order."""


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def fuse_activation(graph: Graph) -> Graph:
    """Clamp(op(x)) -> op(x) with a narrower code range; Lookup(Lookup(x)) -> Lookup(x), and with Clamp in either place.

    A clamp moves up across data movement and order to its producer, where nobody else reads what lies between. A table
    that only clamps is a clamp.
    """
    return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users = graph.users()
        self.shown = {output.value for output in graph.outputs}
        self.rewriter = Rewriter(graph)

    def run(self) -> Graph:
        for node in self.graph.nodes():
            current = self.rewriter.rebuilt(node)
            fused: Node | None = None
            limits = clamp_limits(current)
            if limits is not None:
                fused = self._absorbed(node, current, *limits)
            if fused is None and isinstance(current, qops.Lookup):
                fused = self._one_table(node, current)
            self.rewriter.replace(node, fused or current)
        return self.rewriter.finish()

    def _alone(self, value: Value) -> bool:
        """Whether one node reads it, once, and no output shows it."""
        return len(self.users.get(value, ())) == 1 and value not in self.shown

    def _absorbed(self, old: Node, clamp: Node, low: int, high: int) -> Node | None:
        """The producer of the clamped codes with a narrower range, and what lies between over it."""
        between: list[Node] = []
        bottom = old.operands[0]
        while isinstance(bottom.node, _PASSED) and self._alone(bottom):
            between.append(bottom.node)
            bottom = bottom.node.operands[0]
        if not self._alone(bottom):
            return None
        producer = self.rewriter[bottom].node
        narrow = narrowed(producer, low, high)
        if narrow is None:
            return None
        if not between:
            return narrow.replace(sources=union_sources(producer, clamp), tensor=clamp.tensor)
        result = narrow.replace(sources=union_sources(producer, clamp), tensor="")
        for node in reversed(between):
            value = result.out
            moved = node.map_operands(lambda _, value=value: value)  # type: ignore[misc]
            if isinstance(moved, ops.Pad):
                moved = moved.replace(value=min(max(int(moved.value), low), high))
            result = moved.replace(tensor="")
        return result.replace(tensor=clamp.tensor)

    def _one_table(self, old: Node, outer: qops.Lookup) -> Node | None:
        """outer over a Lookup or a Clamp that nobody else reads: one Lookup."""
        inner = outer.x.node
        if not self._alone(old.operands[0]) or outer.x.type.dtype.bits > TABLE_BITS:
            return None
        first = outer.x.type.dtype.min
        axis: int | None = None
        match inner:
            case qops.Clamp(x=x, low=low, high=high):
                indices = np.clip(all_codes(x.type.dtype), low, high) - first
            case qops.Lookup(x=x, table=table, axis=axis) if inner.dtype.is_integer and x.type.dtype.bits <= TABLE_BITS:
                indices = table.astype(np.int64) - first
            case _:
                return None
        if axis is not None and outer.axis is not None and axis != outer.axis:
            return None
        if outer.axis is None:
            table = outer.table[indices]
        elif axis is None:
            table = outer.table[:, indices]
        else:
            table = np.take_along_axis(outer.table, indices, axis=1)
        axis = axis if outer.axis is None else outer.axis
        table = np.ascontiguousarray(table)
        return outer.replace(x=x, table=table, axis=axis, sources=union_sources(inner, outer))


def clamp_limits(node: Node) -> tuple[int, int] | None:
    """(low, high) where `node` only clamps the codes of its operand, by itself or by its table, else None."""
    match node:
        case qops.Clamp(low=low, high=high):
            return low, high
        case qops.Lookup(x=x, table=table, axis=None) if node.dtype == x.type.dtype:
            quant, of_result = x.type.quant, node.quant
            if quant is None or of_result is None or not quant.same_grid(of_result):
                return None
            qmin, qmax = x.type.code_range()
            reached = table[qmin - node.dtype.min : qmax - node.dtype.min + 1].astype(np.int64)
            low, high = int(reached.min()), int(reached.max())
            if np.array_equal(reached, np.clip(np.arange(qmin, qmax + 1), low, high)):
                return low, high
    return None


def narrowed(node: Node, low: int, high: int) -> Node | None:
    """`node` with its result clamped to low..high by its own code range; None where it has none."""
    if isinstance(node, _SUMS):
        requantization = node.requantization
        if requantization is None:
            return None
        return node.replace(
            requantization=requantization.clamped(low, high),
            quant=None if node.quant is None else _clamped(node.quant, low, high),
        )
    if isinstance(node, _QUANTIZING):
        return node.replace(quant=_clamped(node.quant, low, high))
    if isinstance(node, qops.Clamp):
        lowest, highest = (min(max(code, low), high) for code in (node.low, node.high))
        return node.replace(low=lowest, high=highest)
    if isinstance(node, qops.Lookup) and node.quant is not None:
        table = np.clip(node.table.astype(np.int64), low, high).astype(node.table.dtype)
        return node.replace(table=table, quant=_clamped(node.quant, low, high))
    return None


def _clamped(quant: QuantParams, low: int, high: int) -> QuantParams:
    qmin, qmax = (min(max(code, low), high) for code in (quant.qmin, quant.qmax))
    return replace(quant, qmin=qmin, qmax=qmax)
