"""Fisher information: how fast the log-likelihood changes with each weight, under the network's own predictions."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.sensitivity.additive import added
from subbyte.compiler.sensitivity.backward import drawn_gradients
from subbyte.compiler.sensitivity.network import Network, rounding_error
from subbyte.compiler.sensitivity.types import Sensitivities


def fisher(network: Network, *, seed: int = 0, draws: int = 16) -> Sensitivities:
    """1/2 sum_k F_kk (Q(W) - W)_k^2, and the same of what the layer reads, sample by sample; in nats.

    F_kk = E_x E_{y ~ p(y|x)} (d log p(y|x) / d w_k)^2, the diagonal of the Fisher information of the float network: no
    labels are needed.
    draws: backward passes of all samples; the relative standard error of one F_kk is at most sqrt(2 / draws), that of
        a sum over weights far less.
    Source: the diagonal as a measure of rounding in BRECQ (Li et al. 2021, section 3.3); here for whole layers.
    """
    grids = {layer.name: network.grids_of(layer) for layer in network.layers}
    weights = {layer.name: np.zeros(layer.weights.shape) for layer in network.layers}
    inputs = {name: dict.fromkeys(by_bits, 0.0) for name, by_bits in grids.items()}
    for draw in drawn_gradients(network, seed, draws):
        for name, squares in draw.weights.items():
            weights[name] += squares
        for name, squares in draw.inputs.items():
            for bits, grid in grids[name].items():
                inputs[name][bits] += float((squares * rounding_error(draw.reads[name], grid) ** 2).sum())
    half = 0.5 / (network.count * draws)

    def of_weights(layer: Layer, bits: int) -> float:
        return half * float((weights[layer.name] * network.weight_change(layer, bits) ** 2).sum())

    def of_inputs(layer: Layer, bits: int) -> float:
        return half * inputs[layer.name][bits]

    return Sensitivities({layer.name: added(network, layer, of_weights, of_inputs) for layer in network.layers})
