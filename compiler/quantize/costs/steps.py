"""The kernel calls that carry out one layer by itself, and what makes two of them take the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.quantize.costs.cost import Choices
from subbyte.compiler.quantize.costs.layer_graph import layer_graph
from subbyte.compiler.target import Target


@dataclass(frozen=True)
class Steps:
    """What a layer with a choice becomes: its kernel calls, without those that only store its input or result anew.

    key: the same for all that differ in the contents of constants alone.
    """

    key: str
    calls: tuple[KernelCall, ...]


def steps_of(graph: Graph, choices: Choices, target: Target) -> Iterator[tuple[str, Choice, Steps]]:
    """Every layer with every choice, lowered for `target`.

    Raises: UnsupportedError: the target cannot compute a layer with one of its choices.
    """
    for layer in layers(graph):
        for choice in choices[layer.name]:
            try:
                calls = _calls(layer_graph(graph, layer, choice), target)
            except UnsupportedError as error:
                raise UnsupportedError(
                    f"layer '{layer.name}' with {choice} has no time on target '{target.name}': {error} Leave these "
                    "bits out of the layer's choices."
                ) from error
            yield layer.name, choice, Steps(signature(calls), calls)


def _calls(alone: Graph, target: Target) -> tuple[KernelCall, ...]:
    calls = (node for node in lowered(alone, target, Options()).nodes() if isinstance(node, KernelCall))
    return tuple(call for call in calls if not isinstance(call.op, ops.Repack))


def signature(nodes: Iterable[Node]) -> str:
    """The nodes with their attributes and types, and of constants nothing but the type."""
    return "\n".join(_described(node) for node in nodes)


def _described(node: Node) -> str:
    op = node.op if isinstance(node, KernelCall) else node
    chosen = f" {node.kernel} {node.setting}" if isinstance(node, KernelCall) else ""
    plain = (int, float, str, bool, tuple, type(None))
    given = sorted(op.attributes().items(), key=lambda item: item[0])
    attributes = [(name, value) for name, value in given if isinstance(value, plain)]
    operands = [f"{operand.type}{_storage(operand.type.layout)}" for operand in op.operands]
    constants = [isinstance(operand.node, Constant) for operand in op.operands]
    results = [f"{of_type}{_storage(of_type.layout)}" for of_type in op.types]
    return f"{type(op).__name__}{chosen} {attributes} {operands} {constants} {results}"


def _storage(layout: object) -> str:
    return "" if layout is None else f" {layout}"
