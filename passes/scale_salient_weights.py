"""Multiply the weights that large activations meet, before they are rounded: activation-aware weight quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.observers import SecondMoments
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.compiler.pass_manager import Pass, Requested, graph_pass
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.objective import output_errors
from subbyte.compiler.rounding.types import Grid
from subbyte.passes.features.flow import Flow, Reader, flows
from subbyte.passes.features.observed import input_second_moments, reading_layers
from subbyte.passes.features.parameters import Parameters

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

REASON = "the float function is kept to 1e-5 of its largest output; what rounding to codes costs changes"
STEPS = 20  # of the search for alpha
Doubles = NDArray[np.float64]
Moments = dict[Node, SecondMoments]


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))
def scale_salient_weights(graph: Graph, data: Data) -> Graph:
    """x W = (x / s) (s W), s_j = rms(x_j)^alpha: weights of 4 bits per channel, of large inputs, lose less to rounding.

    alpha is one of 0, 1/20 ... 1 for each source, whichever makes the squared error of its readers' outputs least, with
    weights rounded to nearest and float activations: tr(dW E[x x^T] dW^T). s is divided by the geometric mean of its
    largest and smallest. 1 / s goes to the source as in `smooth_activations`; with one scale for a whole tensor of
    weights only into normalizations, as it would widen the range of a layer's own weights. While it looks at samples it
    takes 8 K^2 bytes for each layer of K columns.
    Source: Lin et al. 2024, AWQ, section 3.2, with the root mean square in the place of the mean magnitude.
    """
    return _scaled(graph, data, Grid(4))


def scale_salient_weights_for(grid: Grid) -> Pass:
    """`scale_salient_weights` for weights on another grid: bits, and scales per tensor, channel or block."""

    def scale(graph: Graph, data: Data) -> Graph:
        return _scaled(graph, data, grid)

    scale.__name__, scale.__doc__ = "scale_salient_weights", scale_salient_weights_for.__doc__
    return graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))(scale)


def _scaled(graph: Graph, data: Data, grid: Grid) -> Graph:
    found = [flow for flow in flows(graph) if grid.per != "tensor" or isinstance(flow.source, Normalization)]
    moments = input_second_moments(graph, data, reading_layers(found))
    parameters = Parameters(graph)
    served: set[Node] = set()
    for flow in found:
        nodes = {reader.layer.node for reader in flow.readers}
        if not nodes & served:
            served |= nodes
            strengths = best_strengths(flow, parameters, moments, grid)
            parameters.scale_features(flow, 1 / parameters.without_growth(flow, strengths))
    return parameters.finish()


def best_strengths(flow: Flow, parameters: Parameters, moments: Moments, grid: Grid) -> Doubles:
    """s of each feature for the alpha of least error; 1 where the feature is not open or always 0."""
    sizes = _sizes(flow, moments)
    usable = flow.open & (sizes > 0)
    if not usable.any():
        return np.ones(sizes.size)
    candidates = []
    for alpha in np.linspace(0, 1, STEPS + 1):
        s = np.where(usable, sizes, 1.0) ** alpha
        middle = np.sqrt(s[usable].max() * s[usable].min())
        candidates.append(np.where(usable, s / middle, 1.0))
    errors = [sum(reader_error(reader, s, parameters, moments, grid) for reader in flow.readers) for s in candidates]
    return candidates[int(np.argmin(errors))]


def reader_error(reader: Reader, s: Doubles, parameters: Parameters, moments: Moments, grid: Grid) -> float:
    """tr(dW E[x x^T] dW^T), dW = round(s W) / s - W."""
    matrix, columns = parameters.matrix(reader.layer), reader.columns()
    spread = np.where(columns >= 0, s[columns], 1.0)[:, np.newaxis, :]
    difference = nearest(matrix * spread, grid).values() / spread - matrix
    error = float(output_errors(difference, moments[reader.layer.node].mean).sum())
    if not np.isfinite(error):
        raise NumericsError(
            f"the error of layer '{reader.layer.name}' is {error}; its weights or samples are too large"
        )
    return error


def _sizes(flow: Flow, moments: Moments) -> Doubles:
    """The root mean square of each feature, over all of its readers and their kernels."""
    sums, counts = np.zeros(flow.open.size), np.zeros(flow.open.size)
    for reader in flow.readers:
        columns = reader.columns()
        squares = np.diagonal(moments[reader.layer.node].mean, axis1=1, axis2=2)
        np.add.at(sums, columns[columns >= 0], squares[columns >= 0])
        np.add.at(counts, columns[columns >= 0], 1)
    return np.asarray(np.sqrt(sums / np.maximum(counts, 1)))
