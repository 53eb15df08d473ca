"""Make codes the inputs and outputs of a model that quantizes its float inputs and dequantizes its outputs itself."""

from __future__ import annotations

from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.pass_manager import graph_pass


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def expose_codes(graph: Graph) -> Graph:
    """QuantizeLinear(Input) -> Input of codes; an output DequantizeLinear(codes) -> the codes.

    Names stay; dtypes change, and scale and zero point move into the signature. An input that anything else reads, and
    an output that is computed in float, stay as they are. Exact: the caller does what the nodes did.
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    inputs: dict[Input, Input] = {}
    for node in graph.nodes():
        quantizer = users[node.out][0] if isinstance(node, Input) and len(users.get(node.out, ())) == 1 else None
        if isinstance(node, Input) and isinstance(quantizer, QuantizeLinear) and node.out not in shown:
            inputs[node] = Input(node.name, quantizer.type, sources=quantizer.sources, tensor=quantizer.tensor)
            continue
        rewriter.replace(node, _exposed(node, inputs) or rewriter.rebuilt(node))
    outputs = [Output(output.name, _codes(rewriter[output.value])) for output in graph.outputs]
    return Graph(graph.name, tuple(inputs.get(node, node) for node in graph.inputs), tuple(outputs), graph.stage)


def _exposed(node: Node, inputs: dict[Input, Input]) -> Value | None:
    """The input of codes in place of the QuantizeLinear of a float input."""
    if isinstance(node, QuantizeLinear) and isinstance(node.x.node, Input) and node.x.node in inputs:
        return inputs[node.x.node].out
    return None


def _codes(value: Value) -> Value:
    return value.node.x if isinstance(value.node, DequantizeLinear) else value
