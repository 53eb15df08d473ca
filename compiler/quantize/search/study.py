"""A study: recipes are tried until the budget or the space is at its end; it can be stopped, resumed and shared."""

from __future__ import annotations

import datetime
import importlib.util
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from subbyte.compiler.errors import ModelError, SubbyteError, ToolchainError
from subbyte.compiler.quantize.search.cost_model import MISSING, CostModel, EarlierStudy, Record, is_available
from subbyte.compiler.quantize.search.space import Recipe, Space, Value
from subbyte.compiler.quantize.search.workers import is_gone

if TYPE_CHECKING:
    import optuna

Objective = Callable[[dict[str, Value]], float]
"""A recipe to its score, higher being better; it is called with recipes of the space alone."""

_SPACE, _STATISTICS = "subbyte:space", "subbyte:statistics"
_OPENING_ATTEMPTS = 10
_LOCK_SECONDS = 60  # that a worker waits for another that writes


@dataclass(frozen=True)
class Found:
    """The best recipe and its score; records: all that were scored, in the order of their trials.

    refused: recipes that raised an error of subbyte, with its sentence. exhausted: the whole space was tried.
    """

    best: dict[str, Value]
    score: float
    records: tuple[Record, ...]
    refused: tuple[tuple[Recipe, str], ...]
    exhausted: bool


def search(
    space: Space,
    objective: Objective,
    *,
    trials: int,
    study: str = "recipes",
    storage: str | os.PathLike[str] | None = None,
    statistics: Mapping[str, float] | None = None,
    earlier: Sequence[EarlierStudy] = (),
    seed: int = 0,
    abandoned_after: float = 24 * 3600.0,
    progress: Callable[[int, int, Record], None] | None = None,
) -> Found:
    """Try recipes until the study has `trials` of them, or all.

    Args:
        storage: a file for SQLite, or the URL of any storage of Optuna; None keeps the study in memory. A study of the
            name `study` that is there goes on. Several processes may call this at once with the same arguments.
        statistics: of the network's graph (`features.graph_statistics`), kept with the study.
        earlier: studies of other networks to start from, beside all others that the storage holds.
        seed: the same seed and trials propose the same recipe; with one worker a study repeats.
        abandoned_after: seconds after which a trial of another machine that did not end is given up. Those of processes
            of this machine that are gone are given up at once, and their recipes tried again.
        progress: told after each trial of this worker: how many are done, of how many, and the last.
    Raises: ToolchainError: Optuna is not installed. ModelError: the study searches another space, a storage that cannot
        be opened, or no recipe that could be scored. What `objective` raises; errors of subbyte refuse one recipe only.
    """
    if trials < 1:
        raise ModelError(f"a search of {trials} trials was asked for; at least 1 is needed.")
    if importlib.util.find_spec("optuna") is None:
        raise ToolchainError("optuna is not installed; `pip install 'subbyte[quantize]'` brings it.")
    if not is_available():
        warnings.warn(MISSING, stacklevel=2)
    with _quiet():
        opened = _open(storage, study, space, dict(statistics or {}))
        known = [*earlier, *(_other_studies(opened._storage, study) if storage is not None else ())]
        usable = [each for each in known if len(each.records) > 1]
        worker = _Worker(opened, space, objective, trials, abandoned_after, progress)
        worker.run(CostModel(space, dict(statistics or {}), usable), seed)
        return worker.found()


