"""Graphs are immutable, ordered the same way every time, and rewritten in one sweep, however deep they are."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter, rewrite, union_sources
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import Layout, TensorType


def floats(*shape: int, name: str = "x") -> Input:
    return Input(name, TensorType(FLOAT32, shape))


def chain(length: int) -> Graph:
    x = floats(4)
    value = x.out
    for index in range(length):
        value = ops.Unary(value, "Relu", sources=(f"/relu{index}",), tensor=f"relu{index}").out
    return Graph("chain", (x,), (Output("y", value),))


# Nodes ----------------------------------------------------------------------------------------------------------------


def test_nodes_are_frozen() -> None:
    node = ops.Unary(floats(2).out, "Relu")
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.function = "Abs"  # type: ignore[misc]


def test_constants_are_read_only_and_own_their_memory() -> None:
    owned, other = np.zeros(2, np.float32), np.zeros(4, np.float32)
    constant = Constant(owned, TensorType(FLOAT32, (2,)))
    assert constant.value is owned
    with pytest.raises(ValueError, match="read-only"):
        constant.value[0] = 1
    part = Constant(other[:2], TensorType(FLOAT32, (2,)))
    other[0] = 1
    assert part.value.tolist() == [0, 0]


def test_tables_are_read_only() -> None:
    node = qops.Lookup(Input("x", TensorType(INT8, (1,))).out, np.zeros(256, np.float32), FLOAT32, None)
    with pytest.raises(ValueError, match="read-only"):
        node.table[0] = 1


def test_identity_is_equality() -> None:
    x = floats(2)
    assert ops.Unary(x.out, "Relu") != ops.Unary(x.out, "Relu")
    assert Value(x, 0) == x.out
    assert len({Value(x, 0), x.out}) == 1


def test_operands_stand_in_the_order_of_the_fields_and_absent_ones_do_not() -> None:
    x, w, b = floats(1, 1, 4), floats(1, 1, 3), floats(1)
    geometry = ((1,), (0, 0), (1,), 1)
    assert ops.Conv(x.out, w.out, b.out, *geometry).operands == (x.out, w.out, b.out)
    assert ops.Conv(x.out, w.out, None, *geometry).operands == (x.out, w.out)
    assert ops.Concat((x.out, w.out, x.out), 2).operands == (x.out, w.out, x.out)


def test_mapping_operands_to_themselves_is_the_same_node() -> None:
    x, y = floats(2), floats(2)
    node = ops.Concat((x.out, y.out), 0, sources=("/cat",), tensor="cat")
    assert node.map_operands(lambda value: value) is node
    changed = node.map_operands(lambda value: y.out)
    assert changed.operands == (y.out, y.out)
    assert (changed.sources, changed.tensor) == (("/cat",), "cat")


def test_mapping_operands_infers_types_again() -> None:
    node = ops.Unary(floats(2).out, "Relu")
    assert node.map_operands(lambda value: floats(7).out).type.shape == (7,)


def test_attributes_are_neither_operands_nor_provenance() -> None:
    node = ops.Concat((floats(2).out,), 0, sources=("/cat",))
    assert node.attributes() == {"axis": 0}


def test_a_kernel_call_has_the_operands_of_its_operation() -> None:
    x, y = floats(2), floats(2)
    call = KernelCall(ops.Add(x.out, y.out), kernel="add", target="portable")
    assert call.operands == (x.out, y.out)
    swapped = call.map_operands(lambda value: y.out)
    assert swapped.operands == (y.out, y.out)
    assert (swapped.kernel, swapped.target) == ("add", "portable")


# Graphs ---------------------------------------------------------------------------------------------------------------


def test_operands_stand_before_their_users_and_inputs_first() -> None:
    x, y = floats(2, name="x"), floats(2, name="y")
    a = ops.Add(y.out, x.out)
    b = ops.Add(a.out, y.out)
    graph = Graph("g", (x, y), (Output("b", b.out), Output("a", a.out)))
    assert graph.nodes() == (x, y, a, b)
    assert graph.operations() == (a, b)
    assert graph.users() == {y.out: [a, b], x.out: [a], a.out: [b]}


def test_a_node_that_reads_a_value_twice_is_its_user_twice() -> None:
    x = floats(2)
    double = ops.Add(x.out, x.out)
    assert Graph("g", (x,), (Output("y", double.out),)).users() == {x.out: [double, double]}


def test_names_are_unique() -> None:
    x = floats(2)
    with pytest.raises(GraphError, match="more than one output called 'y'"):
        Graph("g", (x,), (Output("y", x.out), Output("y", x.out)))
    with pytest.raises(GraphError, match="more than one input called 'x'"):
        Graph("g", (x, floats(2)), ())


def test_an_input_of_nobody_is_refused() -> None:
    with pytest.raises(GraphError, match="uses the input 'x'"):
        Graph("g", (), (Output("y", ops.Unary(floats(2).out, "Relu").out),))


# Rewriting ------------------------------------------------------------------------------------------------------------


def test_a_sweep_that_changes_nothing_returns_the_same_graph() -> None:
    graph = chain(3)
    assert rewrite(graph, lambda node, _: None) is graph


def test_a_rule_sees_rewritten_operands_and_provenance_is_kept() -> None:
    def negate(node: Node, graph: Graph) -> Node | None:
        return ops.Unary(node.x, "Neg") if isinstance(node, ops.Unary) else None

    new = rewrite(chain(3), negate)
    assert [node.function for node in new.operations() if isinstance(node, ops.Unary)] == ["Neg"] * 3
    assert [node.sources for node in new.operations()] == [("/relu0",), ("/relu1",), ("/relu2",)]
    assert [node.tensor for node in new.operations()] == ["relu0", "relu1", "relu2"]


def test_a_rule_may_forward_a_value() -> None:
    new = rewrite(chain(3), lambda node, _: node.x if isinstance(node, ops.Unary) else None)
    assert new.operations() == ()
    assert new.outputs[0].value.node is new.inputs[0]


def test_a_rule_may_return_its_operands_node_as_it_is() -> None:
    graph = chain(2)
    last = graph.operations()[-1]
    new = rewrite(graph, lambda node, _: last.operands[0].node if node is last else None)
    assert new.nodes() == graph.nodes()[:2]


def test_a_sweep_may_change_the_stage_alone() -> None:
    graph = chain(2)
    new = rewrite(graph, lambda node, _: None, stage=Stage.QUANTIZED)
    assert new.stage is Stage.QUANTIZED
    assert new.nodes() == graph.nodes()


def test_several_outputs_are_replaced_together_or_not_at_all() -> None:
    x = floats(4)
    split = ops.Split(x.out, 0, (1, 3))
    graph = Graph("g", (x,), (Output("a", Value(split, 0)), Output("b", Value(split, 1))))
    with pytest.raises(GraphError, match="2 outputs"):
        rewrite(graph, lambda node, _: x.out if node is split else None)
    with pytest.raises(GraphError, match="1 outputs"):
        rewrite(graph, lambda node, _: ops.Unary(x.out, "Relu") if node is split else None)
    other = ops.Split(x.out, 0, (1, 3))
    new = rewrite(graph, lambda node, _: other if node is split else None)
    assert [output.value for output in new.outputs] == [Value(other, 0), Value(other, 1)]


def test_an_input_is_replaced_by_inputs_only() -> None:
    graph = chain(1)
    new = rewrite(graph, lambda node, _: floats(4, name="z") if isinstance(node, Input) else None)
    assert [node.name for node in new.inputs] == ["z"]
    with pytest.raises(GraphError, match="by another input only"):
        rewrite(graph, lambda node, _: Constant.of(np.zeros(4, np.float32)) if isinstance(node, Input) else None)


def test_a_rewriter_maps_old_values_to_new_ones() -> None:
    graph = chain(2)
    x, first, second = graph.nodes()
    rewriter = Rewriter(graph)
    twice = ops.Add(x.out, x.out)
    rewriter.replace(first, twice)
    assert rewriter[first.out] == twice.out
    assert rewriter[second.out] == second.out
    assert rewriter.rebuilt(second).operands == (twice.out,)
    rewriter.replace(second, (x.out,))
    assert rewriter[second.out] == x.out
    with pytest.raises(GraphError, match="2 values cannot stand"):
        rewriter.replace(second, (x.out, x.out))


def test_sources_are_united_in_order_each_once() -> None:
    x = floats(2)
    a = ops.Unary(x.out, "Relu", sources=("/b", "/a"))
    b = ops.Unary(a.out, "Relu", sources=("/a", "/c"))
    assert union_sources(a, b) == ("/b", "/a", "/c")


@pytest.mark.timing
def test_a_chain_of_20000_nodes_is_evaluated_rewritten_printed_and_parsed_in_seconds() -> None:
    begin = time.perf_counter()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        graph = chain(20_000)
        verify(graph)
        negative = rewrite(graph, lambda node, _: ops.Unary(node.x, "Neg") if isinstance(node, ops.Unary) else None)
        found = evaluate(negative, {"x": np.arange(4, dtype=np.float32)})
        text = print_graph(negative)
        assert print_graph(parse_graph(text)) == text
    finally:
        sys.setrecursionlimit(limit)
    assert found["y"].tolist() == [0, 1, 2, 3]
    assert time.perf_counter() - begin < 30


def test_layouts_change_no_result() -> None:
    x = floats(1, 2, 4, 4)
    rng = np.random.default_rng(1)
    w = Constant.of(rng.normal(size=(3, 2, 3, 3)).astype(np.float32))

    def network(layout: Layout | None) -> Graph:
        stored = ops.Repack(x.out, layout=layout)
        conv = ops.Conv(stored.out, w.out, None, (1, 1), (1, 1, 1, 1), (1, 1), 1, layout=layout)
        pool = ops.MaxPool(conv.out, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False, layout=layout)
        return Graph("g", (x,), (Output("y", ops.Repack(pool.out).out),), Stage.QUANTIZED)

    inputs: dict[str, Any] = {"x": rng.normal(size=(1, 2, 4, 4)).astype(np.float32)}
    plain, last = (evaluate(network(layout), inputs)["y"] for layout in (None, Layout((0, 2, 3, 1))))
    np.testing.assert_array_equal(plain, last)
