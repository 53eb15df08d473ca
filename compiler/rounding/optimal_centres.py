"""The best few levels for weighted numbers on a line, by dynamic programming."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.rounding.level_scales import nearest_level
from subbyte.compiler.rounding.types import Reals

MOST_CELLS = 2048
_MOST_LLOYD_STEPS = 100


def optimal_centres(values: Reals, weights: Reals, count: int) -> Reals:
    """argmin over centres c_1 < .. < c_count of sum_i weight_i * min_j (value_i - c_j)^2: k-means, exactly.

    Clusters of sorted numbers are intervals: D_m(j) = min over i of D_{m-1}(i) + cost(i, j), with costs from running
    sums. Exact where there are at most MOST_CELLS different values; more are first put into that many cells of as many
    values each, and the result is then improved by Lloyd's steps on the values themselves.

    Args: values, weights: [n], weights not negative, some above 0.
    Returns: at most `count` centres, ascending; fewer where there are fewer values.
    Source: Wang and Song 2011 (Ckmeans.1d.dp); Bellman 1973.
    """
    different, member = np.unique(values, return_inverse=True)
    mass = np.bincount(member.reshape(-1), weights=weights).astype(np.float64)
    different, mass = different[mass > 0], mass[mass > 0]
    if different.size <= count:
        return np.asarray(different)
    if different.size <= MOST_CELLS:
        return _cluster(different, mass, count)
    cells = np.array_split(np.arange(different.size), MOST_CELLS)
    masses = np.array([mass[cell].sum() for cell in cells])
    middles = np.array([(mass[cell] * different[cell]).sum() for cell in cells]) / masses
    return _lloyd(different, mass, _cluster(middles, masses, count))


def _cluster(x: Reals, mass: Reals, count: int) -> Reals:
    """Exact k-means of ascending numbers."""
    n = x.size
    zeroth, first, second = (np.concatenate([[0.0], (mass * x**power).cumsum()]) for power in (0, 1, 2))
    begin, end = np.arange(n)[:, np.newaxis], np.arange(1, n + 1)[np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = second[end] - second[begin] - (first[end] - first[begin]) ** 2 / (zeroth[end] - zeroth[begin])
    cost = np.where(begin < end, np.maximum(spread, 0.0), np.inf)  # of a cluster begin .. end - 1
    least, origins = cost[0], []
    for _ in range(count - 1):
        through = np.concatenate([[np.inf], least[:-1]])[:, np.newaxis] + cost
        origins.append(through.argmin(axis=0))
        least = through.min(axis=0)
    last, bounds = n, []
    for origin in reversed(origins):
        bounds.append((int(origin[last - 1]), last))
        last = int(origin[last - 1])
    bounds.append((0, last))
    return np.array([(first[b] - first[a]) / (zeroth[b] - zeroth[a]) for a, b in reversed(bounds)])


def _lloyd(x: Reals, mass: Reals, centres: Reals) -> Reals:
    """Centres as means of what is nearest to them, until they stay."""
    for _ in range(_MOST_LLOYD_STEPS):
        member = nearest_level(x, centres)
        held = np.bincount(member, weights=mass, minlength=centres.size)
        moved = np.bincount(member, weights=mass * x, minlength=centres.size)
        again = np.where(held > 0, moved / np.where(held > 0, held, 1.0), centres)
        if np.array_equal(again, centres):
            break
        centres = again
    return centres


def optimal_places(values: Reals, weights: Reals, count: int, reach: int) -> Reals:
    """The `count` whole numbers in -reach .. reach for which sum_i weight_i * min_j (value_i - p_j)^2 is least.

    D_m(b) = min over a < b of D_{m-1}(a) + what lies between a and b costs when each value goes to the nearer one;
    costs come from running sums up to each half of a whole number. Exact for any number of values.

    Returns: ascending. Raises: NumericsError: there are fewer whole numbers than that.
    """
    places = np.arange(-reach, reach + 1)
    if not 1 <= count <= places.size:
        raise NumericsError(f"{count} levels do not fit the {places.size} whole numbers {-reach}..{reach}")
    order = np.argsort(values, kind="stable")
    x, mass = values[order], weights[order]
    sums = [np.concatenate([[0.0], (mass * x**power).cumsum()]) for power in (0, 1, 2)]
    halves = np.searchsorted(x, np.arange(-2 * reach, 2 * reach + 1) / 2)  # how many values lie below each

    def costs(begin: Codes, end: Codes, centre: Codes) -> Reals:
        zeroth, first, second = (total[end] - total[begin] for total in sums)
        return np.asarray(np.maximum(second - 2 * centre * first + centre**2 * zeroth, 0.0))

    n, at = x.size, halves[::2]
    a, b = np.meshgrid(np.arange(places.size), np.arange(places.size), indexing="ij")
    middle = halves[a + b]
    between = costs(at[a], np.maximum(middle, at[a]), places[a]) + costs(middle, np.maximum(at[b], middle), places[b])
    between = np.where(a < b, between, np.inf)
    least, origins = costs(np.zeros_like(at), at, places), []
    for _ in range(count - 1):
        through = least[:, np.newaxis] + between
        origins.append(through.argmin(axis=0))
        least = through.min(axis=0)
    last = int((least + costs(at, np.full_like(at, n), places)).argmin())
    chosen = [last]
    for origin in reversed(origins):
        last = int(origin[last])
        chosen.append(last)
    return places[chosen[::-1]].astype(np.float64)
