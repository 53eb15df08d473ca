"""A graph: named inputs and outputs over immutable nodes, and its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Constant, Input, Node, Value


class Stage(Enum):
    """How far a graph has come; stages.py says what each allows."""

    IMPORTED = "imported"
    QUANTIZED = "quantized"
    LOWERED = "lowered"


class Output(NamedTuple):
    """A graph output: its ONNX name and the value it shows."""

    name: str
    value: Value


@dataclass(frozen=True, eq=False)
class Graph:
    """A dataflow graph. Dead nodes cannot exist: what no output reaches is not part of it. Inputs stay, used or not."""

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    stage: Stage = Stage.IMPORTED

    def __post_init__(self) -> None:
        for what, names in (("input", [i.name for i in self.inputs]), ("output", [o.name for o in self.outputs])):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise GraphError(f"graph '{self.name}' has more than one {what} called '{twice[0]}'")
        object.__setattr__(self, "_order", topological_order(self.inputs, (o.value.node for o in self.outputs)))
        own = set(self.inputs)
        stray = [node.name for node in self.nodes() if isinstance(node, Input) and node not in own]
        if stray:
            raise GraphError(f"graph '{self.name}' uses the input '{stray[0]}', which is not one of its inputs")

    def nodes(self) -> tuple[Node, ...]:
        """All nodes, inputs first, operands before users; the same order for the same graph, always."""
        return self.__dict__["_order"]  # type: ignore[no-any-return]

    def operations(self) -> tuple[Node, ...]:
        """The nodes that compute: neither inputs nor constants."""
        return tuple(node for node in self.nodes() if not isinstance(node, (Input, Constant)))

    def users(self) -> dict[Value, list[Node]]:
        """Who reads each value, in order; a node that reads a value twice stands twice. Graph outputs are not nodes."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes():
            for operand in node.operands:
                users.setdefault(operand, []).append(node)
        return users

    def with_outputs(self, outputs: Iterable[Output], *, stage: Stage | None = None) -> Graph:
        """The same inputs under other outputs."""
        return Graph(self.name, self.inputs, tuple(outputs), stage or self.stage)


def topological_order(first: Iterable[Node], roots: Iterable[Node]) -> tuple[Node, ...]:
    """Depth-first postorder from `roots`, `first` at the front; iterative, so that depth costs no stack."""
    done: dict[Node, None] = dict.fromkeys(first)
    for root in roots:
        stack: list[tuple[Node, bool]] = [(root, False)]
        while stack:
            node, visited = stack.pop()
            if visited:
                done[node] = None
            elif node not in done:
                stack.append((node, True))
                stack.extend((operand.node, False) for operand in reversed(node.operands) if operand.node not in done)
    return tuple(done)
