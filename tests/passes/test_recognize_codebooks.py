"""recognize_codebooks: which weights become indices, what they cost then, and that no sum changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, INT8, INT32, TERNARY, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.accumulators import accumulator_range_of
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.passes.recognize_codebooks import recognize_codebooks

POWERS = tuple(sign << k for k in range(7) for sign in (-1, 1))


def quantized(dtype: DType, scale: Any = 0.5, zero_point: Any = 0, axis: int | None = None) -> QuantParams:
    return QuantParams(np.asarray(scale, np.float32), np.asarray(zero_point), dtype.min, dtype.max, axis)


def weights(values: NDArray[Any], dtype: DType = INT8, quant: QuantParams | None = None) -> Value:
    held = values.astype(dtype.numpy)
    return Constant(held, TensorType(dtype, held.shape, quant or quantized(dtype)), sources=("w",)).out


def on_levels(levels: Sequence[int], shape: tuple[int, ...] = (64, 24)) -> NDArray[np.int64]:
    """Every level of `levels`, again and again."""
    return np.resize(np.array(levels), shape)


def product(w: Value) -> Graph:
    x = Input("x", TensorType(UINT8, (3, w.type.shape[0]), quantized(UINT8, 0.1, 7)))
    total = QGemm(x.out, w, None, None, INT32, None)
    return Graph("test", (x,), (Output("y", total.out),), Stage.QUANTIZED)


def recognized(w: Value) -> tuple[Value, Graph]:
    """(the weights after the pass, its graph), after the results of both graphs were found equal."""
    graph = product(w)
    after = recognize_codebooks(graph)
    x = np.random.default_rng(3).integers(0, 256, (3, w.type.shape[0])).astype(np.uint8)
    assert np.array_equal(evaluate(graph, {"x": x})["y"], evaluate(after, {"x": x})["y"])
    total = sums(after)
    assert isinstance(total, QGemm)
    return total.b, after


def sums(graph: Graph) -> Node:
    return graph.outputs[0].value.node


@pytest.mark.parametrize(
    ("levels", "dtype"),
    [
        ((-1, 1), BIPOLAR),
        ((-1, 0, 1), TERNARY),
        (range(-2, 2), DType("int", 2)),
        (range(-4, 4), DType("int", 3)),
        (range(-8, 8), DType("int", 4)),
    ],
)
def test_codes_that_a_narrow_type_holds_are_of_it(levels: Sequence[int], dtype: DType) -> None:
    found, _ = recognized(weights(on_levels(levels)))
    assert found.type.dtype == dtype
    assert found.type.quant is not None
    assert found.type.quant.levels is None
    assert np.array_equal(found.constant, on_levels(levels))


@pytest.mark.parametrize(
    ("levels", "bits"),
    [
        ((0, 1), 1),
        ((5, -9), 1),
        ((-37, 0, 37), 2),
        (POWERS, 4),
        ((0, *POWERS), 4),
        ((-96, -80, -64, -48, -40, -32, -24, 0, 24, 32), 4),  # sums of two powers of two
        (range(-128, 128, 16), 4),
    ],
)
def test_other_values_become_indices_into_a_table(levels: Sequence[int], bits: int) -> None:
    found, _ = recognized(weights(on_levels(levels)))
    assert found.type.dtype == DType("uint", bits)
    assert found.type.quant is not None
    assert found.type.quant.levels == tuple(sorted(map(float, levels)))
    assert found.node.sources == ("w",)


def test_levels_are_distances_to_the_zero_points_of_channels() -> None:
    zeros = np.arange(24) - 11
    held = on_levels((-90, 0, 30, 90)) + zeros
    found, _ = recognized(weights(held, INT8, quantized(INT8, np.full(24, 0.25), zeros, axis=1)))
    assert found.type.quant is not None
    assert found.type.quant.levels == (-90.0, 0.0, 30.0, 90.0)
    assert found.type.quant.axis == 1


def test_seventeen_values_stay_as_they_are() -> None:
    w = weights(on_levels(range(-64, 65, 8)))
    found, after = recognized(w)
    assert found is w or found == w
    assert after.outputs[0].value.node is not None
    assert found.type.dtype == INT8


def test_few_weights_stay_as_they_are_since_a_table_saves_nothing() -> None:
    w = weights(on_levels((-37, 0, 37), (8, 10)))
    assert recognized(w)[0] == w


def test_the_bounds_of_the_sums_stay() -> None:
    graph = product(weights(on_levels((-100, 3, 90))))
    before, after = accumulator_range_of(sums(graph)), accumulator_range_of(sums(recognize_codebooks(graph)))
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_weights_of_two_products_are_recognised_once() -> None:
    w = weights(on_levels((-37, 0, 37), (64, 64)))
    x = Input("x", TensorType(UINT8, (3, 64), quantized(UINT8)))
    y = Input("y", TensorType(UINT8, (3, 64), quantized(UINT8)))
    outputs = tuple(Output(i.name, QGemm(i.out, w, None, None, INT32, None).out) for i in (x, y))
    after = recognize_codebooks(Graph("test", (x, y), outputs, Stage.QUANTIZED))
    constants = [node for node in after.nodes() if isinstance(node, Constant)]
    assert len(constants) == 1


def test_filters_of_a_convolution_are_recognised() -> None:
    w = weights(on_levels(POWERS, (16, 8, 3, 3)), INT8, quantized(INT8, np.full(16, 0.5), np.zeros(16, np.int64), 0))
    x = Input("x", TensorType(UINT8, (1, 8, 5, 5), quantized(UINT8, 0.1, 7)))
    conv = QConv(x.out, w, None, None, INT32, None, (1, 1), (1, 1, 1, 1), (1, 1), 1)
    graph = Graph("test", (x,), (Output("y", conv.out),), Stage.QUANTIZED)
    after = recognize_codebooks(graph)
    data = np.random.default_rng(1).integers(0, 256, (1, 8, 5, 5)).astype(np.uint8)
    assert np.array_equal(evaluate(graph, {"x": data})["y"], evaluate(after, {"x": data})["y"])
    found = sums(after)
    assert isinstance(found, QConv)
    assert found.w.type.dtype == DType("uint", 4)


def test_a_graph_without_codebooks_is_the_same_object() -> None:
    graph = product(weights(np.random.default_rng(0).integers(-128, 128, (64, 24))))
    assert recognize_codebooks(graph) is graph


def test_a_codebook_has_a_text_form() -> None:
    graph = recognize_codebooks(product(weights(on_levels((-37, 0, 37)))))
    text = print_graph(graph)
    assert "levels=" in text
    assert print_graph(parse_graph(text)) == text


@pytest.mark.parametrize("levels", [(0.5, 1.0), (1.0,), (0.0, 1e6)])
def test_exact_sums_need_a_whole_level_for_each_code(levels: tuple[float, ...]) -> None:
    quant = QuantParams(np.float32(0.5), np.int64(0), 0, 1, levels=levels)
    with pytest.raises(GraphError, match="whole numbers"):
        product(Constant(np.zeros((4, 4), np.uint8), TensorType(DType("uint", 1), (4, 4), quant)).out)
