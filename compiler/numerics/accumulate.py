"""Exact sums (N3): what range they reach, which accumulator holds them, and how often a narrow one must be flushed."""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.dtype import INT32, INT64, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes

_INT64_MAX = 2**63 - 1


def accumulator_range(
    weights: Any,
    weight_zero_point: Any,
    input_qmin: int,
    input_qmax: int,
    input_zero_point: int,
    bias: Any = None,
) -> tuple[Codes, Codes]:
    """Bounds of sum_k (a_k - z_a)(w_k - z_w) + bias and of everything a kernel may hold on its way there.

    Held on the way are: any part of the centred sum, in any order, with or without the bias; any part of the raw sum of
    a_k * w_k, with or without any part of its corrections -z_w * sum(a_k) and bias - z_a * sum(w_k) + K * z_a * z_w.
    So a kernel may begin with the (folded) bias, correct first or last, and sum in tiles: nothing leaves [low, high].

    Args:
        weights: [C, K...] integers.
        weight_zero_point: [] or [C].
        input_qmin, input_qmax: the input codes in use; padding holds input_zero_point, which is always counted.
        bias: [] or [C] integers in units of the accumulator, or None.
    Returns: low, high: int64 [C], low <= 0 <= high.
    Raises: NumericsError: the bounds do not fit int64.
    Source: design.md N3.
    """
    w, z_w, bias_c, codes = _operands(weights, weight_zero_point, input_qmin, input_qmax, input_zero_point, bias)
    z_a = input_zero_point
    centred_low, centred_high = _sums(codes - z_a, w - z_w[:, None], partial=True)
    raw_low, raw_high = _sums(codes, w, partial=True)
    correction_low, correction_high = _sums(codes, np.broadcast_to(-z_w[:, None], w.shape), partial=True)
    folded = bias_c - z_a * w.sum(axis=1) + w.shape[1] * z_a * z_w
    low = np.minimum(centred_low + np.minimum(bias_c, 0), raw_low + correction_low + np.minimum(folded, 0))
    high = np.maximum(centred_high + np.maximum(bias_c, 0), raw_high + correction_high + np.maximum(folded, 0))
    return low, high


def result_range(
    weights: Any,
    weight_zero_point: Any,
    input_qmin: int,
    input_qmax: int,
    input_zero_point: int,
    bias: Any = None,
) -> tuple[Codes, Codes]:
    """Bounds of the finished accumulator sum_k (a_k - z_a)(w_k - z_w) + bias: what requantization can meet.

    Narrower than `accumulator_range`; N5 proves its integer forms over it.  Arguments and errors are the same.
    """
    w, z_w, bias_c, codes = _operands(weights, weight_zero_point, input_qmin, input_qmax, input_zero_point, bias)
    low, high = _sums(codes - input_zero_point, w - z_w[:, None], partial=False)
    return low + bias_c, high + bias_c


def accumulator_range_of_codes(
    products: int,
    weight_qmin: int,
    weight_qmax: int,
    weight_zero_point: int,
    input_qmin: int,
    input_qmax: int,
    input_zero_point: int,
) -> tuple[int, int]:
    """`accumulator_range` of `products` products of codes known only at run time (MatMul of activations)."""
    extremes = np.array(
        [[weight_qmin], [weight_qmax]]
    )  # the bounds of one product are concave and convex in its weight
    low, high = accumulator_range(extremes, weight_zero_point, input_qmin, input_qmax, input_zero_point)
    bounds = products * int(low.min()), products * int(high.max())
    if max(map(abs, bounds)) > _INT64_MAX:
        raise NumericsError(f"a sum of {products} products may exceed int64; quantize its operands to fewer bits")
    return bounds


def accumulator_dtype(low: Any, high: Any) -> DType:
    """INT32 where every channel's bounds fit it, else INT64."""
    fits = (np.asarray(low) >= INT32.min).all() and (np.asarray(high) <= INT32.max).all()
    return INT32 if fits else INT64


def step_range(
    weight_qmin: int, weight_qmax: int, input_qmin: int, input_qmax: int, products: int = 1
) -> tuple[int, int]:
    """Bounds of the sum of `products` products of two codes: what one step adds to a lane of a narrow accumulator."""
    corners = [w * a for w in (weight_qmin, weight_qmax) for a in (input_qmin, input_qmax)]
    return products * min(corners), products * max(corners)


