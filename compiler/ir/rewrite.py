"""Rewriting: one memoised bottom-up sweep over a graph, operands before users, no recursion."""

from __future__ import annotations

from collections.abc import Callable

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Input, Node, Value

Rule = Callable[[Node, Graph], "Node | Value | None"]


class Rewriter:
    """The mapping from the values of an old graph to those of the new one, filled bottom-up.

    `graph` is the old graph; a pass walks graph.nodes(), asks `rebuilt(node)` for a node over new operands, and says
    with `replace` what stands for it now.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._new: dict[Value, Value] = {}

    def __getitem__(self, old: Value) -> Value:
        """What stands for `old` in the new graph: itself until it is replaced."""
        return self._new.get(old, old)

    def rebuilt(self, node: Node) -> Node:
        """`node` over the new values of its operands; the same object when none changed."""
        return node.map_operands(self.__getitem__)

    def replace(self, old: Node, new: Node | Value | tuple[Value, ...]) -> None:
        """Let `new` stand for `old`: a value for its only output, a node output by output, a value for each output."""
        if isinstance(new, tuple):
            if len(new) != len(old.types):
                raise GraphError(f"{old.label} has {len(old.types)} outputs; {len(new)} values cannot stand for them")
            self._new.update((Value(old, index), value) for index, value in enumerate(new))
            return
        if isinstance(new, Value):
            if len(old.types) != 1:
                raise GraphError(f"{old.label} has {len(old.types)} outputs; one value cannot stand for them")
            self._new[Value(old, 0)] = new
            return
        if len(new.types) != len(old.types):
            raise GraphError(
                f"{new.label} has {len(new.types)} outputs and cannot stand for {old.label} with {len(old.types)}"
            )
        if new is not old:
            for index in range(len(old.types)):
                self._new[Value(old, index)] = Value(new, index)

    def finish(self, stage: Stage | None = None) -> Graph:
        """The new graph; the old object when nothing was replaced and the stage stays."""
        inputs = tuple(self[Value(node, 0)].node for node in self.graph.inputs)
        outputs = tuple(Output(output.name, self[output.value]) for output in self.graph.outputs)
        stage = stage or self.graph.stage
        same = all(a is b for a, b in zip(inputs, self.graph.inputs, strict=True)) and all(
            a.value == b.value for a, b in zip(outputs, self.graph.outputs, strict=True)
        )
        if same and stage is self.graph.stage:
            return self.graph
        kept = tuple(node for node in inputs if isinstance(node, Input))
        if len(kept) != len(inputs):
            raise GraphError("an input of a graph can be replaced by another input only")
        return Graph(self.graph.name, kept, outputs, stage)


def rewrite(graph: Graph, rule: Rule, *, stage: Stage | None = None) -> Graph:
    """Apply `rule` to every node once, operands first; `None` from the rule keeps the node.

    The rule sees the node over already rewritten operands, and the old graph. A fused node that names no `sources` or
    `tensor` of its own inherits those of the node it replaces.
    """
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        result = rule(current, graph)
        if result is None:
            result = current
        elif isinstance(result, Node) and all(result is not operand.node for operand in current.operands):
            result = inherit(result, node)
        rewriter.replace(node, result)
    return rewriter.finish(stage)


def inherit(new: Node, old: Node) -> Node:
    """`new` with the provenance of `old` where it has none of its own."""
    changes: dict[str, object] = {}
    if not new.sources and old.sources:
        changes["sources"] = old.sources
    if not new.tensor and old.tensor:
        changes["tensor"] = old.tensor
    return new.replace(**changes) if changes else new


def union_sources(*nodes: Node) -> tuple[str, ...]:
    """The sources of several nodes, each name once, in order."""
    return tuple(dict.fromkeys(name for node in nodes for name in node.sources))
