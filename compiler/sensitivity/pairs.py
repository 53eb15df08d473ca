"""What two layers lose together beyond what each loses: the off-diagonal blocks of the Hessian."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.outputs import one_by_one, outputs_around
from subbyte.compiler.sensitivity.types import Sensitivities

Array = NDArray[Any]
METHODS = ("outputs", "measured")


def pairs(network: Network, *, seed: int = 0, method: str = "outputs", around: Any | None = None) -> Sensitivities:
    """loss(i, c) and loss(i, c; j, d) - loss(i, c) - loss(j, d), of the divergence of reading.py; in nats.

    Two layers i < j in fewer bits move the outputs by a_i + a_j to first order, and the loss is a^T F a / 2 to second
    order, F the Fisher information of the outputs: together they lose a_i^T F a_j beyond the sum of both. This is
    dW_i^T H_ij dW_j, the block of the augmented Hessian, with the whole change of the outputs, as rounding is no small
    step, in place of J dW.
    method: "outputs" measures a_i for each layer and choice, so one run for each, and takes the products; "measured"
        runs every pair of layers with every pair of choices.
    around: a choice that all other layers have instead of float, as in outputs.kl; for method "outputs".
    Source: CLADO (Deng et al. 2023, eq. 8 and 11), which measures pairs; the products by Taylor's second term.
    """
    if method not in METHODS:
        raise ModelError(f"there is no method '{method}' for pairs; there are {', '.join(METHODS)}")
    if method == "measured" and around is not None:
        raise ModelError("pairs around a choice are products of outputs; leave out method='measured', or `around`")
    return _by_outputs(network, around) if method == "outputs" else _by_measuring(network)


def _by_outputs(network: Network, around: Any | None) -> Sensitivities:
    losses: dict[str, dict[Any, float]] = {layer.name: {} for layer in network.layers}
    changes: dict[str, dict[Any, list[Array]]] = {layer.name: {} for layer in network.layers}
    base = outputs_around(network, around)
    before = network.divergence(base)
    for layer, choice, outputs in one_by_one(network, around):
        losses[layer.name][choice] = network.divergence(outputs) - before
        changes[layer.name][choice] = [a.astype(np.float64) - b for a, b in zip(outputs, base, strict=True)]
    found = {}
    for i, j in combinations(losses, 2):
        found[i, j] = {(c, d): _product(network, a, b) for c, a in changes[i].items() for d, b in changes[j].items()}
    return Sensitivities(losses, found)


def _product(network: Network, a: list[Array], b: list[Array]) -> float:
    """a^T F b, the mean over samples, summed over outputs."""
    parts = zip(network.readings, network.reference, a, b, strict=True)
    return float(sum(reading.product(y, da, db, network.count) for reading, y, da, db in parts))


def _by_measuring(network: Network) -> Sensitivities:
    losses: dict[str, dict[Any, float]] = {layer.name: {} for layer in network.layers}
    for layer, choice, outputs in one_by_one(network):
        losses[layer.name][choice] = network.divergence(outputs)
    found = {}
    for i, j in combinations(losses, 2):
        found[i, j] = {
            (c, d): network.divergence(network.run(network.quantized({i: c, j: d}))) - losses[i][c] - losses[j][d]
            for c in losses[i]
            for d in losses[j]
        }
    return Sensitivities(losses, found)
