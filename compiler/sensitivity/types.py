"""What sensitivities are of, and what they come back as."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from subbyte.compiler.errors import ModelError

FLOAT_BITS = 32
"""From so many bits on nothing is rounded."""

Bits = tuple[int, int]
"""(bits of a layer's weights, bits of the activations that it reads)."""

Losses = Mapping[str, Mapping[Any, float]]
"""{name of a layer: {choice: loss}}, with the choices as the caller gave them."""

Pairs = Mapping[tuple[str, str], Mapping[tuple[Any, Any], float]]
"""{(a layer, a later one): {(choice, choice): what both together lose beyond what each loses}}."""


@dataclass(frozen=True)
class Sensitivities(Mapping[str, Mapping[Any, float]]):
    """{layer: {choice: loss}}, of all layers that were asked for, in the order of the graph.

    losses: in the unit of the measure; only their ratios count. Below 0 only where they are measured around a choice of
    fewer bits. pairs: empty where the measure looks at one layer at a time.
    """

    losses: Losses
    pairs: Pairs = field(default_factory=dict)

    def __getitem__(self, layer: str) -> Mapping[Any, float]:
        return self.losses[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.losses)

    def __len__(self) -> int:
        return len(self.losses)


def bits_of(choice: Any) -> Bits:
    """The bits that a choice stands for: a pair, or anything with weight_bits and activation_bits.

    Raises: ModelError: it is neither, or its bits are not 1 to 16, or 32 for float.
    """
    match choice:
        case (int(weights), int(activations)):
            found = (weights, activations)
        case _ if hasattr(choice, "weight_bits") and hasattr(choice, "activation_bits"):
            found = (int(choice.weight_bits), int(choice.activation_bits))
        case _:
            raise ModelError(f"'{choice}' is no choice of bits; a pair (weight bits, activation bits) is")
    if not all(1 <= bits <= 16 or bits == FLOAT_BITS for bits in found):
        raise ModelError(f"the choice {found} has bits that are neither 1 to 16 nor {FLOAT_BITS}, which is float")
    return found