def flush_interval(step_low: int, step_high: int, lane_bits: int, *, signed: bool) -> int:
    """How many steps, each adding a value in [step_low, step_high], a lane that starts at 0 can hold.

    `vpmaddubsw` with codes 0..3 and int8 adds -768..762 to int16: 42.  `tbl` of 2-bit tables adds 0..12 to uint8: 21.

    Returns: at least 1.
    Raises: NumericsError: one step already overflows the lane, or the steps add nothing.
    Source: design.md N3; the chains of Armv8, AVX2 and RVV kernels.
    """
    lane = DType("int" if signed else "uint", lane_bits)
    limits = [lane.max // step_high] if step_high > 0 else []
    if step_low < 0:
        limits.append(lane.min // step_low)
    if not limits:
        raise NumericsError("a flush interval was asked for steps that add nothing; such a sum needs no accumulator")
    if min(limits) < 1:
        raise NumericsError(
            f"one step of {step_low}..{step_high} does not fit a lane of {lane}; "
            "widen the lane or add fewer products per step"
        )
    return min(limits)


def flush_interval_of_weights(weights: Any, input_qmin: int, input_qmax: int, lane_bits: int, *, signed: bool) -> int:
    """`flush_interval` for the weights at hand, never smaller than for their bits alone.

    Args: weights: [lanes, steps, products] integers in the order in which a lane meets them; one lane may meet several
        products per step.
    Returns: the largest count such that no run of so many steps, wherever it starts and in whatever order it adds,
        overflows; at most the number of steps.
    Raises: NumericsError: one step already overflows the lane.
    """
    w = np.asarray(weights, np.int64)
    lane = DType("int" if signed else "uint", lane_bits)
    codes = np.array([input_qmin, input_qmax], np.int64)[:, None, None, None]
    products = w * codes
    low = np.minimum(products, 0).min(axis=0).sum(axis=-1)
    high = np.maximum(products, 0).max(axis=0).sum(axis=-1)
    steps = w.shape[1]
    edges = [
        np.concatenate([np.zeros((w.shape[0], 1), np.int64), np.cumsum(part, axis=1)], axis=1) for part in (low, high)
    ]

    def fits(count: int) -> bool:
        below, above = (edge[:, count:] - edge[:, :-count] for edge in edges)
        return bool((below >= lane.min).all() and (above <= lane.max).all())

    if not fits(1):
        raise NumericsError(
            f"one step of the given weights times codes {input_qmin}..{input_qmax} does not fit a lane "
            f"of {lane}; widen the lane or add fewer products per step"
        )
    good, bad = 1, steps + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def saturating_pairs(weights: Any, input_qmax: int = 255) -> Any:
    """Which pairs `vpmaddubsw` (u8 * s8 + u8 * s8, saturated to int16) may get wrong.

    The extremes of a_0 * w_0 + a_1 * w_1 over codes 0..input_qmax are input_qmax times the sum of the positive weights
    and of the negative ones; for 255, a pair is safe if these sums lie in [-128, 128].

    Args: weights: [..., 2] int8 values, paired as the kernel meets them; input_qmax: the largest unsigned code.
    Returns: bool [...], True where a product pair may saturate.
    Source: design.md N3; Intel, _mm256_maddubs_epi16.
    """
    w = np.asarray(weights, np.int64)
    if w.shape[-1:] != (2,):
        raise NumericsError(f"weights of shape {w.shape} were given to a proof on pairs; their last extent is 2")
    high = input_qmax * np.maximum(w, 0).sum(axis=-1)
    low = input_qmax * np.minimum(w, 0).sum(axis=-1)
    return (high > 32767) | (low < -32768)


def _operands(
    weights: Any, weight_zero_point: Any, input_qmin: int, input_qmax: int, input_zero_point: int, bias: Any
) -> tuple[Codes, Codes, Codes, Codes]:
    """(w [C, K], z_w [C], bias [C], the extreme codes) as int64, after a proof that no bound overflows int64."""
    weights = np.asarray(weights)
    w = weights.astype(np.int64).reshape(weights.shape[0], -1)
    channels, products = w.shape
    z_w = np.broadcast_to(np.asarray(weight_zero_point, np.int64), (channels,))
    bias_c = np.broadcast_to(np.asarray(0 if bias is None else bias, np.int64), (channels,))
    codes = np.array([input_qmin, input_qmax, input_zero_point], np.int64)

    def largest(values: Codes) -> int:
        return max(abs(int(values.max(initial=0))), abs(int(values.min(initial=0))))

    reach = 4 * products * largest(codes) * (largest(w) + largest(z_w)) + largest(bias_c)
    if reach > _INT64_MAX:
        raise NumericsError(
            f"a sum of {products} products may reach {reach}, beyond int64; quantize its operands to fewer bits"
        )
    return w, z_w, bias_c, codes


def _sums(codes: Codes, weights: Codes, *, partial: bool) -> tuple[Codes, Codes]:
    """Bounds of sum_k a_k * w_k [C] over the codes; with `partial`, of the sum of any of its terms."""
    low_code, high_code = int(codes.min()), int(codes.max())
    one, other = weights * low_code, weights * high_code
    low, high = np.minimum(one, other), np.maximum(one, other)
    if partial:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return low.sum(axis=1), high.sum(axis=1)
