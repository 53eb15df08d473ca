"""Fisher information: how fast the log-likelihood changes with each weight, under the network's own predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.plan import ActivationGrid
from subbyte.compiler.sensitivity.additive import added
from subbyte.compiler.sensitivity.network import Network, rounding_error
from subbyte.compiler.sensitivity.types import FLOAT_BITS, Sensitivities, bits_of

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[Any]


def fisher(network: Network, *, seed: int = 0, draws: int = 16) -> Sensitivities:
    """1/2 sum_k F_kk (Q(W) - W)_k^2, and the same of what the layer reads, sample by sample; in nats.

    F_kk = E_x E_{y ~ p(y|x)} (d log p(y|x) / d w_k)^2, the diagonal of the Fisher information of the float network: no
    labels are needed. One draw is one backward pass of all samples at once, from random signs that make the mean of the
    squared gradient F_kk exactly: signs of different samples and classes are independent, so that their products
    vanish on average (reading.torch_scores).
    draws: how many; the relative standard error of one F_kk is at most sqrt(2 / draws), that of a sum far less.
    Source: diagonal of Amari's Fisher information; as a sensitivity of layers in BRECQ (Li et al. 2021, section 3.3).
    """
    if draws < 1:
        raise ModelError(f"{draws} draws were asked for; Fisher information is the mean over one or more")
    found = _Diagonals(network, seed, draws)

    def of_weights(layer: Layer, bits: int) -> float:
        return 0.5 * float((found.weights[layer.name] * network.weight_change(layer, bits) ** 2).sum())

    def of_inputs(layer: Layer, bits: int) -> float:
        return 0.5 * found.inputs[layer.name][bits]

    return Sensitivities({layer.name: added(network, layer, of_weights, of_inputs) for layer in network.layers})


class _Diagonals:
    """weights: F_kk by layer, of the weights' shape. inputs: by layer and bits, the mean of sum_k F_kk (Q(x)-x)_k^2."""

    def __init__(self, network: Network, seed: int, draws: int) -> None:
        self.network, self.draws = network, draws
        self.weights = {layer.name: np.zeros(layer.weights.shape) for layer in network.layers}
        self._grids = {layer.name: self._grids_of(layer) for layer in network.layers}
        self.inputs = {name: dict.fromkeys(grids, 0.0) for name, grids in self._grids.items()}
        self._random = np.random.default_rng(seed)
        for which, chunk in network.chunks():
            self._add(chunk)
            network.show(which.stop, network.count)
        scale = 1.0 / (network.count * draws)
        self.weights = {name: total * scale for name, total in self.weights.items()}
        self.inputs = {name: {b: total * scale for b, total in of.items()} for name, of in self.inputs.items()}

    def _grids_of(self, layer: Layer) -> dict[int, ActivationGrid]:
        bits = {bits_of(choice)[1] for choice in self.network.choices_of(layer)} - {FLOAT_BITS}
        return {b: self.network.grid_of(layer, b) for b in sorted(bits)}

    def _add(self, chunk: dict[str, Array]) -> None:
        import torch

        runner = self.network.on_torch()
        _, taps = self.network.tapped
        weights = {name: runner.constants[tap.w].clone().requires_grad_(True) for name, tap in taps.items()}
        reads: dict[str, Tensor] = {}

        def keep(name: str, x: Tensor) -> Tensor:
            reads[name] = x if x.requires_grad else x.detach().requires_grad_(True)
            return reads[name]

        outputs = [output.value for output in runner.graph.outputs]
        shown = runner.run(
            {name: torch.tensor(array) for name, array in chunk.items()},
            {taps[name].w: w for name, w in weights.items()},
            {tap.x: lambda x, name=name: keep(name, x) for name, tap in taps.items()},
            outputs,
        )
        names = [name for name, grids in self._grids.items() if grids]
        errors = {
            name: {b: rounding_error(reads[name].detach().numpy(), grid) for b, grid in self._grids[name].items()}
            for name in names
        }
        for draw in range(self.draws):
            score = torch.stack(
                [
                    reading.torch_scores(shown[value], torch.tensor(self._signs(tuple(shown[value].shape))))
                    for reading, value in zip(self.network.readings, outputs, strict=True)
                ]
            ).sum()
            tensors = [*weights.values(), *(reads[name] for name in names)]
            last = draw == self.draws - 1
            gradients = torch.autograd.grad(score, tensors, retain_graph=not last, allow_unused=True)
            squares = [None if g is None else g.double().numpy() ** 2 for g in gradients]
            for name, square in zip(weights, squares, strict=False):
                if square is not None:
                    self.weights[name] += square
            for name, square in zip(names, squares[len(weights) :], strict=True):
                for bits, error in errors[name].items():
                    if square is not None:
                        self.inputs[name][bits] += float((square * error**2).sum())

    def _signs(self, shape: tuple[int, ...]) -> Array:
        return np.asarray(self._random.integers(0, 2, shape, np.int8) * 2 - 1, np.float32)
