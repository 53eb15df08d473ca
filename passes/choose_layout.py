"""Choose how every tensor is stored, and repack where two neighbours need it differently."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.pass_manager import EXACT, graph_pass
from subbyte.compiler.target import Storage, Target

Order = tuple[int, ...]
_SWEEPS = 4


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED, exactness=EXACT)
def choose_layout(graph: Graph, target: Target) -> Graph:
    """Give every node an order of storage so that few bytes are repacked; inputs and outputs are row-major.

    Kernels fix the order of convolutions and windows (channels last) and of matrix products (row-major). A Transpose
    turns whatever order comes in into the order that leaves every byte where it is. Everything else takes any order:
    first that of its largest operand, then, over a few sweeps, whichever order of a neighbour lowers the bytes that are
    repacked around it (coordinate descent: each step lowers the whole sum). Repacks of one value are shared.
    """
    plan = _Plan(graph, target)
    for _ in range(_SWEEPS):
        if sum(plan.improve(node) for node in graph.nodes()) == 0:
            break
    return _rebuild(graph, plan)


def row_major(rank: int) -> Order:
    """The axes in logical order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """[N, spatial..., C]; the logical order where there are no spatial axes."""
    return (0, *range(2, rank), 1) if rank > 2 else row_major(rank)


def same_bytes(of_type: TensorType, a: Order, b: Order) -> bool:
    """Whether `of_type` lies in memory alike in both orders: axes of extent 1 may stand anywhere."""
    long_a, long_b = ([axis for axis in order if of_type.shape[axis] != 1] for order in (a, b))
    return long_a == long_b


