"""Graphs as pictures: Graphviz's dot language."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value


def to_dot(graph: Graph) -> str:
    """`graph` in dot: a box an operation with its ONNX names, an arrow a value with its type, and no constants."""
    numbers = {node: number for number, node in enumerate(graph.nodes())}
    lines = [
        f"digraph {_quoted(graph.name)} {{",
        "  node [shape=box, fontname=monospace]",
        "  edge [fontname=monospace]",
    ]
    for node, number in numbers.items():
        if not isinstance(node, Constant):
            shape = ", shape=ellipse" if isinstance(node, Input) else ""
            lines.append(f"  n{number} [label={_quoted(_caption(node))}{shape}]")
            lines += [_arrow(numbers, operand, f"n{number}") for operand in node.operands if operand.constant is None]
    for number, output in enumerate(graph.outputs):
        lines.append(f"  o{number} [label={_quoted(output.name)}, shape=ellipse]")
        if output.value.constant is None:
            lines.append(_arrow(numbers, output.value, f"o{number}"))
    return "\n".join([*lines, "}"]) + "\n"


def _arrow(numbers: dict[Node, int], value: Value, target: str) -> str:
    return f"  n{numbers[value.node]} -> {target} [label={_quoted(str(value.type))}]"


def _caption(node: Node) -> str:
    """What a box says: the operation, its kernel, its ONNX names."""
    match node:
        case Input(name=name):
            return name
        case KernelCall(op=op, kernel=kernel):
            first = f"{type(op).__name__}: {kernel}"
        case View(op=op):
            first = f"{type(op).__name__} (view)"
        case _:
            first = type(node).__name__
    return "\n".join([first, *node.sources])


def _quoted(text: str) -> str:
    """A dot string; its escapes are those of the quote, the backslash and the line break."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
