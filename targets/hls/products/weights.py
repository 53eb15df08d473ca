"""Weights as the bits in their ROMs, and the type of kernels/subbyte_hls_products.h that multiplies by those bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector, Multiplier, Product
from subbyte.targets.hls.products.choice import canonical_digits, signed_digits
from subbyte.targets.hls.streams import Codes, Element
from subbyte.targets.hls.texts import sign

_MULTIPLY = {
    Multiplier.AUTO: "Multiply",
    Multiplier.DSP: "MultiplyInDsp",
    Multiplier.FABRIC: "MultiplyInFabric",
}


@dataclass(frozen=True, eq=False)
class WeightBits:
    """What a lane multiplies by.

    c_type: the product type, in C++. bits: of a weight in its ROM; codes: int64, those bits, in the shape of the
    weights. excess: what each product is too large by, which the bias takes back.
    """

    c_type: str
    bits: int
    codes: Codes
    excess: int = 0


def weight_bits(actor: MatrixVector | DepthwiseVector) -> WeightBits:
    """The weights of `actor` for its product.

    Raises: GraphError: the product cannot multiply codes of x by these weights.
    """
    weights, x = np.asarray(actor.weights, np.int64), actor.x.type.element
    codes = f"{x.bits}, {sign(x)}"
    match actor.product:
        case Product.XNOR:
            if not x.bipolar or not _is_bipolar(weights):
                raise GraphError(f"'{actor.name}' multiplies by XNOR, and its weights or codes are not all -1 or 1")
            return WeightBits("subbyte_hls::Xnor", 1, np.asarray((weights > 0).astype(np.int64)), 1)
        case Product.ADD if _is_bipolar(weights):
            bits = np.asarray((weights > 0).astype(np.int64))
            return WeightBits(f"subbyte_hls::AddBipolar<{codes}>", 1, bits)
        case Product.ADD:
            if np.abs(weights).max() > 1:
                raise GraphError(f"'{actor.name}' adds, and has weights {weights.min()}..{weights.max()} beyond -1..1")
            return WeightBits(f"subbyte_hls::AddTernary<{codes}>", 2, np.asarray(weights & 3))
        case Product.SHIFT:
            return _shifts(actor.name, weights, actor.terms, codes)
        case Product.MULTIPLY:
            factor = Element(min(int(weights.min()), 0), max(int(weights.max()), 0))
            c_type = f"subbyte_hls::{_MULTIPLY[actor.multiplier]}<{codes}, {factor.bits}, {sign(factor)}>"
            return WeightBits(c_type, factor.bits, factor.encode(weights))


def _is_bipolar(weights: Codes) -> bool:
    return bool((np.abs(weights) == 1).all())


def _shifts(name: str, weights: Codes, terms: int, codes: str) -> WeightBits:
    """Fields of (is there a term, is it negative, its shift) from the low bits up, `terms` of them."""
    if signed_digits(weights) > terms:
        raise GraphError(
            f"'{name}' multiplies by {terms} shifts, and a weight is the sum of {signed_digits(weights)} signed powers "
            f"of two at the fewest"
        )
    values, places = np.unique(weights, return_inverse=True)
    digits = [canonical_digits(value) for value in values.tolist()]
    most_shift = max((shift for of_value in digits for _, shift in of_value), default=0)
    field_bits = 2 + max(most_shift.bit_length(), 1)
    packed = [
        sum((1 | negative << 1 | shift << 2) << (term * field_bits) for term, (negative, shift) in enumerate(of_value))
        for of_value in digits
    ]
    bits = np.array(packed, np.int64)[places].reshape(weights.shape)
    return WeightBits(f"subbyte_hls::ShiftAdd<{codes}, {terms}, {most_shift}>", terms * field_bits, bits)
