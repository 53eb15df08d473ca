"""Codes for the weights of a network, layer by layer, by one of the methods of compiler/rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.plan import QuantizedWeights
from subbyte.compiler.quantize.recipe import LEARNED, Recipe
from subbyte.compiler.quantize.statistics import Statistics
from subbyte.compiler.rounding.codebooks import PLACES
from subbyte.compiler.rounding.registry import ROUNDINGS
from subbyte.compiler.rounding.types import Grid, Per, RoundedWeights
from subbyte.passes.precision.weights import quantized_weights

START_OF_LEARNING = "coordinate_descent"
WITHOUT_MOMENTS = frozenset({"nearest"})  # methods that look at the weights alone


def wants_moments(recipe: Recipe) -> bool:
    """Whether the rounding of `recipe` weighs errors by what the weights are multiplied with."""
    return recipe.rounding not in WITHOUT_MOMENTS


def weight_grid(recipe: Recipe, bits: int) -> Grid:
    """What weights of `bits` bits may become by `recipe`; those of 1 bit are symmetric always."""
    per: Per = "tensor" if recipe.weights_per == "tensor" else "channel"
    return Grid(bits, recipe.weights == "symmetric" or bits == 1, per, power_of_two=recipe.power_of_two)


def rounded_layer(layer: Layer, bits: int, recipe: Recipe, statistics: Statistics) -> RoundedWeights:
    """The weights of one layer as codes of `bits` bits."""
    method = ROUNDINGS[START_OF_LEARNING if recipe.rounding == LEARNED else recipe.rounding]
    moments = statistics.second_moments.get(layer.name)
    return on_grid(method(layer.matrix().astype(np.float64), weight_grid(recipe, bits), moments))


def on_grid(rounded: RoundedWeights) -> RoundedWeights:
    """Indices into a table as the numbers of the table, in int8: the compiler finds the table again in such codes.

    So every layer of a codebook is one of integer sums (docs/codebooks.md). Levels that are no whole numbers from -127
    to 127 are moved to the nearest of 127 places on each side of 0.
    """
    if rounded.levels is None:
        return rounded
    levels = np.array(rounded.levels, np.float64)
    unit = (
        1.0 if (levels == np.rint(levels)).all() and np.abs(levels).max() <= PLACES else np.abs(levels).max() / PLACES
    )
    places = np.rint(levels / unit).astype(np.int64)
    scale = (rounded.scale * np.float64(unit)).astype(np.float32)
    low, high = int(places.min()), int(places.max())
    return rounded.replace(codes=places[rounded.codes], scale=scale, qmin=low, qmax=high, levels=None)


def rounded_weights(
    graph: Graph,
    bits: Mapping[str, int],
    recipe: Recipe,
    statistics: Statistics,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, QuantizedWeights]:
    """The weights of every layer in `bits` as codes.  Args: progress: called with (layers done, layers in all)."""
    found = {}
    wanted = [layer for layer in layers(graph) if layer.name in bits]
    for index, layer in enumerate(wanted):
        found[layer.name] = quantized_weights(layer, rounded_layer(layer, bits[layer.name], recipe, statistics))
        if progress is not None:
            progress(index + 1, len(wanted))
    return found
