"""Inputs made from a network alone: such that the statistics inside it are those that its BatchNormalizations keep.

x minimises the sum over normalizations of mean over channels of ((mean - m)^2 + (deviation - s)^2) / s^2, where mean
and deviation are those of what the normalization is given for x, m and s what it kept of the training data.
Source: Cai, Yao, Dong, Gholami, Mahoney, Keutzer, ZeroQ, CVPR 2020, section 3.1 (there not divided by s^2: here each
normalization counts alike). With `latent`, x is what a small convolutional generator makes of learned latent vectors,
and both are learned, so that the inputs share structure: Jeon, Lee, Kim, Genie, CVPR 2023, section 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError, ModelError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops import BatchNormalization
from subbyte.compiler.torch_graph import TorchGraph

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]
_LATENT = 64  # numbers that an input is generated from
_CHANNELS = 16  # inside the generator


def distilled_inputs(
    graph: Graph,
    count: int,
    *,
    steps: int = 300,
    rate: float = 0.1,
    seed: int = 0,
    latent: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Array]:
    """`count` inputs, float32 [count, *shape of one sample], as Data takes them; the same for the same arguments.

    Args:
        graph: with its BatchNormalizations, and one float32 input whose axis 0 holds samples.
        steps, rate: of Adam, the rate falling to 0 along a cosine. latent: through a generator (inputs [N, C, H, W]).
    Raises: ModelError: the graph has no BatchNormalization, or not one float input. ToolchainError: torch is not
        installed.
    """
    name, sample = _only_input(graph)
    points = statistics_points(graph)
    network = TorchGraph(graph)
    import torch

    wanted = {value: _wanted(node) for value, node in points.items()}
    torch_seed = torch.Generator().manual_seed(seed)
    parameters, made = _generator(count, sample, torch_seed) if latent else _free(count, sample, torch_seed)
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        optimizer.zero_grad()
        loss = _distance(network.run({name: made()}, shown=list(wanted)), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps)
    with torch.no_grad():
        return {name: made().detach().numpy().astype(np.float32)}


def statistics_distance(graph: Graph, inputs: dict[str, Array]) -> float:
    """What `distilled_inputs` minimises, for given inputs."""
    import torch

    wanted = {value: _wanted(node) for value, node in statistics_points(graph).items()}
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with torch.no_grad():
        return float(_distance(TorchGraph(graph).run(tensors, shown=list(wanted)), wanted))


def statistics_points(graph: Graph) -> dict[Value, BatchNormalization]:
    """What each BatchNormalization is given.  Raises ModelError: there is none."""
    points = {node.x: node for node in graph.nodes() if isinstance(node, BatchNormalization) and _known(node)}
    if not points:
        raise ModelError(
            f"graph '{graph.name}' has no BatchNormalization, whose statistics distilled inputs match; give samples, "
            "or the model as it was before its normalizations were folded."
        )
    return points


def _known(node: BatchNormalization) -> bool:
    return node.mean.constant is not None and node.variance.constant is not None and node.x.constant is None


def _only_input(graph: Graph) -> tuple[str, tuple[int, ...]]:
    """The name of the input, and the shape of one sample."""
    inputs = graph.inputs
    if len(inputs) != 1 or inputs[0].type.dtype.name != "float32" or inputs[0].type.shape[:1] != (1,):
        listed = ", ".join(f"'{node.name}' {node.type}" for node in inputs) or "none"
        raise ModelError(
            f"inputs are distilled for one float32 input of one sample; those of graph '{graph.name}' are {listed}. "
            "Import the model with a batch of 1, or give samples."
        )
    return inputs[0].name, inputs[0].type.shape[1:]


def _wanted(node: BatchNormalization) -> tuple[Tensor, Tensor]:
    """(mean, deviation) [C] of the training data."""
    import torch

    mean, variance = node.mean.constant, node.variance.constant
    if mean is None or variance is None:
        raise GraphError(f"{node.label} computes its statistics; constants are needed")
    deviation = np.sqrt(np.maximum(variance.astype(np.float64), 0.0) + node.epsilon)
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)


def _distance(found: dict[Value, Tensor], wanted: dict[Value, tuple[Tensor, Tensor]]) -> Tensor:
    import torch

    total = torch.zeros(())
    for value, (mean, deviation) in wanted.items():
        x = found[value].transpose(0, 1).flatten(1)  # [C, samples * positions]
        own = x.var(dim=1, correction=0).clamp_min(1e-12).sqrt()
        total = total + (((x.mean(dim=1) - mean) ** 2 + (own - deviation) ** 2) / deviation**2).mean()
    return total


Made = tuple[list["Tensor"], Callable[[], "Tensor"]]


def _free(count: int, sample: tuple[int, ...], generator: Any) -> Made:
    """The inputs themselves, normal at first."""
    import torch

    x = torch.randn((count, *sample), generator=generator).requires_grad_()
    return [x], lambda: x


def _generator(count: int, sample: tuple[int, ...], generator: Any) -> Made:
    """Latent vectors -> a quarter of the height and width -> twice doubled by nearest neighbours and 3x3 convolutions.

    Each output channel is then brought to mean 0 and deviation 1 over all inputs, and scaled and shifted as learned.
    """
    import torch
    from torch.nn import functional

    if len(sample) != 3:
        raise UnsupportedError(
            f"a generator makes images [C, H, W]; the samples are {list(sample)}. Do without latent."
        )
    channels, height, width = sample
    small = (-(-height // 4), -(-width // 4))

    def learned(*shape: int, deviation: float) -> Tensor:
        return (torch.randn(shape, generator=generator) * deviation).requires_grad_()

    latent = learned(count, _LATENT, deviation=1.0)
    first = learned(_CHANNELS * small[0] * small[1], _LATENT, deviation=_LATENT**-0.5)
    kernels = [
        learned(out, _CHANNELS, 3, 3, deviation=(9 * _CHANNELS) ** -0.5) for out in (_CHANNELS, _CHANNELS, channels)
    ]
    scale = torch.ones(channels, 1, 1, requires_grad=True)
    shift = torch.zeros(channels, 1, 1, requires_grad=True)

    def standard(x: Tensor) -> Tensor:
        mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance + 1e-5).sqrt()

    def made() -> Tensor:
        x = functional.linear(latent, first).reshape(count, _CHANNELS, *small)
        for kernel in kernels[:2]:
            x = functional.interpolate(standard(x), scale_factor=2.0, mode="nearest")
            x = functional.leaky_relu(standard(functional.conv2d(x, kernel, padding=1)), 0.2)
        x = standard(functional.conv2d(x, kernels[2], padding=1))[:, :, :height, :width]
        return x * scale + shift

    return [latent, first, *kernels, scale, shift], made
