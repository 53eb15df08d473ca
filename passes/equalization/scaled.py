"""A network with its channels divided by scales, which its weights and constants take in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, WeightedNode, layers
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.passes.equalization.spaces import FIXED, Spaces, Stretch

Array = NDArray[Any]


def scaled(graph: Graph, spaces: Spaces, scales: NDArray[np.float64]) -> Graph:
    """`graph` with each value divided by the scale of its label; its outputs stay what they are.

    scales: one for each label of `spaces`, equal for labels of one root, 1 for FIXED. Weights and constants are
    computed in float64 and rounded once. The same object where all scales that matter are 1.
    """
    stretches = {stretch.layer.node: stretch for stretch in spaces.stretches}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if isinstance(node, WeightedNode) and node in stretches:
            current = _with_scales(current, stretches[node], scales)
        elif isinstance(node, (ops.Add, ops.Sub, ops.Minimum, ops.Maximum)):
            current = _with_scaled_constant(current, node, spaces, scales)
        rewriter.replace(node, current)
    return rewriter.finish()


def _with_scales(current: Node, stretch: Stretch, scales: NDArray[np.float64]) -> Node:
    """The layer with W * s_in / s_out and b / s_out."""
    if (scales[stretch.taken] == 1).all() and (scales[stretch.made] == 1).all():
        return current
    assert isinstance(current, WeightedNode)
    matrix = stretch.matrix() * stretch.factors(scales)[..., np.newaxis]
    layer = Layer(stretch.layer.name, current)
    node = layer.with_parameters(layer.from_matrix(matrix.reshape(stretch.layer.matrix().shape)))
    bias = layer.bias
    if bias is None or bias.constant is None:
        return node
    divided = _constant(bias.constant / scales[stretch.made], bias)
    return node.replace(c=divided) if isinstance(node, ops.Gemm) else node.replace(b=divided)


def _with_scaled_constant(current: Node, old: ops.Binary, spaces: Spaces, scales: NDArray[np.float64]) -> Node:
    """What stands beside a scaled value is divided by the same scale; zeros stay as they are."""
    constants = [value for value in (old.a, old.b) if value.constant is not None]
    if len(constants) != 1 or not np.asarray(constants[0].constant).any():
        return current
    divisors = scales[spaces.labels[old.out]]
    if (divisors == 1).all():
        return current
    divided = _constant(np.asarray(constants[0].constant) / divisors, constants[0])
    return current.replace(**{"a" if old.a is constants[0] else "b": divided})


def _constant(values: Array, old: Value) -> Value:
    return Constant.of(values.astype(np.float32), FLOAT32, sources=old.node.sources).out


def channel_scales(before: Graph, after: Graph) -> dict[str, NDArray[np.float64]]:
    """By which scales the operands of layers in `after` are divided, [inputs] by the layer's name.

    `after` is `before` with channels scaled; the scales follow from their weights, layer by layer from the inputs on,
    since W_after = W_before * s_in / s_out. Layers that `after` has under no name, or in another shape, are left out.
    """
    spaces = Spaces(before)
    roots = spaces.roots()
    scales = np.ones(len(roots))
    weights = {layer.name: layer for layer in layers(after)}
    found: dict[str, NDArray[np.float64]] = {}
    for stretch in spaces.stretches:
        other = weights.get(stretch.layer.name)
        if other is None or other.weights.shape != stretch.layer.weights.shape:
            continue
        taken, made = roots[stretch.taken], roots[stretch.made]
        found[stretch.layer.name] = scales[taken]
        was = stretch.matrix()
        columns = was.shape[2] * was.shape[3]
        now = other.matrix().astype(np.float64).reshape(-1, columns)
        was = was * stretch.factors(scales)[..., np.newaxis] * scales[stretch.made].reshape(was.shape[0], -1, 1, 1)
        was = was.reshape(-1, columns)
        largest = np.abs(was).argmax(axis=1)[:, np.newaxis]
        above, below = (np.take_along_axis(matrix, largest, axis=1)[:, 0] for matrix in (was, now))
        free = (made != FIXED) & (above != 0) & (below != 0)
        scales[made[free]] = above[free] / below[free]
        scales = scales[roots]
    return found
