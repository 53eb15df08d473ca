"""Losses and costs as whole numbers, so that sums and comparisons of them are exact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Problem, Table

_BITS = 60  # of the largest sum that can occur; the rest of int64 is for the sums of two of them
_ROUNDING = Fraction(1, 2**40)  # of figures that are no whole numbers: 0.1 + 0.2 meets a budget of 0.3

Units = NDArray[np.int64]


@dataclass(frozen=True)
class Quantity:
    """A table in whole units of 2^-exponent, int64 by layer; matrices of pairs likewise.

    No sum over all layers, of any choices, overflows. Whole numbers below 2^60 in all are kept as they are; of others
    what lies below 2^-60 of the largest possible sum is rounded.
    """

    rows: tuple[Units, ...]
    exponent: int
    pairs: dict[tuple[int, int], Units]
    fixed: Fraction

    def limit(self, budget: float) -> int:
        """The most units that `budget` leaves beside the fixed part; 2^61 where it limits nothing."""
        if math.isinf(budget):
            return 2**61 if budget > 0 else -(2**61)
        exact = (Fraction(budget) - self.fixed) * Fraction(2) ** self.exponent
        if self.exponent or exact.denominator != 1:
            exact += abs(Fraction(budget)) * Fraction(2) ** self.exponent * _ROUNDING
        return max(-(2**61), min(math.floor(exact), 2**61))

    def real(self, units: int) -> float:
        """Units as a number of the table; whole where the table's are."""
        return math.ldexp(units, -self.exponent) if self.exponent else units


def loss_of(problem: Problem) -> Quantity:
    """The loss, with the terms of pairs."""
    return _quantity(problem.loss, problem.pairs, 0)


def cost_of(problem: Problem, name: str) -> Quantity:
    """The cost called `name`."""
    return _quantity(problem.costs[name], {}, problem.fixed.get(name, 0))


def _quantity(table: Table, pairs: Mapping[tuple[int, int], Table], fixed: float) -> Quantity:
    largest = [max(abs(value) for value in row) for row in table]
    largest += [max(abs(value) for row in matrix for value in row) for matrix in pairs.values()]
    total = math.fsum(largest)
    values = (value for of in (table, *pairs.values()) for row in of for value in row)
    whole = total < 2**_BITS and all(value == int(value) for value in values)
    exponent = 0 if whole or total == 0 else min(_BITS - math.frexp(total)[1], 1000)
    return Quantity(
        tuple(_units(row, exponent) for row in table),
        exponent,
        {pair: np.stack([_units(row, exponent) for row in matrix]) for pair, matrix in pairs.items()},
        Fraction(fixed),
    )


def _units(values: Iterable[float], exponent: int) -> Units:
    return np.array([round(Fraction(value) * Fraction(2) ** exponent) for value in values], np.int64)
