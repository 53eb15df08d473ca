"""Each stage allows what it allows; the verifier names the node that breaks it."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, INT32
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import QuantParams, TensorType

GRID = QuantParams(np.float32(0.5), np.int64(0), -128, 127)
CHANNELS = QuantParams(np.ones(4, np.float32), np.zeros(4, np.int64), -128, 127, axis=0)
FLOATS = Input("x", TensorType(FLOAT32, (4,)))
CODES = Input("x", TensorType(INT8, (4,), GRID))
SUMS = Input("x", TensorType(INT32, (4,), GRID))
REAL = ops.DequantizeLinear(CODES.out)


def graph(node: Node, stage: Stage, source: Input = CODES) -> Graph:
    return Graph("g", (source,), (Output("y", node.out),), stage)


def kernel(op: Node) -> KernelCall:
    return KernelCall(op, kernel="k", target="portable", sources=op.sources)


ALLOWED: dict[str, Graph] = {
    "imported: quantize, dequantize": graph(ops.QuantizeLinear(REAL.out, INT8, GRID), Stage.IMPORTED),
    "quantized: an island": graph(ops.QuantizeLinear(ops.Unary(REAL.out, "Sqrt").out, INT8, GRID), Stage.QUANTIZED),
    "quantized: a border at the input": graph(ops.QuantizeLinear(FLOATS.out, INT8, GRID), Stage.QUANTIZED, FLOATS),
    "quantized: a border at the output": graph(REAL, Stage.QUANTIZED),
    "quantized: sums that no table serves": graph(
        ops.QuantizeLinear(ops.DequantizeLinear(SUMS.out).out, INT8, GRID), Stage.QUANTIZED, SUMS
    ),
    "quantized: codes by channel": graph(ops.QuantizeLinear(REAL.out, INT8, CHANNELS), Stage.QUANTIZED),
    "lowered: kernels and views": graph(View(ops.Reshape(kernel(REAL).out, (2, 2))), Stage.LOWERED),
    "lowered: nothing to do": graph(CODES, Stage.LOWERED),
    "lowered: a constant": graph(Constant.of(np.zeros(2, np.float32)), Stage.LOWERED),
}


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=ALLOWED)
def test_what_a_stage_allows_is_verified(allowed: Graph) -> None:
    verify(allowed)


REFUSED: dict[str, tuple[Graph, str]] = {
    "imported: a kernel": (graph(kernel(REAL), Stage.IMPORTED), "KernelCall belongs to the stage lowered"),
    "quantized: a view": (
        graph(View(ops.Reshape(CODES.out, (2, 2), sources=("/r",)), sources=("/r",)), Stage.QUANTIZED),
        "View '/r' belongs to the stage lowered; the graph is quantized",
    ),
    "imported: storage": (graph(ops.Repack(CODES.out), Stage.IMPORTED), "Repack is about storage"),
    "imported: offset": (graph(qops.OffsetCodes(CODES.out), Stage.IMPORTED), "OffsetCodes is about storage"),
    "quantized: dequantized to be quantized": (
        graph(ops.QuantizeLinear(REAL.out, INT8, GRID, sources=("/q",)), Stage.QUANTIZED),
        "QuantizeLinear '/q' quantizes what DequantizeLinear dequantizes",
    ),
    "lowered: an operation": (graph(REAL, Stage.LOWERED), "DequantizeLinear was not lowered to a kernel"),
}


@pytest.mark.parametrize(("refused", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_a_stage_does_not_allow_is_named(refused: Graph, expected: str) -> None:
    with pytest.raises(GraphError, match=expected):
        verify(refused)


def test_a_node_whose_type_was_tampered_with_is_found() -> None:
    node = ops.Unary(FLOATS.out, "Relu", sources=("/relu",))
    vars(node)["_types"] = (TensorType(FLOAT32, (5,)),)
    expected = r"Unary '/relu' says it is float32\[5\]; its operands make it float32\[4\]"
    with pytest.raises(GraphError, match=expected):
        verify(graph(node, Stage.IMPORTED, FLOATS))


@pytest.mark.parametrize("stage", Stage)
def test_a_graph_without_operations_is_of_every_stage(stage: Stage) -> None:
    verify(Graph("empty", (), (), stage))


def test_all_stages_are_tested() -> None:
    assert {name.split(":")[0] for name in (*ALLOWED, *REFUSED)} == {stage.value for stage in Stage}
