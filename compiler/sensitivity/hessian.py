"""HAWQ-V2: the curvature of the loss by a layer's weights, times how far rounding moves them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.sensitivity.additive import added, needs_inputs
from subbyte.compiler.sensitivity.backward import Taped, drawn_gradients
from subbyte.compiler.sensitivity.network import Network, with_input
from subbyte.compiler.sensitivity.types import Sensitivities

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
_STEP = 1e-3  # of the root mean square of what is moved


@dataclass(frozen=True)
class Traces:
    """Tr(H) by layer name: of the Hessian by the weights, and by what the layer reads (the mean over samples)."""

    weights: dict[str, float]
    inputs: dict[str, float]


def hessian(network: Network, *, seed: int = 0, probes: int = 16, method: str | None = None) -> Sensitivities:
    """1/2 mean(diag H_w) ||Q(W) - W||^2 + 1/2 mean(diag H_x) mean_n ||Q(x_n) - x_n||^2, in nats.

    H_w, H_x: the Hessians of the loss by the layer's weights and by what it reads, at the float network; the loss is
    the divergence of reading.py. probes, method: as in `traces`.
    Source: HAWQ-V2 (Dong et al. 2020, eq. 5 and section 3.4 for activations), halved, as in Taylor's second term.
    """
    found = traces(network, seed=seed, probes=probes, method=method)

    def of_weights(layer: Layer, bits: int) -> float:
        moved = float((network.weight_change(layer, bits) ** 2).sum())
        return 0.5 * max(0.0, found.weights[layer.name]) / layer.weights.size * moved

    def of_inputs(layer: Layer, bits: int) -> float:
        moved = float((network.input_change(layer, bits) ** 2).sum()) / network.count
        return 0.5 * max(0.0, found.inputs[layer.name]) / layer.x.type.elements * moved

    return Sensitivities({layer.name: added(network, layer, of_weights, of_inputs) for layer in network.layers})


def traces(network: Network, *, seed: int = 0, probes: int = 16, method: str | None = None) -> Traces:
    """Tr(H) by Hutchinson's mean over random signs, by layer.

    probes: how many draws of signs.
    method:
    "gradients": of PyTorch. At the float weights the loss and its gradient by the outputs are 0, so that H is J^T F J
        exactly, and Tr(H) = E ||J^T F^(1/2) z||^2, signs z of the outputs: one backward pass a probe for all layers.
    "products": Tr(H) = E[z^T H z], signs z of the weights, H z the gradient of a gradient; one pass a probe and layer.
    "differences": without gradients, z^T H z = (loss(w + h z) + loss(w - h z)) / h^2, h a thousandth of the root mean
        square of w; two runs a probe and layer. It sees the z of "products", and differs by what a finite step does:
        kinks of ReLU within it, and the fourth order.
    None: gradients where torch is installed, else differences.
    Source: Hutchinson 1990; Yao et al. 2020 (PyHessian), algorithm 1, for products.
    """
    if probes < 1:
        raise ModelError(f"{probes} probes were asked for; the trace is the mean over one or more")
    if method is None:
        method = "gradients" if importlib.util.find_spec("torch") is not None else "differences"
    if method not in METHODS:
        raise ModelError(f"there is no method '{method}' for the Hessian; there are {', '.join(METHODS)}")
    return METHODS[method](network, seed, probes)


def signs(seed: int, layer: int, probe: int, what: int, shape: tuple[int, ...]) -> Array:
    """Rademacher numbers, float32, the same wherever they are asked for; what: 0 for weights, 1 for activations."""
    random = np.random.default_rng([seed, layer, probe, what])
    return np.asarray(random.integers(0, 2, shape, np.int8) * 2 - 1, np.float32)


def _input_signs(network: Network, seed: int, layer: int, probe: int) -> Array:
    shape = network.layers[layer].x.type.shape
    return signs(seed, layer, probe, 1, (network.count * shape[0], *shape[1:]))


# By gradients ---------------------------------------------------------------------------------------------------------


def _by_gradients(network: Network, seed: int, probes: int) -> Traces:
    weights = {layer.name: 0.0 for layer in network.layers}
    inputs = dict(weights)
    for draw in drawn_gradients(network, seed, probes):
        for total, squares in ((weights, draw.weights), (inputs, draw.inputs)):
            for name, array in squares.items():
                total[name] += float(array.sum())
    return _means(weights, inputs, network.count * probes)


def _means(weights: dict[str, float], inputs: dict[str, float], count: int) -> Traces:
    return Traces({k: v / count for k, v in weights.items()}, {k: v / count for k, v in inputs.items()})


# By gradients of gradients --------------------------------------------------------------------------------------------


def _by_products(network: Network, seed: int, probes: int) -> Traces:
    import torch

    weights = {layer.name: 0.0 for layer in network.layers}
    inputs = dict(weights)
    wanted = [layer.name for layer in network.layers if needs_inputs(network, layer)]
    for which, chunk in network.chunks():
        taped = Taped(network, chunk)
        parts = zip(network.readings, taped.outputs, strict=True)
        loss = torch.stack([reading.torch_divergence(y.detach(), y) for reading, y in parts]).sum()
        tensors = [*taped.weights.values(), *(taped.reads[name] for name in wanted)]
        gradients = torch.autograd.grad(loss, tensors, create_graph=True, allow_unused=True)
        of_reads = dict(zip(wanted, gradients[len(taped.weights) :], strict=True))
        for index, layer in enumerate(network.layers):
            name, extent = layer.name, layer.x.type.shape[0]
            for probe in range(probes):
                z = signs(seed, index, probe, 0, layer.weights.shape)
                weights[name] += _curvature(taped.weights[name], gradients[index], z)
                if name in of_reads:
                    z = _input_signs(network, seed, index, probe)[which.start * extent : which.stop * extent]
                    inputs[name] += _curvature(taped.reads[name], of_reads[name], z)
        network.show(which.stop, network.count)
    return _means(weights, inputs, network.count * probes)


def _curvature(at: Tensor, gradient: Tensor | None, z: Array) -> float:
    """z^T H z, where `gradient` is that of the loss by `at`; 0 where the loss does not depend on it."""
    import torch

    if gradient is None or not gradient.requires_grad:
        return 0.0
    direction = torch.tensor(z)
    along = (gradient * direction).sum()
    products: Sequence[Tensor | None] = torch.autograd.grad(along, at, retain_graph=True, allow_unused=True)
    return sum(float((product * direction).sum().double()) for product in products if product is not None)


# By differences of losses ---------------------------------------------------------------------------------------------


def _by_differences(network: Network, seed: int, probes: int) -> Traces:
    found = Traces({}, {})
    for index, layer in enumerate(network.layers):
        step = _step(layer.weights)
        total = 0.0
        for probe in range(probes):
            z = signs(seed, index, probe, 0, layer.weights.shape) * np.float32(step)
            total += sum(network.divergence(network.run(_with_weights(network, layer, z * way))) for way in (1, -1))
        found.weights[layer.name] = total / (step**2 * probes)
        found.inputs[layer.name] = 0.0
        if needs_inputs(network, layer):
            found.inputs[layer.name] = _input_differences(network, seed, probes, index)
        network.show(index + 1, len(network.layers))
    return found


def _step(values: Array) -> float:
    """A thousandth of the root mean square, as float32; where all is 0 a thousandth."""
    size = float(np.sqrt((values.astype(np.float64) ** 2).mean()))
    return float(np.float32(_STEP * (size if size > 0 else 1.0)))


def _with_weights(network: Network, layer: Layer, change: Array) -> Graph:
    weights = (layer.weights + change).astype(np.float32)
    return network.rewritten({layer.node: lambda at: at.with_parameters(weights=weights)})


def _input_differences(network: Network, seed: int, probes: int, index: int) -> float:
    """The trace by what the layer reads: noise that is an input of its own is added to it."""
    layer = network.layers[index]
    step = _step(network.inputs_of(layer))
    name = "noise of " + layer.name
    noise = Input(name, TensorType(layer.x.type.dtype, layer.x.type.shape))
    noisy = network.rewritten({layer.node: lambda at: with_input(at, ops.Add(at.x, noise.out).out)}, (noise,))
    total = 0.0
    for probe in range(probes):
        z = _input_signs(network, seed, index, probe) * np.float32(step)
        total += sum(network.divergence(network.run(noisy, more={name: z * np.float32(way)})) for way in (1, -1))
    return total / (step**2 * probes)


METHODS: Mapping[str, Callable[[Network, int, int], Traces]] = MappingProxyType(
    {"gradients": _by_gradients, "products": _by_products, "differences": _by_differences}
)
