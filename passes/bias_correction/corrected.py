"""Biases that take away the mean error which rounded weights make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Array, Layer, WeightedNode, layers
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.passes.linear.maps import float_constant, known_bias


def corrected_biases(graph: Graph, weights: Mapping[str, Array], input_means: Mapping[str, Array]) -> dict[str, Array]:
    """b - (W' - W) E[x]: the bias with which W' x + b has the mean of W x + b, float32, for each name in both mappings.

    Args:
        weights: W', what the rounded weights mean, by the layer's name; of the shape of the layer's own.
        input_means: E[x], [groups, K], as `means.input_means` and `means.normal_input_means` make them.
    Returns: [outputs], or the shape of the Gemm's own bias; a layer without a bias had one of zeros.
    Raises: GraphError: there is no layer of a name; shapes differ; a bias is not a constant.
    Source: Nagel et al. 2019, section 4.2.
    """
    found = {layer.name: layer for layer in layers(graph)}
    biases = {}
    for name in weights:
        if name not in found:
            raise GraphError(f"graph '{graph.name}' has no layer '{name}'; its layers are {', '.join(found)}")
        if name in input_means:
            biases[name] = _corrected(found[name], weights[name], input_means[name])
    return biases


def _corrected(layer: Layer, weights: Array, mean: Array) -> Array:
    if weights.shape != layer.weights.shape:
        raise GraphError(f"the rounded weights of '{layer.name}' are {weights.shape}, its own {layer.weights.shape}")
    error = layer.matrix(weights.astype(np.float64)) - layer.matrix().astype(np.float64)
    rows = (error.shape[0], error.shape[2])
    if mean.shape != rows:
        raise GraphError(f"the input mean of '{layer.name}' is {mean.shape}; {rows}, groups and K, is needed")
    bias = need_bias(layer)
    shift = alpha_of(layer) * np.einsum("gok,gk->go", error, mean.astype(np.float64)).reshape(-1)
    return np.asarray(bias - shift, np.float32)


def need_bias(layer: Layer) -> NDArray[np.float64]:
    """What the layer adds.  Raises GraphError: it is not a constant."""
    bias = known_bias(layer.node)
    if bias is None:
        raise GraphError(f"the bias of '{layer.name}' is computed by the model; a constant one can be corrected")
    return bias


def alpha_of(layer: Layer) -> float:
    """By what a Gemm multiplies its product."""
    return float(np.float32(layer.node.alpha)) if isinstance(layer.node, ops.Gemm) else 1.0


def with_biases(graph: Graph, biases: Mapping[str, Array]) -> Graph:
    """`graph` with other biases, by the layer's name; behind a MatMul of higher rank they join the Add that follows it.

    The Add is the one that is there, if it adds a constant [outputs] to the product and is all that reads it; else it
    is a new one.
    """
    found: dict[Node, str] = {layer.node: layer.name for layer in layers(graph) if layer.name in biases}
    readers = Counter(value for node in graph.nodes() for value in node.operands)
    readers.update(output.value for output in graph.outputs)
    adds = {node: below for node in graph.nodes() if (below := _product_below(node)) and readers[below.out] == 1}
    added_to = set(adds.values())
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Node = rewriter.rebuilt(node)
        if node in found and node not in added_to:
            current = _with_bias(current, biases[found[node]])
        elif node in adds and adds[node] in found:
            current = _with_more(current, biases[found[adds[node]]])
        rewriter.replace(node, current)
    return rewriter.finish()


def _with_bias(node: Node, bias: Array) -> Node:
    assert isinstance(node, WeightedNode)
    if _needs_add(node):
        return ops.Add(node.out, float_constant(bias), sources=node.sources, tensor=node.tensor)
    return Layer("", node).with_parameters(bias=bias)


def _needs_add(node: Node) -> bool:
    return isinstance(node, ops.MatMul) and node.type.rank != 2


def _product_below(node: Node) -> Node | None:
    """The MatMul of higher rank to which `node` adds a constant [outputs]."""
    if not isinstance(node, ops.Add):
        return None
    for x, other in ((node.a, node.b), (node.b, node.a)):
        if other.constant is not None and other.type.shape == x.type.shape[-1:] and _needs_add(x.node):
            return x.node
    return None


def _with_more(node: Node, bias: Array) -> Node:
    assert isinstance(node, ops.Add)
    side = "a" if node.a.constant is not None else "b"
    old = getattr(node, side)
    return node.replace(**{side: float_constant(old.constant.astype(np.float64) + bias, old.node.sources)})
