"""N7's softmax: the table, the reciprocal, the division, against exact fractions and against the C twin."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.softmax import quantized_softmax, softmax_reciprocal, softmax_table

OUTPUTS = [
    (1 / 256, -128, -128, 127),
    (1 / 256, 0, 0, 255),
    (0.0047, 3, 0, 255),
    (0.5, 1, 0, 255),
    (2.0**-30, 0, 0, 65535),
    (3.0, 5, 0, 255),
    (1.0, 0, 0, 255),
    (1 / 65536, -32768, -32768, 32767),
]


def rows(rng: np.random.Generator) -> Any:
    """Rows of codes: random, all equal (ties), and one code far above the rest."""
    q = rng.integers(-128, 128, (60, 10))
    q[:10] = q[:10, :1]
    q[10:20, 1:] = -128
    q[20:30] //= 16
    return q


@pytest.mark.parametrize("scale", [0.1, 1 / 16, 3.7, 1e-6])
def test_table_holds_rounded_exponentials(scale: float) -> None:
    entries = softmax_table(scale)
    assert entries.dtype == np.uint32
    assert entries[0] == 2**31
    with mpmath.workdps(40):
        for d, entry in enumerate(entries.tolist()):
            assert abs(entry - mpmath.exp(-mpmath.mpf(float(np.float32(scale))) * d) * 2**31) <= 0.5


def test_reciprocal_is_exact_for_powers_of_two_and_near_otherwise() -> None:
    for exponent in range(-30, 31):
        m, k = softmax_reciprocal(2.0**exponent)
        assert Fraction(m, 2**k) == 1 / Fraction(2) ** exponent
    for scale in np.random.default_rng(0).uniform(1e-4, 3, 200).astype(np.float32).tolist():
        m, k = softmax_reciprocal(scale)
        assert 2**31 <= m <= 2**32
        assert abs(Fraction(m, 2**k) * Fraction(scale) - 1) <= Fraction(1, 2**32)


@pytest.mark.parametrize("scale", [0.0, 2.0**-31, 2.0**31, float("inf"), float("nan")])
def test_unusable_output_scales_are_refused(scale: float) -> None:
    with pytest.raises(NumericsError, match="probabilities need"):
        softmax_reciprocal(scale)


@pytest.mark.parametrize(("scale", "zero_point", "qmin", "qmax"), OUTPUTS)
def test_codes_are_the_rounded_fractions(scale: float, zero_point: int, qmin: int, qmax: int) -> None:
    entries = softmax_table(0.1)
    q = rows(np.random.default_rng(1))
    got = quantized_softmax(q, -1, entries, scale, zero_point, qmin, qmax)
    m, k = softmax_reciprocal(scale)
    for row, codes in zip(q.tolist(), got.tolist(), strict=True):
        e = [int(entries[max(row) - code]) for code in row]
        exact = [round(Fraction(value * m, sum(e) * 2**k)) + zero_point for value in e]  # round() is half to even
        assert codes == [min(max(code, qmin), qmax) for code in exact]


def test_equal_logits_tie_to_even() -> None:
    got = quantized_softmax(np.zeros((1, 512), np.int64), -1, softmax_table(0.1), 1 / 256, 0, 0, 255)
    assert got.tolist() == [[0] * 512]  # 256 / 512 is one half
    got = quantized_softmax(np.zeros((1, 8), np.int64), -1, softmax_table(0.1), 1 / 12 * 1.0, 0, 0, 255)
    assert set(got.ravel().tolist()) == {1 if Fraction(float(np.float32(1 / 12))) > Fraction(1, 12) else 2}


def test_axis_and_long_rows() -> None:
    q = np.random.default_rng(2).integers(0, 256, (3, 4000, 2))
    entries = softmax_table(0.01)
    got = quantized_softmax(q, 1, entries, 2.0**-16, 0, 0, 65535)
    assert (
        got == np.moveaxis(quantized_softmax(np.moveaxis(q, 1, -1), -1, entries, 2.0**-16, 0, 0, 65535), -1, 1)
    ).all()
    assert np.abs(got.sum(axis=1) - 65536).max() <= 2000


@pytest.mark.parametrize(("scale", "zero_point", "qmin", "qmax"), OUTPUTS)
def test_c_twin_equals(twin: Any, scale: float, zero_point: int, qmin: int, qmax: int) -> None:
    q = rows(np.random.default_rng(3)).astype(np.int32)
    entries = softmax_table(0.1)
    out = np.empty(q.shape, np.int32)
    m, k = softmax_reciprocal(scale)
    twin.raw("softmax_rows", q.shape[0], q.shape[1], q, entries, m, k, zero_point, qmin, qmax, out)
    assert (out == quantized_softmax(q, -1, entries, scale, zero_point, qmin, qmax)).all()


def test_c_division_rounds_half_to_even(twin: Any) -> None:
    rng = np.random.default_rng(4)
    denominator = np.concatenate([rng.integers(1, 2**40, 2000), rng.integers(1, 9, 2000), 2 ** np.arange(63)]).astype(
        np.uint64
    )
    numerator = rng.integers(0, 2**63, denominator.size).astype(np.uint64)
    numerator[1::2] = (
        denominator[1::2] // 2 * (2 * rng.integers(0, 2**20, denominator[1::2].size).astype(np.uint64) + 1)
    )
    got = twin.call("div_rne", np.uint64, (numerator, np.uint64), (denominator, np.uint64))
    want = [round(Fraction(n, d)) for n, d in zip(numerator.tolist(), denominator.tolist(), strict=True)]
    assert got.tolist() == want
