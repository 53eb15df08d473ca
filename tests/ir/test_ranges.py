"""Range analysis: every code that is computed lies inside, and what can be known is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.compiler.dtype import INT8, INT32, UINT8
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node, evaluate_values
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ranges import code_ranges
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from tests.passes.builders import codes_input, graph_of, quant, random_inputs
from tests.passes.random_graphs import random_graph


def ends_of(value: Value) -> tuple[np.ndarray, np.ndarray]:
    found = code_ranges(graph_of(value))[value]
    return np.broadcast_to(found.low, value.type.shape), np.broadcast_to(found.high, value.type.shape)


def assert_inside(graph: Graph, seed: int) -> None:
    ranges = code_ranges(graph)
    for sample in range(3):
        computed = evaluate_values(graph, random_inputs(graph, np.random.default_rng(seed + sample)))
        for value, found in ranges.items():
            assert (computed[value] >= found.low).all(), value
            assert (computed[value] <= found.high).all(), value


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32))
def test_every_code_of_a_random_graph_lies_inside(seed: int) -> None:
    assert_inside(random_graph(seed), seed)


@pytest.mark.parametrize("seed", range(20))
def test_random_graphs_hold_channels_that_can_be_known(seed: int) -> None:
    """So that the test above is about more than the ranges of types."""
    ranges = [code_ranges(random_graph(seed * 50 + k)) for k in range(20)]
    known = [found.is_known for one in ranges for found in one.values()]
    narrower = [
        int(found.low.min()) > value.type.code_range()[0] or int(found.high.max()) < value.type.code_range()[1]
        for one in ranges
        for value, found in one.items()
    ]
    assert sum(known) > 5
    assert sum(narrower) > 20


X = codes_input("x", (1, 2, 4, 4), 0.5, 0, INT8)
IDENTITY = Requantization(np.float32(1), None, 0, -128, 127)


def conv(x: Value, w: list[int], bias: list[int] | None, *, pad: int = 0, group: int = 1) -> Value:
    """A 1x1 or 3x3 convolution with one weight per output and input channel, everywhere in the kernel."""
    taken = x.type.shape[1] // group
    kernel = 3 if pad else 1
    codes = np.repeat(np.array(w).reshape(-1, taken, 1), kernel * kernel, axis=2).reshape(-1, taken, kernel, kernel)
    shift = None if bias is None else Constant.of(bias, INT32).out
    weights = Constant.of(codes, INT8, quant=quant(1.0)).out
    return qops.QConv(x, weights, shift, IDENTITY, INT8, quant(0.5), (1, 1), (pad,) * 4, (1, 1), group).out


def test_sums_take_the_extremes_of_their_terms() -> None:
    low, high = ends_of(conv(X, [1, -1, 0, 0], [0, 7]))
    assert (low[0, :, 0, 0].tolist(), high[0, :, 0, 0].tolist()) == ([-128, 7], [127, 7])
    codes = Input("x", TensorType(INT8, (1, 2, 1, 1), QuantParams(np.float32(1), np.int64(0), -3, 2))).out
    low, high = ends_of(conv(codes, [2, -5], [1]))
    assert (int(low.item()), int(high.item())) == (2 * -3 - 5 * 2 + 1, 2 * 2 + 5 * 3 + 1)


def test_a_constant_shows_at_padded_borders() -> None:
    """Channel 0 is 5 everywhere; summed over a 3x3 window in zeros it is 45 inside, 30 at edges, 20 in corners."""
    known = conv(X, [0, 0, 1, 1], [5, 0])
    low, high = ends_of(conv(known, [1, 1], None, pad=1, group=2))
    expected = [[20, 30, 30, 20], [30, 45, 45, 30], [30, 45, 45, 30], [20, 30, 30, 20]]
    assert low[0, 0].tolist() == expected
    assert high[0, 0].tolist() == expected


def test_a_clamp_makes_borders_uniform_again() -> None:
    padded = conv(conv(X, [0, 0, 1, 1], [5, 0]), [1, 1], [1000, 0], pad=1, group=2)
    low, high = ends_of(padded)
    assert (low[0, 0] == 127).all()
    assert (high[0, 0] == 127).all()


def test_a_negative_multiplier_swaps_the_ends() -> None:
    codes = Input("x", TensorType(INT8, (1, 1, 1, 1), QuantParams(np.float32(1), np.int64(0), -3, 2))).out
    node = conv(codes, [1], None).node.replace(requantization=Requantization(np.float32(-2), None, 0, -128, 127))
    assert [int(end.item()) for end in ends_of(node.out)] == [-4, 6]


def test_tables_are_searched_between_the_ends() -> None:
    codes = Input("x", TensorType(UINT8, (3,), QuantParams(np.float32(1), np.int64(0), 10, 12))).out
    table = np.zeros(256, np.int8)
    table[[9, 10, 11, 12, 13]] = [100, 5, -7, 3, 100]
    low, high = ends_of(qops.Lookup(codes, table, INT8, quant(1.0)).out)
    assert (low.tolist(), high.tolist()) == ([-7] * 3, [5] * 3)


def test_a_quotient_through_zero_has_the_range_of_its_type() -> None:
    one = Input("a", TensorType(INT8, (2,), QuantParams(np.float32(1), np.int64(0), -3, 2))).out
    low, high = ends_of(qops.QDiv(one, one, INT8, quant(1.0)).out)
    assert (low.min(), high.max()) == (-128, 127)


def test_a_product_of_two_values_is_bounded_by_both() -> None:
    a = Input("a", TensorType(INT8, (1, 2), QuantParams(np.float32(1), np.int64(0), -3, 2))).out
    b = Input("b", TensorType(INT8, (2, 1), QuantParams(np.float32(1), np.int64(0), -1, 1))).out
    low, high = ends_of(qops.QGemm(a, b, None, None, INT32, None).out)
    assert -12 <= low.item() <= -6
    assert 6 <= high.item() <= 12


def test_a_sum_that_may_wrap_has_the_range_of_its_type() -> None:
    big = Constant.of([2**31 - 1], INT32).out
    node = qops.QGemm(Input("a", TensorType(INT8, (1, 1))).out, Constant.of([[1]], INT8).out, big, None, INT32, None)
    low, high = ends_of(node.out)
    assert (low.item(), high.item()) == (-(2**31), 2**31 - 1)


def test_equal_samples_are_stored_once() -> None:
    value = ops.MaxPool(codes_input("x", (5, 2, 4, 4), 0.5), (2, 2), (2, 2), (0,) * 4, (1, 1), False).out
    assert code_ranges(graph_of(value))[value].low.shape == (1, 2, 2, 2)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_that_are_alike_are_computed_once(stride: int, dilation: int) -> None:
    """A large image, of which only borders and one bright spot differ: as if every window had been summed."""
    spot = np.zeros((1, 1, 40, 30), np.int8)
    spot[..., 17, 4] = 9
    x = Constant.of(spot, INT8, quant=quant(1.0, 3)).out
    w = Constant.of(np.arange(-4, 5).reshape(1, 1, 3, 3), INT8, quant=quant(1.0)).out
    geometry = ((stride,) * 2, (2, 0, 1, 2), (dilation,) * 2, 1)
    node = qops.QConv(x, w, None, None, INT32, None, *geometry)
    (expected,) = evaluate_node(node, [spot, np.arange(-4, 5, dtype=np.int8).reshape(1, 1, 3, 3)])
    low, high = ends_of(node.out)
    assert low.tolist() == high.tolist() == expected.tolist()
