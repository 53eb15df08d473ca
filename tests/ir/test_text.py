"""Text of graphs reads back to the same graph, and broken text says where it is broken."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from subbyte.compiler.dtype import FLOAT32, INT8, INT32, INT64, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.thresholds import staircase

SIMPLE = """graph "simple" quantized {
  %0 = Input(name="x", of_type=uint8[1, 2] quant(scale=0.5, zero_point=128, qmin=0, qmax=255))
  %1 = Constant(value=int8[2, 1] {1, -2}, of_type=int4[2, 1])
  %2 = QGemm(a=%0, b=%1, bias=none, requantization=requantization(multiplier=0.25, zero_point=-1, qmin=-1, qmax=31), \
dtype=int8, quant=quant(scale=2.0, zero_point=-1, qmin=-1, qmax=31), sources=["/fc", "/relu"], tensor="fc_out") \
-> int8[1, 1] in -1..31
  %3 = Split(x=%0, axis=1, sizes=[1, 1]) -> uint8[1, 1], uint8[1, 1]
  output "y" = %2
  output "z" = %3.1
}
"""


def test_the_text_of_a_graph_is_readable() -> None:
    assert print_graph(parse_graph(SIMPLE)) == SIMPLE


def test_a_parsed_graph_means_what_it_says() -> None:
    graph = parse_graph(SIMPLE)
    assert graph.name == "simple"
    assert graph.stage is Stage.QUANTIZED
    found = evaluate(graph, {"x": np.array([[130, 7]], np.uint8)})
    assert found["y"].tolist() == [[31]]  # (2 * 1 + -121 * -2) / 4 - 1, clamped
    assert found["z"].tolist() == [[7]]


def test_names_comments_and_line_breaks_are_free_and_types_may_be_left_out() -> None:
    text = """
        graph "free" imported {   # a comment with a "quote" and a }
          %image = Input(name="x", of_type=float32[2])
          %relu = Unary(
            x=%image,
            function="Relu",
          # between fields
            parameters=[])
          output "y" = %relu
        }"""
    graph = parse_graph(text)
    assert evaluate(graph, {"x": np.array([-1, 1], np.float32)})["y"].tolist() == [0, 1]
    assert "%1 = Unary(x=%0" in print_graph(graph)


def test_long_arrays_are_resources_and_shared_ones_stand_once() -> None:
    x = Input("x", TensorType(FLOAT32, (20,)))
    constant = Constant.of(np.arange(20, dtype=np.float32))
    twin = Constant(constant.value, constant.type)
    node = ops.Add(ops.Add(x.out, constant.out).out, twin.out)
    text = print_graph(Graph("g", (x,), (Output("y", node.out),)))
    assert text.count("value=@0") == 2
    assert "@1" not in text
    assert print_graph(parse_graph(text)) == text
    short = print_graph(parse_graph(text), resources=False)
    assert "@0" in short
    assert "resources" not in short
    with pytest.raises(GraphError, match="line 3: there is no resource @0"):
        parse_graph(short)


# Round trips ----------------------------------------------------------------------------------------------------------

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(2**-20, 2**20, width=32)
TEXTS = st.text(max_size=12)
ELEMENTS = [
    np.dtype(name)
    for name in (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64"),
    )
]


def assert_round_trip(graph: Graph) -> Graph:
    text = print_graph(graph)
    parsed = parse_graph(text)
    assert print_graph(parsed) == text
    assert parsed.stage is graph.stage
    assert [type(node) for node in parsed.nodes()] == [type(node) for node in graph.nodes()]
    assert [node.types for node in parsed.nodes()] == [node.types for node in graph.nodes()]
    assert [(node.sources, node.tensor) for node in parsed.nodes()] == [(n.sources, n.tensor) for n in graph.nodes()]
    return parsed


@given(st.sampled_from(ELEMENTS).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_side=5))))
def test_arrays_read_back_bit_for_bit(array: np.ndarray) -> None:
    graph = Graph("g", (), (Output("y", Constant.of(array).out),))
    (node,) = assert_round_trip(graph).nodes()
    assert isinstance(node, Constant)
    assert node.value.dtype == array.dtype
    ordinary = ~np.isnan(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
    assert node.value[ordinary].tobytes() == array[ordinary].tobytes()
    np.testing.assert_array_equal(node.value, array)


@st.composite
def quantizations(draw: st.DrawFn, dtype: DType, shape: tuple[int, ...]) -> QuantParams:
    low, high = sorted(draw(st.tuples(*[st.integers(dtype.min, dtype.max)] * 2)))
    axis = draw(st.none() | st.integers(0, len(shape) - 1))
    count = () if axis is None else (shape[axis],)
    scale = draw(hnp.arrays(np.float32, count, elements=SCALES))
    zero_point = draw(hnp.arrays(np.int64, count, elements=st.integers(low, high)))
    return QuantParams(scale, zero_point, low, high, axis=axis)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Operations of every kind of field: attributes, lists of values, tables, nested operations, layouts."""
    dtype = draw(st.sampled_from([INT8, UINT8, DType("int", 4), DType("uint", 3)]))
    shape = tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=4)))
    quant = draw(quantizations(dtype, shape))
    names = {"sources": tuple(draw(st.lists(TEXTS, max_size=2))), "tensor": draw(TEXTS)}
    x = Input(draw(TEXTS), TensorType(dtype, shape, quant), **names)
    layout = Layout(tuple(draw(st.permutations(range(len(shape))))), draw(st.sampled_from([None, 4])))
    stored = ops.Repack(x.out, layout=layout, **names)
    real = ops.DequantizeLinear(stored.out)
    function = draw(st.sampled_from(sorted(ops.UNARY_FUNCTIONS.items())))
    parameters = tuple(draw(st.lists(st.floats(), min_size=function[1], max_size=function[1])))
    unary = ops.Unary(real.out, function[0], parameters, **names)
    both = ops.Concat((unary.out, real.out, unary.out), draw(st.integers(0, len(shape) - 1)))
    rounding = draw(st.sampled_from(["HALF_EVEN", "FLOOR", "HALF_UP"]))
    out = draw(quantizations(dtype, both.type.shape))
    codes = ops.QuantizeLinear(both.out, dtype, out, rounding, draw(st.booleans()), **names)
    table = draw(hnp.arrays(np.float32, dtype.max - dtype.min + 1, elements=FINITE))
    lookup = KernelCall(qops.Lookup(codes.out, table, FLOAT32, None), kernel=draw(TEXTS), target="portable", **names)
    flat = View(ops.Reshape(lookup.out, (lookup.type.elements,)))
    split = ops.Split(flat.out, 0, (0, flat.type.elements, 0))
    outputs = (Output("a", Value(split, 1)), Output("b", codes.out), Output("c", Value(split, 0)))
    return Graph(draw(TEXTS), (x,), outputs, draw(st.sampled_from(Stage)))


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**32))
def test_graphs_read_back_to_themselves(graph: Graph, seed: int) -> None:
    parsed = assert_round_trip(graph)
    (x,) = graph.inputs
    low, high = x.type.code_range()
    codes = np.random.default_rng(seed).integers(low, high + 1, x.type.shape).astype(x.type.dtype.numpy)
    values, again = (evaluate_values(g, {x.name: codes}) for g in (graph, parsed))
    for (value, ours), theirs in zip(values.items(), again.values(), strict=True):
        assert as_bits(ours) == as_bits(theirs)
        assert value.type.stray_code(ours) is None


