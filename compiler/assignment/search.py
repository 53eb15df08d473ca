"""Every assignment that may be the best, in whole numbers, layer by layer, without what is dominated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Problem
from subbyte.compiler.assignment.units import Quantity

_MOST_STATES = 50_000
_COMPARED_IN_FULL, _WINDOW = 1500, 64
_WORD = 60  # bits of a rank's number

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """loss(x) = base + sum_i layers[i][x_i] + sum_(i,j) pairs[i, j][x_i][x_j] + sum_k prices[k] * left[k](x), scaled.

    All terms are >= 0; left[k](x) is what x leaves of budget k, in units. An infinite term is a choice that is out.
    most: assignments of a larger sum of terms are worse than one that is known.
    """

    layers: tuple[Floats, ...]
    pairs: dict[tuple[int, int], Floats]
    prices: Floats
    most: float


@dataclass(frozen=True)
class _States:
    """Partial assignments, one a row.

    picks: [n, layers], 0 where undecided. rank: [n, words], whose order is the lexicographic order of the picks.
    loss: [n], costs: [n, budgets], others: [n, costs without budgets], in units. terms: [n], those of the bound.
    """

    picks: NDArray[np.int16]
    rank: Integers
    loss: Integers
    costs: Integers
    others: Integers
    terms: Floats

    def __len__(self) -> int:
        return len(self.loss)

    def __getitem__(self, where: NDArray[np.bool_] | NDArray[np.intp]) -> _States:
        return _States(*(array[where] for array in vars(self).values()))


class Overflow(Exception):
    """More partial assignments than memory and patience are meant for."""


class Search:
    """Grows partial assignments by one layer after the other.

    One is dropped where the bound or a limit rules out all that can become of it, or where another, whose decided
    layers are tied and paired with the undecided ones alike, has no larger loss and no larger costs.
    """

    def __init__(
        self, problem: Problem, loss: Quantity, costs: Sequence[Quantity], limits: Sequence[int],
        others: Sequence[Quantity], bound: Bound,
    ) -> None:  # fmt: skip
        self.problem, self.loss, self.costs, self.others, self.bound = problem, loss, costs, others, bound
        self.limits = np.array(limits, np.int64)
        self.choices = [np.flatnonzero(terms <= bound.most) for terms in bound.layers]
        self.order = self._order()
        widths = [(len(choices) - 1).bit_length() for choices in problem.choices]
        self.places = _places(widths)

    def first_best(self) -> tuple[int, ...] | None:
        """The least (loss, costs, others, choices) lexicographically within the limits; None where there is none.

        Raises: Overflow: there are too many to look at.
        """
        count = len(self.problem.layers)
        states = _States(
            np.zeros((1, count), np.int16),
            np.zeros((1, 1 + max(word for word, _ in self.places)), np.int64),
            np.zeros(1, np.int64),
            np.zeros((1, len(self.costs)), np.int64),
            np.zeros((1, len(self.others)), np.int64),
            np.zeros(1),
        )
        least, most = self._rest(np.min), self._rest(np.max)
        decided: set[int] = set()
        for step, layer in enumerate(self.order, 1):
            states = self._grown(states, layer, decided)
            decided.add(layer)
            left = self.limits - states.costs
            hopeless = states.terms + (np.maximum(left - most[step], 0) * self.bound.prices).sum(axis=1)
            states = states[(hopeless <= self.bound.most) & (left >= least[step]).all(axis=1)]
            if not len(states):
                return None
            states = states[_undominated(self._seen_later(states, decided), states)]
            if len(states) > _MOST_STATES:
                raise Overflow
        return tuple(states.picks[_sorted(np.zeros(len(states), np.int64), states)[0]].tolist())

    def _order(self) -> list[int]:
        """Layers in the order in which they are decided.

        First those whose choices move the priced costs most: what is left for the others is then soon known. Tied
        layers stay together; where there are pairs the network's own order keeps those together.
        """
        count = len(self.problem.layers)
        if self.problem.pairs:
            return list(range(count))
        group = list(range(count))
        for tie in self.problem.ties:
            joined = {group[i] for i in tie.layers}
            group = [min(joined) if g in joined else g for g in group]
        weight = dict.fromkeys(group, 0.0)
        for cost, price in zip(self.costs, self.bound.prices, strict=True):
            for i, (row, choices) in enumerate(zip(cost.rows, self.choices, strict=True)):
                weight[group[i]] += price * float(np.ptp(row[choices])) if len(choices) else 0.0
        return sorted(range(count), key=lambda i: (-weight[group[i]], group[i], i))

    def _rest(self, extreme: Callable[[Integers], np.int64]) -> Integers:
        """[layers + 1, budgets]: what the layers from each step on cost at least, or at most."""
        kept = [(i, self.choices[i]) for i in self.order]
        rows = [[int(extreme(c.rows[i][chosen])) if len(chosen) else 0 for c in self.costs] for i, chosen in kept]
        table = np.array(rows, np.int64).reshape(len(self.order), len(self.costs))
        return np.concatenate([np.cumsum(table[::-1], axis=0)[::-1], np.zeros((1, len(self.costs)), np.int64)])

    def _grown(self, states: _States, layer: int, decided: set[int]) -> _States:
        """Each state with each choice of `layer` that the ties admit."""
        state, choice = (g.ravel() for g in np.meshgrid(np.arange(len(states)), self.choices[layer], indexing="ij"))
        for tie in self.problem.ties:
            before = [other for other in tie.layers if other in decided]
            if layer in tie.layers and before:
                keys = [tie.key(each) for each in self.problem.choices[layer]]
                equal = np.array([[tie.key(each) == key for key in keys] for each in self.problem.choices[before[0]]])
                admitted = equal[states.picks[state, before[0]], choice]
                state, choice = state[admitted], choice[admitted]
        loss, terms = self.loss.rows[layer][choice], self.bound.layers[layer][choice]
        for (i, j), matrix in self.loss.pairs.items():
            if layer in (i, j) and (i + j - layer) in decided:
                other = states.picks[state, i + j - layer]
                where = (other, choice) if layer == j else (choice, other)
                loss, terms = loss + matrix[where], terms + self.bound.pairs[i, j][where]
        picks, rank = states.picks[state], states.rank[state]
        picks[:, layer] = choice
        word, shift = self.places[layer]
        rank[:, word] += choice << shift
        return _States(
            picks,
            rank,
            states.loss[state] + loss,
            states.costs[state] + _columns(self.costs, layer, choice),
            states.others[state] + _columns(self.others, layer, choice),
            states.terms[state] + terms,
        )

    def _seen_later(self, states: _States, decided: set[int]) -> Integers:
        """[n]: equal numbers where the undecided layers see the same ties and pairs."""
        seen: list[NDArray[np.int64]] = []
        for tie in self.problem.ties:
            before = [other for other in tie.layers if other in decided]
            if before and len(before) < len(tie.layers):
                keys = [tie.key(choice) for choice in self.problem.choices[before[0]]]
                numbers = np.array([sorted(set(keys)).index(key) for key in keys])
                seen.append(numbers[states.picks[:, before[0]]])
        paired = {i for pair in self.problem.pairs for i in pair if i in decided and not decided.issuperset(pair)}
        seen += [states.picks[:, i].astype(np.int64) for i in sorted(paired)]
        if not seen:
            return np.zeros(len(states), np.int64)
        return np.unique(np.stack(seen, axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _places(widths: Sequence[int]) -> list[tuple[int, int]]:
    """(word, shift) of each layer's digit, so that the first layer has the highest."""
    places: list[tuple[int, int]] = []
    word, used = 0, 0
    for width in widths:
        if used + width > _WORD:
            word, used = word + 1, 0
        used += width
        places.append((word, _WORD - used))
    return places


