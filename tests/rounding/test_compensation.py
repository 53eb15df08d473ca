"""GPTQ, greedy path following and coordinate descent: what they say they do, and by how much that helps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.rounding.clipping import clipped_scales
from subbyte.compiler.rounding.coordinate_descent import coordinate_descent, multistart_descent
from subbyte.compiler.rounding.gpfq import compensated_weights, gpfq, moments_of_rows
from subbyte.compiler.rounding.gptq import gptq
from subbyte.compiler.rounding.objective import output_error, output_errors
from subbyte.compiler.rounding.registry import ROUNDINGS
from subbyte.compiler.rounding.scales import Scales, scales_of_rounded
from subbyte.compiler.rounding.types import Grid, Reals
from tests.rounding.problems import all_grids, least_error, problem


def gptq_as_written(matrix: Reals, scales: Scales, moments: Reals, damping: float) -> Reals:
    """Algorithm 1 of the paper with its inverse, one column at a time, for one group in the given order."""
    w, h = matrix[0].copy(), moments[0] + damping * np.trace(moments[0]) / moments.shape[1] * np.eye(moments.shape[1])
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    scale, zero_point = scales.spread(matrix.shape)
    codes = np.empty(w.shape)
    for k in range(w.shape[1]):
        codes[:, k] = scales.encode(w[:, k], scale[0, :, k], zero_point[0, :, k])
        error = (w[:, k] - scale[0, :, k] * (codes[:, k] - zero_point[0, :, k])) / upper[k, k]
        w[:, k:] -= error[:, np.newaxis] * upper[k, k:]
    return codes[np.newaxis]


@pytest.mark.parametrize("grid", [*all_grids((1, 2, 4)), Grid(8)], ids=str)
@pytest.mark.parametrize("k", [1, 23, 150])
def test_gptq_is_the_papers_without_the_inverse(grid: Grid, k: int) -> None:
    matrix, moments = problem(1, (1, 6, k))
    scales = clipped_scales(matrix, grid, moments)
    found = gptq(matrix, grid, moments, scales=scales, activation_order=False)
    assert (found.codes == gptq_as_written(matrix, scales, moments, 0.01)).all()


def test_gptq_in_activation_order_is_gptq_of_the_permuted_layer() -> None:
    matrix, moments = problem(2, (1, 6, 40))
    order = np.argsort(-np.diagonal(moments[0]))
    scales = clipped_scales(matrix, Grid(3), moments)
    found = gptq(matrix, Grid(3), moments, scales=scales)
    sorted_moments = moments[:, order][:, :, order]
    permuted = gptq(matrix[:, :, order], Grid(3), sorted_moments, scales=scales, activation_order=False)
    assert (found.codes[:, :, order] == permuted.codes).all()


def test_blocks_choose_scales_for_what_they_compensate() -> None:
    gains = []
    for seed in range(20):
        matrix, moments = problem(seed, (1, 16, 48))
        grid = Grid(4, per="block", block=8)
        fixed = gptq(matrix, grid, moments, activation_order=False, scales=clipped_scales(matrix, grid, moments))
        chosen = gptq(matrix, grid, moments, activation_order=False)
        gains.append(output_error(matrix, fixed, moments) / output_error(matrix, chosen, moments))
    assert np.mean(gains) > 1.01


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_the_order_of_the_methods_on_correlated_inputs(bits: int) -> None:
    """Mean squared errors over 20 layers, relative to nearest with the same scales."""
    names = ("gptq", "gpfq", "coordinate_descent")
    shares: dict[str, list[float]] = {name: [] for name in names}
    for seed in range(20):
        matrix, moments = problem(seed)
        plain = output_error(matrix, ROUNDINGS["mse"](matrix, Grid(bits), moments), moments)
        for name in names:
            error = output_error(matrix, ROUNDINGS[name](matrix, Grid(bits), moments), moments)
            shares[name].append(error / plain)
    mean = {name: float(np.mean(found)) for name, found in shares.items()}
    assert mean["coordinate_descent"] < mean["gptq"] < 0.95
    assert mean["gpfq"] < 0.95
    assert mean["coordinate_descent"] < 0.6


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(all_grids((1, 2, 3, 4, 8))), st.sampled_from(["nearest", "mse", "gptq"]))
def test_coordinate_descent_is_never_worse_than_its_start(seed: int, grid: Grid, start: str) -> None:
    matrix, moments = problem(seed, (2, 3, 11), rows=6)
    begin = ROUNDINGS[start](matrix, grid, moments)
    before = output_error(matrix, begin, moments)
    for refit in (False, True):
        after = output_error(matrix, coordinate_descent(matrix, grid, moments, start=begin, refit=refit), moments)
        assert after <= before * (1 + 1e-6)


@pytest.mark.parametrize(
    "grid", [Grid(2), Grid.ternary(), Grid(2, per="tensor"), Grid(2, symmetric=False), Grid(1)], ids=str
)
def test_descent_with_kicks_finds_the_optimum_of_most_small_layers(grid: Grid) -> None:
    """All codes of 12 channels are tried; never is descent better than the best, and for most it is that."""
    found, least = [], []
    for seed in range(6):
        matrix, moments = problem(seed, (1, 2, 5 if grid.bits > 1 else 8))
        begin = gptq(matrix, grid, moments)
        least.append(least_error(matrix, scales_of_rounded(begin, grid), moments))
        rounded = coordinate_descent(matrix, grid, moments, start=begin, refit=False, kicks=60)
        found.append(output_errors(matrix - rounded.values(), moments))
    assert (np.array(found) >= np.array(least) * (1 - 1e-6)).all()
    assert np.isclose(found, least, rtol=1e-5).mean() > 0.75


def test_more_starts_and_kicks_are_not_worse() -> None:
    for grid in (Grid(2), Grid(4, per="tensor"), Grid(3, per="block", block=6), Grid(2, power_of_two=True)):
        matrix, moments = problem(13)
        once = output_error(matrix, coordinate_descent(matrix, grid, moments, factors=(1.0,)), moments)
        many = output_error(matrix, multistart_descent(matrix, grid, moments), moments)
        kicked = output_error(matrix, multistart_descent(matrix, grid, moments, kicks=5), moments)
        assert kicked <= many * (1 + 1e-6)
        assert many <= once * (1 + 1e-6)


def test_descent_stops_where_no_single_code_helps() -> None:
    matrix, moments = problem(9, (1, 4, 12))
    found = coordinate_descent(matrix, Grid(3), moments, refit=False, rounds=100, tolerance=0.0)
    error = output_error(matrix, found, moments)
    for output in range(4):
        for k in range(12):
            for step in (-1, 1):
                codes = found.codes.copy()
                codes[0, output, k] = np.clip(codes[0, output, k] + step, -4, 3)
                assert output_error(matrix, found.replace(codes=codes), moments) >= error * (1 - 1e-9)


def test_path_following_by_moments_is_that_by_samples() -> None:
    """Float inputs X and quantized inputs X~ both given: the recursion of the paper on the samples themselves."""
    random = np.random.default_rng(10)
    x = random.standard_normal((1, 60, 14))
    x[..., 1:] += 0.6 * x[..., :-1]
    quantized = np.rint(4 * x) / 4
    quantized[..., 5] = 0.0
    matrix, grid = random.standard_normal((1, 5, 14)), Grid(4)
    second, cross = moments_of_rows(x, quantized)
    scales = clipped_scales(matrix, grid, second)
    found = gpfq(matrix, grid, second, cross_moments=cross, scales=scales)
    path, step = np.zeros((60, 5)), scales.scale[0, :, 0]
    for t in range(14):
        path += x[0, :, t, np.newaxis] * matrix[0, :, t]
        column = quantized[0, :, t]
        target = column @ path / (column @ column) if column.any() else matrix[0, :, t]
        codes = np.clip(np.rint(target / step), -8, 7)
        path -= column[:, np.newaxis] * (step * codes)
        assert (found.codes[0, :, t] == codes).all()


def test_both_make_up_for_inputs_that_have_changed() -> None:
    random = np.random.default_rng(11)
    x = random.standard_normal((1, 500, 20))
    x[..., 1:] += 0.6 * x[..., :-1]
    changed = 0.8 * x + 0.05 * random.standard_normal(x.shape)
    matrix, grid = random.standard_normal((1, 12, 20)), Grid(6)
    second, cross = moments_of_rows(x, changed)
    wanted = x @ np.swapaxes(matrix, 1, 2)

    def error(values: Reals) -> float:
        return float(((changed @ np.swapaxes(values, 1, 2) - wanted) ** 2).mean())

    unaware = error(gptq(matrix, grid, second).values())
    assert error(gpfq(matrix, grid, second, cross_moments=cross).values()) < 0.3 * unaware
    target = compensated_weights(matrix, second, cross)
    assert error(gptq(target, grid, second).values()) < 0.3 * unaware


def test_bad_options_are_sentences() -> None:
    matrix, moments = problem(12)
    with pytest.raises(NumericsError, match="damping 0"):
        gptq(matrix, Grid(3), moments, damping=0)
    with pytest.raises(NumericsError, match="not positive definite"):
        gptq(matrix, Grid(3), moments - 2 * np.eye(24) * np.diagonal(moments[0]).min() + np.ones((24, 24)) * 9)
    with pytest.raises(NumericsError, match="0 rounds"):
        coordinate_descent(matrix, Grid(3), moments, rounds=0)
    with pytest.raises(NumericsError, match="no factors"):
        coordinate_descent(matrix, Grid(3), moments, factors=())
    with pytest.raises(NumericsError, match=r"codes -4\.\.3 with scales per channel, not int4"):
        coordinate_descent(matrix, Grid(4), moments, start=gptq(matrix, Grid(3), moments))
    with pytest.raises(NumericsError, match="cross moments"):
        gpfq(matrix, Grid(3), moments, cross_moments=moments[:, :3])
