"""Affine maps, branches and products become part of layers: the same function with fewer operations, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.passes.fold_affine import fold_affine
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.linear.maps import regrouped
from subbyte.passes.merge_branches import merge_branches
from subbyte.passes.merge_products import merge_products
from tests.passes.builders import floats, graph_of, operations
from tests.passes.float_builders import Floats, random_network, relative_difference, tolerance

Make = Callable[[], Graph]


def image(b: Floats) -> ops.Value:
    return b.input(2, 4, 7, 7)


# Affine maps ----------------------------------------------------------------------------------------------------------


def behind(kind: str) -> Graph:
    b = Floats(1)
    x = image(b)
    match kind:
        case "conv":
            y = b.conv(x, 6, 3, stride=2)
        case "groups":
            y = b.conv(x, 8, 3, group=4, bias=False)
        case "transposed":
            y = b.named(ops.ConvTranspose(x, b.weights(4, 3, 2, 2), None, (2, 2), (0,) * 4, (1, 1), 2, (0, 0)))
        case "gemm":
            c = b.weights(5, 1)
            y = b.named(ops.Gemm(b.input(5, 4), b.weights(4, 6), c, 0.5, 2.0, False, False))
        case _:
            y = b.named(ops.MatMul(b.input(5, 4), b.weights(4, 6)))
    return graph_of(b.relu(b.batch_norm(y, (-2.0, 2.0))))


@pytest.mark.parametrize("kind", ["conv", "groups", "transposed", "gemm", "matmul"])
def test_normalization_behind_a_layer_goes_into_it(kind: str) -> None:
    graph = behind(kind)
    folded = fold_affine(graph)
    assert len(folded.operations()) == 2
    assert folded.operations()[0].sources == tuple(s for n in graph.operations()[:2] for s in n.sources)
    assert relative_difference(graph, folded) < 1e-5
    assert fold_affine(folded) is folded


def before(kind: str) -> Graph:
    b = Floats(2)
    match kind:
        case "conv":
            y = b.conv(b.batch_norm(image(b)), 6, 3, pad=0)
        case "groups":
            y = b.conv(b.batch_norm(image(b)), 8, 3, group=2, pad=0, stride=2)
        case "pads without a shift":
            y = b.conv(b.named(ops.Mul(image(b), floats(b.random.normal(size=(4, 1, 1))))), 6, 3)
        case "transposed":
            x = b.batch_norm(image(b))
            y = b.named(ops.ConvTranspose(x, b.weights(4, 3, 1, 1), None, (1, 1), (0,) * 4, (1, 1), 1, (0, 0)))
        case "gemm":
            x = b.batch_norm(b.input(5, 4))
            y = b.named(ops.Gemm(x, b.weights(6, 4), None, 0.5, 1.0, False, True))
        case _:
            y = b.named(ops.MatMul(b.batch_norm(b.input(5, 4)), b.weights(4, 6)))
    return graph_of(y)


@pytest.mark.parametrize("kind", ["conv", "groups", "pads without a shift", "transposed", "gemm", "matmul"])
def test_normalization_before_a_layer_goes_into_it(kind: str) -> None:
    graph = before(kind)
    folded = fold_affine(graph)
    assert len(folded.operations()) == 1
    assert relative_difference(graph, folded) < 1e-5


def concatenated() -> Graph:
    b = Floats(3)
    x = image(b)
    return graph_of(b.relu(b.batch_norm(b.concat(b.conv(x, 3), b.conv(x, 5, 3)))))


def added() -> Graph:
    b = Floats(4)
    x = image(b)
    return graph_of(b.batch_norm(b.add(b.conv(x, 6), b.conv(x, 6, 3))))


def pooled() -> Graph:
    b = Floats(5)
    x = b.named(ops.AveragePool(b.conv(image(b), 6), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False, False))
    return graph_of(b.batch_norm(b.named(ops.ReduceMean(x, (2, 3), True))))


def twice() -> Graph:
    b = Floats(6)
    x = b.batch_norm(b.batch_norm(b.conv(image(b), 6)))
    x = b.named(ops.Div(b.named(ops.Sub(floats(2.0), x)), floats(b.random.uniform(0.5, 2, (6, 1, 1)))))
    return graph_of(b.relu(b.named(ops.Add(x, b.vector(7)).replace(b=floats(b.random.normal(size=(1, 6, 1, 1)))))))


def behind_pool_and_relu() -> Graph:
    b = Floats(7)
    x = b.named(ops.MaxPool(b.conv(image(b), 6), (2, 2), (2, 2), (0,) * 4, (1, 1), False))
    return graph_of(b.named(ops.Mul(b.relu(x), floats(b.random.uniform(0.5, 2, (6, 1, 1))))))


def on_both_sides() -> Graph:
    """A normalization of a graph input, read by two layers, one of them normalized behind."""
    b = Floats(8)
    x = b.batch_norm(image(b))
    return graph_of(b.batch_norm(b.conv(x, 3, 3, pad=0)), b.conv(x, 2))


@pytest.mark.parametrize(
    ("make", "left"),
    [
        (concatenated, ["Conv", "Conv", "Concat", "Unary"]),
        (added, ["Conv", "Conv", "Add"]),
        (pooled, ["Conv", "AveragePool", "ReduceMean"]),
        (twice, ["Conv", "Unary"]),
        (behind_pool_and_relu, ["Conv", "MaxPool", "Unary"]),
        (on_both_sides, ["Conv", "Conv"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_affine_maps_move_to_the_layers(make: Make, left: list[str]) -> None:
    graph = make()
    folded = fold_affine(graph)
    assert operations(folded) == left
    assert relative_difference(graph, folded) < 1e-5


def padded() -> Graph:
    b = Floats(9)
    return graph_of(b.conv(b.batch_norm(image(b)), 6, 3))


def activated_first() -> Graph:
    b = Floats(10)
    return graph_of(b.conv(b.relu(b.batch_norm(b.relu(image(b)))), 6))


def read_twice() -> Graph:
    b = Floats(11)
    x = b.conv(image(b), 6)
    return graph_of(b.batch_norm(x), b.relu(x))


def shown() -> Graph:
    b = Floats(12)
    x = b.conv(image(b), 6)
    return graph_of(x, b.batch_norm(x))


def partly_concatenated() -> Graph:
    b = Floats(13)
    x = image(b)
    return graph_of(b.relu(b.batch_norm(b.concat(b.conv(x, 3), x))))


def with_shared_weights() -> Graph:
    b = Floats(14)
    x, w = image(b), b.weights(4, 4, 1, 1)
    first, second = (b.named(ops.Conv(x, w, None, (1, 1), (0,) * 4, (1, 1), 1)) for _ in range(2))
    return graph_of(b.batch_norm(first), second)


def negative_behind_pool() -> Graph:
    b = Floats(15)
    x = b.named(ops.MaxPool(b.conv(image(b), 6), (2, 2), (2, 2), (0,) * 4, (1, 1), False))
    return graph_of(b.named(ops.Mul(x, floats(-2.0))))


def counted_borders() -> Graph:
    b = Floats(16)
    x = b.named(ops.AveragePool(b.conv(image(b), 6), (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), False, True))
    return graph_of(b.batch_norm(x))


def for_each_place() -> Graph:
    b = Floats(17)
    return graph_of(b.named(ops.Mul(b.conv(image(b), 6), floats(b.random.normal(size=(1, 1, 7, 7))))))


@pytest.mark.parametrize(
    "make",
    [
        padded, activated_first, read_twice, shown, partly_concatenated, with_shared_weights, negative_behind_pool,
        counted_borders, for_each_place,
    ],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_affine_maps_that_no_layer_can_take_stay(make: Make) -> None:
    graph = make()
    assert fold_affine(graph) is graph


# Products -------------------------------------------------------------------------------------------------------------


def convolutions(first: int, second: int, **changes: int) -> Graph:
    """A convolution with kernel `first` and bias, then one with kernel `second`; pads half a kernel on the first."""
    b = Floats(20)
    x = b.conv(image(b), changes.get("width", 8), first, stride=changes.get("stride", 1), group=changes.get("group", 1))
    y = b.conv(
        x, changes.get("outputs", 6), second, pad=0, stride=changes.get("second_stride", 1),
        group=changes.get("second_group", 1),
    )  # fmt: skip
    return graph_of(b.relu(y))


@pytest.mark.parametrize(
    "graph",
    [
        convolutions(3, 1),
        convolutions(3, 1, stride=2, second_stride=2),
        convolutions(1, 3),
        convolutions(1, 3, second_stride=2),
        convolutions(1, 1, second_stride=3),
        convolutions(3, 1, width=16, group=4, second_group=2),
        convolutions(1, 3, group=2, second_group=2),
    ],
)
def test_convolutions_merge(graph: Graph) -> None:
    merged = merge_products(graph)
    assert operations(merged) == ["Conv", "Unary"]
    assert relative_difference(graph, merged) < 1e-5
    assert work(merged) <= work(graph)


def work(graph: Graph) -> int:
    return sum(multiply_accumulates(node) for node in graph.operations())


def test_a_chain_of_products_becomes_one() -> None:
    b = Floats(21)
    x = b.named(ops.Gemm(b.input(3, 6), b.weights(6, 8), b.weights(3, 1), 0.5, 2.0, False, False))
    x = b.named(ops.Gemm(x, b.weights(5, 8), b.vector(5), 1.5, 0.3, False, True))
    graph = graph_of(b.named(ops.MatMul(x, b.weights(5, 4))))
    merged = merge_products(graph)
    assert operations(merged) == ["Gemm"]
    assert relative_difference(graph, merged) < 1e-5


def test_a_product_gets_the_bias_of_what_follows() -> None:
    b = Floats(22)
    graph = graph_of(b.gemm(b.named(ops.MatMul(b.input(3, 6), b.weights(6, 8))), 4))
    merged = merge_products(graph)
    assert operations(merged) == ["Gemm"]
    assert relative_difference(graph, merged) < 1e-5


def test_products_of_higher_rank_merge() -> None:
    b = Floats(23)
    x = b.named(ops.MatMul(b.input(2, 3, 6), b.weights(6, 8)))
    graph = graph_of(b.named(ops.MatMul(x, b.weights(8, 4))))
    merged = merge_products(graph)
    assert operations(merged) == ["MatMul"]
    assert relative_difference(graph, merged) < 1e-5


def biased_before_pads() -> Graph:
    b = Floats(24)
    return graph_of(b.conv(b.conv(image(b), 8), 6, 3))


def low_rank() -> Graph:
    b = Floats(25)
    x = b.named(ops.MatMul(b.input(3, 6), b.weights(6, 2)))
    return graph_of(b.named(ops.MatMul(x, b.weights(2, 6))))


def separable() -> Graph:
    b = Floats(26)
    return graph_of(b.conv(b.conv(image(b), 4, 3, group=4), 8))


def activated_between() -> Graph:
    b = Floats(27)
    return graph_of(b.conv(b.relu(b.conv(image(b), 8, 3)), 6))


def shown_between() -> Graph:
    b = Floats(28)
    x = b.conv(image(b), 8, 3)
    return graph_of(x, b.conv(x, 6))


def two_kernels() -> Graph:
    b = Floats(29)
    return graph_of(b.conv(b.conv(image(b), 4, 3), 4, 3))


@pytest.mark.parametrize(
    "make",
    [biased_before_pads, low_rank, separable, activated_between, shown_between, two_kernels, with_shared_weights],
    ids=lambda make: make.__name__,
)
def test_products_that_do_not_merge_stay(make: Make) -> None:
    graph = make()
    assert merge_products(graph) is graph


def test_without_bias_pads_do_not_matter() -> None:
    b = Floats(30)
    graph = graph_of(b.conv(b.conv(image(b), 8, bias=False), 6, 3))
    merged = merge_products(graph)
    assert operations(merged) == ["Conv"]
    assert relative_difference(graph, merged) < 1e-5


# Branches -------------------------------------------------------------------------------------------------------------


def repvgg(stride: int) -> Graph:
    b = Floats(40)
    x = b.relu(image(b))
    y = b.add(b.conv(x, 4, 3, stride=stride), b.conv(x, 4, stride=stride))
    if stride == 1:
        y = b.add(y, b.batch_norm(x))
    return graph_of(b.relu(y))


@pytest.mark.parametrize("stride", [1, 2])
def test_repvgg_blocks_become_one_convolution(stride: int) -> None:
    graph = repvgg(stride)
    merged = merge_branches(graph)
    assert operations(merged) == ["Unary", "Conv", "Unary"]
    assert relative_difference(graph, merged) < 1e-5
    assert set(merged.operations()[1].sources) == {s for n in graph.operations()[1:-1] for s in n.sources}


def test_branches_of_other_groups_and_kernels_and_x_itself_merge() -> None:
    b = Floats(41)
    x = image(b)
    tall = b.named(ops.Conv(x, b.weights(4, 4, 5, 1), None, (1, 1), (2, 0, 2, 0), (1, 1), 1))
    wide = b.conv(x, 4, 3)
    y = b.add(b.add(x, tall), b.add(wide, b.conv(x, 4, 5, group=4)))
    graph = graph_of(y)
    assert merge_branches(graph) is graph  # 25 taps for all are more than 5 + 9 + 25 / 4
    graph = graph_of(b.add(b.add(x, b.conv(x, 4, 3, group=2)), b.add(b.conv(x, 4, group=4), b.conv(x, 4, 5))))
    merged = merge_branches(graph)
    assert operations(merged) == ["Conv"]
    assert relative_difference(graph, merged) < 1e-5


def test_what_is_no_branch_is_added_behind() -> None:
    b = Floats(42)
    x, z = image(b), b.input(2, 4, 7, 7, name="z")
    graph = graph_of(b.add(b.add(z, b.conv(x, 4, 3)), b.add(b.conv(x, 4), b.conv(b.relu(x), 4))))
    merged = merge_branches(graph)
    assert sorted(operations(merged)) == ["Add", "Add", "Conv", "Conv", "Unary"]
    assert relative_difference(graph, merged) < 1e-5


def one_convolution_and_x() -> Graph:
    b = Floats(43)
    x = image(b)
    return graph_of(b.add(x, b.conv(x, 4, 3)))


def factored_kernels() -> Graph:
    b = Floats(44)
    x = image(b)
    tall = b.named(ops.Conv(x, b.weights(4, 4, 3, 1), None, (1, 1), (1, 0, 1, 0), (1, 1), 1))
    wide = b.named(ops.Conv(x, b.weights(4, 4, 1, 3), None, (1, 1), (0, 1, 0, 1), (1, 1), 1))
    return graph_of(b.add(tall, wide))


def dilated() -> Graph:
    b = Floats(45)
    x = image(b)
    wide = b.named(ops.Conv(x, b.weights(4, 4, 3, 3), None, (1, 1), (2,) * 4, (2, 2), 1))
    return graph_of(b.add(b.conv(x, 4, 3), wide))


def read_elsewhere() -> Graph:
    b = Floats(46)
    x = image(b)
    y = b.conv(x, 4, 3)
    return graph_of(b.add(y, b.conv(x, 4)), b.relu(y))


def of_two_tensors() -> Graph:
    b = Floats(47)
    x = image(b)
    return graph_of(b.add(b.conv(x, 4, 3), b.conv(b.relu(x), 4)))


@pytest.mark.parametrize(
    "make",
    [one_convolution_and_x, factored_kernels, dilated, read_elsewhere, of_two_tensors],
    ids=lambda make: make.__name__,
)
def test_branches_that_do_not_merge_stay(make: Make) -> None:
    graph = make()
    assert merge_branches(graph) is graph


def test_dilated_branches_merge_with_single_taps() -> None:
    b = Floats(48)
    x = image(b)
    wide = b.named(ops.Conv(x, b.weights(4, 4, 3, 3), None, (1, 1), (2,) * 4, (2, 2), 1))
    graph = graph_of(b.add(b.conv(x, 4), wide))
    merged = merge_branches(graph)
    assert operations(merged) == ["Conv"]
    assert relative_difference(graph, merged) < 1e-5


def test_groups_become_blocks_of_wider_groups() -> None:
    weights = np.arange(8.0).reshape(4, 1, 2)  # four groups of one channel, two taps
    wide = regrouped(weights, 4, 2)
    assert wide.shape == (4, 2, 2)
    np.testing.assert_array_equal(wide[0], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(wide[1], [[0, 0], [2, 3]])
    np.testing.assert_array_equal(regrouped(weights, 4, 4), weights)


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_keep_their_function(seed: int) -> None:
    graph = random_network(seed)
    for one in (fold_affine, merge_products, merge_branches):
        rewritten = one(graph)
        assert relative_difference(graph, rewritten) < tolerance(graph)
        assert one(rewritten) is rewritten
        graph = rewritten


# Real models ----------------------------------------------------------------------------------------------------------


def test_networks_keep_their_function(digits: Path) -> None:
    graph = import_model(str(digits / "digits_resnet.onnx"))
    folded = fold_affine(graph)
    assert operations(folded) == operations(fold_batch_norm(graph))
    assert relative_difference(graph, folded) < 1e-5
    assert merge_products(folded) is folded
    assert merge_branches(folded) is folded


def test_keyword_spotting_keeps_its_function(shared_models: Path) -> None:
    graph = import_model(str(shared_models / "kws_float.onnx"), dims={"batch": 2})
    folded = fold_affine(graph)
    assert "BatchNormalization" not in operations(folded)
    assert relative_difference(graph, folded) < 1e-5
