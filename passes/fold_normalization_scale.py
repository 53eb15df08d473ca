"""Move gamma and beta of a normalization into the layers that read it."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.compiler.pass_manager import Requested, graph_pass
from subbyte.passes.features.flow import Flow, flows
from subbyte.passes.features.parameters import Parameters


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Requested("products are rounded elsewhere; the float function is kept to 1e-5 of its largest output"),
)
def fold_normalization_scale(graph: Graph) -> Graph:
    """(n * gamma + beta) W + b -> n (gamma W) + (b + beta W), n the normalized row.

    Only where all that reads the normalized value are layers, with data movement between at most; a convolution with
    padding takes no beta.  Source: Ashkboos et al. 2024, SliceGPT, section 3.2.
    """
    parameters = Parameters(graph)
    for flow in flows(graph):
        source = flow.source
        if isinstance(source, Normalization) and source.scale is not None and can_fold(flow, source, parameters):
            fold_into_readers(flow, source, parameters)
    return parameters.finish()


def can_fold(flow: Flow, source: Normalization, parameters: Parameters) -> bool:
    """Whether all readers of the normalization can take its scale and its bias."""
    bias = parameters[source, "bias"]
    return bool(flow.open.all()) and (bias is None or not bias.any() or bool(flow.movable.all()))


def fold_into_readers(flow: Flow, source: Normalization, parameters: Parameters) -> None:
    """Do it for one normalization that has a scale and that `can_fold`."""
    scale, bias = parameters[source, "scale"], parameters[source, "bias"]
    assert scale is not None, "a normalization to fold has a scale"
    if bias is not None and bias.any():
        parameters.add_through_readers(flow, bias.reshape(-1))
    for reader in flow.readers:
        parameters.scale_columns(reader, scale.reshape(-1))
    parameters[source, "scale"] = parameters[source, "bias"] = None
