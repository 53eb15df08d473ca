"""compiler/ir/layers.py: a layer's rows times its matrix are what the operator computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import Layer, layers, value_names
from subbyte.compiler.ir.node import Constant, Input, Node
from subbyte.compiler.ir.ops import Conv, ConvTranspose, Gemm, MatMul
from subbyte.compiler.ir.types import TensorType

RANDOM = np.random.default_rng(0)


def constant(*shape: int) -> Any:
    return Constant.of(RANDOM.standard_normal(shape).astype(np.float32)).out


def given(*shape: int) -> Input:
    return Input("x", TensorType(FLOAT32, shape))


def conv(group: int = 1, strides: tuple[int, int] = (1, 1), dilations: tuple[int, int] = (1, 1)) -> Node:
    x = given(2, 4, 7, 6)
    return Conv(x.out, constant(6, 4 // group, 3, 2), constant(6), strides, (1, 0, 2, 1), dilations, group)


def transposed(group: int, strides: tuple[int, int], pads: tuple[int, ...], extra: tuple[int, int] = (0, 0)) -> Node:
    x = given(2, 4, 5, 3)
    return ConvTranspose(x.out, constant(4, 3, 3, 2), constant(3 * group), strides, pads, (1, 1), group, extra)


NODES = {
    "conv": conv(),
    "conv in groups, strides": conv(2, (2, 3)),
    "conv, dilations": conv(1, (1, 2), (2, 3)),
    "transposed": transposed(1, (1, 1), (0, 0, 0, 0)),
    "transposed, strides and pads": transposed(2, (2, 3), (1, 0, 1, 1), (1, 0)),
    "transposed, pads beyond the kernel": transposed(1, (2, 2), (3, 2, 2, 0)),
    "gemm": Gemm(given(3, 5).out, constant(5, 4), constant(4), 1.0, 1.0, False, False),
    "gemm, both transposed": Gemm(given(5, 3).out, constant(4, 5), constant(4), 1.0, 1.0, True, True),
    "matmul of rank 3": MatMul(given(2, 3, 5).out, constant(5, 4)),
}


def only_layer(node: Node) -> tuple[Graph, Layer]:
    (x,) = {operand.node for operand in node.operands if isinstance(operand.node, Input)}
    assert isinstance(x, Input)
    graph = Graph("g", (x,), (Output("y", node.out),))
    (layer,) = layers(graph)
    return graph, layer


@pytest.mark.parametrize("name", NODES)
def test_rows_times_the_matrix_are_the_outputs(name: str) -> None:
    graph, layer = only_layer(NODES[name])
    x = RANDOM.standard_normal(graph.inputs[0].type.shape).astype(np.float32)
    sums = np.einsum("grk,gok->rgo", layer.rows(x), layer.matrix())
    sums = sums.reshape(len(sums), layer.outputs)
    bias = layer.bias
    sums = sums + (0 if bias is None else bias.constant)
    expected = evaluate(graph, {"x": x})["y"]
    if isinstance(layer.node, (Conv, ConvTranspose)):
        expected = np.moveaxis(expected, 1, -1)
    np.testing.assert_allclose(sums.reshape(expected.shape), expected, atol=1e-5)


@pytest.mark.parametrize("name", NODES)
def test_from_matrix_is_the_inverse_of_matrix(name: str) -> None:
    _, layer = only_layer(NODES[name])
    np.testing.assert_array_equal(layer.from_matrix(layer.matrix()), layer.weights)


@pytest.mark.parametrize("name", NODES)
def test_other_parameters_take_the_place_of_the_old_ones(name: str) -> None:
    _, layer = only_layer(NODES[name])
    doubled = layer.with_parameters(weights=layer.weights * 2)
    assert np.array_equal(Layer("", doubled).weights, layer.weights * 2)
    if name == "matmul of rank 3":
        with pytest.raises(ValueError, match="belongs to an Add behind it"):
            layer.with_parameters(bias=np.zeros(4))
        return
    changed = Layer("", layer.with_parameters(bias=np.arange(layer.outputs)))
    assert changed.bias is not None
    assert np.array_equal(changed.bias.constant, np.arange(layer.outputs))


def test_names_are_unique() -> None:
    x = given(2, 3)
    first = MatMul(x.out, constant(3, 3), sources=("fc",), tensor="t")
    second = MatMul(first.out, constant(3, 3), sources=("fc",), tensor="t")
    third = MatMul(second.out, constant(3, 3), sources=("fc#2",))
    graph = Graph("g", (x,), (Output("y", third.out),))
    assert [layer.name for layer in layers(graph)] == ["fc", "fc#3", "fc#2"]
    assert list(value_names(graph).values()) == ["x", "t", "t#2", "fc#2"]
