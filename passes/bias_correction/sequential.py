"""Correction layer by layer: each sees what the rounded and corrected layers before it make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Array, Layer, layers
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.passes.bias_correction.corrected import alpha_of, need_bias, with_biases
from subbyte.passes.bias_correction.means import input_means


def sequential_biases(graph: Graph, weights: Mapping[str, Array], data: Data) -> dict[str, Array]:
    """b + W E[x] - W' E[x'], x' what the layer reads where all before it are rounded and corrected; by layer name.

    Where `corrected_biases` takes the mean error of each layer alone away, this takes that of all layers before it away
    as well. Layers at the same distance from the inputs are corrected together; the samples run once for each distance
    and once more.

    Args: weights: W', of the shape of the layer's own, by name; layers that are not named stay as they are.
    Raises: GraphError: a bias is not a constant.
    Source: Nagel et al. 2019, section 4.2 and appendix D, empirical correction.
    """
    float_means = input_means(graph, data)
    named = {layer.name: layer for layer in layers(graph)}
    current = _with_weights(graph, weights)
    biases: dict[str, Array] = {}
    for together in _by_distance(graph):
        names = [name for name in together if name in weights]
        if not names:
            continue
        means = input_means(current, data, names)
        for name in names:
            layer, rounded = named[name], named[name].matrix(weights[name].astype(np.float64))
            was, now = (
                np.einsum("gok,gk->go", matrix, mean).reshape(-1)
                for matrix, mean in ((layer.matrix().astype(np.float64), float_means[name]), (rounded, means[name]))
            )
            biases[name] = np.asarray(need_bias(layer) + alpha_of(layer) * (was - now), np.float32)
        current = with_biases(current, {name: biases[name] for name in names})
    return biases


def _by_distance(graph: Graph) -> list[list[str]]:
    """The names of layers, those together between which there is no path, nearest to the inputs first."""
    named: dict[Node, str] = {layer.node: layer.name for layer in layers(graph)}
    distance: dict[Node, int] = {}
    found: dict[int, list[str]] = {}
    for node in graph.nodes():
        before = max((distance[value.node] for value in node.operands), default=0)
        distance[node] = before + (node in named)
        if node in named:
            found.setdefault(before, []).append(named[node])
    return [found[key] for key in sorted(found)]


def _with_weights(graph: Graph, weights: Mapping[str, Array]) -> Graph:
    named: dict[Node, str] = {layer.node: layer.name for layer in layers(graph)}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Any = rewriter.rebuilt(node)
        if named.get(node) in weights:
            current = Layer(named[node], current).with_parameters(weights[named[node]])
        rewriter.replace(node, current)
    return rewriter.finish()
