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
        if isinstance(flow.source, Normalization):
            fold_into_readers(flow, flow.source, parameters)
    return parameters.finish()


def fold_into_readers(flow: Flow, source: Normalization, parameters: Parameters) -> bool:
    """Do it for one normalization; False, and nothing is done, where a reader cannot take gamma or beta."""
    scale, bias = parameters[source, "scale"], parameters[source, "bias"]
    if scale is None or not flow.open.all() or (bias is not None and bias.any() and not flow.movable.all()):
        return False
    if bias is not None and bias.any():
        parameters.add_through_readers(flow, bias.reshape(-1))
    for reader in flow.readers:
        parameters.scale_columns(reader, scale.reshape(-1))
    parameters[source, "scale"] = parameters[source, "bias"] = None
    return True
