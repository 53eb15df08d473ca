"""Divide activations by what their outliers are larger, and multiply the weights that read them by it: SmoothQuant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.observers import Moments
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node
from subbyte.compiler.pass_manager import Pass, Requested, graph_pass
from subbyte.passes.features.flow import Flow, flows
from subbyte.passes.features.observed import input_moments, reading_layers
from subbyte.passes.features.parameters import Parameters

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

REASON = "the float function is kept to 1e-5 of its largest output; what rounding to codes costs changes"


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))
def smooth_activations(graph: Graph, data: Data) -> Graph:
    """x W = (x / s) (s W), s_j = max|x_j|^0.5 / max|w_j|^0.5 of each channel j: outliers move half way to the weights.

    1 / s goes into gamma and beta of the normalization that makes x, or into the weights and biases of the layer that
    does; nothing is computed at run time. Between may lie data movement, rectifiers, products with other values, and
    the weighted sums of attention. Where a feature is also read by what is no layer, or is an output, its s is 1. A
    layer that several sources could serve is served by the first. A layer that makes x keeps the range of its weights:
    all s have a factor in common.
    Source: Xiao et al. 2023, SmoothQuant, eq. 4.
    """
    return _smoothed(graph, data, 0.5)


def smooth_activations_by(alpha: float) -> Pass:
    """`smooth_activations` with s_j = max|x_j|^alpha / max|w_j|^(1 - alpha); 1 moves all of the outliers, 0 none.

    Raises NumericsError: alpha is not in 0..1.
    """
    if not 0 <= alpha <= 1:
        raise NumericsError(f"alpha of smooth_activations is {alpha}; it lies between 0, the weights, and 1")

    def smooth(graph: Graph, data: Data) -> Graph:
        return _smoothed(graph, data, alpha)

    smooth.__name__, smooth.__doc__ = "smooth_activations", smooth_activations_by.__doc__
    return graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))(smooth)


def _smoothed(graph: Graph, data: Data, alpha: float) -> Graph:
    found = flows(graph)
    moments = input_moments(graph, data, reading_layers(found))
    parameters = Parameters(graph)
    served: set[Node] = set()
    for flow in found:
        nodes = {reader.layer.node for reader in flow.readers}
        if not nodes & served:
            served |= nodes
            strengths = _strengths(flow, parameters, moments, alpha)
            parameters.scale_features(flow, 1 / parameters.without_growth(flow, strengths))
    return parameters.finish()


def _strengths(flow: Flow, parameters: Parameters, moments: dict[Node, Moments], alpha: float) -> NDArray[np.float64]:
    """s of each feature; 1 where it is not open, never seen other than 0, or of no weight."""
    activations, weights = np.zeros(flow.open.size), np.zeros(flow.open.size)
    for reader in flow.readers:
        held, columns = reader.features >= 0, reader.columns()
        largest = moments[reader.layer.node].largest.astype(np.float64)
        np.maximum.at(activations, reader.features[held], largest[held])
        largest = np.abs(parameters.matrix(reader.layer)).max(axis=1)
        np.maximum.at(weights, columns[columns >= 0], largest[columns >= 0])
    usable = flow.open & (activations > 0) & (weights > 0)
    activations, weights = np.where(usable, activations, 1), np.where(usable, weights, 1)
    return np.where(usable, activations**alpha / weights ** (1 - alpha), 1.0)
