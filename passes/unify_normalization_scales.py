"""Give all channels behind a normalization one range, so that one scale serves them: RepQuant's reparameterization."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops_normalization import Normalization, RMSNormalization
from subbyte.compiler.pass_manager import Pass, Requested, graph_pass
from subbyte.passes.features.flow import Flow, flows
from subbyte.passes.features.parameters import Parameters

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

REASON = "the float function is kept to 1e-5 of its largest output; what rounding to codes costs changes"
Doubles = NDArray[np.float64]


@graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))
def unify_normalization_scales(graph: Graph, data: Data) -> Graph:
    """gamma' = gamma / r, beta' = beta / r - b, W' = r W, bias' = bias + W' b: one scale for all normalized channels.

    The codes of 8 bits of every channel c with a scale and zero point of its own are then those of one for all.
    Each channel has scale_c = range / 255 and zero_c = round(-min / scale_c); scale = mean scale_c and zero = mean
    zero_c, as a code; r_c = scale_c / scale and b_c = scale (zero - zero_c). Then (x_c / r_c - b_c) / scale + zero is
    x_c / scale_c + zero_c. Only where all that reads the normalized value are layers, with data movement, or a mean
    over tokens, between at most, and no padded convolution.
    Source: Li et al. 2023, RepQ-ViT, section 3.2; Li et al. 2024, RepQuant.
    """
    return _unified(graph, data, 8)


def unify_normalization_scales_for(bits: int) -> Pass:
    """`unify_normalization_scales` for activations of `bits` bits.  Raises NumericsError: not 1 to 16."""
    if not 1 <= bits <= 16:
        raise NumericsError(f"unify_normalization_scales was asked for {bits} bits; activations have 1 to 16")

    def unify(graph: Graph, data: Data) -> Graph:
        return _unified(graph, data, bits)

    unify.__name__, unify.__doc__ = "unify_normalization_scales", unify_normalization_scales_for.__doc__
    return graph_pass(requires=Stage.IMPORTED, ensures=Stage.IMPORTED, exactness=Requested(REASON))(unify)


def _unified(graph: Graph, data: Data, bits: int) -> Graph:
    found: dict[Value, tuple[Flow, Normalization]] = {}
    for flow in flows(graph):
        source = flow.source
        if isinstance(source, Normalization) and source.axis == source.type.rank - 1 and flow.movable.all():
            found[source.out] = flow, source
    if not found:
        return graph
    ranges = {value: MinMax(source.axis) for value, (_, source) in found.items()}
    data.observe(graph, ranges)
    parameters = Parameters(graph)
    for value, (flow, source) in found.items():
        grid = channel_grids(ranges[value].low, ranges[value].high, bits)
        _unify(flow, source, *grid, parameters)
    return parameters.finish()


def channel_grids(
    low: NDArray[np.float32], high: NDArray[np.float32], bits: int
) -> tuple[Doubles, Doubles, float, int]:
    """(scale_c, zero_c, scale, zero) of channels with these extremes; a constant channel has the mean scale of others.

    zero is one of the codes 0 to 2^bits - 1; zero_c may lie anywhere, as a channel's range need not hold 0.
    """
    steps = (1 << bits) - 1
    scales = (high.astype(np.float64) - low) / steps
    varying = scales > 0
    scale = float(scales[varying].mean()) if varying.any() else 1.0
    scales = np.where(varying, scales, scale)
    zeros = np.rint(-low.astype(np.float64) / scales)
    return scales, zeros, scale, int(np.clip(np.rint(zeros.mean()), 0, steps))


def _unify(
    flow: Flow, source: Normalization, scales: Doubles, zeros: Doubles, scale: float, zero: int, parameters: Parameters
) -> None:
    ratio = scales / scale
    shift = scale * (zero - zeros)  # b: x' = x / ratio - b
    gamma, beta = parameters[source, "scale"], parameters[source, "bias"]
    parameters[source, "scale"] = (1.0 if gamma is None else gamma) / ratio
    if beta is None and isinstance(source, RMSNormalization):
        parameters.add_behind(source, -shift)  # ONNX's operator has no bias
    else:
        parameters[source, "bias"] = (0.0 if beta is None else beta) / ratio - shift
    for reader in flow.readers:
        parameters.scale_columns(reader, ratio)
    parameters.add_through_readers(flow, shift)
