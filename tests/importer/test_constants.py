"""Constants in every form, and shape arithmetic that folds away while the model is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Input

Check = Callable[..., None]
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def longs(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def only_constant(graph: Graph) -> np.ndarray:
    """The value of the only output of a graph that computes nothing."""
    (output,) = graph.outputs
    assert isinstance(output.value.node, Constant)
    return output.value.node.value


SPARSE = helper.make_sparse_tensor(
    helper.make_tensor("values", TensorProto.FLOAT, [1], [2.0]),
    helper.make_tensor("places", TensorProto.INT64, [1], [3]),
    [9],
)
FORMS: dict[str, tuple[dict[str, Any], np.ndarray]] = {
    "tensor": ({"value": numpy_helper.from_array(X)}, X),
    "float": ({"value_float": 1.5}, np.array(1.5, np.float32)),
    "floats": ({"value_floats": [1.5, -2.0]}, np.array([1.5, -2.0], np.float32)),
    "int": ({"value_int": -7}, np.array(-7, np.int64)),
    "ints": ({"value_ints": [3, 4]}, longs(3, 4)),
}


@pytest.mark.parametrize("form", FORMS)
def test_constant(make_operator: Any, imported: Any, form: str) -> None:
    attributes, expected = FORMS[form]
    found = only_constant(imported(make_operator("Constant", [], 13, **attributes)[0]))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("attributes", [{"value_string": "a"}, {"value_strings": ["a", "b"]}, {"sparse_value": SPARSE}])
def test_constant_strings_and_sparse_tensors_are_refused(
    make_operator: Any, imported: Any, attributes: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedError, match="Constant 'node'"):
        imported(make_operator("Constant", [], 13, **attributes)[0])


ELEMENTS: dict[int, tuple[list[int], str]] = {
    TensorProto.INT2: ([-2, -1, 0, 1, 1], "int2"),
    TensorProto.UINT2: ([0, 1, 2, 3, 1], "uint2"),
    TensorProto.INT4: ([-8, -1, 7], "int4"),
    TensorProto.UINT4: ([0, 15, 9], "uint4"),
    TensorProto.INT8: ([-128, 127], "int8"),
    TensorProto.UINT8: ([0, 255], "uint8"),
    TensorProto.INT16: ([-32768, 32767], "int16"),
    TensorProto.UINT16: ([0, 65535], "uint16"),
    TensorProto.INT32: ([-(2**31), 2**31 - 1], "int32"),
    TensorProto.UINT32: ([0, 2**32 - 1], "uint32"),
    TensorProto.INT64: ([-(2**63), 2**63 - 1], "int64"),
    TensorProto.UINT64: ([0, 2**64 - 1], "uint64"),
    TensorProto.BOOL: ([0, 1, 1], "bool"),
    TensorProto.FLOAT16: ([-2, 3], "float16"),
    TensorProto.FLOAT: ([-2, 3], "float32"),
    TensorProto.DOUBLE: ([-2, 3], "float64"),
}


@pytest.mark.parametrize("raw", [False, True], ids=["fields", "raw"])
@pytest.mark.parametrize("element", ELEMENTS, ids=[name for _, name in ELEMENTS.values()])
def test_every_element_type_is_decoded(make_operator: Any, imported: Any, element: int, raw: bool) -> None:
    numbers, name = ELEMENTS[element]
    array = np.array(numbers, np.uint64 if name == "uint64" else None).astype(helper.tensor_dtype_to_np_dtype(element))
    if raw:
        tensor = numpy_helper.from_array(array, "value")
        assert tensor.HasField("raw_data")
    else:
        tensor = helper.make_tensor("value", element, array.shape, array)
        assert not tensor.HasField("raw_data")
    graph = imported(make_operator("Constant", [], 25, value=tensor)[0])
    assert graph.outputs[0].value.type.dtype.name == name
    assert only_constant(graph).tolist() == numbers


@pytest.mark.parametrize("element", [TensorProto.BFLOAT16, TensorProto.FLOAT8E4M3FN, TensorProto.STRING])
def test_other_element_types_are_refused(make_operator: Any, imported: Any, element: int) -> None:
    tensor = TensorProto(data_type=element, dims=[0])
    with pytest.raises(UnsupportedError, match=f"has element type {TensorProto.DataType.Name(element).lower()}"):
        imported(make_operator("Constant", [], 21, value=tensor)[0])


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (TensorProto(data_type=1, dims=[3], raw_data=b"1234"), "has 4 bytes of data; 12 are needed"),
        (TensorProto(data_type=1, dims=[3], float_data=[1.0]), "has 1 entries in its float_data; 3 are needed"),
        (TensorProto(data_type=22, dims=[3], raw_data=b"1"), "has 1 bytes of data; 2 are needed"),
        (TensorProto(data_type=1, dims=[-3], raw_data=b""), "negative extent"),
        (TensorProto(data_type=1, dims=[2**40, 2**40], raw_data=b""), "are needed"),
        (TensorProto(data_type=99, dims=[1], raw_data=b"1"), "element type 99"),
        (TensorProto(data_type=0, dims=[1], raw_data=b"1"), "element type 0"),
    ],
)
def test_broken_tensors_are_refused(make_operator: Any, imported: Any, tensor: TensorProto, text: str) -> None:
    model, _ = make_operator("Relu", [X], 21, constants=(0,))
    tensor.name = model.graph.initializer[0].name
    model.graph.initializer[0].CopyFrom(tensor)
    with pytest.raises(ModelError, match=f"the initializer 'x0'.*{text}"):
        imported(model)


@pytest.mark.parametrize("opset", [10, 13, 15, 28])
def test_shape_and_size(equals_reference: Check, opset: int) -> None:
    equals_reference("Shape", [X], opset)
    equals_reference("Size", [X], opset)


@pytest.mark.parametrize("bounds", [{"start": 1}, {"end": -1}, {"start": -2, "end": 9}, {"start": 2, "end": 1}])
def test_part_of_a_shape(equals_reference: Check, bounds: dict[str, int]) -> None:
    equals_reference("Shape", [X], 15, **bounds)


def test_constant_of_shape(equals_reference: Check) -> None:
    equals_reference("ConstantOfShape", [longs(2, 3)], 13, constants=(0,))
    value = numpy_helper.from_array(np.array([7], np.int8))
    equals_reference("ConstantOfShape", [longs(2, 0, 3)], 21, constants=(0,), value=value)
    equals_reference("ConstantOfShape", [longs()], 13, constants=(0,), value=value)


@pytest.mark.parametrize("numbers", [(0, 10, 3), (10, 0, -4), (3, 3, 1), (0.0, 1.0, 0.1), (-1.5, 7.0, 2.5)])
def test_range(equals_reference: Check, numbers: tuple[float, float, float]) -> None:
    dtype = np.int64 if isinstance(numbers[0], int) else np.float32
    equals_reference("Range", [np.array(number, dtype) for number in numbers], 13, constants=(0, 1, 2))


def test_a_range_that_never_ends_is_refused(make_operator: Any, imported: Any) -> None:
    operands = [np.array(number, np.int64) for number in (0, 10, 0)]
    with pytest.raises(ModelError, match=r"Range 'node'.*never ends"):
        imported(make_operator("Range", operands, 13, constants=(0, 1, 2))[0])


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile", "Range"])
def test_constants_beyond_measure_are_refused(make_operator: Any, imported: Any, op: str) -> None:
    operands = {
        "ConstantOfShape": [longs(2**30, 2**30)],
        "Expand": [np.ones(1, np.float32), longs(2**31, 2**20)],
        "Tile": [np.ones((1, 1), np.float32), longs(2**31, 2**20)],
        "Range": [np.array(number, np.int64) for number in (0, 2**60, 1)],
    }[op]
    with pytest.raises(UnsupportedError, match=f"{op} 'node' makes a constant of shape"):
        imported(make_operator(op, operands, 13, constants=(0, 1, 2))[0])


COMPARED = [np.array([[1, 2, 3]], np.int64), np.array([[2], [3]], np.int64)]


@pytest.mark.parametrize("op", ["Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Mod"])
def test_comparisons_of_constants(equals_reference: Check, op: str) -> None:
    equals_reference(op, COMPARED, 16, constants=(0, 1))


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic_of_constants(equals_reference: Check, op: str) -> None:
    equals_reference(op, [COMPARED[0] > 1, COMPARED[1] > 2], 13, constants=(0, 1))
    equals_reference("Not", [COMPARED[0] > 1], 13, constants=(0,))


def test_where_expand_tile_and_others_of_constants(equals_reference: Check) -> None:
    equals_reference("Where", [COMPARED[0] > 1, COMPARED[0], COMPARED[1]], 16, constants=(0, 1, 2))
    equals_reference("Expand", [COMPARED[1], longs(3, 1, 4)], 13, constants=(0, 1))
    equals_reference("Tile", [COMPARED[0], longs(2, 3)], 13, constants=(0, 1))
    equals_reference("NonZero", [COMPARED[0] > 1], 13, constants=(0,))
    equals_reference("ReduceProd", [COMPARED[0]], 13, constants=(0,), keepdims=0)
    equals_reference("ReduceProd", [COMPARED[0], longs(1)], 18, constants=(0, 1))
    equals_reference("Mod", [np.array([-7, 7], np.int64), np.array([3, -3], np.int64)], 13, constants=(0, 1), fmod=1)


def test_where_expand_and_equal_at_run_time(equals_reference: Check) -> None:
    equals_reference("Equal", [X, X[:, :1]], 16)
    equals_reference("Where", [X > 1, X, -X], 16)
    equals_reference("Expand", [X[:1].copy(), longs(2, 3, 4)], 16, constants=(1,))
    equals_reference("Tile", [X, longs(1, 2, 1)], 16, constants=(1,))


def test_shapes_that_are_known_at_run_time_only_are_refused(make_operator: Any, imported: Any) -> None:
    for op, operand, what in (("Expand", longs(2, 3, 4), "shape"), ("Tile", longs(1, 2, 1), "repeats")):
        with pytest.raises(UnsupportedError, match=f"{op} 'node' takes its {what} from the graph input"):
            imported(make_operator(op, [X, operand], 16)[0])


def test_an_expansion_to_the_same_shape_is_nothing(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("Expand", [X, longs(1, 3, 4)], 13, constants=(1,))[0])
    assert [type(node) for node in graph.nodes()] == [Input]


def test_shape_arithmetic_of_an_exported_flatten_folds_away(make_model: Any, imported: Any) -> None:
    """Shape, Gather, Unsqueeze, Concat, Reshape: how x.view(x.size(0), -1) was exported for years."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], "shape"),
        helper.make_node("Gather", ["shape", "zero"], ["batch"], "gather", axis=0),
        helper.make_node("Unsqueeze", ["batch"], ["batches"], "unsqueeze", axes=[0]),
        helper.make_node("Concat", ["batches", "rest"], ["new"], "concat", axis=0),
        helper.make_node("Reshape", ["x", "new"], ["y"], "reshape"),
    ]
    weights = {"zero": np.array(0, np.int64), "rest": longs(-1)}
    graph = imported(make_model(nodes, {"x": X}, ["y"], weights, 11))
    assert [node.sources for node in graph.operations()] == [("reshape",)]
    assert graph.outputs[0].value.type.shape == (2, 12)