def _columns(quantities: Sequence[Quantity], layer: int, choice: NDArray[np.intp]) -> Integers:
    columns = [quantity.rows[layer][choice] for quantity in quantities]
    return np.stack(columns, axis=1) if columns else np.zeros((len(choice), 0), np.int64)


def _sorted(group: Integers, states: _States) -> NDArray[np.intp]:
    """By group, loss, costs, other costs, and of equals by the choices of the first layers."""
    keys = [*states.rank.T[::-1], *states.others.T[::-1], *states.costs.T[::-1], states.loss, group]
    order: NDArray[np.intp] = np.lexsort(keys)
    return order


def _undominated(group: Integers, states: _States) -> NDArray[np.intp]:
    """The states that no other of their group is at least as good as in everything that counts.

    Of equals the first stays. All that is added later is the same for both, so that the better one stays better.
    """
    order = _sorted(group, states)
    group, costs = group[order], states.costs[order]
    budgets = costs.shape[1]
    if budgets == 0:
        worse = np.concatenate([[False], group[1:] == group[:-1]])
    elif budgets == 1:
        # Ranks of the costs, lower by a whole range in each further group: the running minimum starts anew by itself.
        rank = np.unique(costs[:, 0], return_inverse=True)[1].reshape(-1) - group * (len(order) + 1)
        worse = np.concatenate([[False], rank[1:] >= np.minimum.accumulate(rank)[:-1]])
    elif len(order) <= _COMPARED_IN_FULL:
        no_less = (costs[:, np.newaxis] >= costs[np.newaxis]).all(axis=2) & (group[:, np.newaxis] == group[np.newaxis])
        worse = np.tril(no_less, -1).any(axis=1)
    else:
        worse = np.zeros(len(order), bool)
        for shift in range(1, _WINDOW):
            worse[shift:] |= (costs[shift:] >= costs[:-shift]).all(axis=1) & (group[shift:] == group[:-shift])
    kept: NDArray[np.intp] = order[~worse]
    return kept