class _Plan:
    """For each node the order in which it reads its operands; the order of its results follows from it."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self._target = target
        self._users = graph.users()
        self._shown = {output.value for output in graph.outputs}
        self._reads: dict[Node, Order] = {}
        for node in graph.nodes():
            if not isinstance(node, (Input, Constant)):
                fixed = self._fixed(node)
                self._reads[node] = self._first_choice(node) if fixed is None else fixed

    def _fixed(self, node: Node) -> Order | None:
        """The order that `node` needs; None where it takes any."""
        rank = _main_rank(node)
        if isinstance(node, ops.Transpose):
            return None
        storage = self._target.storage_of(type(node))
        if isinstance(node, ops.Reshape) or storage is Storage.ROW_MAJOR:
            return row_major(rank)
        if storage is Storage.CHANNELS_LAST:
            return channels_last(rank)
        return None

    def _first_choice(self, node: Node) -> Order:
        rank = _main_rank(node)
        operands = [value for value in _moving(node) if value.type.rank == rank]
        largest = max(operands, key=lambda value: value.type.bytes, default=None)
        return row_major(rank) if largest is None else self.written(largest)

    def written(self, value: Value) -> Order:
        """The order in which `value` comes out of its node."""
        return self._result_order(value.node, self._reads.get(value.node), value.type)

    def _result_order(self, node: Node, reads: Order | None, of_type: TensorType) -> Order:
        if reads is None or isinstance(node, (Input, Constant, ops.Reshape)):
            return row_major(of_type.rank)
        match node:
            case ops.Transpose(perm=perm):
                return tuple(perm.index(axis) for axis in reads)
            case ops.Reduce(axes=axes, keepdims=False) | qops.QReduce(axes=axes, keepdims=False):
                kept = [axis for axis in range(len(reads)) if axis not in axes]
                return tuple(kept.index(axis) for axis in reads if axis not in axes)
        return reads if len(reads) == of_type.rank else row_major(of_type.rank)

    def needed(self, node: Node, operand: Value) -> Order:
        """The order in which `node` reads `operand`."""
        reads = self._reads[node]
        return reads if len(reads) == operand.type.rank else row_major(operand.type.rank)

    def improve(self, node: Node) -> bool:
        """Take the order of a neighbour where that lowers the bytes repacked around `node`."""
        if node not in self._reads or self._fixed(node) is not None:
            return False
        before = self._reads[node]
        best, lowest = before, self._cost(node)
        for candidate in self._candidates(node):
            self._reads[node] = candidate
            cost = self._cost(node)
            if cost < lowest:
                best, lowest = candidate, cost
        self._reads[node] = best
        return best != before

    def _candidates(self, node: Node) -> Iterator[Order]:
        rank = len(self._reads[node])
        seen = {self._reads[node]}
        wished = [self.written(value) for value in _moving(node)]
        for value in (Value(node, index) for index in range(len(node.types))):
            after = [self.needed(user, value) for user in self._users.get(value, [])]
            after += [row_major(value.type.rank)] if value in self._shown else []
            if isinstance(node, ops.Transpose):
                after = [tuple(node.perm[axis] for axis in order) for order in after]
            wished += after
        for order in wished:
            if len(order) == rank and order not in seen:
                seen.add(order)
                yield order

    def _cost(self, node: Node) -> int:
        """Bytes repacked for the operands and for the results of `node`."""
        cost = sum(
            value.type.bytes
            for value in _moving(node)
            if not same_bytes(value.type, self.written(value), self.needed(node, value))
        )
        for value in (Value(node, index) for index in range(len(node.types))):
            orders = {self.needed(user, value) for user in self._users.get(value, [])}
            orders |= {row_major(value.type.rank)} if value in self._shown else set()
            cost += sum(value.type.bytes for order in orders if not same_bytes(value.type, self.written(value), order))
        return cost


def _main_rank(node: Node) -> int:
    """The rank whose axes the order of `node` permutes: of its first operand, or of its result where it broadcasts."""
    operands = _moving(node)
    if isinstance(node, (ops.Binary, qops.QBinary, ops.Gemm, ops.MatMul, qops.QGemm)) or not operands:
        return node.types[0].rank
    return operands[0].type.rank


def _moving(node: Node) -> tuple[Value, ...]:
    """The operands that are tensors at run time."""
    return tuple(value for value in node.operands if not isinstance(value.node, Constant))


def _rebuild(graph: Graph, plan: _Plan) -> Graph:
    new: dict[Value, Value] = {}
    repacked: dict[tuple[Value, Order], Value] = {}

    def stored(value: Value, order: Order) -> Value:
        """`value` of the old graph, in the new one, in `order`."""
        if isinstance(value.node, Constant):
            return _constant_in(value.node, order).out
        current = new[value]
        if current.type.order == order:
            return current
        key = (value, order)
        if key not in repacked:
            layout = _layout(order)
            repacked[key] = ops.Repack(current, sources=value.node.sources, layout=layout).out
        return repacked[key]

    for node in graph.nodes():
        if isinstance(node, (Input, Constant)):
            new[Value(node, 0)] = Value(node, 0)
            continue
        rebuilt = node.map_operands(lambda value, node=node: stored(value, plan.needed(node, value)))
        layout = _layout(plan.written(Value(node, 0)))
        if layout != rebuilt.layout:
            rebuilt = rebuilt.replace(layout=layout)
        new.update((Value(node, index), Value(rebuilt, index)) for index in range(len(node.types)))
    outputs = tuple(Output(o.name, stored(o.value, row_major(o.value.type.rank))) for o in graph.outputs)
    same = all(a.value == b.value for a, b in zip(outputs, graph.outputs, strict=True))
    return graph if same else Graph(graph.name, graph.inputs, outputs, graph.stage)


def _layout(order: Order) -> Layout | None:
    return None if order == row_major(len(order)) else Layout(order)


def _constant_in(node: Constant, order: Order) -> Constant:
    """A constant that a kernel may read as it is, stored as its neighbours are; weights are packed anyway."""
    if node.type.order == order or np.size(node.value) <= 1:
        return node
    return node.replace(layout=_layout(order))
