"""How the lanes of a matrix-vector unit multiply: encodings of weights, and the number that a lane adds.

x and w: a code and a weight; the unit adds what `term` gives over all lanes and words, and `correction` to the bias:
MULTIPLY  x * w.
XNOR      the count of equal bits, times 2 at the end: sum(x * w) = 2 * count - channels.
ADD       x, ~x or 0; -x = ~x + 1, so the bias gets the number of weights -1.
SHIFT     for each of `terms` signed powers of two: x << s, ~(x << s) or 0; the bias gets the number of negative ones.
The corrections leave partial sums outside of the range of sums, which does no harm: additions are modulo 2**bits and
the finished sum lies within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.targets.hls.actors import Product
from subbyte.targets.hls.products.choice import canonical_digits
from subbyte.targets.hls.rtl.netlist import Netlist, Signal, address_bits
from subbyte.targets.hls.rtl.numbers import Number, decoded, extended, multiplied, spanning, total
from subbyte.targets.hls.streams import Codes, Element


@dataclass(frozen=True)
class LaneProduct:
    """MULTIPLY, and what the others share. weights: every weight of the unit, padding (0) included."""

    x: Element
    low: int
    high: int
    terms: int

    @property
    def bits(self) -> int:
        """Of a weight's encoding."""
        return Element(self.low, self.high).bits

    @property
    def registered(self) -> bool:
        """Whether a register follows the product: behind multipliers."""
        return True

    def encode(self, weights: Codes) -> Codes:
        return Element(self.low, self.high).encode(weights)

    def correction(self, weights: Codes) -> Codes:
        """[outputs]: what the bias gets besides, for weights [outputs, runs, channels] without padding."""
        return np.zeros(weights.shape[0], np.int64)

    def term(self, netlist: Netlist, lane: Signal, weight: Signal, used: Signal) -> Number:
        """used: low where the lane is padding."""
        factors = decoded(netlist, lane, self.x), Number(weight, Element(self.low, self.high))
        return multiplied(netlist, *factors, "product")

    def scaled(self, netlist: Netlist, terms: Number) -> Number:
        """What the sum of terms adds to the sum of products."""
        return terms


@dataclass(frozen=True)
class XnorProduct(LaneProduct):
    @property
    def bits(self) -> int:
        return 1

    @property
    def registered(self) -> bool:
        return False

    def encode(self, weights: Codes) -> Codes:
        return np.asarray((weights > 0).astype(np.int64))

    def correction(self, weights: Codes) -> Codes:
        return np.full(weights.shape[0], -weights.shape[1] * weights.shape[2], np.int64)

    def term(self, netlist: Netlist, lane: Signal, weight: Signal, used: Signal) -> Number:
        equal = netlist.inverse(netlist.exclusive(lane, weight))
        return Number(netlist.all_of(equal, used), Element(0, 1))

    def scaled(self, netlist: Netlist, terms: Number) -> Number:
        doubled = netlist.concat([netlist.false, terms.signal])
        return Number(doubled, Element(0, 2 * terms.range.high))


@dataclass(frozen=True)
class AddProduct(LaneProduct):
    """The encoding is negative, present; present is left out where no weight is 0."""

    @property
    def bits(self) -> int:
        return 2

    @property
    def registered(self) -> bool:
        return False

    def encode(self, weights: Codes) -> Codes:
        return np.asarray((weights < 0) + 2 * (weights != 0), np.int64)

    def correction(self, weights: Codes) -> Codes:
        return np.asarray((weights < 0).sum(axis=(1, 2)), np.int64)

    def term(self, netlist: Netlist, lane: Signal, weight: Signal, used: Signal) -> Number:
        return signed_or_none(netlist, decoded(netlist, lane, self.x), weight)


def signed_or_none(netlist: Netlist, x: Number, weight: Signal) -> Number:
    """x, ~x or 0, by the bits of `weight`: negative, present."""
    span = spanning(min(x.range.low, -x.range.high - 1, 0), max(x.range.high, -x.range.low - 1, 0))
    negative, present = (netlist.replicate(netlist.extract(weight, bit, 1), span.bits) for bit in (0, 1))
    flipped = netlist.exclusive(extended(netlist, x, span.bits), negative)
    return Number(netlist.all_of(flipped, present), span)


@dataclass(frozen=True)
class ShiftProduct(LaneProduct):
    """The encoding is for each term negative, present, shift."""

    @property
    def shift_bits(self) -> int:
        return address_bits(self.shifts)

    @property
    def shifts(self) -> int:
        """How far a term may be shifted, and 1: a signed-digit form has at most one digit more than the weight."""
        return max(abs(self.low), abs(self.high), 1).bit_length() + 1

    @property
    def bits(self) -> int:
        return self.terms * (2 + self.shift_bits)

    def encode(self, weights: Codes) -> Codes:
        values = {int(weight): self._encoded(int(weight)) for weight in np.unique(weights)}
        return np.array([values[weight] for weight in weights.reshape(-1).tolist()], np.int64).reshape(weights.shape)

    def _encoded(self, weight: int) -> int:
        digits = canonical_digits(weight)
        if len(digits) > self.terms:
            raise UnsupportedError(
                f"weight {weight} needs {len(digits)} signed powers of two and the unit adds {self.terms}; "
                "give it as many terms as its weights need."
            )
        fields = [int(negative) + 2 + 4 * shift for negative, shift in digits]
        return sum(field << (number * (2 + self.shift_bits)) for number, field in enumerate(fields))

    def correction(self, weights: Codes) -> Codes:
        negatives = [
            sum(negative for negative, _ in canonical_digits(weight)) for weight in weights.reshape(-1).tolist()
        ]
        return np.asarray(np.array(negatives, np.int64).reshape(weights.shape).sum(axis=(1, 2)))

    def term(self, netlist: Netlist, lane: Signal, weight: Signal, used: Signal) -> Number:
        x = decoded(netlist, lane, self.x)
        width = 2 + self.shift_bits
        numbers = []
        for number in range(self.terms):
            field = netlist.extract(weight, number * width, width)
            by = netlist.extract(field, 2, self.shift_bits)
            moved = [_shifted(netlist, x, shift, self.shifts - 1) for shift in range(self.shifts)]
            span = moved[0].range
            chosen = Number(netlist.pick([one.signal for one in moved], by), span)
            numbers.append(signed_or_none(netlist, chosen, netlist.extract(field, 0, 2)))
        return total(netlist, numbers)


def _shifted(netlist: Netlist, x: Number, shift: int, most: int) -> Number:
    """x << shift, in the range of x << most."""
    span = spanning(min(x.range.low << most, 0), max(x.range.high << most, 0))
    parts = [netlist.constant(0, shift)] if shift else []
    moved = netlist.concat([*parts, x.signal])
    return Number(
        extended(netlist, Number(moved, Element(x.range.low << shift, x.range.high << shift)), span.bits), span
    )


def lane_product(product: Product, x: Element, weights: Codes, terms: int) -> LaneProduct:
    """The product of a unit whose weights, padding included, are `weights`."""
    kinds: dict[Product, type[LaneProduct]] = {
        Product.MULTIPLY: LaneProduct,
        Product.XNOR: XnorProduct,
        Product.ADD: AddProduct,
        Product.SHIFT: ShiftProduct,
    }
    return kinds[product](x, int(weights.min()), int(weights.max()), terms)


def packed(codes: Sequence[int], bits: int) -> int:
    """Codes of `bits` bits in one word, the first in its lowest bits."""
    return sum(code << (number * bits) for number, code in enumerate(codes))
