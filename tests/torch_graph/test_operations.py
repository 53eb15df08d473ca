"""What an operation computes on PyTorch is what the interpreter says, sample by sample, and its gradient is its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.torch_graph import TorchGraph
from subbyte.compiler.torch_graph.registry import supported_operations
from tests.torch_graph.cases import CASES, graph_of

FLAT_FUNCTIONS = {"Floor", "Ceil", "Round", "Sign"}
NO_GRADIENT = {
    *FLAT_FUNCTIONS,
    *("cast and back", "integers", "mean of integers", "gather from a table", "where in neither"),
    *(name for name in CASES if name.startswith(("quantize", "codes"))),
}


@pytest.mark.parametrize("name", CASES)
def test_operation_is_the_interpreters(name: str) -> None:
    graph = graph_of(*CASES[name])
    x = np.random.default_rng(1).normal(size=graph.inputs[0].type.shape).astype(np.float32)
    found = TorchGraph(graph).run({"x": torch.from_numpy(x)})
    for output_name, want in evaluate(graph, {"x": x}).items():
        value = next(output.value for output in graph.outputs if output.name == output_name)
        np.testing.assert_allclose(found[value].numpy(), want, rtol=1e-5, atol=1e-5 * max(1.0, abs(want).max()))


@pytest.mark.parametrize("name", CASES)
def test_five_samples_at_once_are_five_runs(name: str) -> None:
    """Samples lie one behind the other along axis 0, of inputs and of all that depends on them."""
    graph = graph_of(*CASES[name])
    runner = TorchGraph(graph)
    extent, *inner = graph.inputs[0].type.shape
    x = torch.randn(5 * extent, *inner, generator=torch.Generator().manual_seed(2))
    alone = [runner.run({"x": sample}) for sample in x.split(extent)]
    for value, together in runner.run({"x": x}).items():
        torch.testing.assert_close(together, torch.cat([result[value] for result in alone]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CASES) - NO_GRADIENT))
def test_gradient_is_the_slope_along_a_random_direction(name: str) -> None:
    """By central differences in float64, for two samples at once, so through what is mapped over samples too."""
    graph = graph_of(*CASES[name])
    runner = TorchGraph(graph, floats="float64")
    extent, *inner = graph.inputs[0].type.shape
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2 * extent, *inner, generator=generator, dtype=torch.float64)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)

    def loss(at: torch.Tensor) -> torch.Tensor:
        return torch.stack([(y * y.cos()).sum() for y in runner.run({"x": at}).values()]).sum()

    at = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(at), at)
    step = 1e-6
    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["quantize", "quantize per channel", "codes move"])
def test_rounding_has_the_gradient_of_the_identity_inside_the_range(name: str) -> None:
    graph = graph_of(*CASES[name])
    x = torch.full(graph.inputs[0].type.shape, 0.01).requires_grad_(True)
    x.data.view(-1)[0] = 1e6  # clamped: no slope there
    runner = TorchGraph(graph)
    (gradient,) = torch.autograd.grad(next(iter(runner.run({"x": x}).values())).sum(), x)
    assert gradient.view(-1)[0] == 0
    if name != "codes move":  # the pool chooses one of equal codes
        torch.testing.assert_close(gradient.view(-1)[1:], torch.ones(gradient.numel() - 1))


def test_every_operation_has_a_case() -> None:
    covered = {type(node) for case in CASES.values() for node in graph_of(*case).operations()}
    assert supported_operations() <= covered


def test_every_function_has_a_case() -> None:
    assert set(ops.UNARY_FUNCTIONS) <= set(CASES)
