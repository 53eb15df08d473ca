"""What a recipe will score, learned from the trials so far and from studies of other networks; and what to try next."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.quantize.search.features import vector
from subbyte.compiler.quantize.search.space import Recipe, Space

Array = NDArray[np.float64]

_MODELS = 4  # of each prediction; they differ in which trials they saw
_SPREAD_WEIGHT = 0.5  # standard deviations of these models that count as reward
_DISTANCE_WEIGHT = 2.0  # the same for a recipe that shares no choice with those tried, in deviations of the scores
_TRUST = 2.0  # earlier studies count like so many trials
_OWN_ROUNDS, _EARLIER_ROUNDS = 30, 60

MISSING = (
    "xgboost is not installed, so that recipes are tried in an order that covers the space and learns nothing from the "
    "scores; `pip install 'subbyte[quantize]'` brings it."
)


@dataclass(frozen=True)
class Record:
    """A recipe and what it scored, higher being better."""

    recipe: Recipe
    score: float


@dataclass(frozen=True)
class EarlierStudy:
    """What was tried on another network; statistics: of its graph, {} where they are not known."""

    name: str
    records: Sequence[Record]
    statistics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CostModel:
    """Predictions of scores in one space, for one network.

    Two of XGBoost's regressions add up. One sees recipes and graph statistics of all earlier studies, and learns how
    high a recipe ranks in its study (scores of different networks cannot be compared, ranks can). The other sees the
    trials of this network, their scores less the first prediction, which counts for less with each trial.

    Source: Quantune, arXiv 2202.05048; T. Chen, C. Guestrin, XGBoost, KDD 2016.
    """

    space: Space
    statistics: Mapping[str, float] = field(default_factory=dict)
    earlier: Sequence[EarlierStudy] = ()

    def propose(
        self,
        candidates: Sequence[Recipe],
        own: Sequence[Record],
        tried: Sequence[Recipe],
        generator: np.random.Generator,
    ) -> list[int]:
        """The candidates' indices, the one to try next first.

        Rank = predicted score + what is not known: how much the models disagree, and in how many choices the recipe
        differs from the nearest that was tried. Every second trial knows nothing of the earlier studies, nor of the
        trials that they proposed: a network that is unlike them all costs about twice the trials of a search alone.
        """
        encoded = self.space.one_hot(candidates)
        with_earlier = bool(self.earlier) and len(own) % 2 == 0
        if self.earlier and not with_earlier:
            own = own[1::2]
            tried = [record.recipe for record in own]
        appeal = _DISTANCE_WEIGHT * self._distances(encoded, tried) + 1e-3 * generator.random(len(candidates))
        if is_available():
            mean, spread = self._predicted(encoded, own, with_earlier, generator)
            appeal += mean + _SPREAD_WEIGHT * spread
        return [int(index) for index in np.argsort(-appeal, kind="stable")]

    def _distances(self, encoded: NDArray[np.float32], tried: Sequence[Recipe]) -> Array:
        """[candidates] the least share of choices in which a candidate differs from one that was tried."""
        nearest = np.full(len(encoded), 1.0 if tried else 0.0)
        for row in self.space.one_hot(tried):
            nearest = np.minimum(nearest, np.abs(encoded - row).sum(axis=1) / (2 * len(self.space.choices)))
        return nearest

    def _predicted(
        self, encoded: NDArray[np.float32], own: Sequence[Record], with_earlier: bool, generator: np.random.Generator
    ) -> tuple[Array, Array]:
        """[candidates] mean and standard deviation, in standard deviations of the own scores."""
        base = np.zeros(len(encoded))
        seen = self.space.one_hot([record.recipe for record in own])
        expected = np.zeros(len(own))
        if with_earlier:
            trust = _TRUST / (_TRUST + max(len(own) - 1, 0))
            both = self._from_earlier(np.vstack([encoded, seen]))
            level, scale = both[: len(encoded)].mean(), both[: len(encoded)].std() or 1.0
            base, expected = np.split(trust * (both - level) / scale, [len(encoded)])
        if len(own) < 2:
            return base, np.zeros(len(encoded))
        scores = np.array([record.score for record in own], np.float64)
        rest = (scores - scores.mean()) / (scores.std() or 1.0) - (expected - expected.mean())
        predictions = []
        for _ in range(_MODELS):
            drawn = generator.integers(len(own), size=len(own)) if len(own) > 2 else np.arange(len(own))
            model = _fit(seen[drawn], rest[drawn], _OWN_ROUNDS, 3, 0.3, int(generator.integers(1 << 30)))
            predictions.append(_predict(model, encoded))
        return base + np.mean(predictions, axis=0), np.std(predictions, axis=0)

    def _from_earlier(self, encoded: NDArray[np.float32]) -> Array:
        """[rows] the rank that earlier studies let one expect on this network."""
        here = np.tile(vector(self.statistics, self._names), (len(encoded), 1))
        rows = np.hstack([encoded, here])
        found: Array = np.mean([_predict(model, rows) for model in self._transferred], axis=0)
        return found

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for study in self.earlier for name in study.statistics))

    @cached_property
    def _transferred(self) -> list[Any]:
        rows, ranks = [], []
        for study in self.earlier:
            encoded = self.space.one_hot([record.recipe for record in study.records])
            rows.append(np.hstack([encoded, np.tile(vector(study.statistics, self._names), (len(encoded), 1))]))
            ranks.append(_ranks(np.array([record.score for record in study.records])))
        every, wanted = np.vstack(rows), np.concatenate(ranks)
        return [_fit(every, wanted, _EARLIER_ROUNDS, 4, 0.2, seed) for seed in range(_MODELS)]


def is_available() -> bool:
    """Whether there is an XGBoost to learn with."""
    return importlib.util.find_spec("xgboost") is not None


def _ranks(scores: Array) -> Array:
    """[N] in -0.5..0.5: the share of scores below, equal ones counted half; all 0 where none differs."""
    levels, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    del levels
    below = np.cumsum(counts) - counts
    shares: Array = ((below + counts / 2) / len(scores) - 0.5)[index]
    return shares


def _fit(rows: NDArray[np.float32], wanted: Array, rounds: int, depth: int, rate: float, seed: int) -> Any:
    import xgboost

    parameters = {
        "max_depth": depth,
        "eta": rate,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "min_child_weight": 0.0,
        "nthread": 1,  # sums in one order: the same model on every machine
        "seed": seed,
    }
    return xgboost.train(parameters, xgboost.DMatrix(rows, label=wanted), rounds)


def _predict(model: Any, rows: NDArray[np.float32]) -> Array:
    import xgboost

    found: Array = model.predict(xgboost.DMatrix(rows)).astype(np.float64)
    return found
