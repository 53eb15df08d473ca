"""Coordinate descent on the codes and scales themselves: each step makes the error of the outputs smaller."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.clipping import Weighting, clipped_scales
from subbyte.compiler.rounding.gptq import feedback_of, gptq
from subbyte.compiler.rounding.objective import checked, output_errors
from subbyte.compiler.rounding.scales import Scales, as_float32, scales_of_rounded
from subbyte.compiler.rounding.types import Grid, Reals, RoundedWeights

_PANEL = 64
_KICKED = 0.05  # the share of codes that a kick moves by one or two, if that is 2 of a channel
_MANY_FACTORS = (1.0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.2)


def coordinate_descent(
    matrix: Reals,
    grid: Grid,
    second_moments: Reals | None = None,
    *,
    start: RoundedWeights | None = None,
    rounds: int = 12,
    tolerance: float = 1e-3,
    refit: bool = True,
    factors: Sequence[float] | None = None,
    every_start: bool = False,
    kicks: int = 0,
    seed: int = 0,
    weighting: Weighting = "diagonal",
) -> RoundedWeights:
    """Rounds of q_k = nearest(q_k + (e H)_k / H_kk) over all k, e = w - q, and of the best scales for the codes.

    Each step is the exact minimum of the error over one code, or over one scale, so the error never grows, and the
    result is at least as good as its start. Cost: 1.5 O K^2 multiplications a round.

    start: where to begin; None: `gptq` with the clipped scales times each of `factors`, the best for each channel.
    rounds: at most.  tolerance: a round that takes less than this share off the error is the last one.
    refit: scales follow the codes, s = (w H c^T) / (c H c^T) for one of a channel, c = code - zero point.
    factors: None: 1 alone from 5 bits on, for fewer bits also 0.8, 0.9 and 1.1 (powers of two: 0.5).
    every_start: descend from each of the starts, not from the best of them alone.
    kicks: how often to move some codes at random and to descend again, keeping what is better; by `seed`.
    Source: Behdin et al. 2023 (QuantEase), algorithm 1, for the codes; Nagel et al. 2021 for alternation with scales.
    """
    w, h = checked(matrix, second_moments)
    if rounds < 1:
        raise NumericsError(f"{rounds} rounds of coordinate descent were asked for; at least 1 is needed")
    moments = np.broadcast_to(np.eye(w.shape[2]), (w.shape[0], w.shape[2], w.shape[2])) if h is None else h
    if start is not None:
        if start.codes.shape != w.shape:
            raise NumericsError(f"codes {start.codes.shape} to start from do not fit weights of shape {w.shape}")
        found = _descend(w, moments, scales_of_rounded(start, grid), start.codes, rounds, tolerance, refit)
        return _kicked(w, moments, found, rounds, tolerance, refit, kicks, seed)
    tried = _factors(grid) if factors is None else tuple(factors)
    if not tried:
        raise NumericsError("no factors were given; coordinate descent starts from the clipped scales times each")
    clipped = clipped_scales(w, grid, h, weighting=weighting)
    feedback = None if h is None else feedback_of(h)
    begins = (gptq(w, grid, h, scales=clipped.scaled(factor), feedback=feedback) for factor in tried)
    candidates = ((scales_of_rounded(each, grid), each.codes) for each in begins)
    if every_start:
        found = reduce(
            partial(_better, w, moments), (_descend(w, moments, *each, rounds, tolerance, refit) for each in candidates)
        )
    else:
        found = _descend(w, moments, *reduce(partial(_better, w, moments), candidates), rounds, tolerance, refit)
    return _kicked(w, moments, found, rounds, tolerance, refit, kicks, seed)


def multistart_descent(
    matrix: Reals, grid: Grid, second_moments: Reals | None = None, *, kicks: int = 0, seed: int = 0
) -> RoundedWeights:
    """`coordinate_descent` from ten scales between 0.6 and 1.2 times the clipped ones, the best for each channel."""
    factors = (1.0, 0.5, 2.0) if grid.power_of_two else _MANY_FACTORS
    return coordinate_descent(matrix, grid, second_moments, factors=factors, every_start=True, kicks=kicks, seed=seed)


def _factors(grid: Grid) -> tuple[float, ...]:
    if grid.bits > 4:
        return (1.0,)
    return (1.0, 0.5) if grid.power_of_two else (1.0, 0.8, 0.9, 1.1)


def _kicked(
    w: Reals, h: Reals, found: tuple[Scales, Codes], rounds: int, tolerance: float, refit: bool, kicks: int, seed: int
) -> RoundedWeights:
    """The best of `found` and of descents from it with a few codes moved at random, each from the best so far."""
    random, share = np.random.default_rng(seed), min(max(_KICKED, 2 / w.shape[2]), 0.5)
    for _ in range(kicks):
        scales, codes = found
        jumps = np.where(random.random(codes.shape) < share, random.choice([-2, -1, 1, 2], codes.shape), 0)
        bipolar = scales.grid.bits == 1 and scales.levels is None
        moved = np.where(jumps == 0, codes, -codes) if bipolar else np.clip(codes + jumps, scales.qmin, scales.qmax)
        own_scales = refit and scales.grid.per != "tensor"
        found = _better(w, h, found, _descend(w, h, scales, moved, rounds, tolerance, own_scales))
    if kicks and refit:
        found = _descend(w, h, *found, rounds, tolerance, refit)
    return found[0].rounded(found[1])


def _descend(
    w: Reals, h: Reals, scales: Scales, codes: Codes, rounds: int, tolerance: float, refit: bool
) -> tuple[Scales, Codes]:
    errors = w - scales.values(codes)
    slope, projected = errors @ h, w @ h
    least = float((slope * errors).sum())
    for _ in range(rounds):
        codes = _swept(scales, codes, errors, slope, h)
        if refit:
            scales = _refitted(scales, codes, errors, slope, projected, h)
        now = float((slope * errors).sum())
        if now >= least * (1 - tolerance):
            break
        least = now
    return scales, codes


def _swept(scales: Scales, codes: Codes, errors: Reals, slope: Reals, h: Reals) -> Codes:
    """One cycle over the inputs, all outputs at once. `errors` e = w - q and `slope` e H follow the codes.

    Of codes that are as good the present one stays, and so do those of inputs that are always zero.
    """
    k = codes.shape[2]
    scale, zero_point = scales.spread(codes.shape)
    values, result = scales.values(codes), codes.copy()
    moves = np.zeros_like(errors)
    for begin in range(0, k, _PANEL):
        end = min(begin + _PANEL, k)
        ahead = slope[:, :, begin:end] - moves[:, :, :begin] @ h[:, :begin, begin:end]
        ahead = np.ascontiguousarray(ahead.transpose(2, 0, 1))  # [columns, G, O]
        within = np.ascontiguousarray(h[:, begin:end, begin:end].transpose(1, 2, 0))[..., np.newaxis]
        for i in range(end - begin):
            at, curvature = begin + i, within[i, i]
            seen = curvature > 0
            old = values[:, :, at]
            target = old + np.where(seen, ahead[i] / np.where(seen, curvature, 1.0), 0.0)
            step, zero = scale[:, :, at], zero_point[:, :, at]
            tried = scales.encode(target, step, zero)
            new = step * scales.steps(tried, zero)
            better = seen & (np.abs(target - new) < np.abs(target - old) * (1 - 1e-9))
            move = np.where(better, new - old, 0.0)
            result[:, :, at] = np.where(better, tried, result[:, :, at])
            moves[:, :, at] = move
            ahead[i + 1 :] -= within[i, i + 1 :] * move
    errors -= moves
    slope -= moves @ h
    return result


def _refitted(scales: Scales, codes: Codes, errors: Reals, slope: Reals, projected: Reals, h: Reals) -> Scales:
    """The best scales for the codes, block after block where there are several; `errors` and `slope` follow.

    With the others fixed the error is quadratic in a scale: s' = s + (e H c^T) / (c H c^T) is its minimum, or the
    better of the two powers of two beside it. Where a channel has one scale, s c H = w H - e H.
    """
    grid, k = scales.grid, codes.shape[2]
    scale, alone = scales.scale.copy(), scales.scale.shape[2] == 1
    zero_point = scales.columns(0, k)[1]
    steps = scales.steps(codes, zero_point)
    for block in range(scale.shape[2]):
        span = slice(block * scales.length, min((block + 1) * scales.length, k))
        own = steps[:, :, span]
        along = (projected - slope) / scale if alone else own @ h[:, span, :]
        gradient = (slope[:, :, span] * own).sum(axis=2, keepdims=True)
        curvature = (along[:, :, span] * own).sum(axis=2, keepdims=True)
        if grid.per == "tensor":
            gradient, curvature = (table.sum(keepdims=True) for table in (gradient, curvature))
        old = scale[:, :, block : block + 1]
        move = _best_move(old, gradient, curvature, grid)
        slope -= move * along
        errors[:, :, span] -= move * own
        scale[:, :, block : block + 1] = old + move
    return scales.replace(scale=as_float32(scale))


def _best_move(old: Reals, gradient: Reals, curvature: Reals, grid: Grid) -> Reals:
    """What to add to each scale: the error changes by curvature * move^2 - 2 * gradient * move."""
    wanted = old + gradient / np.where(curvature > 0, curvature, 1.0)
    usable = np.where((curvature > 0) & (wanted > 0), wanted, old)
    if grid.power_of_two:
        exponent = np.floor(np.log2(usable))
        tried = [as_float32(2.0**exponent), as_float32(2.0 ** (exponent + 1))]
    else:
        tried = [as_float32(usable)]
    best, least = np.zeros_like(old), np.zeros_like(old)
    for candidate in tried:
        move = candidate - old
        change = curvature * move**2 - 2 * gradient * move
        best, least = np.where(change < least, move, best), np.minimum(change, least)
    return best


def _better(w: Reals, h: Reals, first: tuple[Scales, Codes], second: tuple[Scales, Codes]) -> tuple[Scales, Codes]:
    """For each channel, or the whole tensor where it has two scales to choose from, the one with the smaller error."""
    errors = [output_errors(w - scales.values(codes), h) for scales, codes in (first, second)]
    keep = (errors[0] <= errors[1])[:, :, np.newaxis]
    codes = np.where(keep, first[1], second[1])
    if first[0].grid.per == "tensor":
        if first[0].scale == second[0].scale and first[0].zero_point == second[0].zero_point:
            return first[0], codes
        return first if errors[0].sum() <= errors[1].sum() else second
    scale = np.where(keep, first[0].scale, second[0].scale)
    zero_point = np.where(keep, first[0].zero_point, second[0].zero_point)
    return first[0].replace(scale=scale, zero_point=zero_point), codes