def as_bits(array: np.ndarray) -> bytes:
    """The bytes of an array; any NaN is the same one, since text has no sign for it."""
    return (
        array.tobytes()
        if array.dtype.kind != "f"
        else np.where(np.isnan(array), array.dtype.type("nan"), array).tobytes()
    )


@given(
    hnp.arrays(np.float32, st.integers(1, 30), elements=SCALES),
    st.none() | FINITE,
    st.integers(-128, 0),
    st.integers(0, 127),
)
def test_requantizations_read_back(scales: np.ndarray, shift: float | None, low: int, high: int) -> None:
    a, b = Input("a", TensorType(INT8, (1, 2))), Input("b", TensorType(INT8, (2, len(scales))))
    r = Requantization(scales, None if shift is None else np.float32(shift), 0, low, high)
    node = qops.QGemm(a.out, b.out, None, r, INT8, None)
    parsed = assert_round_trip(Graph("g", (a, b), (Output("y", node.out),), Stage.QUANTIZED)).nodes()[-1]
    assert isinstance(parsed, qops.QGemm)
    assert parsed.requantization is not None
    assert parsed.requantization.multiplier.tobytes() == r.multiplier.tobytes()
    assert (parsed.requantization.shift is None) == (shift is None)
    assert shift is None or parsed.requantization.shift == np.float32(shift)


