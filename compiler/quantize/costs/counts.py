"""Costs that are counted: bytes of weights, average bits, multiply-accumulates, and operations on bits."""

from __future__ import annotations

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.quantize.costs.cost import Choices, Cost, CostTable, Progress, for_each
from subbyte.compiler.target import Target


def _weight_bytes(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    """Each layer's weights in their bits, whole bytes for each layer; scales and biases have none of them."""
    del target, progress

    def packed(layer: Layer, choice: Choice) -> int:
        return -(-layer.weights.size * choice.weight_bits // 8)

    return CostTable(for_each(graph, choices, packed))


def _average_bits(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    """A layer's bits times its share of the network's weights: the sum is the average over all weights."""
    del target, progress
    total = sum(layer.weights.size for layer in layers(graph))
    return CostTable(for_each(graph, choices, lambda layer, choice: choice.weight_bits * layer.weights.size / total))


def _bops(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    """Multiply-accumulates times bits of weights times bits of activations.  Source: HAWQ-V3, section 3.3."""
    del target, progress

    def operations(layer: Layer, choice: Choice) -> int:
        return multiply_accumulates(layer.node) * choice.weight_bits * choice.activation_bits

    return CostTable(for_each(graph, choices, operations))


def _macs(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    """Multiply-accumulates; no choice changes them."""
    del target, progress
    return CostTable(for_each(graph, choices, lambda layer, _: multiply_accumulates(layer.node)))


WEIGHT_BYTES = Cost(
    "weight_bytes", "bytes", "bytes of the weights in their bits, without scales and biases", _weight_bytes
)
AVERAGE_BITS = Cost("average_bits", "bits", "bits of a weight, averaged over all weights", _average_bits)
BOPS = Cost("bops", "bit operations", "multiply-accumulates x bits of weights x bits of activations", _bops)
MACS = Cost("macs", "multiply-accumulates", "multiply-accumulates, the same for all bits", _macs)
