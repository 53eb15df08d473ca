"""Float operations between DequantizeLinear and QuantizeLinear become integer ones, by what they mean."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.quantization.coded import Coded
from subbyte.passes.quantization.demands import Demand, Origin
from subbyte.passes.quantization.known import Folding, Known
from subbyte.passes.quantization.rules import learn


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.QUANTIZED,
    exactness=Within(
        steps=1, reason="integer sums are exact, and rounded where N4 and N7 say, not as float32 sums are"
    ),
)
def fold_qdq(graph: Graph) -> Graph:
    """QuantizeLinear(f(DequantizeLinear(codes)...)) -> an integer operation on the codes.

    Two linear sweeps and no patterns. Downward, each QuantizeLinear asks its float operand for codes, and the demand
    passes through all that commutes with it (`quantization.demands`). Upward, each float value learns whether it is a
    function of codes, or a sum of products of codes (`quantization.rules`); where it was asked for codes, the integer
    operation is built for them. Floats are built only where a float operation or an output reads them: what is left of
    these are the float islands, and `compiler.explain` says why each is one.

    Data movement, order, clamps and requantization are exact. Sums follow N4, narrow arithmetic N6, tables N7.
    Source: design.md section 5; Jacob et al. 2018, eq. 4 and 5.
    """
    folding = Folding(graph)
    for node in graph.nodes():
        _fold(node, folding)
    return graph.with_outputs(
        (Output(output.name, folding.new(output.value)) for output in graph.outputs), stage=Stage.QUANTIZED
    )


def _fold(node: Node, folding: Folding) -> None:
    match node:
        case Input() | Constant():
            pass
        case ops.QuantizeLinear():
            codes = folding.quantize(node.x, Demand.of(node), Origin(node.sources, node.tensor))
            folding.replace(node.out, codes)
        case ops.DequantizeLinear():
            codes = folding.new(node.x)
            quant = codes.type.quant
            if node.dtype == FLOAT32 and quant is not None and quant.is_static and quant.block is None:
                folding.learn(node.out, Known(Coded(codes)))
        case _ if all(t.dtype.is_float for t in node.types):
            learn(node, folding)
        case _:
            new = node.map_operands(folding.new)
            for index in range(len(node.types)):
                folding.replace(Value(node, index), Value(new, index))
