"""Weights and correlated inputs to round, and the optimum by trying all codes."""

from __future__ import annotations

import itertools

import numpy as np

from subbyte.compiler.rounding.scales import Scales
from subbyte.compiler.rounding.types import Grid, Reals


def all_grids(bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)) -> list[Grid]:
    """Every kind of grid of these bits, ternary with two."""
    found = []
    for width in bits:
        for per, block in (("tensor", None), ("channel", None), ("block", 4)):
            for power_of_two in (False, True):
                found.append(Grid(width, True, per, block, power_of_two))  # type: ignore[arg-type]
                if width > 1:
                    found.append(Grid(width, False, per, block, power_of_two))  # type: ignore[arg-type]
            if width == 2:
                found.append(Grid.ternary(per, block))  # type: ignore[arg-type]
    return found


def problem(seed: int, shape: tuple[int, int, int] = (1, 8, 24), rows: int = 200) -> tuple[Reals, Reals]:
    """(weights, second moments of inputs that follow each other and have unlike powers)."""
    random = np.random.default_rng(seed)
    g, _, k = shape
    x = random.standard_normal((g, rows, k)) * np.exp(random.standard_normal((g, 1, k)))
    for i in range(1, k):
        x[:, :, i] += 0.7 * x[:, :, i - 1]
    return random.standard_normal(shape), np.swapaxes(x, 1, 2) @ x / rows


def least_error(matrix: Reals, scales: Scales, second_moments: Reals) -> Reals:
    """[G, O]: the least error of each channel over all codes, by trying them."""
    g, o, k = matrix.shape
    codes = scales.grid.codes
    tried = np.array(list(itertools.product(codes, repeat=k)))
    scale, zero_point = scales.spread(matrix.shape)
    found = np.empty((g, o))
    for group in range(g):
        for output in range(o):
            values = scale[group, output] * (tried - zero_point[group, output])
            errors = matrix[group, output] - values
            found[group, output] = ((errors @ second_moments[group]) * errors).sum(axis=1).min()
    return found
