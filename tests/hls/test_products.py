"""Sums of products: the C++ equals `reference` and moves words as `trace` says; a product that can is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, Unchanged
from subbyte.targets.hls import registry
from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector, Multiplier, Product
from subbyte.targets.hls.instance import instance
from subbyte.targets.hls.products.choice import canonical_digits, choose_product, signed_digits
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Element
from subbyte.targets.hls.trace import trace
from tests.hls.actor_program import SANITIZERS, Case, build, check
from tests.hls.numbers_program import include_folder
from tests.hls.product_cases import BIPOLAR, Cases, signed, unsigned

assert registry.__all__
ALL_INT8 = range(-128, 128)
PRODUCTS = (
    (Product.XNOR, BIPOLAR, (-1, 1)),
    (Product.ADD, signed(3), (-1, 1)),
    (Product.ADD, unsigned(5), (-1, 0, 1)),
    (Product.ADD, BIPOLAR, (-1, 0, 1)),
    (Product.SHIFT, unsigned(4), (-8, -2, 0, 1, 4)),
    (Product.SHIFT, signed(4), (-7, -3, 5, 0, 6, 1)),
    (Product.SHIFT, unsigned(2), ALL_INT8),
    (Product.SHIFT, BIPOLAR, (-2, 1)),
    (Product.MULTIPLY, BIPOLAR, (-3, 2)),
    (Product.MULTIPLY, unsigned(2), (0, 3)),
)
# runs, channels, outputs, SIMD, PE: tiles of 4 channels and 3 outputs, around them, and 1.
FOLDS = ((1, 1, 2, 1, 1), (1, 3, 2, 3, 2), (9, 4, 3, 4, 3), (9, 5, 4, 4, 3), (1, 9, 5, 4, 1), (2, 7, 4, 1, 4))


def folded_cases() -> list[Case]:
    cases = Cases("folded")
    for product, x, values in PRODUCTS:
        for runs, channels, outputs, simd, pe in FOLDS:
            cases.matrix(x, values, (outputs, runs, channels), (simd, pe), product)
        for channels, taps, lanes in ((2, 1, 1), (3, 9, 3), (5, 9, 4)):
            cases.depthwise(x, values, (channels, taps), lanes, product)
    for steps in (CompareSteps, SearchSteps, FixedPoint):
        cases.matrix(unsigned(3), range(-4, 4), (7, 2, 5), (3, 4), Product.MULTIPLY, steps)
        cases.matrix(BIPOLAR, (-1, 1), (7, 2, 5), (3, 4), Product.XNOR, steps)
        cases.depthwise(unsigned(4), range(-8, 8), (7, 9), 3, Product.MULTIPLY, steps)
    return cases.all


def wide_cases() -> list[Case]:
    """Weights of 1 to 8 bits by codes of 1 to 8 and 16, either with and without sign; words above 64 bits."""
    cases = Cases("wide")
    for weight_bits in range(1, 9):
        for place, x_bits in enumerate((1, 2, 3, 4, 5, 6, 7, 8, 16)):
            x = (unsigned, signed)[(weight_bits + place) % 2](x_bits)
            factor = (unsigned if weight_bits == 1 or place == 4 else signed)(weight_bits)
            values = range(factor.low, factor.high + 1)
            multiplier = list(Multiplier)[place % 3]
            cases.matrix(x, values, (3, 1, 5), (3, 2), Product.MULTIPLY, bias=False, multiplier=multiplier)
    cases.matrix(unsigned(8), ALL_INT8, (40, 1, 37), (20, 33), Product.MULTIPLY, bias=False)
    cases.matrix(signed(16), ALL_INT8, (3, 1, 48), (48, 2), Product.SHIFT, bias=False)
    cases.depthwise(signed(16), ALL_INT8, (21, 9), 20, Product.MULTIPLY, bias=False)
    return cases.all


def test_c_equals_reference_and_trace(tmp_path: Path) -> None:
    cases = folded_cases()
    check(cases, build(cases, tmp_path))


def test_c_of_all_widths_equals_reference(tmp_path: Path) -> None:
    cases = wide_cases()
    check(cases, build(cases, tmp_path))


def test_c_is_clean_under_sanitizers(tmp_path: Path) -> None:
    cases = folded_cases()[3::11] + wide_cases()[-3:]
    check(cases, build(cases, tmp_path, flags=SANITIZERS))


def test_c_with_the_vendors_integers_equals_reference(tmp_path: Path) -> None:
    cases = folded_cases()[4::9] + wide_cases()[-3:]
    quiet = ("-Wno-uninitialized", "-Wno-maybe-uninitialized")  # constructors of theirs
    check(cases, build(cases, tmp_path, include_folder("vendor"), quiet))


def test_operands_reach_both_ends_of_the_sums() -> None:
    """The program above would show an accumulator that is a bit too short."""
    for case in wide_cases():
        reached = np.concatenate([reference(case.actor, *run)[0].reshape(-1) for run in case.runs])
        assert (reached.min(), reached.max()) == (case.actor.sums.low, case.actor.sums.high)


def test_trace_counts_the_folds() -> None:
    actor = one_matrix(Product.MULTIPLY, unsigned(2), (0, 3)).actor  # 3 pixels, 9 runs of 5 by 4, 3 outputs of 4
    told = trace(actor)
    assert told.iterations == 3 * 18 * 2
    assert told.reads[0].tolist() == [36 * pixel + word for pixel in range(3) for word in range(18)]
    assert told.writes[0].tolist() == [17, 35, 53, 71, 89, 107]
    assert told.latency == 2 + 1 + 1 + 1 + 0 + 1


def one_matrix(product: Product, x: Element, values: tuple[int, ...]) -> Case:
    cases = Cases("one")
    cases.matrix(x, values, (4, 9, 5), (4, 3), product)
    return cases.all[0]


def one_depthwise() -> Case:
    cases = Cases("one")
    cases.depthwise(unsigned(2), (-3, 3), (4, 9), 3, Product.MULTIPLY)
    return cases.all[0]


# Choice ---------------------------------------------------------------------------------------------------------------


def fewest_terms(most: int) -> dict[int, int]:
    """Terms of every weight up to `most`, by trying all sums of powers of two."""
    powers = [sign << shift for shift in range(most.bit_length() + 1) for sign in (1, -1)]
    found, sums = {0: 0}, {0}
    terms = 0
    while not found.keys() >= set(range(-most, most + 1)):
        terms += 1
        sums = {a + b for a in sums for b in powers}
        found.update({value: terms for value in sums if value not in found})
    return found


def test_canonical_digits_are_the_fewest_and_give_the_weight() -> None:
    fewest = fewest_terms(128)
    for weight in range(-128, 129):
        digits = canonical_digits(weight)
        assert sum(-(1 << shift) if negative else 1 << shift for negative, shift in digits) == weight
        assert len(digits) == fewest[weight] == signed_digits(weight)


def test_signed_digits_of_an_array_are_the_most() -> None:
    assert signed_digits([[0, 64], [-3, 1]]) == 2
    assert signed_digits([0x5555]) == 8
    assert signed_digits([]) == 0


@pytest.mark.parametrize(
    ("x", "weights", "most_terms", "expected"),
    [
        (BIPOLAR, [-1, 1], 1, (Product.XNOR, 0)),
        (BIPOLAR, [-1, 0], 1, (Product.ADD, 0)),
        (signed(2), [-1, 1], 1, (Product.ADD, 0)),
        (unsigned(8), [0, 0], 1, (Product.ADD, 0)),
        (BIPOLAR, [-2, 1], 1, (Product.SHIFT, 1)),
        (unsigned(4), [-64, 0, 2], 1, (Product.SHIFT, 1)),
        (unsigned(4), [-64, 0, 2], 0, (Product.MULTIPLY, 0)),
        (unsigned(4), [3, 1], 1, (Product.MULTIPLY, 0)),
        (unsigned(4), [3, 1], 3, (Product.SHIFT, 2)),
    ],
)
def test_the_cheapest_product_is_chosen(
    x: Element, weights: list[int], most_terms: int, expected: tuple[Product, int]
) -> None:
    assert choose_product(x, np.array(weights), most_terms) == expected


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "x", "values", "terms", "message"),
    [
        (Product.XNOR, BIPOLAR, (-1, 0), 0, "XNOR"),
        (Product.XNOR, signed(2), (-1, 1), 0, "XNOR"),
        (Product.ADD, signed(2), (-2, 1), 0, "weights -2..1 beyond -1..1"),
        (Product.SHIFT, signed(2), (1, 11), 2, "multiplies by 2 shifts.* 3 signed"),
    ],
)
def test_a_product_that_cannot_multiply_is_refused(
    product: Product, x: Element, values: tuple[int, ...], terms: int, message: str
) -> None:
    actor = one_matrix(product, x, values).actor
    assert isinstance(actor, MatrixVector)
    with pytest.raises(GraphError, match=message):
        instance(replace(actor, terms=terms))


def test_weights_that_do_not_fit_the_streams_are_refused() -> None:
    actor = one_matrix(Product.MULTIPLY, unsigned(2), (0, 3)).actor
    assert isinstance(actor, MatrixVector)
    narrower = replace(actor, weights=actor.weights[:, :, 1:], steps=Unchanged())
    for told in (trace, instance):
        with pytest.raises(GraphError, match=r"weights \(4, 9, 4\)"):
            told(narrower)


def test_sums_beyond_the_accumulators_are_refused() -> None:
    for case in (one_matrix(Product.MULTIPLY, unsigned(2), (-3, 3)), one_depthwise()):
        actor = case.actor
        assert isinstance(actor, (MatrixVector, DepthwiseVector))
        with pytest.raises(GraphError, match=r"has sums .* accumulators are for -9\.\.9"):
            instance(replace(actor, sums=Element(-9, 9)))


def test_words_that_tools_do_not_take_are_refused() -> None:
    cases = Cases("long")
    cases.matrix(unsigned(4), ALL_INT8, (2, 1, 129), (129, 1), Product.MULTIPLY)
    with pytest.raises(UnsupportedError, match=r"129 weights of 8 bits.* at most 128 lanes"):
        instance(cases.all[0].actor)
