"""Gradients of the log-likelihood by weights and by what layers read, from random signs: one backward pass for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.sensitivity.additive import needs_inputs
from subbyte.compiler.sensitivity.network import Network

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]


@dataclass(frozen=True)
class Draw:
    """Squared gradients of one draw over some samples, float64, by layer name.

    weights: of the sum over these samples, of the weights' shape. inputs: of each element that a layer reads, for the
    layers that round it. reads: what they read. The mean of the squares is the diagonal of the Fisher information
    (reading.torch_scores), times the number of samples for weights: signs of different samples and classes are
    independent, so that their products vanish on average.
    """

    weights: Mapping[str, Array]
    inputs: Mapping[str, Array]
    reads: Mapping[str, Array]


def drawn_gradients(network: Network, seed: int, draws: int) -> Iterator[Draw]:
    """All draws of all samples, some samples at a time.

    Raises: ModelError: there are no draws. ToolchainError: torch is not installed.
    """
    if draws < 1:
        raise ModelError(f"{draws} draws were asked for; what they estimate is the mean over one or more")
    import torch

    random = np.random.default_rng(seed)
    for which, chunk in network.chunks():
        taped = Taped(network, chunk)
        arrays = {name: x.detach().numpy() for name, x in taped.reads.items()}
        names = [layer.name for layer in network.layers if needs_inputs(network, layer)]
        tensors = [*taped.weights.values(), *(taped.reads[name] for name in names)]
        for draw in range(draws):
            scores = [
                reading.torch_scores(y, torch.tensor(random_signs(random, tuple(y.shape))))
                for reading, y in zip(network.readings, taped.outputs, strict=True)
            ]
            keep = draw < draws - 1
            total = torch.stack(scores).sum()
            found: Sequence[Tensor | None] = torch.autograd.grad(total, tensors, retain_graph=keep, allow_unused=True)
            squares = [
                np.zeros(tuple(x.shape)) if g is None else g.double().numpy() ** 2
                for x, g in zip(tensors, found, strict=True)
            ]
            weights = dict(zip(taped.weights, squares[: len(taped.weights)], strict=True))
            yield Draw(weights, dict(zip(names, squares[len(taped.weights) :], strict=True)), arrays)
        network.show(which.stop, network.count)


def random_signs(random: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Rademacher numbers, float32."""
    return np.asarray(random.integers(0, 2, shape, np.int8) * 2 - 1, np.float32)


class Taped:
    """The float network on PyTorch for some samples: weights and what layers read, and outputs that depend on them."""

    def __init__(self, network: Network, chunk: Mapping[str, Array]) -> None:
        import torch

        runner = network.on_torch()
        _, taps = network.tapped
        self.weights = {name: runner.constants[tap.w].clone().requires_grad_(True) for name, tap in taps.items()}
        self.reads: dict[str, Tensor] = {}
        values = [output.value for output in runner.graph.outputs]
        shown = runner.run(
            {name: torch.tensor(array) for name, array in chunk.items()},
            {taps[name].w: w for name, w in self.weights.items()},
            {tap.x: self._kept(name) for name, tap in taps.items()},
            values,
        )
        self.outputs = [shown[value] for value in values]

    def _kept(self, name: str) -> Callable[[Tensor], Tensor]:
        """Remember what a layer reads, as something that gradients are taken by."""

        def keep(x: Tensor) -> Tensor:
            self.reads[name] = x if x.requires_grad else x.detach().requires_grad_(True)
            return self.reads[name]

        return keep
