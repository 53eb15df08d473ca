"""Every width, signedness and scale in every style: read back as the same codes, scales and ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT32, TERNARY, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.exporter import STYLES, export_model
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.ir.widths import narrowest_type
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.pipeline import quantized

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
DTYPES = [DType(kind, bits) for kind in ("int", "uint") for bits in WIDTHS]
SHAPE = (3, 2, 5)


def params(dtype: DType, axis: int | None, *, zero_point: bool = False, narrow: bool = False) -> QuantParams:
    """Scales that are no powers of two; zero points that differ from channel to channel."""
    scale = np.array(0.37, np.float32) if axis is None else np.linspace(0.1, 0.9, SHAPE[axis]).astype(np.float32)
    zeros = np.zeros(scale.shape, np.int64)
    if zero_point:
        zeros += dtype.min + 1 + np.arange(scale.size).reshape(scale.shape) % max(dtype.bits - 1, 1)
    return QuantParams(scale, zeros, dtype.min + narrow, dtype.max, axis)


def graph_of(value: Value, inputs: tuple[Input, ...] = ()) -> Graph:
    return Graph("g", inputs, (Output("y", value),))


def of_weights(dtype: DType, quant: QuantParams) -> Graph:
    """All ends of the range among the codes."""
    codes = np.random.default_rng(1).integers(quant.qmin, quant.qmax + 1, SHAPE)
    codes.flat[:2] = quant.qmin, quant.qmax
    if dtype.kind == "bipolar":
        codes = np.where(codes < 0, -1, 1)
    constant = Constant.of(codes, dtype, quant=quant, tensor="w")
    x = Input("x", TensorType(FLOAT32, SHAPE))
    return graph_of(ops.Mul(x.out, ops.DequantizeLinear(constant.out).out).out, (x,))


def of_activations(
    dtype: DType, quant: QuantParams, *, zero_point_first: bool = False, rounding: str = "HALF_EVEN"
) -> Graph:
    x = Input("x", TensorType(FLOAT32, SHAPE))
    codes = ops.QuantizeLinear(x.out, dtype, quant, rounding, zero_point_first, tensor="codes")
    return graph_of(ops.DequantizeLinear(codes.out, tensor="y").out, (x,))


def code_of(graph: Graph) -> Value:
    """The codes that the only DequantizeLinear of a graph reads."""
    (node,) = (n for n in quantized(graph).nodes() if isinstance(n, ops.DequantizeLinear))
    return node.x


def same_grid(found: Value, quant: QuantParams) -> bool:
    assert found.type.quant is not None
    (scale, zeros), (wanted, wanted_zeros) = found.type.quant.static(), quant.static()
    return np.array_equal(scale, wanted) and np.array_equal(zeros, wanted_zeros) and found.type.quant.axis == quant.axis


def ends(quant: QuantParams) -> NDArray[np.float32]:
    """Numbers on, between and beyond all codes at the ends, ties among them."""
    scale, zero = quant.static()
    codes = np.linspace(quant.qmin - 1.5, quant.qmax + 1.5, int(np.prod(SHAPE))).reshape(SHAPE)
    codes.flat[:6] = quant.qmin - 0.5, quant.qmin, quant.qmin + 0.5, quant.qmax - 0.5, quant.qmax, quant.qmax + 0.5
    along = [1] * 3
    if quant.axis is not None:
        along[quant.axis] = -1
    return ((codes - zero.reshape(along)) * scale.reshape(along)).astype(np.float32)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("dtype", [*DTYPES, BIPOLAR, TERNARY, INT32], ids=str)
def test_weights_are_read_back(dtype: DType, zero_point: bool, axis: int | None, style: str) -> None:
    if zero_point and dtype in (BIPOLAR, TERNARY, INT32):
        zero_point = False  # they have none
    quant = params(dtype, axis, zero_point=zero_point)
    if dtype == INT32:
        quant = replace(quant, qmin=-(2**20), qmax=2**20)
    graph = of_weights(dtype, quant)
    again = import_model(export_model(graph, style=style))
    x = {"x": np.random.default_rng(2).standard_normal(SHAPE).astype(np.float32)}
    assert np.array_equal(evaluate(graph, x)["y"], evaluate(again, x)["y"])
    assert np.array_equal(evaluate(quantized(graph), x)["y"], evaluate(quantized(again), x)["y"])
    codes = code_of(again)
    (held,) = (n.value for n in graph.nodes() if isinstance(n, Constant))
    assert codes.constant is not None
    assert np.array_equal(codes.constant, held)
    assert same_grid(codes, quant)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_activations_are_read_back(dtype: DType, axis: int | None, narrow: bool, style: str) -> None:
    quant = params(dtype, axis, narrow=narrow and dtype.bits > 1)
    graph = of_activations(dtype, quant)
    if style == "qonnx" and axis is not None and not (dtype.kind == "int" and dtype.bits > 1) and quant.qmin:
        with pytest.raises(UnsupportedError, match=r"limits codes to -?1 with scales along axis 1, which QONNX cannot"):
            export_model(graph, style=style)
        return
    again = import_model(export_model(graph, style=style))
    x = {"x": ends(quant)}
    assert np.array_equal(evaluate(graph, x)["y"], evaluate(again, x)["y"])
    found, meant = code_of(again), code_of(graph)
    assert found.type.code_range() == meant.type.code_range() == (quant.qmin, quant.qmax)
    assert same_grid(found, quant)
    if 1 < dtype.bits <= 8 and axis is None:
        assert narrowest_type(found) == narrowest_type(meant)


@pytest.mark.parametrize(("style", "zero_point_first"), [("qdq", False), ("qcdq", False), ("qonnx", True)])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.bits > 1], ids=str)
def test_activations_with_a_zero_point_are_read_back(dtype: DType, style: str, zero_point_first: bool) -> None:
    quant = params(dtype, None, zero_point=True)
    graph = of_activations(dtype, quant, zero_point_first=zero_point_first)
    again = import_model(export_model(graph, style=style))
    x = {"x": ends(quant)}
    assert np.array_equal(evaluate(graph, x)["y"], evaluate(again, x)["y"])
    assert same_grid(code_of(again), quant)


def test_ranges_that_no_width_has_are_clipped() -> None:
    quant = QuantParams(np.float32(0.1), np.int64(3), 1, 200)
    for style, first in (("qdq", False), ("qcdq", False), ("qonnx", True)):
        graph = of_activations(DType("uint", 8), quant, zero_point_first=first)
        again = import_model(export_model(graph, style=style))
        x = {"x": ends(quant)}
        assert np.array_equal(evaluate(graph, x)["y"], evaluate(again, x)["y"])
        assert code_of(again).type.code_range() == (1, 200)


@pytest.mark.parametrize(("style", "opset"), [("qdq", 21), ("qcdq", 21)])
@pytest.mark.parametrize("dtype", [DType("int", 4), DType("int", 8)], ids=str)
def test_blocks_are_read_back(dtype: DType, style: str, opset: int) -> None:
    scale = np.arange(1, 1 + 3 * 2 * 3).reshape(3, 2, 3).astype(np.float32)
    quant = QuantParams(scale, np.zeros(scale.shape, np.int64), dtype.min, dtype.max, 2, 2)
    graph = of_weights(dtype, quant)
    model = export_model(graph, style=style)
    x = {"x": np.ones(SHAPE, np.float32)}
    assert model.opset_import[0].version == opset
    assert np.array_equal(evaluate(graph, x)["y"], evaluate(import_model(model), x)["y"])
    with pytest.raises(UnsupportedError, match="has a scale for each block, which QONNX"):
        export_model(graph, style="qonnx")


def stored(model: ModelProto) -> set[str]:
    """The element types of the codes in a file."""
    names = {TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer}
    return names - {"FLOAT"}


@pytest.mark.parametrize(
    ("dtype", "found", "opset"),
    [
        ("int8", "INT8", 13), ("uint8", "UINT8", 13), ("int5", "INT8", 13), ("uint7", "UINT8", 13),
        ("int4", "INT4", 21), ("uint3", "UINT4", 21), ("int2", "INT2", 25), ("uint1", "UINT2", 25),
        ("bipolar", "INT2", 25), ("ternary", "INT2", 25), ("int16", "INT16", 21), ("uint16", "UINT16", 21),
        ("int9", "INT16", 21), ("int32", "INT32", 13),
    ],
)  # fmt: skip
def test_the_opset_is_the_first_that_has_the_type(dtype: str, found: str, opset: int) -> None:
    of = DType.parse(dtype)
    model = export_model(of_weights(of, params(of, None)))
    assert (stored(model), model.opset_import[0].version) == ({found}, opset)
    clipped = export_model(of_weights(of, params(of, None)), style="qcdq")
    assert stored(clipped) == {{"INT4": "INT8", "INT2": "INT8", "UINT4": "UINT8", "UINT2": "UINT8"}.get(found, found)}


def test_large_biases_stay_integers_in_qonnx() -> None:
    quant = QuantParams(np.float32(0.001), np.int64(0), INT32.min, INT32.max)
    codes = np.array([2**27 + 1, 5, -(2**30)])
    graph = graph_of(ops.DequantizeLinear(Constant.of(codes, INT32, quant=quant).out).out)
    model = export_model(graph, style="qonnx")
    assert [node.op_type for node in model.graph.node] == ["DequantizeLinear"]
    assert np.array_equal(evaluate(import_model(model), {})["y"], to_real(codes, quant))


def test_bipolar_activations_are_qonnx_alone() -> None:
    graph = of_activations(BIPOLAR, QuantParams(np.float32(0.5), np.int64(0), -1, 1), rounding="BIPOLAR")
    again = import_model(export_model(graph, style="qonnx"))
    x = {"x": np.linspace(-1, 1, int(np.prod(SHAPE))).reshape(SHAPE).astype(np.float32)}
    assert np.array_equal(evaluate(graph, x)["y"], evaluate(again, x)["y"])
    for style in ("qdq", "qcdq"):
        with pytest.raises(UnsupportedError, match=r"rounds to -1 and \+1, .* style 'qonnx'"):
            export_model(graph, style=style)


@pytest.mark.parametrize("rounding", ["HALF_UP", "FLOOR", "CEIL", "UP", "DOWN", "HALF_DOWN"])
def test_other_roundings_are_qonnx_alone(rounding: str) -> None:
    quant = params(DType("int", 4), None)
    graph = of_activations(DType("int", 4), quant, rounding=rounding)
    again = import_model(export_model(graph, style="qonnx"))
    assert np.array_equal(evaluate(graph, {"x": ends(quant)})["y"], evaluate(again, {"x": ends(quant)})["y"])
    with pytest.raises(
        UnsupportedError, match=f"rounds {rounding} before it adds the zero point; QuantizeLinear rounds"
    ):
        export_model(graph)


def test_a_zero_point_is_added_where_the_dialect_adds_it() -> None:
    quant = params(DType("uint", 8), None, zero_point=True)
    with pytest.raises(UnsupportedError, match="adds a zero point after it rounds; QONNX's Quant adds it before"):
        export_model(of_activations(DType("uint", 8), quant), style="qonnx")
    with pytest.raises(UnsupportedError, match="rounds HALF_EVEN after it adds the zero point; QuantizeLinear"):
        export_model(of_activations(DType("uint", 8), quant, zero_point_first=True))
