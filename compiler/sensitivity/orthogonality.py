"""OMPQ: layers whose features overlap with those of many others bear fewer bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.sensitivity.additive import added
from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.types import Sensitivities

Array = NDArray[Any]
_MOST_BITS = 16


def ompq(network: Network, *, seed: int = 0, beta: float = 10.0) -> Sensitivities:
    """importance_i * (16 - bits), of weights and of activations: what OMPQ's linear program would gain by more bits.

    importance_i = sum_{j >= i} theta_j / (L - i + 1), i = 1 .. L in the order of the graph: the mean theta of the
    layers from i on; theta_i = exp(-beta gamma_i), gamma_i = sum_{j != i} ORM_ij. Maximizing sum_i importance_i bits_i
    is minimizing this loss. Neither weights nor what rounding does to them is looked at; `seed` is not used.
    beta: how much orthogonality counts.
    Source: OMPQ (Ma et al. 2023, eq. 5, 7, 8 and 10).
    """
    theta = np.exp(-beta * (orthogonality(network).sum(axis=1) - 1))
    importance = np.cumsum(theta[::-1])[::-1] / np.arange(len(theta), 0, -1)
    of = {layer.name: float(value) for layer, value in zip(network.layers, importance, strict=True)}

    def loss(layer: Layer, bits: int) -> float:
        return of[layer.name] * max(0, _MOST_BITS - bits)

    return Sensitivities({layer.name: added(network, layer, loss, loss) for layer in network.layers})


def orthogonality(network: Network) -> Array:
    """ORM [L, L]: ||F_j^T F_i||_F^2 / (||F_i^T F_i||_F ||F_j^T F_j||_F), F_i [n, ...] the outputs of layer i.

    1 on the diagonal; 0 where the features of two layers are orthogonal, or those of one are all 0. By the Gram
    matrices K_i = F_i F_i^T of the samples: ||F_j^T F_i||_F^2 = <K_i, K_j>.  Source: OMPQ, eq. 5; linear CKA (Kornblith
    et al. 2019) without centring.
    """
    grams = []
    for index, layer in enumerate(network.layers):
        features = network.run(network.graph, [layer.node.out])[0]
        rows = features.reshape(network.count, -1).astype(np.float64)
        gram = rows @ rows.T
        norm = np.linalg.norm(gram)
        grams.append(gram.reshape(-1) / (norm if norm > 0 else 1.0))
        network.show(index + 1, len(network.layers))
    flat = np.stack(grams)
    found = np.clip(flat @ flat.T, 0.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)