def test_codebooks_blocks_and_run_time_scales_read_back() -> None:
    levels = QuantParams(np.float32(1), np.int64(0), 0, 3, levels=(-1.0, -0.25, 0.1, math.inf))
    blocks = QuantParams(np.ones((2, 3), np.float32), np.zeros((2, 3), np.int64), -8, 7, axis=1, block=4)
    x = Input("x", TensorType(UINT8, (4,), levels))
    w = Input("w", TensorType(INT8, (2, 12), blocks))
    scale, zero = Input("scale", TensorType(FLOAT32, ())), Input("zero", TensorType(INT64, ()))
    real = Input("real", TensorType(FLOAT32, (4,)))
    dynamic = ops.QuantizeLinear(real.out, INT8, QuantParams(scale.out, zero.out, -128, 127))
    outputs = (Output("x", ops.DequantizeLinear(x.out).out), Output("w", w.out), Output("d", dynamic.out))
    text = print_graph(Graph("g", (x, w, scale, zero, real), outputs))
    assert print_graph(parse_graph(text)) == text
    assert "quant=quant(scale=%2, zero_point=%3, qmin=-128, qmax=127)" in text
    assert "levels=[-1.0, -0.25, 0.1, inf]" in text


def test_run_time_scales_equal_themselves_only() -> None:
    scale, zero = Input("scale", TensorType(FLOAT32, ())).out, Input("zero", TensorType(INT32, ())).out
    quant = QuantParams(scale, zero, 0, 1)
    assert quant == dataclasses.replace(quant)
    assert quant != QuantParams(zero, scale, 0, 1)


# Broken text ----------------------------------------------------------------------------------------------------------

