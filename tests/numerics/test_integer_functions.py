"""Functions in integers alone: against exact fractions and mpmath within their stated distance, and the C twin."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.affine import Affine
from subbyte.compiler.numerics.integer_normalization import (
    IntegerNormalization,
    integer_normalization,
    inverse_root,
    normalize_codes,
)
from subbyte.compiler.numerics.integer_softmax import exponential, exponential_tables, softmax_tolerance, wide_softmax
from subbyte.compiler.numerics.piecewise import TOLERANCE, evaluate_pieces, fit
from subbyte.compiler.numerics.rounding import shift_half_even
from subbyte.compiler.numerics.softmax import softmax_reciprocal
from subbyte.compiler.numerics.unary import unary

EPSILON = float(np.float32(1e-5))
RANGES = {"s8": (-128, 127), "u8": (0, 255), "s16": (-32768, 32767), "u16": (0, 65535)}
ROOTS = [(whole, part) for bits in range(63) for whole in (1 << bits, (2 << bits) - 1, (1 << bits) + (1 << bits) // 3)
         for part in (0, 1, 1 << 31, (1 << 32) - 1)]  # fmt: skip


def rows(rng: np.random.Generator, low: int, high: int, n: int) -> Any:
    """Rows of codes: random, equal, all but one equal, the two ends, and a pair of neighbours."""
    q = rng.integers(low, high + 1, (8, n))
    q[1] = q[1, 0]
    q[2], q[2, -1] = high, high - 1
    q[3] = np.where(np.arange(n) < n // 2, low, high)
    q[4], q[4, 0] = low, high
    q[5] = low + np.arange(n) % 2
    return q


def normalization(rng: np.random.Generator, n: int, kind: str, centred: bool) -> IntegerNormalization:
    low, high = RANGES[kind]
    x = Affine(rng.uniform(1e-5, 0.2), int(rng.integers(low, high + 1)), low, high)
    y = Affine(rng.uniform(0.2, 8) / (high - low), int(rng.integers(low, high + 1)), low, high)
    scale, bias = (rng.normal(mean, 0.5, n).astype(np.float32) for mean in (1, 0))
    constants = integer_normalization(x, y, scale, bias, EPSILON, n, centred)
    assert constants.gain.shape == constants.offset.shape == (n,)
    return constants


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 64, 385])
@pytest.mark.parametrize("centred", [True, False])
def test_a_normalization_is_within_its_distance_of_the_real_one(kind: str, n: int, centred: bool) -> None:
    """Before the last rounding: code - 1/2 - tolerance <= the real steps <= code + 1/2 + tolerance."""
    rng = np.random.default_rng(n)
    low, high = RANGES[kind]
    x = Affine(rng.uniform(1e-5, 0.2), int(rng.integers(low, high + 1)), low, high)
    y = Affine(rng.uniform(0.2, 8) / (high - low), int(rng.integers(low, high + 1)), low, high)
    scale, bias = (rng.normal(mean, 0.5, n).astype(np.float32) for mean in (1, 0))
    constants = integer_normalization(x, y, scale, bias, EPSILON, n, centred)
    assert constants.tolerance < 0.01
    q = rows(rng, low, high, n)
    codes = normalize_codes(q, constants)
    x_scale, y_scale = (Fraction(float(np.float32(grid.scale))) for grid in (x, y))
    allowed = Fraction(1, 2) + Fraction(constants.tolerance)
    for row, found in zip(q.tolist(), codes.tolist(), strict=True):
        reals = [x_scale * (code - x.zero_point) for code in row]
        mean = sum(reals, Fraction(0)) / n if centred else Fraction(0)
        variance = sum(((v - mean) ** 2 for v in reals), Fraction(0)) / n + Fraction(EPSILON)
        with mpmath.workprec(200):
            root = mpmath.sqrt(mpmath.mpf(variance.numerator) / variance.denominator)
            for c, (v, code) in enumerate(zip(reals, found, strict=True)):
                deviation = v - mean
                steps = mpmath.mpf(deviation.numerator) / deviation.denominator / root * float(scale[c]) + float(
                    bias[c]
                )
                steps = steps * y_scale.denominator / y_scale.numerator + y.zero_point
                real = min(max(steps, low), high)
                assert abs(real - code) <= mpmath.mpf(allowed.numerator) / allowed.denominator


def test_equal_codes_give_the_bias() -> None:
    constants = normalization(np.random.default_rng(1), 9, "s16", True)
    codes = normalize_codes(np.full((1, 9), 32767), constants)
    expected = shift_half_even(constants.offset, constants.f + constants.h) + constants.zero_point
    assert (codes == np.clip(expected, -32768, 32767)).all()


def test_the_mean_of_the_codes_does_not_matter() -> None:
    constants = normalization(np.random.default_rng(2), 17, "s16", True)
    q = np.random.default_rng(3).integers(-500, 500, (40, 17))
    assert (normalize_codes(q, constants) == normalize_codes(q + 31000, constants)).all()


@pytest.mark.parametrize(("whole", "part"), ROOTS)
def test_an_inverse_root_is_within_2_to_the_minus_30(whole: int, part: int) -> None:
    inverse, exponent = inverse_root(whole, part)
    assert 2**31 <= inverse <= 2**32
    ratio = Fraction(inverse, 2 ** (63 - exponent)) ** 2 * (whole + Fraction(part, 2**32))  # 1 where it is exact
    assert (1 - Fraction(1, 2**30)) ** 2 < ratio < (1 + Fraction(1, 2**30)) ** 2


ONE = np.ones(4, np.float32)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a row too long": ({"n": 40000, "scale": None, "bias": None}, "rows of fewer than 32768 do"),
    "no epsilon": ({"epsilon": 0.0}, "one above zero"),
    "a large epsilon": ({"epsilon": 1e30}, "too large"),
    "a scale of the whole range": ({"scale": ONE * np.float32(1e12)}, "steps off in integers"),
    "an infinite bias": ({"bias": ONE * np.inf}, "bias of a normalization is not finite"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_is_refused(name: str) -> None:
    changes, message = REFUSED[name]
    grid = Affine(0.01, 0, -32768, 32767)
    arguments = {"scale": ONE, "bias": ONE, "epsilon": EPSILON, "n": 4, "centred": True} | changes
    with pytest.raises(NumericsError, match=message):
        integer_normalization(grid, grid, **arguments)


def test_shift_rounds_half_to_even() -> None:
    values = [*range(-40, 41), 2**62 - 1, -(2**62), 2**61 + 2**30]
    for shift in (1, 2, 3, 31, 62):
        expected = [round(Fraction(value, 2**shift)) for value in values]  # round() is half to even
        assert shift_half_even(values, shift).tolist() == expected


# Softmax --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 3e-3, 0.1, 1 / 64])
def test_every_exponential_is_within_three_halves(scale: float) -> None:
    found = exponential(exponential_tables(scale), np.arange(65536)).tolist()
    assert found[0] == 2**31
    with mpmath.workprec(100):
        step = mpmath.exp(-mpmath.mpf(float(np.float32(scale))))
        exact = mpmath.mpf(2**31)
        for entry in found:
            assert abs(entry - exact) < 1.5
            exact *= step


OUTPUTS = [
    (1 / 65536, 0, 0, 65535),
    (1 / 32768, -32768, -32768, 32767),
    (1 / 256, 3, 0, 255),
    (0.0047, -100, -128, 127),
]


@pytest.mark.parametrize(("scale", "zero_point", "qmin", "qmax"), OUTPUTS)
@pytest.mark.parametrize("input_scale", [1e-5, 3e-4, 0.01])
def test_a_wide_softmax_is_within_its_distance_of_the_real_one(
    scale: float, zero_point: int, qmin: int, qmax: int, input_scale: float
) -> None:
    q = rows(np.random.default_rng(4), -32768, 32767, 40)
    found = wide_softmax(q, -1, exponential_tables(input_scale), scale, zero_point, qmin, qmax)
    tolerance = softmax_tolerance(40, scale)
    assert tolerance < 0.01
    with mpmath.workprec(120):
        step = mpmath.mpf(float(np.float32(input_scale)))
        for row, codes in zip(q.tolist(), found.tolist(), strict=True):
            e = [mpmath.exp(step * (code - max(row))) for code in row]
            total = mpmath.fsum(e)
            for value, code in zip(e, codes, strict=True):
                real = value / total / mpmath.mpf(float(np.float32(scale))) + zero_point
                assert abs(min(max(real, qmin), qmax) - code) <= 0.5 + tolerance


def test_equal_wide_logits_tie_to_even() -> None:
    found = wide_softmax(np.full((1, 512), -777), -1, exponential_tables(0.01), 1 / 256, 0, 0, 255)
    assert found.tolist() == [[0] * 512]  # 256 / 512 is one half


# Pieces ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["Sigmoid", "Tanh", "Gelu", "Sqrt", "HardSwish", "Reciprocal", "Floor"])
@pytest.mark.parametrize("bits", [9, 12, 16])
def test_pieces_are_within_their_tolerance_of_every_code(function: str, bits: int) -> None:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    x = (np.arange(1 << bits) - (1 << (bits - 1))).astype(np.float32) * np.float32(16 / (1 << bits))
    with np.errstate(all="ignore"):
        steps = unary(function, x).astype(np.float64) * (1 << bits) / 16
    steps = np.where(np.isnan(steps), -np.inf, steps)
    pieces = fit(steps, low, high)
    found = evaluate_pieces(np.arange(1 << bits), pieces, 0, low, high)
    assert np.abs(found - np.clip(steps, low, high)).max() <= 0.5 + TOLERANCE
    assert pieces.segments.shape == (1 << (bits - 8),)


def test_smooth_functions_need_a_piece_a_segment() -> None:
    steps = np.arange(65536) ** 2 / 65536.0
    pieces = fit(steps, 0, 65535)
    assert len(pieces.coefficients) == 256
    assert pieces.bytes == 4096


def test_a_jump_cuts_its_segment_alone() -> None:
    steps = np.where(np.arange(65536) < 1000, -300.0, 500.0)
    pieces = fit(steps, -32768, 32767)
    assert (evaluate_pieces(np.arange(65536), pieces, 0, -32768, 32767) == steps).all()
    assert sorted(set((pieces.segments & 15).tolist())) == [3, 8]


# The C twin -----------------------------------------------------------------------------------------------------------


def test_c_shift_equals(twin: Any) -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.integers(-(2**62), 2**62, 3000), rng.integers(-64, 64, 3000), [2**62 - 1, -(2**62)]])
    shift = rng.integers(1, 63, x.size)
    shift[3000:6000] = rng.integers(1, 6, 3000)
    found = twin.call("shift_rne", np.int64, (x, np.int64), (shift, np.int32))
    assert found.tolist() == [round(Fraction(a, 2**b)) for a, b in zip(x.tolist(), shift.tolist(), strict=True)]


def test_c_square_root_is_the_floor(twin: Any) -> None:
    rng = np.random.default_rng(6)
    r = [*rng.integers(1, 2**32, 2000).tolist(), 1, 2, 3, 2**31, 2**32 - 1]
    x = np.array(
        [0, 1, 2**64 - 1, *(a * a for a in r), *(a * a - 1 for a in r), *(a * a + 2 * a for a in r)], np.uint64
    )
    found = twin.call("isqrt_u64", np.uint64, (x, np.uint64))
    assert found.tolist() == [math.isqrt(value) for value in x.tolist()]


def test_c_inverse_root_equals(twin: Any) -> None:
    whole, part = (np.array(column, np.uint64) for column in zip(*ROOTS, strict=True))
    found = twin.call("inverse_root", np.uint64, (whole, np.uint64), (part, np.uint64))
    assert found.tolist() == [inverse << 6 | exponent for inverse, exponent in (inverse_root(w, p) for w, p in ROOTS)]


@pytest.mark.parametrize("kind", RANGES)
@pytest.mark.parametrize("centred", [True, False])
def test_c_normalization_equals(twin: Any, kind: str, centred: bool) -> None:
    rng = np.random.default_rng(7)
    for n in (1, 7, 8, 9, 200):
        c = normalization(rng, n, kind, centred)
        q = rows(rng, *RANGES[kind], n)
        out = np.empty(q.shape, np.int32)
        numbers = (c.epsilon_whole, c.epsilon_part, c.f, c.h, c.zero_point, c.qmin, c.qmax)
        centred_codes = (q - c.input_zero_point).astype(np.int32)
        twin.raw(
            "normalize_rows", len(q), n, int(centred), centred_codes, c.gain.astype(np.int32), c.offset, *numbers, out
        )
        assert (out == normalize_codes(q, c)).all()


@pytest.mark.parametrize(("scale", "zero_point", "qmin", "qmax"), OUTPUTS)
def test_c_wide_softmax_equals(twin: Any, scale: float, zero_point: int, qmin: int, qmax: int) -> None:
    q = rows(np.random.default_rng(8), -32768, 32767, 40).astype(np.int32)
    tables, out = exponential_tables(3e-4), np.empty(q.shape, np.int32)
    m, k = softmax_reciprocal(scale)
    twin.raw("wide_softmax_rows", q.shape[0], q.shape[1], q, tables, m, k, zero_point, qmin, qmax, out)
    assert (out == wide_softmax(q, -1, tables, scale, zero_point, qmin, qmax)).all()


@pytest.mark.parametrize("function", ["Gelu", "Sqrt", "Floor"])
def test_c_pieces_equal(twin: Any, function: str) -> None:
    x = np.arange(-32768, 32768).astype(np.float32) * np.float32(1e-3)
    with np.errstate(all="ignore"):
        steps = unary(function, x).astype(np.float64) / 5e-4
    pieces = fit(np.where(np.isnan(steps), -np.inf, steps), -32768 + 11, 32767 + 11)
    u, out = np.arange(65536, dtype=np.int32), np.empty(65536, np.int32)
    twin.raw("pieces", u.size, u, pieces.segments, pieces.coefficients, -11, -32768, 32767, out)
    assert (out == evaluate_pieces(u, pieces, -11, -32768, 32767)).all()
