"""keep_codebooks: which float weights become indices into a table, bit for bit, and what explain says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, UINT8, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.qops_codebooks import CodebookConv, CodebookMatMul
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.pass_manager import Pass
from subbyte.passes.keep_codebooks import keep_codebooks
from subbyte.passes.keep_weights_packed import keep_weights_packed
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.quantization.remedies import remedy

CENTRES = np.random.default_rng(0).normal(0, 1, 16).astype(np.float32)


def few(shape: tuple[int, ...], levels: NDArray[Any] = CENTRES) -> NDArray[np.float32]:
    return np.resize(levels, shape).astype(np.float32)


def graph_of(node: Node, x: Input) -> Graph:
    return Graph("test", (x,), (Output("y", node.out),), Stage.QUANTIZED)


def kept(graph: Graph, by: Pass = keep_codebooks) -> Graph:
    """The graph after the pass, once its result was found equal bit for bit."""
    after = by(graph)
    (x,) = graph.inputs
    data = np.random.default_rng(1).normal(0, 1, x.type.shape).astype(np.float32)
    results = [evaluate(one, {x.name: data})["y"] for one in (graph, after)]
    assert results[0].tobytes() == results[1].tobytes()
    return after


def product(b: NDArray[np.float32]) -> Graph:
    x = Input("x", TensorType(FLOAT32, (3, b.shape[0])))
    return graph_of(ops.MatMul(x.out, Constant.of(b).out, sources=("/m",), tensor="m"), x)


def operation(graph: Graph) -> Node:
    return graph.outputs[0].value.node


@pytest.mark.parametrize(("levels", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (9, 4), (16, 4)])
def test_products_with_few_floats_keep_indices(levels: int, bits: int) -> None:
    found = operation(kept(product(few((40, 8), CENTRES[:levels]))))
    assert isinstance(found, CodebookMatMul)
    assert found.b.type.dtype == DType("uint", bits)
    assert (found.sources, found.tensor) == (("/m",), "m")


def test_a_convolution_keeps_indices() -> None:
    x = Input("x", TensorType(FLOAT32, (1, 4, 6, 6)))
    bias = Constant.of(np.arange(8, dtype=np.float32)).out
    conv = ops.Conv(x.out, Constant.of(few((8, 4, 3, 3))).out, bias, (2, 2), (1, 1, 1, 1), (1, 1), 1)
    assert isinstance(operation(kept(graph_of(conv, x))), CodebookConv)


def test_a_gemm_becomes_a_product_and_what_follows_it() -> None:
    x = Input("x", TensorType(FLOAT32, (3, 40)))
    c = Constant.of(np.arange(8, dtype=np.float32)).out
    after = kept(graph_of(ops.Gemm(x.out, Constant.of(few((8, 40))).out, c, 0.3, 1.0, False, True), x))
    assert [type(node) for node in after.operations()] == [CodebookMatMul, ops.Mul, ops.Add]


def test_zeros_of_both_signs_are_two_levels() -> None:
    found = operation(kept(product(few((40, 8), np.array([0.0, -0.0, 1.0], np.float32)))))
    assert isinstance(found, CodebookMatMul)
    assert found.b.type.quant is not None
    assert len(found.b.type.quant.levels or ()) == 3


@pytest.mark.parametrize(
    "weights",
    [
        few((40, 8), np.arange(17, dtype=np.float32)),
        few((2, 8)),  # 16 weights: a table saves nothing
        few((40, 8), np.array([1.0, np.inf], np.float32)),
    ],
    ids=["seventeen values", "few weights", "an infinity"],
)
def test_other_weights_stay_as_they_are(weights: NDArray[np.float32]) -> None:
    graph = product(weights)
    assert keep_codebooks(graph) is graph


def test_a_codebook_of_floats_has_a_text_form() -> None:
    text = print_graph(keep_codebooks(product(few((40, 8)))))
    assert print_graph(parse_graph(text)) == text


def weight_only(dtype: DType, quant: QuantParams) -> Graph:
    """A convolution of floats with dequantized codes."""
    held = np.random.default_rng(2).integers(dtype.min, dtype.max, (8, 4, 3, 3), endpoint=True).astype(dtype.numpy)
    x = Input("x", TensorType(FLOAT32, (1, 4, 6, 6)))
    w = ops.DequantizeLinear(Constant(held, TensorType(dtype, held.shape, quant)).out)
    return graph_of(ops.Conv(x.out, w.out, None, (1, 1), (1, 1, 1, 1), (1, 1), 1), x)


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("per_channel", [False, True])
def test_codes_of_a_float_convolution_stay_codes(bits: int, per_channel: bool) -> None:
    dtype = DType("int", bits)
    scale = np.linspace(0.1, 2, 8, dtype=np.float32) if per_channel else np.float32(0.3)
    zeros = np.full(np.shape(scale), 1)
    quant = QuantParams(np.asarray(scale), zeros, dtype.min, dtype.max, 0 if per_channel else None)
    found = operation(kept(weight_only(dtype, quant), keep_weights_packed))
    assert isinstance(found, CodebookConv)
    assert found.w.type.dtype == DType("uint", bits)


def test_codes_with_zero_points_that_differ_become_floats() -> None:
    quant = QuantParams(np.full(8, 0.5, np.float32), np.arange(8) - 4, -8, 7, 0)
    graph = weight_only(DType("int", 4), quant)
    assert keep_weights_packed(graph) is graph


def test_explain_says_why_such_weights_are_no_integers() -> None:
    codes = Input("x", TensorType(UINT8, (3, 40), QuantParams(np.float32(0.1), np.int64(0), 0, 255)))
    product = ops.MatMul(ops.DequantizeLinear(codes.out).out, Constant.of(few((40, 8))).out)
    (island,) = float_islands(graph_of(product, codes))
    assert island.reason == "its weights have 16 values, which lie on no common grid of 8 bits"
    assert "whole multiples" in remedy(island)
