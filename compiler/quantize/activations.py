"""Grids of all activations of a network, from their histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping

from subbyte.compiler.calibration.ranges import activation_grid
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import layers, value_names
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.plan import ActivationGrid
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.compiler.quantize.statistics import Statistics
from subbyte.passes.precision.points import shared_grids

UNREAD_BITS = 8  # of tensors that no layer multiplies, such as the operands of additions


def activation_bits(graph: Graph, by_layer: Mapping[str, int]) -> dict[Value, int]:
    """How many bits each tensor gets that layers read: the most that one of them is given."""
    bits: dict[Value, int] = {}
    for layer in layers(graph):
        if layer.name in by_layer:
            bits[layer.x] = max(bits.get(layer.x, 0), by_layer[layer.name])
    return bits


def activation_grids(
    graph: Graph, statistics: Statistics, recipe: Recipe, bits: Mapping[Value, int]
) -> dict[str, ActivationGrid]:
    """A grid for every tensor that `statistics` has a histogram of, by name.

    Tensors that must share a grid (the operands of a Concat) get that of all they hold, in the most bits among them.
    Tensors that are not in `bits` have UNREAD_BITS, or the recipe's where that is more.
    """
    names = value_names(graph)
    unread = max(UNREAD_BITS, recipe.activation_bits)
    grids = {}
    for group in _groups(graph, statistics):
        together = statistics.histograms[group[0]].fresh()
        for value in group:
            together.merge(statistics.histograms[value])
        grid = activation_grid(
            together,
            max(bits.get(value, unread) for value in group),
            recipe.calibration,
            symmetric=recipe.activations == "symmetric",
            percentile=recipe.percentile,
        )
        grid = _power_of_two(grid) if recipe.power_of_two else grid
        grids.update({names[value]: grid for value in group})
    return grids


def _groups(graph: Graph, statistics: Statistics) -> list[tuple[Value, ...]]:
    shared = [tuple(v for v in group if v in statistics.histograms) for group in shared_grids(graph)]
    shared = [group for group in shared if group]
    grouped = {value for group in shared for value in group}
    return [*shared, *((value,) for value in statistics.histograms if value not in grouped)]


def _power_of_two(grid: ActivationGrid) -> ActivationGrid:
    """The grid with the next larger power of two as its scale, so that nothing that fitted is clipped."""
    scale, _ = grid.quant.scalar()
    return ActivationGrid(grid.dtype, grid.quant.replace(scale=2.0 ** math.ceil(math.log2(scale))))
