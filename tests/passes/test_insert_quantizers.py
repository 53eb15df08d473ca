"""Inserting what a plan says: weights, activations, biases; and rounded matrices as weights of each operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, INT32, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.plan import ActivationGrid, Plan, QuantizedWeights
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Grid, RoundedWeights
from subbyte.passes.insert_quantizers import insert_quantizers
from subbyte.passes.precision.weights import quantized_weights

RANDOM = np.random.default_rng(3)
X = Input("x", TensorType(FLOAT32, (1, 4, 6, 6)))
M = Input("x", TensorType(FLOAT32, (2, 3, 4)))
EIGHT = ActivationGrid(UINT8, QuantParams(np.float32(0.05), np.int64(100), 0, 255))


def constant(shape: tuple[int, ...], scale: float = 0.3, name: str = "") -> Value:
    return Constant.of(RANDOM.standard_normal(shape) * scale, FLOAT32, tensor=name).out


def conv(x: Value, w: Value, b: Value | None = None, group: int = 1, name: str = "conv") -> ops.Conv:
    pads = tuple(extent // 2 for extent in w.type.shape[2:]) * 2
    return ops.Conv(x, w, b, (1, 1), pads, (1, 1), group, sources=(name,), tensor=name)


def graph_of(value: Value, x: Input = X) -> Graph:
    return Graph("g", (x,), (Output("y", value),))


def rounded_to(layer: Layer, grid: Grid) -> QuantizedWeights:
    return quantized_weights(layer, nearest(layer.matrix().astype(float), grid))


def plan_of(graph: Graph, grid: Grid | None = None, **activations: ActivationGrid) -> Plan:
    return Plan({layer.name: rounded_to(layer, grid or Grid(8)) for layer in layers(graph)}, activations)


def found(graph: Graph, kind: type[Node]) -> list[Any]:
    return [node for node in graph.nodes() if isinstance(node, kind)]


def test_weights_become_codes_and_activations_pass_quantizers() -> None:
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3), name="w")).out)
    inserted = insert_quantizers(plan_of(graph, x=EIGHT))(graph)
    verify(inserted)
    assert inserted.stage is Stage.IMPORTED
    (quantizer,) = found(inserted, ops.QuantizeLinear)
    (product,) = found(inserted, ops.Conv)
    assert (quantizer.x, quantizer.quant, quantizer.dtype) == (X.out, EIGHT.quant, UINT8)
    assert product.x.node.x.node is quantizer
    assert product.w.node.x.constant.dtype == np.int8
    assert (product.w.node.x.type.quant.axis, product.w.node.x.node.tensor) == (0, "w_quantized")
    names = value_names(inserted)
    assert {"x", "x_quantized", "x_dequantized", "conv"} <= set(names.values())


def test_what_the_plan_does_not_name_stays() -> None:
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3))).out)
    assert insert_quantizers(Plan())(graph).outputs == graph.outputs


def test_a_value_of_several_readers_is_quantized_once() -> None:
    relu = ops.Unary(X.out, "Relu", tensor="r")
    total = ops.Add(conv(relu.out, constant((4, 4, 1, 1))).out, relu.out)
    inserted = insert_quantizers(Plan({}, {"r": EIGHT}))(graph_of(total.out))
    assert len(found(inserted, ops.QuantizeLinear)) == 1
    (node,) = found(inserted, ops.Add)
    assert isinstance(node.b.node, ops.DequantizeLinear)


def test_an_output_shows_what_the_readers_see() -> None:
    relu = ops.Unary(X.out, "Relu", tensor="y")
    inserted = insert_quantizers(Plan({}, {"y": EIGHT}))(graph_of(relu.out))
    assert isinstance(inserted.outputs[0].value.node, ops.DequantizeLinear)
    assert inserted.outputs[0].name == "y"


def test_biases_lie_on_the_grid_of_the_sums() -> None:
    b = constant((5,), name="b")
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3)), b).out)
    plan = plan_of(graph, x=EIGHT)
    (product,) = found(insert_quantizers(plan)(graph), ops.Conv)
    codes = product.b.node.x
    scale = np.float32(0.05) * plan.weights["conv"].quant.static()[0]
    assert (codes.type.dtype, codes.type.quant.axis, codes.node.tensor) == (INT32, 0, "b_quantized")
    assert np.array_equal(codes.type.quant.static()[0], scale)
    assert np.array_equal(codes.constant, np.rint(b.constant / scale.astype(np.float64)))


@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_the_scale_of_the_sums_is_found_behind_movement_and_relu(per: Any) -> None:
    pool = ops.MaxPool(X.out, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False)
    joined = ops.Concat((pool.out, ops.Unary(pool.out, "Relu").out), 1)
    graph = graph_of(conv(joined.out, constant((5, 8, 1, 1)), constant((5,))).out)
    inserted = insert_quantizers(plan_of(graph, Grid(4, per=per), x=EIGHT))(graph)
    (product,) = found(inserted, ops.Conv)
    assert isinstance(product.b.node, ops.DequantizeLinear)
    assert (product.b.node.x.type.quant.axis is None) == (per == "tensor")


def test_a_bias_stays_float_where_its_scale_is_not_known_or_too_small() -> None:
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3)), constant((5,))).out)
    (product,) = found(insert_quantizers(plan_of(graph))(graph), ops.Conv)
    assert product.b.constant is not None
    tiny = constant((5, 4, 3, 3), 1e-9)
    graph = graph_of(conv(X.out, tiny, constant((5,), 1.0)).out)
    (product,) = found(insert_quantizers(plan_of(graph, x=EIGHT))(graph), ops.Conv)
    assert product.b.constant is not None


def test_the_constant_behind_a_matrix_product_is_its_bias() -> None:
    """On either side of an Add, for rows of any number of axes; not where the product itself is quantized."""
    for left in (False, True):
        product = ops.MatMul(M.out, constant((4, 5)), sources=("m",), tensor="m")
        b = constant((1, 5), name="b")
        graph = graph_of((ops.Add(b, product.out) if left else ops.Add(product.out, b)).out, M)
        (node,) = found(insert_quantizers(plan_of(graph, x=EIGHT))(graph), ops.Add)
        bias = node.a if left else node.b
        assert bias.node.x.type.dtype == INT32
        assert bias.type.shape == (5,)
        meant = evaluate(
            quantized(insert_quantizers(plan_of(graph, x=EIGHT))(graph)), {"x": np.ones((2, 3, 4), np.float32)}
        )
        assert meant["y"].shape == (2, 3, 5)
        (node,) = found(insert_quantizers(plan_of(graph, x=EIGHT, m=EIGHT))(graph), ops.Add)
        assert (node.a if left else node.b).constant is not None


@pytest.mark.parametrize("transposed", [False, True])
def test_a_gemm_has_its_bias_where_nothing_scales_it(transposed: bool) -> None:
    x = Input("x", TensorType(FLOAT32, (3, 4)))
    w = constant((5, 4) if transposed else (4, 5))
    for beta, kind in ((1.0, INT32), (0.5, None)):
        gemm = ops.Gemm(x.out, w, constant((1, 5)), 1.0, beta, False, transposed, sources=("g",))
        graph = graph_of(gemm.out, x)
        (node,) = found(insert_quantizers(plan_of(graph, x=EIGHT))(graph), ops.Gemm)
        assert (node.c.node.x.type.dtype if node.c.constant is None else None) == kind
        assert node.b.node.x.type.quant.axis == (0 if transposed else 1)


def test_zero_points_are_added_first_where_the_dialect_does_so() -> None:
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3))).out)
    (node,) = found(insert_quantizers(plan_of(graph, x=EIGHT), zero_point_first=True)(graph), ops.QuantizeLinear)
    assert node.zero_point_first
    unsigned = ActivationGrid(UINT8, EIGHT.quant.replace(zero_point=np.int64(0)))
    (node,) = found(insert_quantizers(plan_of(graph, x=unsigned), zero_point_first=True)(graph), ops.QuantizeLinear)
    assert not node.zero_point_first


def test_bipolar_activations_are_signs() -> None:
    sign = ActivationGrid(BIPOLAR, QuantParams(np.float32(0.5), np.int64(0), -1, 1))
    graph = graph_of(conv(X.out, constant((5, 4, 1, 1))).out)
    inserted = insert_quantizers(plan_of(graph, Grid(1), x=sign))(graph)
    (node,) = found(inserted, ops.QuantizeLinear)
    (product,) = found(inserted, ops.Conv)
    assert node.rounding == "BIPOLAR"
    assert product.w.node.x.type.dtype == BIPOLAR


def test_a_plan_of_another_graph_is_refused() -> None:
    graph = graph_of(conv(X.out, constant((5, 4, 3, 3))).out)
    other = graph_of(conv(X.out, constant((5, 4, 1, 1))).out)
    with pytest.raises(GraphError, match="the plan has the activation 'q', 'r', 's' and 1 more, which"):
        insert_quantizers(Plan({}, {"q": EIGHT, "r": EIGHT, "s": EIGHT, "t": EIGHT}))(graph)
    with pytest.raises(GraphError, match="the plan has the layer 'conv9', which the graph 'g' does not have"):
        insert_quantizers(Plan({"conv9": plan_of(graph).weights["conv"]}))(graph)
    with pytest.raises(GraphError, match=r"shape \[5, 4, 1, 1\] for the layer 'conv', whose weights have shape"):
        insert_quantizers(plan_of(other))(graph)
    whole = Input("n", TensorType(INT32, (2,)))
    with pytest.raises(GraphError, match="quantizes the activation 'n', which is int32"):
        insert_quantizers(Plan({}, {"n": EIGHT}))(graph_of(ops.Reshape(whole.out, (2, 1)).out, whole))


# Rounded matrices -----------------------------------------------------------------------------------------------------


def layer_of(node: Node, x: Input = X) -> Layer:
    (layer,) = layers(graph_of(node.out, x))
    return layer


def transposed_conv(group: int) -> ops.ConvTranspose:
    return ops.ConvTranspose(X.out, constant((4, 3, 2, 2)), None, (2, 2), (0, 0, 0, 0), (1, 1), group, (0, 0))


MATRICES: dict[str, tuple[Node, Input]] = {
    "conv": (conv(X.out, constant((6, 4, 3, 3))), X),
    "grouped": (conv(X.out, constant((6, 2, 3, 3)), group=2), X),
    "depthwise": (conv(X.out, constant((4, 1, 3, 3)), group=4), X),
    "transposed": (transposed_conv(1), X),
    "matmul": (ops.MatMul(M.out, constant((4, 5))), M),
}


@pytest.mark.parametrize(
    "grid", [Grid(8), Grid(4, symmetric=False), Grid(1), Grid.ternary(), Grid(5, per="tensor")], ids=str
)
@pytest.mark.parametrize("name", MATRICES)
def test_rounded_matrices_mean_the_same_as_weights(name: str, grid: Grid) -> None:
    layer = layer_of(*MATRICES[name])
    rounded = nearest(layer.matrix().astype(float), grid)
    weights = quantized_weights(layer, rounded)
    assert np.array_equal(layer.matrix(to_real(weights.codes, weights.quant)), rounded.values())
    assert weights.dtype.bits == grid.bits
    assert (weights.quant.qmin, weights.quant.qmax) == (grid.qmin, grid.qmax)


@pytest.mark.parametrize(
    ("node", "x", "block", "axis", "length"),
    [
        (ops.MatMul(M.out, constant((4, 5))), M, 3, 0, 3),
        (conv(X.out, constant((6, 4, 3, 3))), X, 18, 1, 2),
        (conv(X.out, constant((6, 4, 1, 1))), X, 3, 1, 3),
    ],
    ids=["matmul", "conv", "pointwise"],
)
def test_blocks_lie_along_the_depth(node: Node, x: Input, block: int, axis: int, length: int) -> None:
    layer = layer_of(node, x)
    rounded = nearest(layer.matrix().astype(float), Grid(4, per="block", block=block))
    weights = quantized_weights(layer, rounded)
    assert (weights.quant.axis, weights.quant.block) == (axis, length)
    assert np.array_equal(layer.matrix(to_real(weights.codes, weights.quant)), rounded.values())


def test_what_no_axis_has_is_refused() -> None:
    grouped = layer_of(ops.ConvTranspose(X.out, constant((4, 3, 2, 2)), None, (2, 2), (0, 0, 0, 0), (1, 1), 2, (0, 0)))
    matrix = grouped.matrix().astype(float)
    with pytest.raises(GraphError, match="is a ConvTranspose in 2 groups, whose weights have no axis of all output"):
        quantized_weights(grouped, nearest(matrix, Grid(8)))
    assert quantized_weights(grouped, nearest(matrix, Grid(8, per="tensor"))).quant.is_per_tensor
    square = layer_of(conv(X.out, constant((6, 4, 3, 3))))
    with pytest.raises(GraphError, match=r"in blocks of 4 along its depth, .* a block must hold whole kernels"):
        quantized_weights(square, nearest(square.matrix().astype(float), Grid(8, per="block", block=4)))
    codes = np.zeros((1, 6, 36), np.int64)
    table = RoundedWeights(codes, np.ones((), np.float32), np.zeros((), np.int64), 0, 1, (0.5, 1.5))
    with pytest.raises(GraphError, match="rounded to a codebook of 2 levels; codes have one scale"):
        quantized_weights(square, table)


def test_a_plan_holds_codes_of_its_types_alone() -> None:
    def weights(codes: NDArray[Any], dtype: DType, low: int, high: int) -> QuantizedWeights:
        return QuantizedWeights(codes, dtype, QuantParams(np.float32(1), np.int64(0), low, high))

    with pytest.raises(GraphError, match="are no int8: some change"):
        weights(np.array([300]), INT8, -128, 127)
    with pytest.raises(GraphError, match=r"the code 5 is among the weights, whose codes lie in -4..3"):
        weights(np.array([5]), INT8, -4, 3)
    with pytest.raises(GraphError, match="one scale for the whole tensor is needed"):
        ActivationGrid(UINT8, QuantParams(np.ones(3, np.float32), np.zeros(3, np.int64), 0, 255, 0))
