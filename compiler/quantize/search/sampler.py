"""The sampler of Optuna studies of recipes: what the cost model proposes, and never a recipe twice.

Imported only where Optuna is installed (`study.search` says so where it is not).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from subbyte.compiler.errors import ModelError
from subbyte.compiler.quantize.search.cost_model import CostModel, Record
from subbyte.compiler.quantize.search.space import Space, Value
from subbyte.compiler.quantize.search.workers import this_worker

CLAIM = "subbyte:recipe"
WORKER = "subbyte:worker"
REFUSED = "subbyte:refused"
_TAKEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
_ATTEMPTS = 64


class SpaceExhausted(Exception):
    """Every recipe was tried, or another worker has it."""


class RecipeSampler(optuna.samplers.BaseSampler):
    """Proposes the recipe that `CostModel` ranks first among those that nobody has; whole recipes, choice by choice.

    The proposal depends on the seed and on the trials that are there: a study that goes on after a stop proposes what
    it would have proposed. Several workers at once see each other's recipes through the storage: each writes the
    recipe that it takes and reads again; where two took the same, both let go and draw among the next.
    """

    def __init__(self, model: CostModel, seed: int = 0) -> None:
        self._model = model
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {choice.name: CategoricalDistribution(choice.values) for choice in self._model.space.choices}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        storage, identity = study._storage, trial._trial_id
        storage.set_trial_system_attr(identity, WORKER, this_worker())
        ranked = self._ranked(study, trial.number)
        width = 1
        generator = np.random.default_rng([self._seed, trial.number, 1])
        for _ in range(_ATTEMPTS):
            free = self._free(ranked, study, trial.number)
            if not free:
                raise SpaceExhausted
            recipe = free[int(generator.integers(min(width, len(free))))]
            storage.set_trial_system_attr(identity, CLAIM, json.dumps(recipe))
            if self._free([recipe], study, trial.number):
                return dict(recipe)
            storage.set_trial_system_attr(identity, CLAIM, "")
            width *= 2
        raise SpaceExhausted

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ModelError(
            f"the objective asks for '{param_name}', which is no choice of the space of recipes here; it has "
            f"{', '.join(repr(choice.name) for choice in self._model.space.choices)}."
        )

    def _ranked(self, study: optuna.Study, number: int) -> list[dict[str, Value]]:
        """What nobody has, best first."""
        space = self._model.space
        own = records(study)
        tried = [recipe for recipe, _ in taken(study, number)]
        generator = np.random.default_rng([self._seed, len(tried)])
        best = sorted(own, key=lambda record: -record.score)[:3]
        candidates = space.candidates(generator, [record.recipe for record in best])
        has = {space.key(recipe) for recipe in tried}
        left = [recipe for recipe in candidates if space.key(recipe) not in has]
        if not left:
            raise SpaceExhausted
        return [left[index] for index in self._model.propose(left, own, tried, generator)]

    def _free(self, recipes: Sequence[dict[str, Value]], study: optuna.Study, number: int) -> list[dict[str, Value]]:
        space = self._model.space
        has = {space.key(recipe) for recipe, _ in taken(study, number)}
        return [recipe for recipe in recipes if space.key(recipe) not in has]


def taken(study: optuna.Study, number: int | None = None) -> list[tuple[dict[str, Value], FrozenTrial]]:
    """Recipes that were tried or are being tried, with their trials; `number` is left out."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=_TAKEN):
        claim = trial.system_attrs.get(CLAIM)
        if claim and trial.number != number:
            found.append((json.loads(claim), trial))
    return found


def records(study: optuna.Study) -> list[Record]:
    """Finished trials in order; a recipe that was refused counts as the worst of the others."""
    finished = [(recipe, trial) for recipe, trial in taken(study) if trial.state != TrialState.RUNNING]
    scores = [trial.value for _, trial in finished if trial.value is not None]
    worst = min(scores, default=0.0)
    return [Record(recipe, worst if trial.value is None else trial.value) for recipe, trial in finished]


def suggest(space: Space, trial: optuna.Trial) -> dict[str, Value]:
    """The recipe of a trial, each choice asked of Optuna, which stores it."""
    _ = trial.relative_params  # claims the recipe, which Optuna would not ask for where each choice has one value
    recipe: dict[str, Value] = {}
    for choice in space.choices:
        if choice.is_in(recipe):
            recipe[choice.name] = trial.suggest_categorical(choice.name, choice.values)
    return recipe


def worker_of(trial: FrozenTrial) -> Mapping[str, Any] | None:
    """Who works, or worked, on the trial; None where it was not written yet."""
    found: Mapping[str, Any] | None = trial.system_attrs.get(WORKER)
    return found
