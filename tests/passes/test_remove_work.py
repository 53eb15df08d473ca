"""What need not be computed is not: equal work, constant values and channels, channels that meet only zeros."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.compiler.dtype import BIPOLAR, INT8, INT32, INT64
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from subbyte.passes.fold_constant_codes import fold_constant_codes
from subbyte.passes.merge_duplicate_filters import merge_duplicate_filters
from subbyte.passes.narrow_ranges import narrow_ranges
from subbyte.passes.remove_constant_channels import remove_constant_channels
from subbyte.passes.remove_dead_nodes import remove_dead_nodes
from subbyte.passes.simplify_constant_filters import simplify_constant_filters
from tests.passes.builders import codes_input, graph_of, largest_step, operations, quant, random_inputs
from tests.passes.random_graphs import random_graph

PASSES = (
    eliminate_common_subexpressions,
    fold_constant_codes,
    simplify_constant_filters,
    merge_duplicate_filters,
    remove_constant_channels,
    narrow_ranges,
    remove_dead_nodes,
)


def without_work(graph: Graph) -> Graph:
    for one in PASSES:
        graph = one(graph)
        verify(graph)
    return graph


def assert_same(before: Graph, after: Graph, seed: int = 0) -> None:
    for sample in range(3):
        assert largest_step(before, after, random_inputs(before, np.random.default_rng(seed + sample))) == 0


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_random_graphs_keep_their_numbers(seed: int) -> None:
    graph = random_graph(seed)
    assert_same(graph, without_work(graph), seed)


def test_random_graphs_lose_work_again_and_again() -> None:
    """So that the test above is about graphs in which channels go."""
    changed = 0
    for seed in range(300):
        graph = fold_constant_codes(random_graph(seed))
        changed += remove_constant_channels(graph) is not graph
    assert changed > 30


# Constant channels ----------------------------------------------------------------------------------------------------


X = codes_input("x", (1, 2, 4, 4), 0.5, 0, INT8)
IDENTITY = Requantization(np.float32(1), None, 0, -128, 127)


def conv(
    x: Value, w: list[list[int]], bias: list[int] | None = None, *, pad: int = 0, group: int = 1, low: int = -128
) -> Value:
    """A 1x1, or padded 3x3, convolution with one weight per output and input channel, everywhere in the kernel."""
    kernel = 3 if pad else 1
    codes = np.tile(np.array(w)[:, :, None, None], (1, 1, kernel, kernel))
    shift = None if bias is None else Constant.of(bias, INT32).out
    weights = Constant.of(codes, INT8, quant=quant(1.0)).out
    r = Requantization(np.float32(1), None, 0, low, 127)
    return qops.QConv(x, weights, shift, r, INT8, quant(0.5), (1, 1), (pad,) * 4, (1, 1), group, tensor="t").out


def weights_of(graph: Graph) -> list[list[int]]:
    return [list(node.w.type.shape) for node in graph.operations() if isinstance(node, qops.QConv)]


def biases_of(graph: Graph) -> list[list[int] | None]:
    convs = [node for node in graph.operations() if isinstance(node, qops.QConv)]
    return [None if node.bias is None else node.bias.node.value.tolist() for node in convs]  # type: ignore[attr-defined]


def test_a_constant_channel_moves_into_the_bias() -> None:
    graph = graph_of(conv(conv(X, [[0, 0], [1, 2]], [5, 0]), [[3, 1], [2, 1]], [10, 0]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [2, 1, 1, 1]]
    assert biases_of(after) == [[0], [10 + 3 * 5, 2 * 5]]
    assert_same(graph, after)


def test_it_gives_a_bias_to_a_sum_that_had_none() -> None:
    graph = graph_of(conv(conv(X, [[0, 0], [1, 2]], [5, 0]), [[3, 1]]), stage=Stage.QUANTIZED)
    assert biases_of(remove_constant_channels(graph)) == [[0], [15]]


def test_a_clamped_channel_is_constant_too() -> None:
    graph = graph_of(conv(conv(X, [[1, 1], [1, 2]], [-2000, 0], low=0), [[3, 1]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [1, 1, 1, 1]]
    assert_same(graph, after)


def test_padding_that_is_not_the_constant_keeps_the_channel() -> None:
    graph = graph_of(conv(conv(X, [[0, 0], [1, 2]], [5, 0]), [[3, 1]], pad=1), stage=Stage.QUANTIZED)
    assert remove_constant_channels(graph) is graph


def test_padding_with_the_constant_lets_it_go() -> None:
    graph = graph_of(conv(conv(X, [[0, 0], [1, 2]], [0, 0]), [[3, 1]], pad=1), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [1, 1, 3, 3]]
    assert_same(graph, after)


@pytest.mark.parametrize(("bias", "kept"), [(0, 2), (2000, 1)], ids=["shows", "clamped away"])
def test_a_constant_in_a_padded_depthwise_convolution(bias: int, kept: int) -> None:
    """Borders that show keep the channel; borders that the clamp hides let it go, before and behind."""
    first = conv(X, [[0, 0], [1, 2]], [5, 0])
    graph = graph_of(conv(conv(first, [[1], [1]], [bias, 0], pad=1, group=2), [[3, 1]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[kept, 2, 1, 1], [kept, 1, 3, 3], [1, kept, 1, 1]]
    assert_same(graph, after)


def test_a_depthwise_constant_frees_what_it_was_made_of() -> None:
    first = conv(X, [[3, 1], [1, 2]])
    graph = graph_of(conv(conv(first, [[0], [1]], [7, 0], pad=1, group=2), [[3, 1]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [1, 1, 3, 3], [1, 1, 1, 1]]
    assert_same(graph, after)


def test_an_addition_keeps_a_channel_that_either_operand_keeps() -> None:
    dead, alive = conv(X, [[0, 0], [1, 2]], [5, 0]), conv(X, [[1, 0], [1, 2]])
    total = qops.QAdd(dead, alive, INT8, quant(1.0)).out
    graph = graph_of(conv(total, [[1, 1]]), stage=Stage.QUANTIZED)
    assert remove_constant_channels(graph) is graph


def test_an_addition_of_constant_channels_goes() -> None:
    one, other = conv(X, [[0, 0], [1, 2]], [5, 0]), conv(X, [[0, 0], [2, 1]], [6, 0])
    total = qops.QAdd(one, other, INT8, quant(0.5)).out
    graph = graph_of(conv(total, [[4, 1]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [1, 2, 1, 1], [1, 1, 1, 1]]
    assert biases_of(after)[-1] == [4 * 11]
    assert_same(graph, after)


def test_a_flattened_channel_leaves_the_matrix() -> None:
    flat = ops.Reshape(conv(X, [[1, 2], [0, 0]], [0, 5]), (1, 32)).out
    b = Constant.of(np.arange(64).reshape(32, 2), INT8, quant=quant(1.0)).out
    graph = graph_of(qops.QGemm(flat, b, None, None, INT32, None).out, stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    gemm = next(node for node in after.operations() if isinstance(node, qops.QGemm))
    assert gemm.b.type.shape == (16, 2)
    assert_same(graph, after)


def test_concatenated_channels_go_one_by_one() -> None:
    both = ops.Concat((conv(X, [[0, 0], [1, 2]], [5, 0]), conv(X, [[1, 0], [0, 0]], [0, 3])), 1).out
    graph = graph_of(conv(both, [[1, 2, 3, 4]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[1, 2, 1, 1], [1, 2, 1, 1], [1, 2, 1, 1]]
    assert biases_of(after)[-1] == [1 * 5 + 4 * 3]
    assert_same(graph, after)


def test_channels_that_meet_only_zeros_go_with_all_that_made_them() -> None:
    first = conv(X, [[3, 1], [1, 2], [1, 1]])
    second = conv(first, [[1, 1, 0], [0, 1, 1]])
    graph = graph_of(conv(second, [[1, 0]]), stage=Stage.QUANTIZED)
    after = remove_constant_channels(graph)
    assert weights_of(after) == [[2, 2, 1, 1], [1, 2, 1, 1], [1, 1, 1, 1]]
    assert_same(graph, after)


def test_outputs_keep_all_channels() -> None:
    graph = graph_of(conv(X, [[0, 0], [1, 2]], [5, 0]), stage=Stage.QUANTIZED)
    assert remove_constant_channels(graph) is graph


def test_an_inner_tensor_without_a_channel_loses_its_name() -> None:
    graph = graph_of(conv(conv(X, [[0, 0], [1, 2]], [5, 0]), [[3, 1]]), stage=Stage.QUANTIZED)
    assert [node.tensor for node in remove_constant_channels(graph).operations()] == ["", "t"]


def test_a_constant_filter_that_stays_gets_small_parameters() -> None:
    """Its bias alone made the layer sum in 64 bits."""
    shift = Constant.of([2**31 - 1, 5], INT32).out
    w = Constant.of(np.ones((2, 2, 1, 1)), INT8, quant=quant(1.0)).out
    geometry = ((1, 1), (0,) * 4, (1, 1), 1)
    graph = graph_of(qops.QConv(X, w, shift, IDENTITY, INT8, quant(0.5), *geometry).out, stage=Stage.QUANTIZED)
    after = simplify_constant_filters(graph)
    assert (accumulator_of(graph.operations()[0]), accumulator_of(after.operations()[0])) == (INT64, INT32)
    assert biases_of(after) == [[127, 5]]
    assert_same(graph, after)
    assert simplify_constant_filters(after) is after


def test_channels_that_only_constant_filters_read_go() -> None:
    first = conv(X, [[1, 2], [3, 4]])
    second = conv(first, [[1, 1], [1, 0]], [9000, 0])
    graph = graph_of(second, stage=Stage.QUANTIZED)
    assert remove_constant_channels(graph) is graph
    after = remove_constant_channels(simplify_constant_filters(graph))
    assert weights_of(after) == [[1, 2, 1, 1], [2, 1, 1, 1]]
    assert_same(graph, after)


# Duplicate filters ----------------------------------------------------------------------------------------------------


def without_duplicates(graph: Graph) -> Graph:
    return remove_constant_channels(merge_duplicate_filters(graph))


def test_equal_filters_become_one() -> None:
    first = conv(X, [[1, 2], [3, 4], [1, 2]], [5, 6, 5])
    graph = graph_of(conv(first, [[3, 1, 7], [2, 1, -2]]), stage=Stage.QUANTIZED)
    after = without_duplicates(graph)
    assert weights_of(after) == [[2, 2, 1, 1], [2, 2, 1, 1]]
    last = after.operations()[-1]
    assert isinstance(last, qops.QConv)
    assert np.asarray(last.w.constant).reshape(2, 2).tolist() == [[10, 1], [0, 1]]
    assert_same(graph, after)


@pytest.mark.parametrize("second", [[[1, 2], [5, 7]], [[1, 3], [5, 5]]], ids=["another bias", "another weight"])
def test_filters_that_differ_stay(second: list[list[int]]) -> None:
    first = conv(X, [[1, 2], second[0]], second[1])
    graph = graph_of(conv(first, [[3, 7]]), stage=Stage.QUANTIZED)
    assert merge_duplicate_filters(graph) is graph


def test_equal_filters_stay_where_their_weights_do_not_add_up() -> None:
    first = conv(X, [[1, 2], [1, 2]], [5, 5])
    graph = graph_of(conv(first, [[100, 28]]), stage=Stage.QUANTIZED)
    assert merge_duplicate_filters(graph) is graph


def test_equal_filters_are_followed_through_a_depthwise_convolution() -> None:
    first = conv(X, [[1, 2], [1, 2], [1, 2]])
    middle = conv(first, [[3], [3], [4]], pad=1, group=3)
    graph = graph_of(conv(qops.Clamp(middle, -5, 90).out, [[1, 2, 3]]), stage=Stage.QUANTIZED)
    after = without_duplicates(graph)
    assert weights_of(after) == [[2, 2, 1, 1], [2, 1, 3, 3], [1, 2, 1, 1]]
    assert_same(graph, after)


def test_bipolar_weights_have_no_zero_to_move_to() -> None:
    first = conv(X, [[1, 2], [1, 2]], [9000, 9000])
    w = Constant.of([[[[1]], [[-1]]]], BIPOLAR, quant=quant(1.0, 0, BIPOLAR)).out
    geometry = ((1, 1), (0,) * 4, (1, 1), 1)
    last = qops.QConv(first, w, None, IDENTITY, INT8, quant(0.5), *geometry).out
    graph = graph_of(last, stage=Stage.QUANTIZED)
    assert merge_duplicate_filters(graph) is graph
    assert_same(graph, without_work(graph))


# Ranges ---------------------------------------------------------------------------------------------------------------


def test_a_clamp_that_cuts_nothing_goes() -> None:
    small = QuantParams(np.float32(0.5), np.int64(0), -3, 3)
    x = Input("x", TensorType(INT8, (1, 2, 4, 4), small)).out
    graph = graph_of(qops.Clamp(conv(x, [[1, -2]]), -9, 9).out, stage=Stage.QUANTIZED)
    after = remove_dead_nodes(narrow_ranges(graph))
    assert operations(after) == ["QConv"]
    assert after.outputs[0].value.type.code_range() == (-9, 9)
    assert_same(graph, after)


def test_a_clamp_that_cuts_stays() -> None:
    small = QuantParams(np.float32(0.5), np.int64(0), -3, 3)
    x = Input("x", TensorType(INT8, (1, 2, 4, 4), small)).out
    graph = graph_of(qops.Clamp(conv(x, [[1, -2]]), -8, 9).out, stage=Stage.QUANTIZED)
    assert operations(remove_dead_nodes(narrow_ranges(graph))) == ["QConv", "Clamp"]


# Constant values ------------------------------------------------------------------------------------------------------


def test_a_value_that_never_changes_becomes_a_constant() -> None:
    known = conv(conv(X, [[0, 0]], [5]), [[1]], pad=1)
    graph = graph_of(qops.QAdd(known, conv(X, [[1, 1]]), INT8, quant(1.0)).out, stage=Stage.QUANTIZED)
    after = fold_constant_codes(graph)
    assert operations(after) == ["QConv", "QAdd"]
    assert_same(graph, after)


def test_a_shown_constant_is_computed() -> None:
    graph = graph_of(conv(X, [[0, 0]], [5]), stage=Stage.QUANTIZED)
    assert fold_constant_codes(graph) is graph


# Common subexpressions ------------------------------------------------------------------------------------------------


def named(x: Value, name: str, low: int = 0) -> Value:
    return qops.Clamp(x, low, 9, sources=(name,), tensor=name).out


def test_equal_operations_become_one_under_both_names() -> None:
    graph = graph_of(qops.QAdd(named(X, "a"), named(X, "b"), INT8, quant(1.0)).out, stage=Stage.QUANTIZED)
    after = eliminate_common_subexpressions(graph)
    assert operations(after) == ["Clamp", "QAdd"]
    assert after.operations()[0].sources == ("a", "b")
    assert_same(graph, after)


def test_equal_chains_become_one() -> None:
    one, other = (conv(conv(X, [[1, 2]], [3]), [[4]]) for _ in range(2))
    graph = graph_of(qops.QAdd(one, other, INT8, quant(1.0)).out, stage=Stage.QUANTIZED)
    assert operations(eliminate_common_subexpressions(graph)) == ["QConv", "QConv", "QAdd"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (named(X, "a", 0), named(X, "a", 1)),
        (conv(X, [[1, 2]]), conv(X, [[1, 3]])),
        (conv(X, [[1, 2]], [0]), conv(X, [[1, 2]])),
        (Constant.of(np.float32([0.0])).out, Constant.of(np.float32([-0.0])).out),
    ],
    ids=["attributes", "weights", "operands", "zeros of either sign"],
)
def test_operations_that_differ_stay(one: Value, other: Value) -> None:
    after = eliminate_common_subexpressions(graph_of(one, other, stage=Stage.QUANTIZED))
    assert after.outputs[0].value != after.outputs[1].value


def test_a_deep_graph_costs_no_stack() -> None:
    value = X
    for _ in range(3000):
        value = ops.Transpose(value, (0, 1, 3, 2)).out
    assert len(eliminate_common_subexpressions(graph_of(value, value, stage=Stage.QUANTIZED)).operations()) == 3000
