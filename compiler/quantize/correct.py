"""Biases for the mean error that rounded weights make, by the method that a recipe names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.plan import Plan
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.passes.bias_correction.corrected import corrected_biases
from subbyte.passes.bias_correction.means import input_means, normal_input_means
from subbyte.passes.bias_correction.sequential import sequential_biases


def corrected(imported: Graph, graph: Graph, plan: Plan, data: Data, recipe: Recipe) -> Mapping[str, NDArray[Any]]:
    """Biases by layer; none where the recipe asks for no correction.

    imported: the network with its batch normalizations, whose statistics "analytic" takes; graph: as it is rounded.
    Raises UnsupportedError: "analytic" is asked for where the recipe changes what the statistics are of, or where the
        model has none.
    """
    if recipe.correct_biases == "none":
        return {}
    weights = {name: found.values().astype(np.float32) for name, found in plan.weights.items()}
    if recipe.correct_biases == "sequential":
        return sequential_biases(graph, weights, data)
    if recipe.correct_biases == "empirical":
        return corrected_biases(graph, weights, input_means(graph, data))
    if recipe.smooth != "none":
        raise UnsupportedError(
            "analytic correction of biases takes the statistics of batch normalizations as they were trained, and this "
            f"recipe changes channels by {recipe.smooth} first; take correct_biases 'empirical'."
        )
    means = normal_input_means(imported, graph)
    if not means:
        raise UnsupportedError(
            "analytic correction of biases needs batch normalizations before the layers, and the model has none "
            "(exporters fold them); take correct_biases 'empirical'."
        )
    return corrected_biases(graph, weights, means)
