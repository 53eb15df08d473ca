"""Sensitivities by what the outputs do when one layer gets fewer bits and all others stay in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.types import Sensitivities, bits_of

Array = NDArray[Any]


def kl(network: Network, *, seed: int = 0, around: Any | None = None) -> Sensitivities:
    """The mean over samples of KL(float network || one layer quantized), in nats.

    around: a choice, or one for each layer by name, that all other layers have instead of float. Then the loss is what
        the layer's own choice adds to the loss of the network in which it has this one too: 0 for it, usually below 0
        for more bits. Errors of several layers compound, which losses of single layers do not see.
    Source: ZeroQ (Cai et al. 2020, section 3.2, eq. 4); reading.py says of which distributions.
    """
    return _measured(network, network.divergence, around)


def mse(network: Network, *, seed: int = 0, around: Any | None = None) -> Sensitivities:
    """The mean squared difference of the outputs, summed over outputs.  Args: around: as in `kl`."""

    def loss(outputs: Sequence[Array]) -> float:
        pairs = zip(outputs, network.reference, strict=True)
        return float(sum(((a.astype(np.float64) - b) ** 2).mean() for a, b in pairs))

    return _measured(network, loss, around)


def _measured(network: Network, loss: Callable[[Sequence[Array]], float], around: Any | None) -> Sensitivities:
    """loss(outputs) for every layer and each of its choices alone, less that of the network around it."""
    losses: dict[str, dict[Any, float]] = {layer.name: {} for layer in network.layers}
    before = 0.0 if around is None else loss(outputs_around(network, around))
    for layer, choice, outputs in one_by_one(network, around):
        losses[layer.name][choice] = loss(outputs) - before
    return Sensitivities(losses)


def outputs_around(network: Network, around: Any | None) -> list[Array]:
    """The outputs with all layers in one choice; of the float network where it is None."""
    if around is None:
        return network.reference
    return network.run(network.quantized(_all(network, around)))


def one_by_one(network: Network, around: Any | None = None) -> Iterator[tuple[Layer, Any, list[Array]]]:
    """(layer, choice, outputs) of every layer in each of its choices, the others in float or in `around`."""
    base = _all(network, around)
    total = sum(len(network.choices_of(layer)) for layer in network.layers)
    done = 0
    for layer in network.layers:
        for choice in network.choices_of(layer):
            yield layer, choice, network.run(network.quantized({**base, layer.name: choice}))
            done += 1
            network.show(done, total)


def _all(network: Network, choice: Any | None) -> dict[str, Any]:
    """A choice for each layer by name.  Raises: ModelError: it is none, or a layer has none."""
    if choice is None:
        return {}
    chosen = choice if isinstance(choice, Mapping) else {layer.name: choice for layer in network.layers}
    for layer in network.layers:
        if layer.name not in chosen:
            raise ModelError(f"layer '{layer.name}' has no choice around which others are measured")
        bits_of(chosen[layer.name])
    return {layer.name: chosen[layer.name] for layer in network.layers}
