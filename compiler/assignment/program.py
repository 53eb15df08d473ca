"""The integer program in floats, as HiGHS takes it: its answers are checked, and its duals are used, never trusted.

Columns: x[i][c], 1 where layer i gets its choice c; y[i, j][c][d] = x[i][c] x[j][d] for every pair of layers. Rows:

    sum_c x[i][c] = 1                                        each layer gets one choice
    sum_(c of key v) x[i][c] = sum_(c of key v) x[j][c]      tied layers i, j, for each value v that they share
    sum_d y[i, j][c][d] = x[i][c], sum_c y[i, j][c][d] = x[j][d]      exactly the products where x is whole
    sum_(i, c) cost[i][c] x[i][c] + s = budget               s >= 0 is what is left of it, a column for each budget
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Problem
from subbyte.compiler.assignment.units import Quantity
from subbyte.compiler.errors import ToolchainError

Floats = NDArray[np.float64]
_TIME_LIMIT = 60.0


@dataclass(frozen=True)
class Program:
    """The rows, those of budgets divided by their largest coefficient.

    blocks: the columns of each layer, then of each pair: exactly one column of a block is 1. layers: how many of the
    blocks are layers. left: the columns of what is left of the budgets, behind all others. rows, equal_to: of ties,
    pairs and budgets, in this order; those of blocks are implied. scales: units of cost in 1 of a budget's row.
    """

    blocks: tuple[slice, ...]
    layers: int
    left: slice
    rows: Any
    equal_to: Floats
    scales: Floats

    def minimize(self, objective: Floats, allowed: NDArray[np.bool_], margin: float) -> tuple[list[int] | None, float]:
        """A best choice for each layer by HiGHS, or None where it finds none, and a bound below the objective.

        allowed: columns that may be above 0. margin: how much of each budget to leave, in the scale of its row.
        """
        from scipy import optimize

        whole = np.zeros(self.left.stop)
        whole[: self.blocks[self.layers - 1].stop] = 1
        below = np.zeros(self.left.stop)
        below[self.left] = margin
        one_each = self._one_each()
        constraints = [optimize.LinearConstraint(one_each, 1, 1)]
        if len(self.equal_to):
            constraints.append(optimize.LinearConstraint(self.rows, self.equal_to, self.equal_to))
        found = optimize.milp(
            objective,
            integrality=whole,
            bounds=optimize.Bounds(below, self._upper(allowed)),
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "time_limit": _TIME_LIMIT},
        )
        bound = -np.inf if found.mip_dual_bound is None else float(found.mip_dual_bound)
        if found.x is None:
            return None, bound
        return [int(found.x[block].argmax()) for block in self.blocks[: self.layers]], bound

    def duals(self, objective: Floats, allowed: NDArray[np.bool_]) -> Floats | None:
        """Multipliers of `rows` in the linear relaxation; None where HiGHS has none."""
        from scipy import optimize, sparse

        if not len(self.equal_to):
            return np.zeros(0)
        one_each = self._one_each()
        found = optimize.linprog(
            objective,
            A_eq=sparse.vstack([one_each, self.rows]),
            b_eq=np.concatenate([np.ones(one_each.shape[0]), self.equal_to]),
            bounds=np.stack([np.zeros(self.left.stop), self._upper(allowed)], axis=1),
            method="highs",
        )
        return np.asarray(found.eqlin.marginals, np.float64)[one_each.shape[0] :] if found.status == 0 else None

    def _one_each(self) -> Any:
        """The rows that give each layer, and each pair, one choice."""
        from scipy import sparse

        sizes = [block.stop - block.start for block in self.blocks]
        entries = np.ones(self.left.start), (np.repeat(np.arange(len(sizes)), sizes), np.arange(self.left.start))
        return sparse.csr_array(entries, shape=(len(sizes), self.left.stop))

    def _upper(self, allowed: NDArray[np.bool_]) -> Floats:
        upper = allowed.astype(np.float64)
        upper[self.left] = np.inf
        return upper


def program_of(problem: Problem, costs: Sequence[Quantity], limits: Sequence[int]) -> Program:
    """The program of `problem` with the budgets `limits` of `costs`, both in units.

    Raises: ToolchainError: SciPy is not installed.
    """
    if importlib.util.find_spec("scipy") is None:
        raise ToolchainError(
            "The integer program needs SciPy, which is not installed; `pip install 'subbyte[quantize]'` brings it."
        )
    from scipy import sparse

    sizes = [len(of) for of in problem.choices]
    sizes += [len(problem.choices[i]) * len(problem.choices[j]) for i, j in problem.pairs]
    ends = np.cumsum(sizes).tolist()
    blocks = tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))
    entries, count = _equalities(problem, blocks)
    equal_to, scales = [0.0] * count, []
    for k, (cost, limit) in enumerate(zip(costs, limits, strict=True)):
        least = [int(row.min()) for row in cost.rows]
        scale = max(int(row.max()) - low for row, low in zip(cost.rows, least, strict=True)) or 1
        for block, row, low in zip(blocks, cost.rows, least, strict=False):
            entries += [(count + k, block.start + c, (int(value) - low) / scale) for c, value in enumerate(row)]
        entries.append((count + k, ends[-1] + k, 1.0))
        equal_to.append((limit - sum(least)) / scale)
        scales.append(float(scale))
    rows, columns, values = np.array(entries, np.float64).reshape(-1, 3).T
    shape = (len(equal_to), ends[-1] + len(scales))
    return Program(
        blocks,
        len(problem.layers),
        slice(ends[-1], shape[1]),
        sparse.csr_array((values, (rows.astype(int), columns.astype(int))), shape=shape),
        np.array(equal_to),
        np.array(scales),
    )


def _equalities(problem: Problem, blocks: Sequence[slice]) -> tuple[list[tuple[int, int, float]], int]:
    """(row, column, coefficient) of the ties and of the products of pairs; every right-hand side is 0."""
    entries: list[tuple[int, int, float]] = []
    row = 0
    for tie in problem.ties:
        first = tie.layers[0] if tie.layers else 0
        for other in tie.layers[1:]:
            keys = {layer: [tie.key(choice) for choice in problem.choices[layer]] for layer in (first, other)}
            for value in sorted({*keys[first], *keys[other]}):
                for layer, sign in ((first, 1.0), (other, -1.0)):
                    entries += [(row, blocks[layer].start + c, sign) for c, k in enumerate(keys[layer]) if k == value]
                row += 1
    for (i, j), block in zip(problem.pairs, blocks[len(problem.layers) :], strict=True):
        shape = len(problem.choices[i]), len(problem.choices[j])
        products = np.arange(block.start, block.stop).reshape(shape)
        for layer, lines in ((i, products), (j, products.T)):
            for c, line in enumerate(lines):
                entries += [(row, int(column), 1.0) for column in line]
                entries.append((row, blocks[layer].start + c, -1.0))
                row += 1
    return entries, row
