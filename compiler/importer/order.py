"""The order in which nodes are converted: operands first, file order where it is free; cycles and gaps are named."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from onnx import GraphProto, NodeProto

from subbyte.compiler.errors import ModelError
from subbyte.compiler.importer.names import labelled, node_name, shown


def producers(graph: GraphProto, given: Iterable[str]) -> dict[str, int]:
    """Tensor name -> index of the node that makes it; a name made twice, or also `given`, is refused."""
    taken = set(given)
    found: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if not name:
                continue
            if name in taken or name in found:
                label = labelled(node.op_type, node_name(node, index))
                raise ModelError(
                    f"the tensor {shown(name)}, an output of {label}, is made twice; each name stands for one tensor."
                )
            found[name] = index
    return found


def topological(nodes: Sequence[NodeProto], made_by: dict[str, int]) -> list[int]:
    """Indices of all nodes, each after those whose outputs it reads, otherwise in the order of the file."""
    readers: list[list[int]] = [[] for _ in nodes]
    waiting = [0] * len(nodes)
    for index, node in enumerate(nodes):
        for producer in {made_by[name] for name in node.input if name in made_by}:
            readers[producer].append(index)
            waiting[index] += 1
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        raise ModelError(f"the graph has a cycle: {_cycle(nodes, made_by, set(order))}. ONNX graphs have none.")
    return order


def _cycle(nodes: Sequence[NodeProto], made_by: dict[str, int], sorted_nodes: set[int]) -> str:
    """One cycle among the nodes that could not be sorted, written along the data."""
    index = next(i for i in range(len(nodes)) if i not in sorted_nodes)
    path: list[int] = []
    seen: dict[int, int] = {}
    while index not in seen:
        seen[index] = len(path)
        path.append(index)
        feeding = (made_by[name] for name in nodes[index].input if name in made_by)
        index = next(producer for producer in feeding if producer not in sorted_nodes)
    names = [shown(node_name(nodes[i], i)) for i in reversed([*path[seen[index] :], index])]
    return " -> ".join([*names[:10], "...", names[-1]] if len(names) > 11 else names)


def needed(nodes: Sequence[NodeProto], made_by: dict[str, int], outputs: Iterable[str]) -> set[int]:
    """Indices of the nodes that some graph output depends on."""
    found: set[int] = set()
    waiting = [made_by[name] for name in outputs if name in made_by]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting.extend(made_by[name] for name in nodes[index].input if name in made_by)
    return found
