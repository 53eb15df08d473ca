"""The graph as a whole: order, names, dimensions, inputs and outputs, and every refusal in one list."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.node import Constant, Input

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def relu(source: str, target: str, name: str = "") -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target], name)


# Order and names ------------------------------------------------------------------------------------------------------


def test_nodes_may_stand_in_any_order(make_model: Any, imported: Any) -> None:
    nodes = [relu("b", "y", "third"), relu("a", "b", "second"), relu("x", "a", "first")]
    graph = imported(make_model(nodes, {"x": X}, ["y"]))
    assert [node.sources for node in graph.operations()] == [("first",), ("second",), ("third",)]


def test_a_node_without_a_name_is_called_by_its_place(make_model: Any, imported: Any) -> None:
    graph = imported(make_model([relu("x", "a", "named"), relu("a", "y")], {"x": X}, ["y"]))
    assert [node.sources for node in graph.operations()] == [("named",), ("#1 Relu",)]


def test_a_node_is_marked_with_its_output(make_model: Any, imported: Any) -> None:
    graph = imported(make_model([relu("x", "a"), relu("a", "y")], {"x": X}, ["y"]))
    assert [node.tensor for node in graph.nodes()] == ["x", "a", "y"]


def test_nodes_may_share_a_name(make_model: Any, imported: Any) -> None:
    graph = imported(make_model([relu("x", "a", "r"), relu("a", "y", "r")], {"x": X}, ["y"]))
    assert [node.sources for node in graph.operations()] == [("r",), ("r",)]


def test_a_cycle_is_named(make_model: Any, imported: Any) -> None:
    nodes = [helper.make_node("Add", ["x", "c"], ["a"], "first"), relu("a", "b", "second"), relu("b", "c", "third")]
    with pytest.raises(ModelError, match=r"the graph has a cycle: 'first' -> 'second' -> 'third' -> 'first'\."):
        imported(make_model([*nodes, relu("c", "y", "fourth")], {"x": X}, ["y"]))


def test_a_node_that_reads_itself_is_a_cycle(make_model: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="the graph has a cycle: 'r' -> 'r'"):
        imported(make_model([helper.make_node("Add", ["x", "y"], ["y"], "r")], {"x": X}, ["y"]))


@pytest.mark.parametrize(
    "twice", [[relu("x", "y"), relu("x", "y")], [relu("x", "x")], [relu("x", "w"), relu("w", "y")]]
)
def test_a_tensor_made_twice_is_refused(make_model: Any, imported: Any, twice: list[onnx.NodeProto]) -> None:
    with pytest.raises(ModelError, match="is made twice"):
        imported(make_model(twice, {"x": X}, ["y"], {"w": X}))


def test_names_given_twice_are_refused(make_model: Any, imported: Any) -> None:
    for what in ("input", "output", "initializer"):
        model = make_model([relu("x", "y")], {"x": X}, ["y"], {"w": X})
        entries = getattr(model.graph, what)
        entries.append(entries[0])
        with pytest.raises(ModelError, match=f"two of its (graph )?{what}s called"):
            imported(model)


def test_what_nobody_makes_is_refused(make_model: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="Add 'sum' reads 'w', which is made by no node"):
        imported(make_model([helper.make_node("Add", ["x", "w"], ["y"], "sum")], {"x": X}, ["y"]))
    with pytest.raises(ModelError, match="the graph output 'z' is made by no node"):
        imported(make_model([relu("x", "y")], {"x": X}, ["y", "z"]))


def test_a_graph_without_outputs_is_refused(make_model: Any, imported: Any) -> None:
    with pytest.raises(ModelError, match="has no output"):
        imported(make_model([relu("x", "y")], {"x": X}, []))


def test_dead_nodes_are_not_looked_at(make_model: Any, imported: Any) -> None:
    nodes = [helper.make_node("Nonsense", ["x"], ["dead"]), relu("x", "y")]
    assert len(imported(make_model(nodes, {"x": X}, ["y"])).operations()) == 1


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def test_inputs_that_nobody_reads_stay(make_model: Any, imported: Any) -> None:
    graph = imported(make_model([relu("x", "y")], {"unused": X, "x": X}, ["y"]))
    assert [node.name for node in graph.inputs] == ["unused", "x"]


def test_an_initializer_that_is_also_an_input_is_a_constant(make_model: Any, imported: Any) -> None:
    model = make_model([helper.make_node("Add", ["x", "w"], ["y"])], {"x": X, "w": X}, ["y"], {"w": X})
    graph = imported(model)
    assert [node.name for node in graph.inputs] == ["x"]
    assert [type(node) for node in graph.nodes()][:2] == [Input, Constant]


def test_inputs_and_initializers_may_be_outputs(make_model: Any, meaning: Any) -> None:
    found = meaning(make_model([], {"x": X}, ["x", "w"], {"w": X + 1}), {"x": X})
    np.testing.assert_array_equal(found, [X, X + 1])


def test_outputs_keep_their_names_and_order(make_model: Any, imported: Any) -> None:
    nodes = [helper.make_node("Split", ["x"], ["b", "a"], axis=0), relu("a", "c:0/1")]
    graph = imported(make_model(nodes, {"x": X}, ["c:0/1", "b", "a"], opset=13))
    assert [output.name for output in graph.outputs] == ["c:0/1", "b", "a"]


def declared(elem_type: int, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("y", elem_type, shape)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (declared(TensorProto.FLOAT, [2, 4]), r"is declared float32\[2, 4\], but its nodes make float32\[2, 3\]"),
        (declared(TensorProto.FLOAT, [2]), r"is declared float32\[2\]"),
        (declared(TensorProto.FLOAT, ["n", 4]), r"is declared float32\[\?, 4\]"),
        (declared(TensorProto.INT8, [2, 3]), r"is declared int8\[2, 3\]"),
        (helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [2, 3]), "is declared a sequence"),
    ],
)
def test_a_declared_output_that_contradicts_is_refused(
    make_model: Any, imported: Any, info: onnx.ValueInfoProto, text: str
) -> None:
    model = make_model([relu("x", "y")], {"x": X}, ["y"])
    model.graph.output[0].CopyFrom(info)
    with pytest.raises(ModelError, match=f"the graph output 'y' {text}"):
        imported(model)


def test_a_declared_output_may_leave_dimensions_open(make_model: Any, imported: Any) -> None:
    for shape in (["n", None], None, [2, 3]):
        model = make_model([relu("x", "y")], {"x": X}, ["y"])
        model.graph.output[0].CopyFrom(declared(TensorProto.FLOAT, shape))
        assert imported(model).outputs[0].value.type.shape == (2, 3)


def test_other_inputs_than_tensors_are_refused(make_model: Any, imported: Any) -> None:
    model = make_model([relu("x", "y")], {"x": X}, ["y"])
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2, 3]))
    with pytest.raises(UnsupportedError, match="the graph input 'x' has the type 'sequence'"):
        imported(model)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.STRING, [2]))
    with pytest.raises(UnsupportedError, match="the graph input 'x' has element type string"):
        imported(model)
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedError, match="the graph input 'x' has no shape"):
        imported(model)


# Dimensions -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def open_model(make_model: Any) -> onnx.ModelProto:
    """y = relu(x), x [batch, 3, ?, width]."""
    model = make_model([relu("x", "y")], {"x": X}, ["y"])
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, None, "width"]))
    return model


def test_dimensions_are_bound_by_name(imported: Any, open_model: onnx.ModelProto) -> None:
    graph = imported(open_model, dims={"batch": 2, "x:2": 5, "width": 7})
    assert graph.inputs[0].type.shape == (2, 3, 5, 7)


def test_a_batch_binds_the_leading_dimensions_that_are_left_open(imported: Any, open_model: onnx.ModelProto) -> None:
    graph = imported(open_model, dims={"x:2": 5, "width": 7}, batch=3)
    assert graph.inputs[0].type.shape == (3, 3, 5, 7)
    graph = imported(open_model, dims={"batch": 2, "x:2": 5, "width": 7}, batch=3)
    assert graph.inputs[0].type.shape == (2, 3, 5, 7)


def test_every_open_dimension_is_named_at_once(imported: Any, open_model: onnx.ModelProto) -> None:
    with pytest.raises(
        ModelError, match=r"3 dimensions .*: 'batch', 'x:2', 'width'.*--dim batch=1 --dim x:2=1 --dim width=1"
    ):
        imported(open_model)


def test_one_name_binds_everywhere(make_model: Any, imported: Any) -> None:
    model = make_model([helper.make_node("Add", ["a", "b"], ["y"])], {"a": X, "b": X}, ["y"])
    for info in model.graph.input:
        info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, ["n", 3]))
    assert imported(model, dims={"n": 4}).outputs[0].value.type.shape == (4, 3)
    with pytest.raises(ModelError, match="a dimension that is not fixed: 'n'"):
        imported(model)


@pytest.mark.parametrize("extent", [0, -1, True, 1.5, "1"])
def test_extents_that_are_none_are_refused(open_model: onnx.ModelProto, extent: Any) -> None:
    with pytest.raises(ModelError, match="the dimension 'batch' is bound to"):
        import_model(open_model, dims={"batch": extent, "x:2": 1, "width": 1})


def test_names_that_are_no_dimension_are_refused(open_model: onnx.ModelProto) -> None:
    with pytest.raises(ModelError, match="no dimension 'height' to bind; it has 'batch', 'x:2', 'width'"):
        import_model(open_model, dims={"height": 1})


def test_extents_beyond_measure_are_refused(make_model: Any, imported: Any, open_model: onnx.ModelProto) -> None:
    with pytest.raises(ModelError, match="the most"):
        imported(open_model, dims={"batch": 2**40, "x:2": 1, "width": 1})
    with pytest.raises(ModelError, match=r"more than 2\^40 elements"):
        imported(open_model, dims={"batch": 2**31, "x:2": 2**20, "width": 1})


# Refusals -------------------------------------------------------------------------------------------------------------


def test_all_that_is_not_read_is_listed_at_once(make_model: Any, imported: Any) -> None:
    nodes = [
        helper.make_node("LSTM", ["x", "x", "x"], ["a"], "lstm"),
        helper.make_node("Nonsense", ["a"], ["b"], "odd", domain="com.example"),
        helper.make_node("If", ["c"], ["d"], "branch"),
        helper.make_node("LSTM", ["b", "x", "x"], ["e"], "lstm2"),
        helper.make_node("Expand", ["x", "x"], ["c"], "expand"),
        helper.make_node("Sum", ["d", "e"], ["y"], "sum"),
    ]
    with pytest.raises(UnsupportedError) as caught:
        imported(make_model(nodes, {"x": X}, ["y"]))
    text = str(caught.value)
    assert text.startswith("the model cannot be imported for 4 reasons: (1) ")
    for part in (
        "LSTM 'lstm', 'lstm2'",
        "com.example.Nonsense 'odd'",
        "If 'branch'",
        "Expand 'expand' takes its shape from",
    ):
        assert part in text
    assert "sum" not in text


def test_a_long_list_is_cut(make_model: Any, imported: Any) -> None:
    nodes = [helper.make_node(f"Nonsense{i}", ["x"], [f"y{i}"], f"odd{i}") for i in range(50)]
    with pytest.raises(UnsupportedError, match=r"for 50 reasons: \(1\) .*\(20\) .* And 30 more\.$"):
        imported(make_model(nodes, {"x": X}, [f"y{i}" for i in range(50)]))


def test_what_is_broken_comes_before_what_is_not_read(make_model: Any, imported: Any) -> None:
    nodes = [
        helper.make_node("Nonsense", ["x"], ["a"], "odd"),
        helper.make_node("Concat", ["x"], ["b"], "concat", axis=7),
    ]
    with pytest.raises(ModelError, match=r"\(1\) Concat 'concat' has axis 7.*\(2\) Nonsense 'odd'"):
        imported(make_model(nodes, {"x": X}, ["a", "b"]))


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (helper.make_node("Relu", ["x", "x"], ["y"], "n"), "Relu 'n' is not as opset 21 says"),
        (helper.make_node("Relu", ["x"], ["y"], "n", slope=1.0), "Unrecognized attribute: slope"),
        (helper.make_node("Softmax", ["x"], ["y"], "n", axis=1.0), "Softmax 'n' is not as opset 21 says"),
        (helper.make_node("Transpose", ["x"], ["y"], "n", perm=[0, 0]), "Transpose 'n'.*permutation"),
        (helper.make_node("MatMul", ["x", "x"], ["y"], "n"), "MatMul 'n'.*inner dimensions differ"),
        (helper.make_node("Cast", ["x"], ["y"], "n"), "Cast 'n' is not as opset 21 says"),
    ],
)
def test_nodes_that_are_ill_formed_are_refused(make_model: Any, imported: Any, node: onnx.NodeProto, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        imported(make_model([node], {"x": X}, ["y"]))


def test_a_parameter_of_a_function_outside_of_one_is_refused(make_model: Any, imported: Any) -> None:
    node = helper.make_node("QLinearSigmoid", ["x", "s", "", "s"], ["y"], "n", domain="com.microsoft")
    node.attribute.append(onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT, ref_attr_name="parameter"))
    node.op_type = "QLinearSoftmax"
    weights = {"s": np.array(0.1, np.float32)}
    with pytest.raises(ModelError, match="QLinearSoftmax 'n' has an attribute 'axis' that is not an integer"):
        imported(make_model([node], {"x": X.astype(np.uint8)}, ["y"], weights))


@pytest.mark.parametrize(("op", "way"), [("Loop", "control flow"), ("LSTM", "Export without it")])
def test_an_operator_that_is_not_read_is_refused_with_a_way_on(
    make_model: Any, imported: Any, op: str, way: str
) -> None:
    with pytest.raises(UnsupportedError, match=rf"{op} 'n': this operator is not read .*{way}"):
        imported(make_model([helper.make_node(op, ["x", "x"], ["y"], "n")], {"x": X}, ["y"]))


def test_sparse_initializers_are_refused(make_model: Any, imported: Any) -> None:
    model = make_model([relu("x", "y")], {"x": X}, ["y"])
    model.graph.sparse_initializer.add()
    with pytest.raises(UnsupportedError, match="sparse"):
        imported(model)


# Size -----------------------------------------------------------------------------------------------------------------


@pytest.mark.timing
def test_a_chain_of_20000_nodes_is_imported_in_seconds(make_model: Any) -> None:
    count = 20_000
    nodes = [relu(f"t{i}", f"t{i + 1}", f"n{i}") for i in range(count)]
    model = make_model(nodes, {"t0": X}, [f"t{count}"])
    begin = time.perf_counter()
    graph = import_model(model)
    assert time.perf_counter() - begin < 5
    assert len(graph.operations()) == count


def test_a_chain_that_mixes_identities_and_arithmetic_has_no_depth_limit(make_model: Any) -> None:
    nodes, last = [], "x"
    for i in range(3000):
        nodes.append(helper.make_node("Identity", [last], [f"i{i}"], f"same{i}"))
        nodes.append(helper.make_node("Add", [f"i{i}", "one"], [f"a{i}"], f"add{i}"))
        last = f"a{i}"
    graph = import_model(make_model(nodes[::-1], {"x": X}, [last], {"one": np.float32(1).reshape(())}))
    assert len(graph.operations()) == 3000
    assert graph.operations()[0].sources == ("add0", "same1")
