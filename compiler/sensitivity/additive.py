"""Losses that are a sum of one of the weights' and one of the activations' bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.sensitivity.network import Network
from subbyte.compiler.sensitivity.types import FLOAT_BITS, bits_of

LossOfBits = Callable[[Layer, int], float]


def added(network: Network, layer: Layer, of_weights: LossOfBits, of_inputs: LossOfBits) -> dict[Any, float]:
    """{choice: of_weights(bits) + of_inputs(bits)} of a layer, each called once for the same bits, 0 for float."""
    weights: dict[int, float] = {FLOAT_BITS: 0.0}
    inputs: dict[int, float] = {FLOAT_BITS: 0.0}
    found = {}
    for choice in network.choices_of(layer):
        weight_bits, activation_bits = bits_of(choice)
        if weight_bits not in weights:
            weights[weight_bits] = of_weights(layer, weight_bits)
        if activation_bits not in inputs:
            inputs[activation_bits] = of_inputs(layer, activation_bits)
        found[choice] = weights[weight_bits] + inputs[activation_bits]
    return found


def needs_inputs(network: Network, layer: Layer) -> bool:
    """Whether some choice rounds what the layer reads."""
    return any(bits_of(choice)[1] != FLOAT_BITS for choice in network.choices_of(layer))
