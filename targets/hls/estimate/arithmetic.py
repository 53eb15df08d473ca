"""What operations on integers take: multipliers, trees of adders, counts of ones, comparisons, steps, tables.

Formulas, W and A bits of a weight and of a code, S of a sum, Q lanes that are added up:

    product in LUTs     (2 * ceil((W + A) / 6) - 1) * (W + A), half of that where the weight is a constant
    product in DSPs     ceil(max(W, A) / 25) * ceil(min(W, A) / 18), a DSP48E1's factors; a DSP48E2 has 27 x 18
    tree of adders      sum over levels l of ceil(Q / 2^l) adders of P + l bits, P bits of a product
    XNOR and count      Q / 2 for the products, Q for the counters
    add or subtract     A / 2 a lane: the code, its negative or 0, before the tree
    shift and add       for each of K terms ceil(log2 shifts) / 2 * (A + shifts) / 2 + (A + shifts) / 2; K - 1 adders

Source: FINN's MVAU estimates for products; UG474 for carry chains; coefficients.py for the constants.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from subbyte.compiler.numerics.pair_forms import PairForm, PairSteps, PairTable
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, StepForm, Unchanged
from subbyte.targets.hls.actors import Multiplier, Product
from subbyte.targets.hls.codes.step_tables import (
    Stairs,
    compared,
    saturated,
    search_bits,
    signed_bits,
    stairs_of,
)
from subbyte.targets.hls.estimate import coefficients as c
from subbyte.targets.hls.estimate.memories import Memory, ceiling, rom
from subbyte.targets.hls.resources import NONE, Resources
from subbyte.targets.hls.streams import Codes, Element


def whole(luts: float) -> int:
    """A count of LUTs that a formula gave as a real number, rounded up."""
    return int(-(-luts // 1))


def bits_of(low: int, high: int) -> int:
    return Element(min(low, high), max(low, high)).bits


def index_bits(count: int) -> int:
    """The bits that number `count` things, at least 1."""
    return max((count - 1).bit_length(), 1)


# Products -------------------------------------------------------------------------------------------------------------


def multiplier_luts(a_bits: int, b_bits: int) -> int:
    both = a_bits + b_bits
    return (2 * ceiling(both, 6) - 1) * both


def multiplier(a_bits: int, b_bits: int, constant: bool = False, made_of: Multiplier = Multiplier.AUTO) -> Resources:
    """One product of two integers a cycle; AUTO: in LUTs where it is narrow, in DSP slices otherwise."""
    narrow = a_bits + b_bits < c.DSP_FROM_PRODUCT_BITS
    if made_of is Multiplier.FABRIC or (narrow and made_of is Multiplier.AUTO):
        if min(a_bits, b_bits) == 1:
            return Resources(lut=ceiling(a_bits + b_bits, 2))
        luts = multiplier_luts(a_bits, b_bits)
        return Resources(lut=whole(c.CONSTANT_SHARE * luts) if constant else luts, ff=a_bits + b_bits)
    slices = ceiling(max(a_bits, b_bits), 25) * ceiling(min(a_bits, b_bits), 18)
    return Resources(dsp=slices)  # which has the registers of factors and product in it


@dataclass(frozen=True)
class Factor:
    """How products of one layer are made. weight_bits: of one in its ROM; bits: of a product; most_shift: of SHIFT."""

    product: Product
    x_bits: int
    weight_bits: int
    bits: int
    terms: int
    most_shift: int
    multiplier: Multiplier = Multiplier.AUTO

    def lane(self, constant: bool) -> Resources:
        """One product a cycle. constant: its weight is the same in every cycle."""
        match self.product:
            case Product.MULTIPLY:
                return multiplier(self.x_bits, self.weight_bits, constant, self.multiplier)
            case Product.XNOR:
                return Resources(lut=0 if constant else 1)
            case Product.ADD:
                return Resources(lut=0 if constant else whole(c.LUT_PER_SELECTED_BIT * self.x_bits))
            case Product.SHIFT:
                wide = self.x_bits + self.most_shift
                adders = (self.terms - 1) * whole(c.LUT_PER_ADDER_BIT * wide)
                if constant:
                    return Resources(lut=adders, ff=wide)
                stages = index_bits(self.most_shift + 1) + 1  # of the shifter, and to leave out or negate
                return Resources(lut=adders + self.terms * whole(c.LUT_PER_SELECTED_BIT * stages * wide), ff=wide)


def factor_of(
    product: Product, x: Element, weights: Codes, terms: int, made_of: Multiplier = Multiplier.AUTO
) -> Factor:
    """The products of codes `x` and these weights; ROM bits as the packing of products/ has them."""
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    most_shift = max((3 * max(-low, high)).bit_length() - 2, 0)  # of the canonical signed digits
    match product:
        case Product.XNOR:
            return Factor(product, 1, 1, 1, 0, 0)
        case Product.ADD:
            bipolar = bool((np.abs(weights) == 1).all())
            return Factor(product, x.bits, 1 if bipolar else 2, x.bits + (not x.signed), 0, 0)
        case Product.SHIFT:
            field = index_bits(most_shift + 1) + 2
            return Factor(product, x.bits, terms * field, x.bits + most_shift + 1, terms, most_shift)
    weight_bits = bits_of(low, high)
    return Factor(product, x.bits, weight_bits, x.bits + weight_bits, 0, 0, made_of)


def adder_tree(lanes: int, bits: int) -> Resources:
    """`lanes` numbers of `bits` bits to one; a register every few levels."""
    luts, ffs, level = 0.0, 0, 0
    while lanes > 1:
        level += 1
        adders, lanes = lanes // 2, ceiling(lanes, 2)
        luts += c.LUT_PER_ADDER_BIT * adders * (bits + level)
        if level % c.REGISTERED_LEVELS == 0 or lanes == 1:
            ffs += lanes * (bits + level)
    return Resources(lut=whole(luts), ff=ffs)


@cache
def dot_product(factor: Factor, lanes: int, constant: bool) -> Resources:
    """The sum of `lanes` products a cycle."""
    if factor.product is Product.XNOR:
        luts = (0 if constant else c.LUT_PER_XNOR * lanes) + c.LUT_PER_COUNTED_ONE * lanes
        return Resources(lut=whole(luts), ff=adder_tree(lanes, 1).ff)
    return factor.lane(constant) * lanes + adder_tree(lanes, factor.bits)


def adder(bits: int) -> Resources:
    return Resources(lut=whole(c.LUT_PER_ADDER_BIT * bits), ff=bits)


def comparator(bits: int, constant: bool = False) -> Resources:
    """a >= b. constant: b never changes."""
    luts = whole(c.LUT_PER_COMPARED_BIT * bits)
    return Resources(lut=whole(c.CONSTANT_SHARE * luts) if constant else luts)


def larger(bits: int) -> Resources:
    """The larger of two codes, kept."""
    return comparator(bits) + Resources(lut=whole(c.LUT_PER_SELECTED_BIT * bits), ff=bits)


# Tables and steps -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Logic:
    """Resources outside memories, and memories."""

    resources: Resources = NONE
    memories: tuple[Memory, ...] = ()

    def __add__(self, other: Logic) -> Logic:
        return Logic(self.resources + other.resources, self.memories + other.memories)

    @property
    def all(self) -> Resources:
        return sum((memory.resources for memory in self.memories), self.resources)


def steps(form: StepForm, sums: Element, y: Element, lanes: int, words: int) -> Logic:
    """A requantization of `lanes` sums a cycle, where a row is for each channel of `words` words of them.

    CompareSteps: n comparisons of S bits and a count of their ones; n * S bits of ROM a word. SearchSteps: a comparison
    and a step of ROM for each bit of the count. FixedPoint: a product, a sum and a clamp; a comparison for equality for
    each exception; two comparisons where sums saturate before, which makes the rest narrower. Codes that do not count
    up from one are looked up.
    """
    depth = words if form.rows > 1 else 1
    match form:
        case Unchanged():
            return Logic()
        case CompareSteps(staircase=staircase):
            return _compare(_stairs_compared(staircase, y), sums.bits, y.bits, lanes, depth)
        case SearchSteps(staircase=staircase):
            return _search(_stairs_searched(staircase, y), sums.bits, y.bits, lanes, depth)
        case FixedPoint():
            return _fixed_point(form, sums.bits, y.bits, lanes, depth)
    raise AssertionError(f"no formula for {type(form).__name__}")


@dataclass(frozen=True)
class _StepCounts:
    """count: steps of a row; bits: of a sum where it is compared; irregular: whether codes are looked up."""

    count: int
    bits: int
    saturates: bool
    irregular: bool


def _counts(stairs: Stairs) -> _StepCounts:
    return _StepCounts(stairs.steps.shape[1], stairs.bits, stairs.saturates, stairs.codes is not None)


@lru_cache(maxsize=1024)
def _stairs_compared(staircase: Staircase, y: Element) -> _StepCounts:
    """As codes/steps.py has them: saturated where that saves more than it costs."""
    return _counts(compared(stairs_of(staircase, y)))


@lru_cache(maxsize=1024)
def _stairs_searched(staircase: Staircase, y: Element) -> _StepCounts:
    return _counts(saturated(stairs_of(staircase, y)))


@lru_cache(maxsize=1024)
def _fixed_point_bits(form: FixedPoint) -> tuple[int, int, int]:
    """The bits of sums, of multipliers and of offsets."""
    multiplier_bits = bits_of(int(form.multiplier.min()), int(form.multiplier.max()))
    offset_bits = bits_of(int(form.offset.min()), int(form.offset.max()))
    return signed_bits(np.append(form.at, form.ends)), multiplier_bits, offset_bits


def saturation(bits: int, narrow: int) -> Resources:
    """A sum brought to a range: two comparisons with constants and a selection."""
    luts = whole(c.LUT_PER_SELECTED_BIT * narrow)
    return comparator(bits, constant=True) * 2 + Resources(lut=luts, ff=narrow)


def _codes(irregular: bool, count: int, y_bits: int, lanes: int, depth: int) -> tuple[Memory, ...]:
    return (rom("codes", lanes, (count + 1) * depth, y_bits),) if irregular else ()


def _compare(of: _StepCounts, sum_bits: int, y_bits: int, lanes: int, depth: int) -> Logic:
    each = comparator(of.bits, constant=depth == 1) * of.count
    each += Resources(lut=whole(c.LUT_PER_COUNTED_ONE * (of.count - 1)), ff=y_bits)
    if of.saturates:
        each += saturation(sum_bits, of.bits)
    table = rom("steps", lanes, depth, of.count * of.bits)
    return Logic(each * lanes, (table, *_codes(of.irregular, of.count, y_bits, lanes, depth)))


def _search(of: _StepCounts, sum_bits: int, y_bits: int, lanes: int, depth: int) -> Logic:
    stages = search_bits(of.count)
    each = (comparator(of.bits) + Resources(ff=of.bits + y_bits)) * stages
    if of.saturates:
        each += saturation(sum_bits, of.bits)
    tables = tuple(rom("steps", lanes, depth << stage, of.bits, registered=False) for stage in range(stages))
    return Logic(each * lanes, tables + _codes(of.irregular, of.count, y_bits, lanes, depth))


def _fixed_point(form: FixedPoint, sum_bits: int, y_bits: int, lanes: int, depth: int) -> Logic:
    bits, multiplier_bits, offset_bits = _fixed_point_bits(form)
    wide = max(bits + multiplier_bits, offset_bits) + 1
    each = multiplier(bits, multiplier_bits, constant=depth == 1)
    if form.live is not None:
        each += saturation(sum_bits, bits)
    if not each.dsp:  # a DSP slice has the adder behind its multiplier
        each += adder(wide)
    if form.ties_to is not None:
        each += adder(wide)  # of what rounding adds
    each += Resources(lut=whole(c.LUT_PER_EQUAL_BIT * wide + c.LUT_PER_SELECTED_BIT * y_bits), ff=y_bits)  # the clamp
    each += (Resources(lut=whole(c.LUT_PER_EQUAL_BIT * bits)) + adder(y_bits)) * form.exceptions
    width = multiplier_bits + offset_bits + form.exceptions * (bits + 2)
    return Logic(each * lanes, (rom("multipliers", lanes, depth, width),))


def table(rows: int, codes: int, y_bits: int, lanes: int, words: int) -> Logic:
    """A table of `codes` entries in every lane; `rows` above 1: one for each channel."""
    depth = codes * (words if rows > 1 else 1)
    return Logic(Resources(ff=lanes * y_bits), (rom("table", lanes, depth, y_bits),))


def pair(form: PairForm, a: Element, b: Element, y: Element, lanes: int) -> Logic:
    """A pair form in every lane: PairTable: a ROM over both codes; PairSteps: two ROMs, their sum or product, steps."""
    match form:
        case PairTable():
            return Logic(Resources(ff=lanes * y.bits), (rom("table", lanes, 1 << (a.bits + b.bits), y.bits),))
        case PairSteps():
            sides = (form.left, form.right)
            low = [int(side.min()) for side in sides]
            high = [int(side.max()) for side in sides]
            bits = [bits_of(*ends) for ends in zip(low, high, strict=True)]
            ends = [x * z for x in (low[0], high[0]) for z in (low[1], high[1])]
            sums = Element(min(ends), max(ends)) if form.product else Element(low[0] + low[1], high[0] + high[1])
            each = multiplier(bits[0], bits[1]) if form.product else adder(sums.bits)
            tables = tuple(rom("operand", lanes, 1 << of.bits, width) for of, width in zip((a, b), bits, strict=True))
            return Logic(each * lanes, tables) + steps(form.steps, sums, y, lanes, 1)
    raise AssertionError(f"no formula for {type(form).__name__}")


def selection_luts(inputs: int, bits: int) -> int:
    """LUTs that select one of `inputs` words of `bits` bits: each takes in three more inputs."""
    return bits * ceiling(inputs - 1, 3)
