"""Moving what is always there out of a Relu: c leaves the bias before it and joins the biases of the layers behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node  # noqa: F401  (registers what data movement means)
from subbyte.compiler.ir.interpret_registry import interpretation_of
from subbyte.compiler.ir.layers import WeightedNode, is_layer
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.passes.linear.affine import affine_of
from subbyte.passes.linear.maps import float_constant, with_affine_operand, with_affine_results

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Rectified:
    """A Relu whose operand is made by a layer or a BatchNormalization, and that only layers read, at some distance."""

    made: Value
    relu: Node


def rectified(graph: Graph) -> tuple[Rectified, ...]:
    """Every Relu through which a constant can move: nobody else reads its operand, and all readers can take c in."""
    readers = Counter(value for node in graph.nodes() for value in node.operands)
    readers.update(output.value for output in graph.outputs)
    users = graph.users()
    found = []
    for node in graph.nodes():
        if isinstance(node, ops.Unary) and node.function == "Relu" and readers[node.x] == 1:
            one = Rectified(node.x, node)
            taken = _shifts(node.out, np.ones(_broad(node)), readers, users)
            if _can_give(node.x.node, readers) and taken:
                found.append(one)
    return tuple(found)


def absorbed(graph: Graph, constants: Mapping[Rectified, Doubles]) -> Graph:
    """Relu(u) read by W x + b  ->  Relu(u - c) read by W x + (b + W c), c [channels] >= 0 for each Relu.

    The same where u >= c. The same object where every c is zero.
    """
    readers = Counter(value for node in graph.nodes() for value in node.operands)
    readers.update(output.value for output in graph.outputs)
    users = graph.users()
    less: dict[Node, Doubles] = {}
    more: dict[Node, Doubles] = {}
    for one, constant in constants.items():
        if constant.any():
            less[one.made.node] = constant
            taken = _shifts(one.relu.out, constant.reshape(_broad(one.relu)), readers, users)
            assert taken is not None  # rectified asked
            more.update(taken)
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node | None = rewriter.rebuilt(node)
        if node in more and isinstance(current, WeightedNode):
            current = with_affine_operand(current, np.ones(len(more[node])), more[node])
        if node in less and current is not None:
            current = _less(current, less[node])
        assert current is not None  # rectified asked
        rewriter.replace(node, current)
    return rewriter.finish()


def _less(node: Node, constant: Doubles) -> Node | None:
    """`node` with results that are smaller by c."""
    if isinstance(node, WeightedNode):
        return with_affine_results(node, np.ones(len(constant)), -constant)
    assert isinstance(node, ops.BatchNormalization)
    bias = np.asarray(node.bias.constant, np.float64)
    return node.replace(bias=float_constant(bias - constant, node.bias.node.sources))


def _can_give(node: Node, readers: Mapping[Value, int]) -> bool:
    if isinstance(node, ops.BatchNormalization):
        return affine_of(node) is not None
    if not is_layer(node) or readers[node.operands[1]] != 1 or not isinstance(node, WeightedNode):
        return False
    outputs = node.type.shape[-1 if isinstance(node, (ops.Gemm, ops.MatMul)) else 1]
    return with_affine_results(node, np.ones(outputs), np.ones(outputs)) is not None


def _broad(node: Node) -> tuple[int, ...]:
    """The shape in which constants of channels broadcast against the result of `node`."""
    channel = node.type.rank - 1 if isinstance(node.operands[0].node, ops.MatMul) else 1
    return tuple(extent if axis == channel else 1 for axis, extent in enumerate(node.type.shape))


def _shifts(
    value: Value, shift: Doubles, readers: Mapping[Value, int], users: Mapping[Value, list[Node]]
) -> dict[Node, Doubles] | None:
    """What each layer that reads `value` has to take in, [inputs], when it is smaller by `shift`.

    None where somebody else reads it, or a layer cannot take it. Pools without counted borders and data movement hand a
    shift on.
    """
    taken: dict[Node, Doubles] = {}
    for user in users.get(value, []):
        if isinstance(user, WeightedNode) and is_layer(user) and user.operands[0] == value:
            inputs = _of_inputs(user, value, shift)
            shared = readers[user.operands[1]] != 1
            if inputs is None or shared or with_affine_operand(user, np.ones(len(inputs)), inputs) is None:
                return None
            taken[user] = inputs
            continue
        moved = _moved(user, value, shift)
        further = None if moved is None else _shifts(user.out, moved, readers, users)
        if further is None:
            return None
        taken.update(further)
    return taken if len(users.get(value, [])) == readers[value] and taken else None


def _moved(user: Node, value: Value, shift: Doubles) -> Doubles | None:
    match user:
        case ops.MaxPool():
            return shift
        case ops.AveragePool() if not (any(user.pads) and user.count_include_pad):
            return shift
        case ops.ReduceMean(axes=axes, keepdims=keepdims) if all(shift.shape[axis] == 1 for axis in axes):
            return shift if keepdims else shift.squeeze(axes)
        case ops.Reshape() | ops.Transpose():
            found = interpretation_of(user)(user, np.broadcast_to(shift, value.type.shape))
            return np.asarray(found)
    return None


def _of_inputs(user: WeightedNode, value: Value, shift: Doubles) -> Doubles | None:
    """[inputs] the shift along the axis that a layer sums over; None where it changes along another."""
    if isinstance(user, ops.Gemm) and user.transpose_a:
        return None
    axis = value.type.rank - 1 if isinstance(user, (ops.Gemm, ops.MatMul)) else 1
    rows = np.moveaxis(shift, axis, -1).reshape(-1, shift.shape[axis])
    if not (rows == rows[0]).all():
        return None
    return np.array(np.broadcast_to(rows[0], (value.type.shape[axis],)))
