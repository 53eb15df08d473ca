"""Choose how every tensor is stored, so that kernels find what they want and as few bytes as possible are repacked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Storage, Target
from subbyte.passes.layout.cut import Cut, Variable
from subbyte.passes.layout.orders import (
    Order,
    channels_last,
    layout_of,
    reshaped,
    restricted,
    row_major,
    same_bytes,
    transposed,
    without_axes,
)


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def choose_layout(graph: Graph, target: Target) -> Graph:
    """Set `layout` of every node and put a Repack where a tensor is wanted in an order in which it is not stored.

    Kernels say what they want: channels last (convolutions, pools), row-major (matrix products), or any order that is
    the same for operands and result (elementwise, concat, pad, slice, reductions...). Inputs and outputs are row-major.
    A Transpose is always a view: its result is stored in the order that makes it the same bytes; a Reshape is one where
    it can be. So only three things cost bytes: a convolution, a matrix product or an output reads what is stored
    otherwise, and an operation of any order reads operands that differ.

    Operations of any order are free, and have two orders to choose from: row-major and channels last, or what
    Transposes above make of these. Which of the two, for all together, is a minimum cut over the bytes of the tensors
    (`layout.cut`); a tensor repacked for several readers counts once. Where the two orders of neighbours do not match
    pairwise, that edge is left out of the cut, not out of the graph: the Repack is made all the same.
    """
    wishes = {node: _wish(node, target) for node in graph.operations()}
    plan = _Plan(graph, wishes)
    return _Repacking(graph, wishes, plan.solve()).run()


def _wish(node: Node, target: Target) -> Storage | None:
    """How the kernels for `node` want its tensors stored; None for Transpose and Reshape, which take what they get."""
    if isinstance(node, (ops.Transpose, ops.Reshape)):
        return None
    return target.storage_of(type(node)) or Storage.ROW_MAJOR  # no kernel: lowering says so


def _fixed(wish: Storage, rank: int) -> Order:
    return channels_last(rank) if wish is Storage.CHANNELS_LAST else row_major(rank)


def _rank(node: Node) -> int:
    """The rank that the order of a node of any order is about: the highest of its operands and results."""
    return max(t.rank for t in (*node.types, *(operand.type for operand in node.operands)))


def _of_result(node: Node, order: Order) -> Order:
    """How the results of a node of any order are stored, given the order that it works in."""
    if isinstance(node, (ops.Reduce, qops.QReduce)) and not node.keepdims:
        return without_axes(order, node.axes)
    return () if all(of_type.rank == 0 for of_type in node.types) else order


@dataclass(frozen=True)
class _Stored:
    """The two orders that a value may be stored in, or be wanted in; `variable` says which, None: they are one."""

    orders: tuple[Order, Order]
    variable: Variable | None = None

    @classmethod
    def fixed(cls, order: Order) -> _Stored:
        return cls((order, order))


class _Plan:
    """Who stores what how, as variables and costs of a cut."""

    def __init__(self, graph: Graph, wishes: dict[Node, Storage | None]) -> None:
        self.cut = Cut()
        self.stored: dict[Value, _Stored] = {}
        self.chosen: dict[Node, _Stored] = {}
        self.readers: dict[Value, list[_Stored]] = defaultdict(list)
        for node in graph.nodes():
            if isinstance(node, Input):
                self.stored[node.out] = _Stored.fixed(row_major(node.type.rank))
            elif not isinstance(node, Constant):
                self._visit(node, wishes[node])
        for output in graph.outputs:
            self._read(output.value, _Stored.fixed(row_major(output.value.type.rank)))
        for value, readers in self.readers.items():
            self._charge(value, readers)

    def solve(self) -> dict[Node, Order]:
        """The order that each node of any order works in."""
        labels = self.cut.solve()
        return {
            node: stored.orders[0 if stored.variable is None else labels[stored.variable]]
            for node, stored in self.chosen.items()
        }

    def _visit(self, node: Node, wish: Storage | None) -> None:
        if isinstance(node, (ops.Transpose, ops.Reshape)):
            self._view(node)
            return
        if wish is Storage.ANY:
            stored = self.chosen[node] = self._free(node)
            for operand in node.operands:
                rank = operand.type.rank
                wanted = (restricted(stored.orders[0], rank), restricted(stored.orders[1], rank))
                self._read(operand, _Stored(wanted, stored.variable))
            result = _Stored((_of_result(node, stored.orders[0]), _of_result(node, stored.orders[1])), stored.variable)
            self.stored.update((Value(node, index), result) for index in range(len(node.types)))
        elif wish is not None:
            for operand in node.operands:
                self._read(operand, _Stored.fixed(_fixed(wish, operand.type.rank)))
            for index, of_type in enumerate(node.types):
                self.stored[Value(node, index)] = _Stored.fixed(_fixed(wish, of_type.rank))

    def _view(self, node: ops.Transpose | ops.Reshape) -> None:
        x = self.stored.get(node.x)
        if x is None:  # of a constant
            self.stored[node.out] = _Stored.fixed(row_major(node.type.rank))
            return
        if isinstance(node, ops.Transpose):
            first, second = (transposed(order, node.perm) for order in x.orders)
            self.stored[node.out] = _Stored((first, second), x.variable)
            return
        found = [reshaped(node.x.type.shape, order, node.shape) for order in x.orders]
        if x.variable is not None:
            self.cut.add_alone(x.variable, [node.x.type.bytes if order is None else 0 for order in found])
        first, second = (row_major(node.type.rank) if order is None else order for order in found)
        self.stored[node.out] = _Stored((first, second), x.variable)

    def _free(self, node: Node) -> _Stored:
        """Two orders for a node of any order: those of its largest operand, else row-major and channels last."""
        rank = _rank(node)
        operands = [v for v in node.operands if v in self.stored and v.type.rank == rank]
        rows, last = row_major(rank), channels_last(rank)
        if operands:
            largest = max(operands, key=lambda value: value.type.bytes)
            first, second = self.stored[largest].orders
            shape = largest.type.shape
            if not same_bytes(shape, first, second):
                rows, last = first, second
            elif not same_bytes(shape, first, rows):
                last = first
        return _Stored((rows, last), self.cut.variable()) if rows != last else _Stored.fixed(rows)

    def _read(self, value: Value, wanted: _Stored) -> None:
        if value in self.stored:
            self.readers[value].append(wanted)

    def _charge(self, value: Value, readers: list[_Stored]) -> None:
        """The bytes of `value` wherever a reader wants it otherwise; once for all who want it the same way."""
        shape, cost = value.type.shape, float(value.type.bytes)
        producer = self._as_variable(self.stored[value], readers, shape)
        if producer is None or producer.variable is None:
            return
        alike: list[Variable] = []
        for wanted in readers:
            differs = [[not same_bytes(shape, a, b) for b in wanted.orders] for a in producer.orders]
            reader = wanted.variable
            if reader is None:
                reader = self._constant(0 if differs[1][0] else 1) if differs[0][0] != differs[1][0] else None
                differs = [[False, True], [True, False]]
            if reader is None:
                continue
            if differs == [[False, True], [True, False]]:
                alike.append(reader)
            else:
                (c00, c01), (c10, c11) = ([cost * differ for differ in row] for row in differs)
                self.cut.add_pair(producer.variable, reader, ((c00, c01), (c10, c11)))
        if alike:
            self.cut.add_shared(producer.variable, alike, cost)

    def _as_variable(self, stored: _Stored, readers: list[_Stored], shape: tuple[int, ...]) -> _Stored | None:
        """What is stored in one order, as a variable that is known: among the two orders that its free readers want."""
        if stored.variable is not None:
            return stored
        order = stored.orders[0]
        for wanted in readers:
            first, second = wanted.orders
            if wanted.variable is not None and same_bytes(shape, order, second):
                return _Stored((first, order), self._constant(1))
            if wanted.variable is not None:
                return _Stored((order, second), self._constant(0))
        return None

    def _constant(self, label: int) -> Variable:
        """A variable that can only be `label`."""
        variable = self.cut.variable()
        self.cut.add_alone(variable, [0.0 if label == i else float("inf") for i in (0, 1)])
        return variable


class _Repacking:
    """Builds the graph in the chosen orders."""

    def __init__(self, graph: Graph, wishes: dict[Node, Storage | None], chosen: dict[Node, Order]) -> None:
        self.graph, self.wishes, self.chosen = graph, wishes, chosen
        self.rewriter = Rewriter(graph)
        self._repacked: dict[tuple[Value, Order], Value] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes():
            if not isinstance(node, (Input, Constant)):
                self.rewriter.replace(node, self._stored_node(node))
        outputs = (
            Output(output.name, self._as(self.rewriter[output.value], row_major(output.value.type.rank)))
            for output in self.graph.outputs
        )
        return self.graph.with_outputs(outputs)

    def _stored_node(self, node: Node) -> Node:
        wish, new = self.wishes[node], self.rewriter
        if isinstance(node, ops.Transpose):
            x = new[node.x]
            return node.replace(x=x, layout=layout_of(transposed(x.type.order, node.perm)))
        if isinstance(node, ops.Reshape):
            x = new[node.x]
            order = reshaped(x.type.shape, x.type.order, node.shape)
            if order is None:
                x, order = self._as(x, row_major(x.type.rank)), row_major(node.type.rank)
            return node.replace(x=x, layout=layout_of(order))
        if wish is Storage.ANY:
            order = self.chosen[node]
            moved = node.map_operands(lambda value: self._as(new[value], restricted(order, value.type.rank)))
            return moved.replace(layout=layout_of(_of_result(node, order)))
        fixed = Storage.ROW_MAJOR if wish is None else wish

        def wanted(value: Value) -> Value:
            found = new[value]  # constants of sums and matrices are packed by their kernel
            return found if isinstance(found.node, Constant) else self._as(found, _fixed(fixed, value.type.rank))

        return node.map_operands(wanted).replace(layout=layout_of(_fixed(fixed, node.types[0].rank)))

    def _as(self, value: Value, order: Order) -> Value:
        """`value` stored in `order`: itself, the same constant stored so, or a Repack that all readers share."""
        if same_bytes(value.type.shape, value.type.order, order):
            return value
        key = (value, order)
        if key not in self._repacked:
            layout = layout_of(order)
            constant = value.node if isinstance(value.node, Constant) else None
            self._repacked[key] = (
                ops.Repack(value, layout=layout).out if constant is None else constant.replace(layout=layout).out
            )
        return self._repacked[key]
