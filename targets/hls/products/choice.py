"""Which arithmetic multiplies by given weights: the cheapest that can."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.targets.hls.actors import Product
from subbyte.targets.hls.streams import Element


def choose_product(x: Element, weights: Any, most_terms: int = 1) -> tuple[Product, int]:
    """The product for codes of x by `weights` (integers of any shape), and its terms, 0 where it is no SHIFT.

    XNOR where both are bipolar; ADD for weights in -1, 0, 1; SHIFT where no weight needs more than `most_terms` signed
    powers of two (1: powers of two alone; 0: never); MULTIPLY otherwise.
    """
    values = np.asarray(weights, np.int64)
    if x.bipolar and bool((np.abs(values) == 1).all()):
        return Product.XNOR, 0
    if not values.size or int(np.abs(values).max()) <= 1:
        return Product.ADD, 0
    terms = signed_digits(values)
    return (Product.SHIFT, terms) if terms <= most_terms else (Product.MULTIPLY, 0)


def signed_digits(weights: Any) -> int:
    """The most signed powers of two that a weight is the sum of: digits of its canonical signed form, which is fewest.

    Source: Reitwiesner 1960; digit i is nonzero where bit i + 1 of 3 * w differs from that of w.
    """
    magnitudes = np.abs(np.asarray(weights, np.int64)).reshape(-1)
    differing = np.unique(magnitudes ^ (3 * magnitudes))
    return max((bin(bits).count("1") for bits in differing.tolist()), default=0)


def canonical_digits(weight: int) -> list[tuple[bool, int]]:
    """(negative, shift) of each term of `weight`, the smallest shift first; none for 0. No two shifts are adjacent."""
    magnitude = abs(weight)
    tripled = 3 * magnitude
    nonzero = (shift for shift in range(tripled.bit_length()) if (magnitude ^ tripled) >> (shift + 1) & 1)
    return [(bool(magnitude >> (shift + 1) & 1) != (weight < 0), shift) for shift in nonzero]
