"""Sensitivities by what the outputs do when one layer gets fewer bits and all others stay in float."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.types import Sensitivities

Array = NDArray[Any]


def kl(network: Network, *, seed: int = 0) -> Sensitivities:
    """The mean over samples of KL(float network || one layer quantized), in nats.

    Source: ZeroQ (Cai et al. 2020, section 3.2, eq. 4); reading.py says of which distributions.
    """
    return _measured(network, network.divergence)


def mse(network: Network, *, seed: int = 0) -> Sensitivities:
    """The mean squared difference of the outputs, summed over outputs."""

    def loss(outputs: Sequence[Array]) -> float:
        pairs = zip(outputs, network.reference, strict=True)
        return float(sum(((a.astype(np.float64) - b) ** 2).mean() for a, b in pairs))

    return _measured(network, loss)


def _measured(network: Network, loss: Callable[[Sequence[Array]], float]) -> Sensitivities:
    """loss(outputs) for every layer and each of its choices alone."""
    total = sum(len(network.choices_of(layer)) for layer in network.layers)
    losses: dict[str, dict[Any, float]] = {}
    done = 0
    for layer in network.layers:
        losses[layer.name] = {}
        for choice in network.choices_of(layer):
            losses[layer.name][choice] = loss(network.run(network.quantized({layer.name: choice})))
            done += 1
            network.show(done, total)
    return Sensitivities(losses)