def test_shape_arithmetic_of_an_exported_interpolation_folds_away(make_model: Any, imported: Any) -> None:
    """Shape, Slice, Cast, Mul, Floor, Cast, Concat, Resize: how interpolate(scale_factor=2) was exported."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "start", "middle"], ["head"]),
        helper.make_node("Slice", ["shape", "middle", "stop"], ["tail"]),
        helper.make_node("Cast", ["tail"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "factor"], ["larger"]),
        helper.make_node("Floor", ["larger"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["extents"], to=TensorProto.INT64),
        helper.make_node("Concat", ["head", "extents"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], "resize", mode="nearest"),
    ]
    weights = {"start": longs(0), "middle": longs(2), "stop": longs(4), "factor": np.array(2.5, np.float32)}
    graph = imported(make_model(nodes, {"x": X.reshape(1, 2, 3, 4)}, ["y"], weights, 13))
    assert [node.sources for node in graph.operations()] == [("resize",)]
    assert graph.outputs[0].value.type.shape == (1, 2, 7, 10)


def test_a_split_of_a_constant_folds(make_operator: Any, imported: Any) -> None:
    graph = imported(make_operator("Split", [longs(1, 2, 3, 4)], 13, outputs=2, constants=(0,))[0])
    assert [output.value.constant.tolist() for output in graph.outputs] == [[1, 2], [3, 4]]
