"""Names out of a file: what nodes are called, and how a name is shown in a line of text."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto, NodeProto

from subbyte.compiler.errors import ModelError


def shown(name: str, most: int = 100) -> str:
    """A name in quotes, fit for one line of text: printable, and shortened beyond `most` characters."""
    text = one_line(name)
    return f"'{text if len(text) <= most else text[: most - 3] + '...'}'"


def one_line(text: str) -> str:
    """`text` with a question mark for every control character: what a file holds must not steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def node_name(node: NodeProto, index: int) -> str:
    """What sources and errors call a node: its name, else its place in the file and its operator."""
    return node.name or f"#{index} {node.op_type}"


def labelled(op_type: str, name: str) -> str:
    """How errors about a node begin: Conv 'name'."""
    return f"{one_line(op_type)} {shown(name)}"


def check_names(proto: ModelProto) -> None:
    """Refuse names that are not UTF-8: protobuf hands them over as bytes."""
    for name in _names(proto):
        if not isinstance(name, str):
            raise ModelError(f"the model holds the name {name[:40]!r}, which is not UTF-8: the file is damaged.")


def _names(proto: ModelProto) -> Iterator[str | bytes]:
    graph = proto.graph
    yield graph.name
    for entry in proto.opset_import:
        yield entry.domain
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain)
        yield from node.input
        yield from node.output
        for attribute in node.attribute:
            yield attribute.name
    for tensor in graph.initializer:
        yield tensor.name
    for info in (*graph.input, *graph.output):
        yield info.name
        for dimension in info.type.tensor_type.shape.dim:
            yield dimension.dim_param
