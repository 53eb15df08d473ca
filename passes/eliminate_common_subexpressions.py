"""Compute once what a graph computes twice: equal operations on equal operands become one."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Hashable
from typing import Any

import numpy as np

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, keeps_stage=True)
def eliminate_common_subexpressions(graph: Graph) -> Graph:
    """f(x), f(x) -> one f(x), where operation, attributes and operands are equal; arrays are compared by content.

    Two linear sweeps: the first numbers the nodes so that equal ones share a number, the second builds one node for
    each number, under the ONNX names of all that it stands for.
    Source: value numbering, Cocke and Schwartz 1970.
    """
    numbers: dict[Node, int] = {}
    numbered: dict[Hashable, int] = {}
    alike: list[list[Node]] = []
    for node in graph.nodes():
        number = numbered.setdefault(_key_of_node(node, numbers), len(alike))
        if number == len(alike):
            alike.append([])
        alike[number].append(node)
        numbers[node] = number
    rewriter = Rewriter(graph)
    made: dict[int, Node] = {}
    for node in graph.nodes():
        number = numbers[node]
        if number not in made:
            made[number] = _named(rewriter.rebuilt(node), alike[number])
        rewriter.replace(node, made[number])
    return rewriter.finish()


def _named(node: Node, alike: list[Node]) -> Node:
    """`node` under the names of all that are like it; an ONNX tensor of any of them."""
    if len(alike) == 1:
        return node
    return node.replace(sources=union_sources(*alike), tensor=next((one.tensor for one in alike if one.tensor), ""))


def _key_of_node(node: Node, numbers: dict[Node, int]) -> Hashable:
    """Equal for nodes that compute the same; an input is like no other node."""
    if isinstance(node, Input):
        return node
    names = (f.name for f in dataclasses.fields(node) if f.name not in ("sources", "tensor"))
    return type(node), tuple(_key(getattr(node, name), numbers) for name in names)


def _key(content: Any, numbers: dict[Node, int]) -> Hashable:
    """Equal for fields that hold the same, floats and arrays bit by bit: -0.0 is not 0.0, and NaN is itself."""
    match content:
        case Value(node=node, index=index):
            return "value", numbers[node], index
        case np.ndarray() | np.generic():
            array = np.ascontiguousarray(content)
            return array.dtype.str, np.shape(content), hashlib.blake2b(array.tobytes()).digest()
        case float():
            return "float", struct.pack("<d", content)
        case tuple():
            return tuple(_key(item, numbers) for item in content)
    if dataclasses.is_dataclass(content):
        fields = (getattr(content, f.name) for f in dataclasses.fields(content))
        return type(content), tuple(_key(field, numbers) for field in fields)
    return type(content), content
