"""Whole networks on PyTorch: real models, parameters and replacements, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.errors import GraphError, ModelError, ToolchainError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate_values
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.torch_graph import TorchGraph
from tests.torch_graph.cases import CASES, graph_of, numbers

MODELS = ("digits_mlp", "digits_resnet", "digits_mlp_int8", "digits_resnet_int8", "digits_mlp_w4a4.qonnx")


def _is_the_interpreters(graph: Graph, seed: int) -> None:
    """Every float value of the graph within 1e-5 of its largest magnitude."""
    random = np.random.default_rng(seed)
    inputs = {i.name: random.normal(size=i.type.shape).astype(np.float32) for i in graph.inputs}
    want = evaluate_values(graph, inputs)
    given = {name: torch.from_numpy(array) for name, array in inputs.items()}
    found = TorchGraph(graph).run(given, shown=list(want))
    for value, array in want.items():
        if value.type.dtype == FLOAT32:
            bound = 1e-5 * max(1e-6, abs(array).max())
            np.testing.assert_allclose(found[value].numpy(), array, rtol=1e-5, atol=bound)


@pytest.mark.parametrize("name", MODELS)
def test_models_of_digits(name: str, digits: Path) -> None:
    _is_the_interpreters(import_model(digits / f"{name}.onnx"), seed=0)


def test_keyword_spotting(keywords: Graph) -> None:
    _is_the_interpreters(keywords, seed=0)


def test_twenty_keywords_at_once_are_twenty_runs(keywords: Graph) -> None:
    runner, output = TorchGraph(keywords), keywords.outputs[0].value
    name, shape = keywords.inputs[0].name, keywords.inputs[0].type.shape
    x = torch.randn(20, *shape[1:], generator=torch.Generator().manual_seed(0))
    alone = torch.cat([runner.run({name: sample})[output] for sample in x.split(1)])
    torch.testing.assert_close(runner.run({name: x})[output], alone, rtol=1e-5, atol=1e-5)


def _random_network(seed: int) -> Graph:
    """Cases that take any image, one behind the other, with random weights."""
    random = np.random.default_rng(seed)
    names = ("conv", "batch normalization", "mul samples", "concat", "max pool", "transpose", "resize linear", "Mish")

    def fits(name: str, shape: tuple[int, ...]) -> bool:
        _, channels, *spatial = shape
        match name:
            case "batch normalization":
                return channels == 4
            case "max pool":
                return min(spatial) > 3
            case "resize linear":
                return shape == (1, 4, 6, 7)
            case "concat":
                return channels < 20
        return True

    def build(x: Value) -> Node:
        node: Node = ops.Unary(x, "Relu")
        for _ in range(8):
            name = random.choice([name for name in names if fits(name, node.type.shape)])
            node = CASES[str(name)][1](node.out)
        return node

    return graph_of((1, 4, 6, 7), build)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int) -> None:
    _is_the_interpreters(_random_network(seed), seed)


@pytest.fixture
def keywords(shared_models: Path) -> Graph:
    return import_model(shared_models / "kws_float.onnx", dims={"batch": 1})


def _two_products() -> Graph:
    def build(x: Any) -> ops.MatMul:
        return ops.MatMul(ops.Unary(ops.MatMul(x, numbers(8, 6)).out, "Relu").out, numbers(6, 3, seed=1))

    return graph_of((1, 8), build)


def test_parameters_stand_for_constants_and_have_gradients() -> None:
    graph = _two_products()
    first, second = layers(graph)
    runner, output = TorchGraph(graph), graph.outputs[0].value
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    w = torch.randn(8, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)
    y = runner.run({"x": x}, parameters={first.w: w})[output]
    torch.testing.assert_close(y, (x @ w).relu() @ runner.constants[second.w])
    (gradient,) = torch.autograd.grad(y.sum(), w)
    assert gradient.shape == w.shape
    assert gradient.abs().sum() > 0


def test_replaced_values_are_what_follows_sees() -> None:
    graph = _two_products()
    _, second = layers(graph)
    runner, output = TorchGraph(graph), graph.outputs[0].value
    shown = runner.run(
        {"x": torch.randn(4, 8)}, replace={second.x: lambda t: torch.ones_like(t)}, shown=[second.x, output]
    )
    assert (shown[second.x] == 1).all()
    torch.testing.assert_close(shown[output], torch.ones(4, 6) @ runner.constants[second.w])


def test_inputs_may_be_replaced() -> None:
    graph = _two_products()
    x = graph.inputs[0].out
    found = TorchGraph(graph).run({"x": torch.randn(2, 8)}, replace={x: lambda t: t * 0})
    assert (found[graph.outputs[0].value] == 0).all()


def test_an_input_without_samples_serves_all_of_them() -> None:
    x, mask = Input("x", TensorType(FLOAT32, (1, 4))), Input("mask", TensorType(FLOAT32, (4,)))
    graph = Graph("masked", (x, mask), (Output("y", ops.Mul(x.out, mask.out).out),))
    given = {"x": torch.randn(3, 4), "mask": torch.tensor([0.0, 1, 0, 1])}
    assert torch.equal(TorchGraph(graph).run(given)[graph.outputs[0].value], given["x"] * given["mask"])


def test_only_the_inputs_that_are_needed_must_be_given() -> None:
    x, other = Input("x", TensorType(FLOAT32, (1, 4))), Input("other", TensorType(FLOAT32, (1, 4)))
    doubled = ops.Add(x.out, x.out).out
    graph = Graph("two", (x, other), (Output("y", doubled), Output("z", ops.Add(doubled, other.out).out)))
    assert torch.equal(
        TorchGraph(graph).run({"x": torch.ones(1, 4)}, shown=[doubled])[doubled], torch.full((1, 4), 2.0)
    )
    with pytest.raises(ModelError, match=r"input 'other' float32\[1, 4\] of graph 'two' is missing"):
        TorchGraph(graph).run({"x": torch.ones(1, 4)})


@pytest.mark.parametrize("shape", [(1, 7), (8,), (3, 1, 8), (0, 8)])
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"input 'x' has shape .*; float32\[1, 8\] is needed"):
        TorchGraph(_two_products()).run({"x": torch.zeros(shape)})


def test_a_batch_that_is_no_multiple_of_the_graphs_is_refused() -> None:
    graph = graph_of((2, 4), lambda x: ops.Unary(x, "Relu"))
    with pytest.raises(ModelError, match="or a multiple of its first extent"):
        TorchGraph(graph).run({"x": torch.zeros(3, 4)})


def test_inputs_of_different_numbers_of_samples_are_refused() -> None:
    x, y = Input("x", TensorType(FLOAT32, (1, 4))), Input("y", TensorType(FLOAT32, (1, 4)))
    graph = Graph("two", (x, y), (Output("z", ops.Add(x.out, y.out).out),))
    with pytest.raises(ModelError, match=r"different numbers of samples: 'x' 2, 'y' 3"):
        TorchGraph(graph).run({"x": torch.zeros(2, 4), "y": torch.zeros(3, 4)})


def test_a_number_without_axes_keeps_no_samples_apart() -> None:
    graph = graph_of((1, 4), lambda x: ops.ReduceSum(x, (0, 1), False))
    assert TorchGraph(graph).run({"x": torch.ones(1, 4)})[graph.outputs[0].value] == 4
    with pytest.raises(UnsupportedError, match="one number without axes of each sample"):
        TorchGraph(graph).run({"x": torch.ones(2, 4)})


def test_a_parameter_must_stand_for_a_constant_of_its_shape() -> None:
    graph = _two_products()
    first, _ = layers(graph)
    runner = TorchGraph(graph)
    with pytest.raises(ModelError, match=r"has shape \[6, 8\], not float32\[8, 6\]"):
        runner.run({"x": torch.zeros(1, 8)}, parameters={first.w: torch.zeros(6, 8)})
    with pytest.raises(ModelError, match="which is no constant of the graph"):
        runner.run({"x": torch.zeros(1, 8)}, parameters={first.x: torch.zeros(1, 8)})


def test_a_value_of_another_graph_is_refused() -> None:
    with pytest.raises(ModelError, match="is no part of graph 'case'"):
        TorchGraph(_two_products()).run({"x": torch.zeros(1, 8)}, shown=[_two_products().outputs[0].value])


def test_other_operations_are_named() -> None:
    codes = Input("x", TensorType(UINT8, (1, 4), QuantParams(np.float32(1), np.int64(0), 0, 255)))
    node = qops.Clamp(codes.out, 0, 9, sources=("/clamp",))
    graph = Graph("codes", (codes,), (Output("y", node.out),))
    with pytest.raises(UnsupportedError, match=r"Clamp '/clamp' does not run on torch"):
        TorchGraph(graph)


def test_other_stages_are_refused() -> None:
    graph = _two_products()
    graph = graph.with_outputs(graph.outputs, stage=Stage.QUANTIZED)
    with pytest.raises(GraphError, match="is quantized; torch runs graphs of stage imported"):
        TorchGraph(graph)


def test_without_torch_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="torch is not installed; `pip install"):
        TorchGraph(_two_products())
