"""From a lowered graph of integer operations to the network of layers that hardware is built for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops, ops_indexing, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import Wrapper
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.targets.hls.layers import Frame, Network
from subbyte.targets.hls.network import codes, movement, pools, sums
from subbyte.targets.hls.network.builder import Builder
from subbyte.targets.hls.network.frames import (
    Geometry,
    before_view,
    image_geometry,
    image_order,
    rows_geometry,
    rows_order,
)
from subbyte.targets.hls.streams import Codes, Element
from subbyte.targets.hls.support import reason_against
from subbyte.targets.hls.texts import identifier

_ADD: dict[type[Node], Callable[[Builder, Any], None]] = {
    qops.QConv: sums.add_convolution,
    qops.QGemm: sums.add_matrix_product,
    qops.QAdd: codes.add_binary,
    qops.QSub: codes.add_binary,
    qops.QMul: codes.add_binary,
    qops.QDiv: codes.add_binary,
    qops.Lookup: codes.add_unary,
    qops.Clamp: codes.add_unary,
    qops.OffsetCodes: codes.add_unary,
    qops.QAveragePool: pools.add_average_pool,
    qops.QReduceMean: pools.add_reduction,
    qops.QReduceSum: pools.add_reduction,
    ops.ReduceMax: pools.add_global_max,
    ops.MaxPool: pools.add_max_pool,
    ops.Reshape: movement.add_view,
    ops.Transpose: movement.add_view,
    ops.Repack: movement.add_view,
    ops.Concat: movement.add_concatenation,
    ops.Split: movement.add_separation,
    ops.ResizeNearest: movement.add_resize,
    ops.Pad: movement.add_padding,
    ops_indexing.ArgExtreme: codes.add_arg_maximum,
}

BUILT = tuple(_ADD)
"""The operations that there is hardware for."""


def build_network(graph: Graph, most_terms: int = 1) -> Network:
    """The layers of `graph`, in its order.

    most_terms: weights that are sums of so many signed powers of two get shifts and adds in place of multipliers.
    Raises UnsupportedError: nodes that are not built, each with the reason; a tensor arrives in an order that its
    reader cannot use.
    """
    _refuse(graph)
    builder = Builder(most_terms)
    names = _identifiers([node.name for node in graph.inputs])
    for node, name in zip(graph.inputs, names, strict=True):
        geometry, order = _as_read(graph, node.out)
        builder.result(f"{name}_in", node.out, Element.of(node.type), geometry, order)
    inputs = tuple(builder.frame(node.out) for node in graph.inputs)
    for call in graph.operations():
        op = _of(call)
        builder.calls[op] = call
        _ADD[type(op)](builder, op)
    outputs = tuple(builder.frame(output.value) for output in graph.outputs)
    return Network(
        graph.name,
        tuple(builder.layers),
        inputs,
        outputs,
        tuple(node.name for node in graph.inputs),
        tuple(output.name for output in graph.outputs),
    )


def _identifiers(names: list[str]) -> list[str]:
    """C identifiers of inputs, unlike each other."""
    found: list[str] = []
    for name in names:
        stem = identifier(name, "x")
        found.append(stem if stem not in found else f"{stem}_{len(found) + 1}")
    return found


def _of(node: Node) -> Node:
    while isinstance(node, Wrapper):
        node = node.op
    return node


def _refuse(graph: Graph) -> None:
    reasons = []
    for node in graph.operations():
        reason = reason_against(_of(node))
        if reason is not None:
            reasons.append(f"{node.label}: {reason}")
    constant = [output.name for output in graph.outputs if isinstance(output.value.node, (Input, Constant))]
    reasons += [f"output '{name}' is an input or a constant: there is nothing to build" for name in constant]
    if reasons:
        raise UnsupportedError(
            f"target 'hls' cannot build {len(reasons)} of {len(graph.operations())} operations of graph "
            f"'{graph.name}': {'; '.join(reasons)}. Try --target portable for the whole model."
        )


def _as_read(graph: Graph, value: Value) -> tuple[Geometry, Codes]:
    """How an input should arrive: as its first reader that is no view wants it."""
    users = graph.users()
    views: list[Node] = []
    at = value
    reader: Node | None = None
    while users.get(at):
        node = users[at][0]
        reader = _of(node)
        if not isinstance(reader, (ops.Reshape, ops.Transpose, ops.Repack)):
            break
        views.append(reader)
        at = node.out
    if at.type.rank in (3, 4) and not isinstance(reader, qops.QGemm) and at.type.shape[0] == 1:
        geometry, order = image_geometry(at.type.shape), image_order(at.type.shape)
    else:
        geometry, order = rows_geometry(at.type.shape), rows_order(at.type.shape)
    for view in reversed(views):
        order = before_view(view, order)
    return geometry, order


def frames_of(network: Network) -> tuple[Frame, ...]:
    """Every frame once: the inputs, then as layers write them."""
    return network.inputs + tuple(frame for layer in network.layers for frame in layer.outputs)


def frame_codes(frame: Frame, tensor: Codes) -> Codes:
    """int64 [pixels, channels]: a tensor's elements as they arrive in the frame."""
    return np.asarray(tensor, np.int64).reshape(-1)[frame.order].reshape(frame.pixels, frame.channels)
