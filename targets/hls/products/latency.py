"""Cycles from a word of codes to the word of results that it finishes: an estimate; the vendor's scheduler decides.

read      2                         the stream, and the ROM of weights
product   3, 1 or 0                 3 where a multiplier has more than 18 bits of result (the registers of a DSP slice),
                                    0 for XNOR and ADD (part of the first adders), else 1
adders    ceil(levels / 2)          two levels between two registers; levels = ceil(log2(products of a sum * terms))
sum       1
steps     see `steps_latency`
write     1
"""

from __future__ import annotations

from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm
from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector, Product
from subbyte.targets.hls.streams import Element

_FABRIC_BITS = 18
"""Products of so many bits are made of LUTs, as Vitis HLS binds them by default."""


def products_latency(actor: MatrixVector | DepthwiseVector, lanes: int) -> int:
    """The formula above for sums of `lanes` products an iteration."""
    match actor.product:
        case Product.XNOR | Product.ADD:
            product = 0
        case Product.SHIFT:
            product = 1
        case Product.MULTIPLY:
            factor = Element(int(actor.weights.min()), int(actor.weights.max()))
            product = 3 if actor.x.type.element.bits + factor.bits > _FABRIC_BITS else 1
    levels = (lanes * max(actor.terms, 1) - 1).bit_length()
    return 2 + product + -(-levels // 2) + 1 + steps_latency(actor.steps) + 1


def steps_latency(form: StepForm) -> int:
    """Cycles of a requantization.

    CompareSteps: 1 for the comparisons and 1 for two levels of the tree that counts them. SearchSteps: 1 for each bit
    of the number of steps. FixedPoint: 3 for the multiplier, 1 for the offset, 1 for shift and limits. Unchanged: 0.
    """
    match form:
        case CompareSteps(staircase=staircase):
            return 1 + -(-staircase.count.bit_length() // 2)
        case SearchSteps(staircase=staircase):
            return staircase.count.bit_length()
        case FixedPoint():
            return 5
    return 0