BODY = 'graph "g" imported {{\n  %x = Input(name="x", of_type=float32[2])\n{}\n  output "y" = %x\n}}\n'
RELU = '  %y = Unary(x=%x, function="Relu", parameters=[])'
BROKEN: dict[str, tuple[str, str]] = {
    "empty": ("", "line 1: 'graph' is expected, not the end of the text"),
    "no stage": ('graph "g" finished {}', "line 1: 'finished' is no stage; stages are imported, quantized, lowered"),
    "no end": ('graph "g" imported {', "line 1: a node .* or '}' is expected, not the end of the text"),
    "more than a graph": ('graph "g" imported {} graph', "line 1: resources or the end of the text is expected"),
    "no word": (BODY.format("  $"), "line 3: '\\$.*' is no word"),
    "string without end": ('graph "g', "line 1: .* is no word"),
    "bad escape": ('graph "\\x" imported {}', "line 1: Invalid .*escape"),
    "no such operation": (BODY.format("  %y = Relu(x=%x)"), "line 3: there is no operation 'Relu'"),
    "abstract operation": (BODY.format("  %y = Binary(a=%x, b=%x)"), "line 3: there is no operation 'Binary'"),
    "no such field": (
        BODY.format(RELU.replace("function", "name")),
        "line 3: Unary has no field 'name'; its fields are sources, tensor, layout, x, function, parameters",
    ),
    "field twice": (BODY.format(RELU.replace("x=%x", "x=%x, x=%x")), "line 3: field 'x' is given twice"),
    "field missing": (BODY.format(RELU.replace("x=%x, ", "")), "line 3: Unary lacks its field 'x'"),
    "field of another type": (
        BODY.format(RELU.replace('"Relu"', "5")),
        "line 3: field 'function' of Unary does not take 5",
    ),
    "list of another type": (BODY.format(RELU.replace("[]", '["1"]')), "line 3: field 'parameters' of Unary does not"),
    "value of another type": (BODY.format(RELU.replace("x=%x", "x=3.0")), "line 3: field 'x' of Unary does not take 3"),
    "operation in a field": (
        BODY.format(RELU.replace("x=%x", 'x=Input(name="z", of_type=bool[])')),
        "line 3: field 'x' of Unary does not take",
    ),
    "not defined": (BODY.format(RELU.replace("%x", "%z")), "line 3: '%z' is not defined"),
    "no such output": (BODY.format(RELU.replace("%x", "%x.1")), "line 3: Input has 1 outputs; there is no %x.1"),
    "defined twice": (BODY.format("  %x" + RELU[4:]), "line 3: %x cannot be defined here"),
    "defined as an output": (BODY.format("  %y.1" + RELU[4:]), "line 3: %y.1 cannot be defined here"),
    "ill-typed node": (
        BODY.format("  %y = Transpose(x=%x, perm=[1])"),
        "line 3: Transpose: perm \\(1,\\) is not a permutation",
    ),
    "wrong result": (BODY.format(RELU + " -> float32[3]"), "line 3: Unary makes float32\\[2\\], the text says float32"),
    "wrong range": (BODY.format(RELU + " -> float32[2] in 0..1"), "line 3: Unary makes float32\\[2\\], the text says"),
    "comma missing": (BODY.format(RELU.replace(", f", " f")), "line 3: ',' is expected, not 'function'"),
    "no dtype": (BODY.format("  %y = Cast(x=%x, dtype=float31)"), "line 3: there is no 31-bit element type"),
    "no such word": (BODY.format("  %y = Cast(x=%x, dtype=string)"), "line 3: 'string' is not the name"),
    "negative extent": (
        'graph "g" imported {\n  %x = Input(name="x", of_type=float32[-1])\n}',
        "line 2: a shape is a list of whole numbers",
    ),
    "bad scale": (
        BODY.format('  %y = Input(name="y", of_type=int8[1] quant(scale=0.0, zero_point=0, qmin=0, qmax=1))'),
        "line 3: a quantization scale is zero",
    ),
    "no such quantization": (
        'graph "g" imported {\n  %x = Input(name="x", of_type=int8[1] quant(slope=1.0))\n}',
        "line 2: .*slope",
    ),
    "too few elements": (
        BODY.format("  %y = Constant(value=int8[3] {1, 2}, of_type=int8[3])"),
        "line 3: cannot reshape array of size 2",
    ),
    "element too large": (
        BODY.format("  %y = Constant(value=int8[1] {300}, of_type=int8[1])"),
        "line 3: .*300 out of bounds",
    ),
    "brackets without end": (BODY.format("  %y = Concat(values=" + "[" * 2000), "line 3: more than 32 brackets"),
    "two inputs of one name": (
        BODY.format('  %y = Input(name="x", of_type=bool[])'),
        "graph 'g' has more than one input called 'x'",
    ),
    "resource without data": (BODY.format("") + "resources {\n  @0 = int8[2]\n}", "line 8: a string is expected"),
    "resource of another size": (
        BODY.format("") + 'resources {\n  @0 = int8[2] "AAAA"\n}',
        "line 7: @0 has 3 bytes, which is not int8\\[2\\]",
    ),
    "resource of no base64": (BODY.format("") + 'resources {\n  @0 = int8[2] "A"\n}', "line 7: the contents of @0"),
    "after the resources": (BODY.format("") + "resources {} more", "line 6: the end of the text is expected"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_broken_text_is_an_error_with_a_line(text: str, expected: str) -> None:
    with pytest.raises(GraphError, match=expected) as raised:
        parse_graph(text)
    assert str(raised.value).startswith("line ")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutilated_text_is_a_graph_or_an_error(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(SIMPLE)))
    end = data.draw(st.integers(begin, min(begin + 20, len(SIMPLE))))
    inserted = data.draw(st.sampled_from(["", "0", "%2", "[", ")", '"', "none", "inf", "-", "int8", "{}", "1e999"]))
    found = parsed_or_error(SIMPLE[:begin] + inserted + SIMPLE[end:])
    if isinstance(found, GraphError):
        assert str(found).startswith("line ")
    else:
        assert_round_trip(found)


def parsed_or_error(text: str) -> Graph | GraphError:
    try:
        return parse_graph(text)
    except GraphError as error:
        return error


def test_tables_and_staircases_of_requantizations_read_back() -> None:
    r = Requantization(np.float32([0.5, -0.25]), None, 1, 0, 3, np.array([4, 5, 5, 2]))
    r = dataclasses.replace(r, staircase=staircase(r, [-20, -20], [20, 30], 15))
    a, b = Input("a", TensorType(INT8, (2, 3))), Input("b", TensorType(INT8, (3, 2)))
    node = qops.QGemm(a.out, b.out, None, r, INT8, None)
    parsed = assert_round_trip(Graph("g", (a, b), (Output("y", node.out),), Stage.QUANTIZED)).nodes()[-1]
    assert isinstance(parsed, qops.QGemm)
    found = parsed.requantization
    assert found is not None
    assert found.table is not None
    assert found.table.tolist() == [4, 5, 5, 2]
    assert found.staircase is not None
    assert r.staircase is not None
    for name in ("steps", "codes", "low", "high"):
        assert getattr(found.staircase, name).tolist() == getattr(r.staircase, name).tolist()
