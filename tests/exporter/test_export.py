"""What a written model is called, shows and needs; what cannot be written, and how each error says so."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from subbyte.compiler.dtype import FLOAT16, FLOAT32, DType
from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.exporter import export_model
from subbyte.compiler.exporter.writer import written_operations
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops, ops_indexing, ops_logic, ops_normalization
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_logic import ShiftLeft
from subbyte.compiler.ir.ops_normalization import LayerNormalization, RMSNormalization
from subbyte.compiler.ir.text import print_graph
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.oracle import OnnxRuntime
from subbyte.compiler.pipeline import quantized
from subbyte.passes.recognize_normalization import recognize_normalization

X = Input("x", TensorType(FLOAT32, (2, 3, 4)))


def graph_of(*values: Value, inputs: tuple[Input, ...] = (X,)) -> Graph:
    return Graph("g", inputs, tuple(Output(f"y{i}", value) for i, value in enumerate(values)))


def row(*numbers: float) -> Value:
    return Constant.of(np.array(numbers), FLOAT32).out


def opset(model: ModelProto) -> int:
    return model.opset_import[0].version


def sample(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal(X.type.shape).astype(np.float32)}


def test_tensors_are_called_as_in_value_names() -> None:
    relu = ops.Unary(X.out, "Relu", tensor="inner")
    graph = graph_of(ops.Unary(ops.Unary(relu.out, "Exp", sources=("exp",)).out, "Neg").out)
    model = export_model(graph)
    names = value_names(graph)
    assert [list(node.output) for node in model.graph.node] == [["inner"], ["exp"], ["y0"]]
    assert {"inner", "exp"} <= set(names.values())
    assert [node.name for node in model.graph.node] == ["", "exp", ""]


def test_names_stay_distinct() -> None:
    """A tensor that is called as an input or an output, nodes of one name, and a constant of a taken name."""
    first = ops.Unary(X.out, "Relu", tensor="y1", sources=("n",))
    second = ops.Add(first.out, Constant.of([1.0], FLOAT32, tensor="x").out, tensor="x", sources=("n",))
    graph = graph_of(ops.Unary(second.out, "Neg", tensor="x").out, ops.Unary(first.out, "Exp").out)
    model = export_model(graph)
    outputs = [name for node in model.graph.node for name in node.output] + [t.name for t in model.graph.initializer]
    assert len(set(outputs)) == len(outputs)
    assert "x" not in outputs
    assert [node.name for node in model.graph.node if node.name] == ["n", "n#2"]
    again = import_model(model)
    found = evaluate(again, sample())
    assert all(np.array_equal(found[name], value) for name, value in evaluate(graph, sample()).items())


def test_inputs_constants_and_values_shown_twice_get_an_identity() -> None:
    relu = ops.Unary(X.out, "Relu").out
    graph = graph_of(relu, relu, X.out, row(1, 2))
    model = export_model(graph)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Identity", "Identity", "Identity"]
    found = evaluate(import_model(model), sample())
    assert all(np.array_equal(found[name], value) for name, value in evaluate(graph, sample()).items())


def test_inner_values_are_shown_in_place_of_the_outputs() -> None:
    relu = ops.Unary(X.out, "Relu", tensor="inner")
    exp = ops.Unary(relu.out, "Exp")
    graph = graph_of(exp.out)
    model = export_model(graph, outputs={"what": relu.out, "x again": X.out})
    assert [output.name for output in model.graph.output] == ["what", "x again"]
    assert "Exp" not in {node.op_type for node in model.graph.node}
    found = OnnxRuntime(model).run(sample())
    assert np.array_equal(found["what"], np.maximum(sample()["x"], 0))


def test_metadata_is_kept_in_order_and_the_bytes_are_the_same() -> None:
    graph = graph_of(ops.Unary(X.out, "Relu").out)
    one = export_model(graph, metadata={"b": "2", "a": "1"})
    assert [(entry.key, entry.value) for entry in one.metadata_props] == [("a", "1"), ("b", "2")]
    other = export_model(graph, metadata={"a": "1", "b": "2"})
    assert one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def lowest(node: Node, expected: int) -> None:
    """`node` is written for `expected`, and computes the same there."""
    graph = graph_of(node.out)
    model = export_model(graph)
    assert opset(model) == expected
    assert model.ir_version <= onnx.IR_VERSION
    again = recognize_normalization(import_model(model))
    assert np.array_equal(evaluate(graph, sample())["y0"], evaluate(again, sample())["y0"])


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (ops.Unary(X.out, "Relu"), 13),
        (ops.Unary(X.out, "HardSwish"), 14),
        (ops.Unary(X.out, "Mish"), 18),
        (ops.Unary(X.out, "GeluTanh"), 20),
        (ops.Unary(X.out, "Clip", (-1.0, float("inf"))), 13),
        (ops.Unary(X.out, "Selu", (1.5, 1.25)), 13),
        (ops.ReduceMean(X.out, (1, 2), False), 13),
        (ops.Pad(X.out, (0, 1, 1, 0, 1, 1), "wrap", 0.0), 19),
        (ops.Pad(X.out, (0, -1, 1, 0, 1, 1), "constant", 2.5), 13),
        (ops.Slice(X.out, (1, 2, 3), (2, -1, -1), (1, -1, -2)), 13),
        (ops.Slice(X.out, (0, 0, 0), (2, 3, 4), (1, 1, 1)), 13),
        (ops.ResizeNearest(X.out, (2, 6, 8), (1.0, 2.0, 2.0), "asymmetric", "floor"), 13),
        (ops.ResizeLinear(X.out, (2, 3, 7), (1.0, 1.0, 1.9), "half_pixel_symmetric"), 19),
        (ops.AveragePool(X.out, (4,), (1,), (0, 0), (1,), False, False), 13),
        (ops.AveragePool(X.out, (2,), (1,), (1, 0), (2,), False, True), 19),
        (LayerNormalization(X.out, row(1, 2, 3, 4), row(0, 1, 0, 1), 2, 1e-5), 17),
        (LayerNormalization(X.out, None, None, 1, 1e-5), 17),
        (LayerNormalization(X.out, row(1, 2, 3, 4), row(0, 1, 0, 1), 2, 1e-5, True), 13),
        (RMSNormalization(X.out, row(1, 2, 3, 4), None, 2, 1e-5), 23),
        (RMSNormalization(X.out, None, None, 2, 1e-5, True), 13),
        (ops.Concat((X.out, ops.Cast(ops.Cast(X.out, DType("int", 4)).out, FLOAT32).out), 0), 21),
    ],
    ids=lambda x: x.label if isinstance(x, Node) else "",
)
def test_the_opset_is_the_lowest_that_can_say_it(node: Node, expected: int) -> None:
    lowest(node, expected)


def test_a_reduction_is_written_as_its_opset_has_it() -> None:
    mean = ops.ReduceMean(X.out, (1,), True)
    model = export_model(graph_of(ops.Unary(mean.out, "Mish").out))
    (reduction,) = (node for node in model.graph.node if node.op_type == "ReduceMean")
    assert (opset(model), len(reduction.input), len(reduction.attribute)) == (18, 2, 1)


def test_a_graph_with_names_is_printed_the_same_after_a_round_trip() -> None:
    w, b = (Constant.of(np.ones(shape), FLOAT32, tensor=name).out for name, shape in (("w", (5, 3, 1)), ("b", (5,))))
    conv = ops.Conv(X.out, w, b, (1,), (0, 0), (1,), 1, sources=("conv",), tensor="c")
    graph = graph_of(ops.Unary(conv.out, "Relu", sources=("relu",), tensor="y0").out)
    assert print_graph(import_model(export_model(graph), name="g")) == print_graph(
        graph_of(graph.outputs[0].value, inputs=(X,))
    ).replace("of_type=float32[2, 3, 4])", 'of_type=float32[2, 3, 4], tensor="x")')


def refused(match: str, *values: Value, inputs: tuple[Input, ...] = (X,)) -> None:
    with pytest.raises(UnsupportedError, match=match):
        export_model(graph_of(*values, inputs=inputs))


def test_every_operation_of_stage_imported_has_a_form() -> None:
    """All but bases of others, and storage, which comes later."""
    modules = (ops, ops_logic, ops_indexing, ops_normalization)
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    leaves = {kind for kind in kinds if issubclass(kind, Node) and not kind.__subclasses__()}
    assert leaves - set(written_operations()) == {ops.Repack}


def test_what_onnx_cannot_say_is_named() -> None:
    half = Input("x", TensorType(FLOAT16, (2, 4)))
    narrow = Input("x", TensorType(DType("int", 3), (2,)))
    odd = ops.ResizeNearest(X.out, (2, 3, 5), (1.0, 1.0, 1.9), "asymmetric", "floor", sources=("r",))
    refused("^ResizeNearest 'r' makes .* ONNX says one or the other", odd.out)
    biased = RMSNormalization(X.out, row(1, 2, 3, 4), row(1, 2, 3, 4), 2, 1e-5, sources=("n",))
    refused("^RMSNormalization 'n' has a bias, which ONNX's", biased.out)
    divided = LayerNormalization(half.out, None, None, 1, 1e-5, True)
    refused("divides by the deviation, which is written for float32", divided.out, inputs=(half,))
    refused("no element type int3", ops.Reshape(narrow.out, (2, 1)).out, inputs=(narrow,))
    shifted = ShiftLeft(Constant.of([1, 2], DType("int", 4)).out, Input("x", TensorType(DType("int", 4), (2,))).out)
    refused("^ShiftLeft of .* BitShift does not take these types", shifted.out, inputs=(shifted.b.node,))


def test_another_stage_or_style_is_refused() -> None:
    graph = graph_of(ops.Unary(X.out, "Relu").out)
    with pytest.raises(UnsupportedError, match="no style 'tflite'; the styles are qdq, qcdq, qonnx"):
        export_model(graph, style="tflite")
    with pytest.raises(GraphError, match="stage quantized is no ONNX model; export it at stage imported"):
        export_model(quantized(graph))
