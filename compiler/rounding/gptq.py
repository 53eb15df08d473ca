"""GPTQ: one pass over the inputs, each rounding error made up for by the weights that are still to be rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.clipping import Weighting, clipped_scales
from subbyte.compiler.rounding.objective import checked
from subbyte.compiler.rounding.scales import Scales
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

PANEL = 128  # columns whose errors are carried one by one; those of earlier panels come as one matrix product


@dataclass(frozen=True, eq=False)
class Feedback:
    """order: [G, K], the inputs as they are rounded; carried: U [G, K, K] in that order, strictly upper."""

    order: Codes
    carried: Reals


def gptq(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    damping: float = 0.01,
    activation_order: bool = True,
    scales: Scales | None = None,
    weighting: Weighting = "diagonal",
    feedback: Feedback | None = None,
) -> RoundedWeights:
    """q_k = nearest(w_k + sum_{j<k} (w_j - q_j) U_jk), where H = (I + U) D (I + U)^T and U is strictly upper.

    With e = w - q the error is e H e^T = sum_k D_k (e_k + sum_{j<k} e_j U_jk)^2: each q_k makes its own term as small
    as the grid allows. This is GPTQ without the inverse of H: its rows of the Cholesky factor of H^-1 and U say the
    same (QuIP, theorem 6). Cost: K^3 / 3 + O K^2 multiplications.

    damping: added to the diagonal of H for U, as a share of its mean; what makes a singular H (fewer samples than
        inputs, inputs always zero) usable. Inputs that are always zero are rounded to nearest.
    activation_order: inputs in descending E[x^2], else as they come.
    scales: given, or those of `clipped_scales` with `weighting`. Blocks taken as they come choose theirs when the pass
        reaches them, from the weights as compensated till then.
    feedback: `feedback_of` these moments, damping and order, where it is there already.
    Source: Frantar et al. 2023 (GPTQ), 3; Chee et al. 2023 (QuIP), 3 and theorem 6.
    """
    w, h = checked(matrix, second_moments)
    if not damping > 0:
        raise NumericsError(f"damping {damping} was asked for; it is above 0, 0.01 as a rule")
    on_the_fly = scales is None and grid.per == "block" and not activation_order
    if scales is None:
        scales = clipped_scales(w, grid, h, weighting=weighting)
    if h is None:
        return scales.rounded(scales.nearest(w))
    if feedback is None:
        feedback = feedback_of(h, damping, activation_order)
    if on_the_fly:
        return _blocks_on_the_fly(w, scales, h, feedback.carried)
    k = w.shape[2]
    column = np.broadcast_to(feedback.order[:, np.newaxis, :], w.shape)
    scale, zero_point = scales.spread(w.shape)
    if scales.scale.shape[2] > 1:
        scale = np.take_along_axis(scale, column, axis=2)
        zero_point = np.take_along_axis(zero_point, column, axis=2)
    ordered = np.take_along_axis(w, column, axis=2)
    codes, errors = np.empty(w.shape, np.int64), np.zeros_like(w)
    for begin in range(0, k, PANEL):
        end = min(begin + PANEL, k)
        _round_panel(ordered, scales, scale, zero_point, feedback.carried, codes, errors, begin, end)
    restored = np.empty_like(codes)
    np.put_along_axis(restored, column, codes, axis=2)
    return scales.rounded(restored)


def _blocks_on_the_fly(w: Reals, scales: Scales, h: Reals, feedback: Reals) -> RoundedWeights:
    """Blocks along K, ascending, each with the scales that suit its compensated weights."""
    grid, k, length = scales.grid, w.shape[2], scales.length
    scale, zero_point = scales.scale.copy(), scales.zero_point.copy()
    codes, errors = np.empty(w.shape, np.int64), np.zeros_like(w)
    for block, begin in enumerate(range(0, k, length)):
        end = min(begin + length, k)
        compensated = w[:, :, begin:end] + errors[:, :, :begin] @ feedback[:, :begin, begin:end]
        own = clipped_scales(compensated, grid, h[:, begin:end, begin:end])
        scale[:, :, block : block + 1], zero_point[:, :, block : block + 1] = own.scale, own.zero_point
        spread_scale, spread_zero = Scales(grid, scale, zero_point, length).spread(w.shape)
        for panel in range(begin, end, PANEL):
            last = min(panel + PANEL, end)
            _round_panel(w, scales, spread_scale, spread_zero, feedback, codes, errors, panel, last)
    return Scales(grid, scale, zero_point, length).rounded(codes)


def _round_panel(
    w: Reals,
    scales: Scales,
    scale: Reals,
    zero_point: Codes,
    feedback: Reals,
    codes: Codes,
    errors: Reals,
    begin: int,
    end: int,
) -> None:
    """Round the columns begin..end-1; those before are done. Writes `codes` and `errors`."""
    target = w[:, :, begin:end] + errors[:, :, :begin] @ feedback[:, :begin, begin:end]
    target = np.ascontiguousarray(target.transpose(2, 0, 1))  # [columns, G, O]
    within = np.ascontiguousarray(feedback[:, begin:end, begin:end].transpose(1, 2, 0))[..., np.newaxis]
    for i in range(end - begin):
        at = begin + i
        step, zero = scale[:, :, at], zero_point[:, :, at]
        codes[:, :, at] = scales.encode(target[i], step, zero)
        error = w[:, :, at] - step * scales.steps(codes[:, :, at], zero)
        errors[:, :, at] = error
        target[i + 1 :] += within[i, i + 1 :] * error


def feedback_of(second_moments: Reals, damping: float = 0.01, activation_order: bool = True) -> Feedback:
    """U of H + damping * mean(diag H) * I = (I + U) D (I + U)^T, inputs in the order in which they are rounded."""
    g, k, _ = second_moments.shape
    diagonal = np.diagonal(second_moments, axis1=1, axis2=2)
    order = np.argsort(-diagonal, axis=1, kind="stable") if activation_order else np.tile(np.arange(k), (g, 1))
    groups = np.arange(g)[:, np.newaxis, np.newaxis]
    backward = order[:, ::-1]
    h = second_moments[groups, backward[:, :, np.newaxis], backward[:, np.newaxis, :]]
    mean = diagonal.mean(axis=1)
    load = damping * np.where(mean > 0, mean, 1.0)
    h[:, np.arange(k), np.arange(k)] += load[:, np.newaxis]
    try:
        factor = np.linalg.cholesky(h)[:, ::-1, ::-1]
    except np.linalg.LinAlgError as error:
        raise NumericsError(
            f"the second moments with damping {damping} are not positive definite, as means of x x^T are; give more "
            "damping or look where they come from"
        ) from error
    unit = factor / np.diagonal(factor, axis1=1, axis2=2)[:, np.newaxis, :]
    unit[:, np.arange(k), np.arange(k)] = 0.0
    return Feedback(order, unit)
