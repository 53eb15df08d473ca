"""A whole network in given bits, with grids that nobody calibrated: for what it takes in time, not for its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.plan import ActivationGrid, Plan
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.quantize.costs.layer_graph import activation_grid, is_positive, nearest_weights
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.precision.points import quantization_points

_WIDEST = 8


def quantized_in(graph: Graph, chosen: Mapping[str, Choice]) -> Graph:
    """`graph` with quantizers: each layer's weights in its bits, what it reads in the bits that it is to read.

    What several layers read gets the most bits that one of them asks for, and what no layer reads gets 8. Scales follow
    from the weights: each tensor is taken to be as wide as sums of random signs deviate.
    """
    by_node: dict[Node, Layer] = {layer.node: layer for layer in layers(graph)}
    reach = _reaches(graph, by_node)
    names = value_names(graph)
    activations: dict[str, ActivationGrid] = {}
    asked: dict[Value, int] = {}
    for layer in by_node.values():
        bits = chosen[layer.name].activation_bits
        for value in _moved_from(layer.x):
            asked[value] = max(bits, asked.get(value, 1))
    for value in quantization_points(graph):
        bits = asked.get(value, _WIDEST)
        activations[names[value]] = activation_grid(bits, is_positive(value), reach[value])
    weights = {layer.name: nearest_weights(layer, chosen[layer.name].weight_bits) for layer in by_node.values()}
    return run_passes(graph, [insert_quantizers(Plan(weights, activations))])


def _moved_from(value: Value) -> list[Value]:
    """The value, and what it shows in another shape or order."""
    found = [value]
    while isinstance(found[-1].node, (ops.Reshape, ops.Transpose, ops.MaxPool, ops.Pad)):
        found.append(found[-1].node.operands[0])
    return found


def _reaches(graph: Graph, by_node: Mapping[Node, Layer]) -> dict[Value, float]:
    """About how far from 0 each value goes, where the inputs go to 1."""
    reach: dict[Value, float] = {}
    for node in graph.nodes():
        operands = [reach[v] if v in reach else _largest(v) for v in node.operands]
        if node in by_node:
            matrix = by_node[node].matrix()
            found = operands[0] * float(np.sqrt(np.square(matrix, dtype=np.float64).sum(axis=2).mean()))
            found = math.hypot(found, *operands[2:])  # the largest bias
        elif isinstance(node, (ops.Add, ops.Sub)):
            found = math.hypot(*operands)
        elif isinstance(node, ops.Mul):
            found = math.prod(operands)
        elif isinstance(node, ops.Unary) and node.function == "Clip":
            found = min(operands[0], max(map(abs, node.parameters)))
        else:
            found = max(operands, default=1.0)
        for index in range(len(node.types)):
            reach[Value(node, index)] = min(max(found, 1e-6), 1e6)
    return reach


def _largest(value: Value) -> float:
    constant = value.constant
    return (
        1.0 if constant is None or constant.dtype != np.float32 or not constant.size else float(np.abs(constant).max())
    )
