"""Call codes what they are: activations that use a part of the codes of their type get the type of that part."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass

_SUMS = (qops.QConv, qops.QConvTranspose, qops.QGemm)
_MAKING = (
    *_SUMS, qops.QBinary, qops.QAveragePool, qops.QReduce, qops.QResizeLinear, qops.QSoftmax, qops.Lookup,
    ops.QuantizeLinear,
)  # fmt: skip
"""Operations that say in which type their codes are."""
_MOVING = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Pad, ops.DepthToSpace, ops.SpaceToDepth,
    ops.ResizeNearest, ops.MaxPool, ops.ReduceMax, ops.ReduceMin, ops.Repack, qops.Clamp,
)  # fmt: skip
"""Operations whose results have the type of their operands."""
_READING = (*_MAKING, ops.DequantizeLinear)
"""Operations that take codes of any type."""


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def narrow_dtypes(graph: Graph) -> Graph:
    """int8 in -8..7 -> int4: codes of a clip or a narrow range, in the fewest bits that hold them and the zero point.

    All tensors between which codes are only moved change together, or not at all: inputs, outputs, and what other
    operations read keep their type. Signed codes stay signed. Tables are cut to the codes that are left.
    Exact: no code changes, and none needs more memory than before; what is packed takes less.
    """
    return _Narrowing(graph).run()


class _Narrowing:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.leader: dict[Value, Value] = {}
        self.bits: dict[Value, int] = {}  # of the widest codes of a group, by its leader
        self.kept: set[Value] = {output.value for output in graph.outputs}

    def run(self) -> Graph:
        for node in self.graph.nodes():
            self._look_at(node)
        kept = {self._group(value) for value in self.kept}
        narrow: dict[Value, int] = {}
        for value in list(self.leader):
            group = self._group(value)
            narrow[group] = max(narrow.get(group, 1), self.bits[value])
        rewriter = Rewriter(self.graph)
        for node in self.graph.nodes():
            dtype = None
            if isinstance(node, _MAKING) and node.type.dtype.is_integer:
                group = self._group(node.out)
                if group in narrow and group not in kept and narrow[group] != node.type.dtype.bits:
                    dtype = DType(node.type.dtype.kind, narrow[group])
            rewriter.replace(node, _rebuilt(node, dtype, rewriter))
        return rewriter.finish()

    def _look_at(self, node: Node) -> None:
        """Say which codes `node` makes or moves, and which ones keep their type for its sake."""
        for index, of_type in enumerate(node.types):
            value = Value(node, index)
            if not of_type.dtype.is_integer:
                continue
            bits = _bits(value)
            self.leader[value] = value
            self.bits[value] = of_type.dtype.bits if bits is None else bits
            if bits is None or not isinstance(node, (*_MAKING, *_MOVING)):
                self.kept.add(value)
        for operand in node.operands:
            if not operand.type.dtype.is_integer:
                continue
            if isinstance(node, _MOVING):
                for index in range(len(node.types)):
                    self._join(operand, Value(node, index))
            elif not isinstance(node, _READING):
                self.kept.add(operand)
        if isinstance(node, ops.Pad) and node.type.dtype.is_integer:
            pad = int(node.value)
            self.bits[node.out] = max(self.bits.get(node.out, 1), _needed(pad, pad, node.type.dtype))

    def _group(self, value: Value) -> Value:
        while self.leader.get(value, value) != value:
            value = self.leader[value]
        return value

    def _join(self, one: Value, other: Value) -> None:
        a, b = self._group(one), self._group(other)
        if a != b:
            self.leader[a] = b


def _bits(value: Value) -> int | None:
    """Bits for the codes of `value` and its zero point; None where its type is not ours to change."""
    of_type, quant = value.type, value.type.quant
    if of_type.dtype.kind not in ("int", "uint") or of_type.dtype.bits > 8 or isinstance(value.node, Constant):
        return None
    if quant is None or not quant.is_static or quant.levels is not None or quant.block is not None:
        return None
    zero_points = quant.static()[1]
    low, high = min(quant.qmin, int(zero_points.min())), max(quant.qmax, int(zero_points.max()))
    return min(_needed(low, high, of_type.dtype), of_type.dtype.bits)


def _needed(low: int, high: int, dtype: DType) -> int:
    """Bits of the narrowest type of the signedness of `dtype` that holds low and high."""
    if dtype.kind == "uint":
        return max(high.bit_length(), 1)
    return 1 + max(high.bit_length() if high >= 0 else 0, (~low).bit_length() if low < 0 else 0)


def _rebuilt(node: Node, dtype: DType | None, rewriter: Rewriter) -> Node:
    """`node` over its new operands, its result of `dtype` if one is given, its table cut to the codes that it reads."""
    changes: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
    if isinstance(node, (qops.Lookup, qops.QSoftmax)):
        new, old = rewriter[node.x].type.dtype, node.x.type.dtype
        if new != old:
            first = new.min - old.min if isinstance(node, qops.Lookup) else 0
            table = node.table[..., first : first + (1 << new.bits)]
            changes |= {"x": rewriter[node.x], "table": np.ascontiguousarray(table)}
            return node.replace(**changes)
    current = rewriter.rebuilt(node)
    return current.replace(**changes) if changes else current