@dataclass(frozen=True)
class _Worker:
    study: optuna.Study
    space: Space
    objective: Objective
    trials: int
    abandoned_after: float
    progress: Callable[[int, int, Record], None] | None

    def run(self, model: CostModel, seed: int) -> None:
        from subbyte.compiler.quantize.search.sampler import RecipeSampler, taken

        self.study.sampler = RecipeSampler(model, seed)
        while True:
            self._give_up_abandoned()
            if len(taken(self.study)) >= self.trials or not self._try_one():
                return

    def _try_one(self) -> bool:
        """Whether there was a recipe to try and a trial to spend on it."""
        import optuna

        from subbyte.compiler.quantize.search.sampler import REFUSED, SpaceExhausted, suggest, taken

        failed = optuna.trial.TrialState.FAIL
        trial = self.study.ask()
        try:
            recipe = suggest(self.space, trial)
        except SpaceExhausted:
            self.study.tell(trial, state=failed)
            return False
        if sum(other.number < trial.number for _, other in taken(self.study)) >= self.trials:
            self.study.tell(trial, state=failed)  # other workers took the rest of the budget meanwhile
            return False
        try:
            score = float(self.objective(recipe))
            refusal = "its score is not a number" if math.isnan(score) else None
        except SubbyteError as error:
            score, refusal = math.nan, f"{type(error).__name__}: {error}"
        except BaseException:
            self.study.tell(trial, state=failed)  # the recipe is free again
            raise
        if refusal is None:
            self.study.tell(trial, score)
        else:
            trial.set_user_attr(REFUSED, refusal)
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        if self.progress is not None:
            done = sum(other.state.is_finished() for _, other in taken(self.study))
            self.progress(done, self.trials, Record(recipe, score))
        return True

    def _give_up_abandoned(self) -> None:
        """End the trials whose process is gone, or of whose machine nothing was heard for long."""
        import optuna

        from subbyte.compiler.quantize.search.sampler import worker_of

        running = self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for trial in running:
            worker, begun = worker_of(trial), trial.datetime_start
            age = (datetime.datetime.now() - begun).total_seconds() if begun is not None else 0.0
            if (worker is not None and is_gone(worker)) or age > self.abandoned_after:
                self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def found(self) -> Found:
        from subbyte.compiler.quantize.search.sampler import REFUSED, taken

        every = taken(self.study)
        scored = tuple(Record(recipe, trial.value) for recipe, trial in every if trial.value is not None)
        refused = tuple((recipe, trial.user_attrs[REFUSED]) for recipe, trial in every if REFUSED in trial.user_attrs)
        if not scored:
            why = f"; the last was refused: {refused[-1][1]}" if refused else "; others are being tried"
            raise ModelError(f"no recipe of the study '{self.study.study_name}' was scored{why}")
        best = max(scored, key=lambda record: record.score)
        exhausted = len(every) >= self.space.size
        return Found(dict(best.recipe), best.score, scored, refused, exhausted)


def earlier_studies(storage: str | os.PathLike[str], without: str = "") -> list[EarlierStudy]:
    """The studies of recipes that a storage holds, but for the one called `without`.

    Raises ToolchainError, ModelError: as `search`.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ToolchainError("optuna is not installed; `pip install 'subbyte[quantize]'` brings it.")
    with _quiet():
        return _other_studies(_storage(storage), without)


def _other_studies(storage: optuna.storages.BaseStorage, without: str) -> list[EarlierStudy]:
    import optuna

    from subbyte.compiler.quantize.search.sampler import records

    names = sorted(name for name in optuna.get_all_study_names(storage) if name != without)
    studies = [(name, optuna.load_study(study_name=name, storage=storage)) for name in names]
    return [
        EarlierStudy(name, tuple(records(study)), study.user_attrs.get(_STATISTICS, {}))
        for name, study in studies
        if _SPACE in study.user_attrs
    ]


def _open(
    storage: str | os.PathLike[str] | None, name: str, space: Space, statistics: dict[str, float]
) -> optuna.Study:
    """The study, made where it is not there."""
    import optuna

    opened = None if storage is None else _storage(storage)
    study = optuna.create_study(study_name=name, storage=opened, direction="maximize", load_if_exists=True)
    kept = study.user_attrs.get(_SPACE)
    if kept is None and study.get_trials(deepcopy=False):
        kept = study.user_attrs.get(_SPACE)  # another worker wrote it meanwhile, before its first trial
        if kept is None:
            raise ModelError(
                f"the study '{name}' is not one of recipes: it has trials of something else. Name another."
            )
    if kept is None:
        study.set_user_attr(_STATISTICS, statistics)
        study.set_user_attr(_SPACE, space.as_dict())
    elif json.dumps(kept) != json.dumps(space.as_dict()):
        raise ModelError(
            f"the study '{name}' searches another space, of the choices {', '.join(repr(one['name']) for one in kept)}"
            "; go on with the same choices and values, or name another study."
        )
    return study


def _storage(storage: str | os.PathLike[str]) -> optuna.storages.BaseStorage:
    """SQLite in a file, or what the URL names.  Raises ModelError: it cannot be opened."""
    import optuna
    import sqlalchemy.exc

    text = os.fspath(storage)
    url = text if "://" in text else f"sqlite:///{os.path.abspath(text)}"
    if not url.startswith("sqlite"):
        try:
            return optuna.storages.get_storage(url)
        except (sqlalchemy.exc.SQLAlchemyError, ValueError, ImportError, RuntimeError) as error:
            raise ModelError(f"the storage of studies '{text}' cannot be opened: {error}") from error
    attempt = 0
    while True:
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": _LOCK_SECONDS}})
        except (sqlalchemy.exc.SQLAlchemyError, ValueError, RuntimeError) as error:
            attempt += 1
            # Two workers that make the tables at once get in each other's way; where no folder is, nobody is.
            if attempt == _OPENING_ATTEMPTS or not os.path.isdir(os.path.dirname(url.removeprefix("sqlite:///"))):
                raise ModelError(f"the storage of studies '{text}' cannot be opened: {error}") from error
            time.sleep(0.05 * attempt)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says nothing of each trial."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
