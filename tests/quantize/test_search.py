"""The search for a recipe: the space, no recipe twice, resuming after a kill, shared studies, how many trials."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, ToolchainError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.quantize.search.cost_model import CostModel, Record
from subbyte.compiler.quantize.search.features import graph_statistics
from subbyte.compiler.quantize.search.space import Choice, Recipe, Space
from subbyte.compiler.quantize.search.study import earlier_studies, search

RECORDED = Path(__file__).parent / "data" / "recipe_tables.json"
SMALL = Space.of({"a": (1, 2, 3), "b": ("x", "y"), "c": (False, True)})


def small_score(recipe: Recipe) -> float:
    """a = 2 is best, and with it c; b says nothing."""
    return {1: 0.0, 2: 5.0, 3: 1.0}[int(recipe["a"] or 0)] + (2.0 if recipe["c"] and recipe["a"] == 2 else 0.0)


# The space


def test_a_space_has_every_combination_once() -> None:
    recipes = list(SMALL.recipes())
    assert (len(recipes), SMALL.size) == (12, 12)
    assert len({SMALL.key(recipe) for recipe in recipes}) == 12
    assert recipes[0] == {"a": 1, "b": "x", "c": False}
    assert SMALL.one_hot(recipes[:2]).tolist() == [[1, 0, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0, 1]]


def test_a_choice_exists_only_where_another_has_its_values() -> None:
    space = Space.of(
        [Choice("method", ("max", "percentile")), Choice("percentile", (99.0, 99.9), {"method": ("percentile",)})]
    )
    assert list(space.recipes()) == [
        {"method": "max"},
        {"method": "percentile", "percentile": 99.0},
        {"method": "percentile", "percentile": 99.9},
    ]
    assert space.size == 3
    space.check({"method": "max"})
    with pytest.raises(ModelError, match="the space has 'method' here"):
        space.check({"method": "max", "percentile": 99.0})
    found = search(space, lambda recipe: float(recipe.get("percentile", 0) or 0), trials=9)
    assert (found.best, found.exhausted, len(found.records)) == ({"method": "percentile", "percentile": 99.9}, True, 3)


def test_a_large_space_is_searched_by_chance_and_near_the_best() -> None:
    space = Space.of({f"c{i}": tuple(range(8)) for i in range(12)})
    assert space.size == 8**12
    near = space.random(np.random.default_rng(0))
    candidates = space.candidates(np.random.default_rng(1), [near])
    keys = {space.key(recipe) for recipe in candidates}
    assert len(keys) == len(candidates) > 19_000
    assert all(space.key({**near, "c3": value}) in keys for value in range(8))


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({}, "no choices"),
        ({"a": ()}, "'a' has no values"),
        ({"a": (1, 1)}, "twice"),
        ({"a": (1, True)}, "twice"),
        ({"a": ((1, 2),)}, "texts, numbers"),
        ([Choice("a", (1,)), Choice("a", (2,))], "stands in the space twice"),
        ([Choice("a", (1,), {"b": (1,)}), Choice("b", (1,))], "does not stand before it"),
        ([Choice("b", (1,)), Choice("a", (1,), {"b": (2,)})], "none of its values"),
    ],
)
def test_spaces_that_mean_nothing_are_refused(choices: Any, said: str) -> None:
    with pytest.raises(ModelError) as raised:
        Space.of(choices() if callable(choices) else choices)
    assert said in str(raised.value)


# The study


def test_the_best_is_found_and_nothing_is_tried_twice() -> None:
    tried: list[str] = []

    def objective(recipe: Recipe) -> float:
        tried.append(SMALL.key(recipe))
        return small_score(recipe)

    found = search(SMALL, objective, trials=50)
    assert (found.best["a"], found.best["c"], found.score, found.exhausted) == (2, True, 7.0, True)
    assert len(tried) == len(set(tried)) == 12


def test_a_budget_is_kept_and_the_order_repeats() -> None:
    first, again, other = (search(SMALL, small_score, trials=6, seed=seed) for seed in (3, 3, 4))
    assert len(first.records) == 6
    assert not first.exhausted
    assert first == again
    assert first.records != other.records


def test_a_study_in_a_file_goes_on(tmp_path: Path) -> None:
    whole = search(SMALL, small_score, trials=9, storage=tmp_path / "whole.sqlite3", seed=1)
    kept = tmp_path / "kept.sqlite3"
    search(SMALL, small_score, trials=4, storage=kept, seed=1)
    calls: list[Recipe] = []
    resumed = search(SMALL, lambda recipe: calls.append(recipe) or small_score(recipe), trials=9, storage=kept, seed=1)  # type: ignore[func-returns-value]
    assert resumed == whole
    assert len(calls) == 5
    assert search(SMALL, lambda recipe: pytest.fail("no trial is left"), trials=9, storage=kept, seed=1) == whole


def test_recipes_that_are_refused_count_and_are_named() -> None:
    def objective(recipe: Recipe) -> float:
        if recipe["a"] == 1:
            raise UnsupportedError("a of 1 has no kernel")
        return float("nan") if recipe["a"] == 3 else small_score(recipe)

    found = search(SMALL, objective, trials=12)
    assert (len(found.records), len(found.refused), found.exhausted) == (4, 8, True)
    assert {text for _, text in found.refused} == {
        "UnsupportedError: a of 1 has no kernel",
        "its score is not a number",
    }
    with pytest.raises(ModelError, match=r"no recipe .* was scored; the last was refused: UnsupportedError: a of 1"):
        search(Space.of({"a": (1,)}), objective, trials=1)


def test_an_error_of_the_objective_ends_the_search_and_frees_the_recipe(tmp_path: Path) -> None:
    def stopped(recipe: Recipe) -> float:
        raise KeyboardInterrupt

    kept = tmp_path / "kept.sqlite3"
    with pytest.raises(KeyboardInterrupt):
        search(SMALL, stopped, trials=5, storage=kept, seed=2)
    assert search(SMALL, small_score, trials=5, storage=kept, seed=2) == search(SMALL, small_score, trials=5, seed=2)


def test_another_space_or_a_storage_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept.sqlite3"
    search(SMALL, small_score, trials=1, storage=kept)
    with pytest.raises(ModelError, match="searches another space, of the choices 'a', 'b', 'c'"):
        search(Space.of({"a": (1, 2)}), small_score, trials=1, storage=kept)
    with pytest.raises(ModelError, match="cannot be opened"):
        search(SMALL, small_score, trials=1, storage=tmp_path / "no" / "such" / "folder.sqlite3")
    with pytest.raises(ModelError, match=r"none that is known|cannot be opened"):
        search(SMALL, small_score, trials=1, storage="carrier://pigeon")
    with pytest.raises(ModelError, match="at least 1"):
        search(SMALL, small_score, trials=0)


def test_missing_packages_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "xgboost" else real(name))
    with pytest.warns(UserWarning, match=r"pip install 'subbyte\[quantize\]'"):
        found = search(SMALL, small_score, trials=12)
    assert (found.score, found.exhausted) == (7.0, True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else real(name))
    with pytest.raises(ToolchainError, match=r"optuna is not installed; `pip install 'subbyte\[quantize\]'` brings it"):
        search(SMALL, small_score, trials=1)


# Several processes

WORKER = """
import json, sys, time
from pathlib import Path
from subbyte.compiler.quantize.search.space import Space
from subbyte.compiler.quantize.search.study import search
storage, log, trials, pause = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
space = Space.of({"a": (1, 2, 3), "b": ("x", "y"), "c": (False, True)})
def objective(recipe):
    with log.open("a") as stream:
        stream.write(json.dumps(recipe) + "\\n")
    time.sleep(pause)
    return {1: 0.0, 2: 5.0, 3: 1.0}[recipe["a"]] + (2.0 if recipe["c"] and recipe["a"] == 2 else 0.0)
search(space, objective, trials=trials, storage=storage, seed=5)
"""


def start(folder: Path, name: str, trials: int, pause: float) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-c", WORKER, folder / "kept.sqlite3", folder / f"{name}.log", trials, pause]
    return subprocess.Popen([str(argument) for argument in arguments])


def tried(folder: Path, name: str) -> list[Recipe]:
    log = folder / f"{name}.log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_study_that_was_killed_in_a_trial_goes_on_as_if_it_was_not(tmp_path: Path) -> None:
    worker = start(tmp_path, "killed", 8, 0.2)
    until = time.monotonic() + 60
    while len(tried(tmp_path, "killed")) < 3 and time.monotonic() < until and worker.poll() is None:
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    assert 3 <= len(tried(tmp_path, "killed")) < 8
    resumed = search(SMALL, small_score, trials=8, storage=tmp_path / "kept.sqlite3", seed=5)
    assert resumed == search(SMALL, small_score, trials=8, seed=5)


def test_two_workers_share_a_study(tmp_path: Path) -> None:
    """Together they try the whole space, nothing twice."""
    workers = [start(tmp_path, name, 20, 0.05) for name in ("one", "two")]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    shares = [tried(tmp_path, name) for name in ("one", "two")]
    keys = [SMALL.key(recipe) for share in shares for recipe in share]
    assert len(keys) == len(set(keys)) == 12
    found = search(SMALL, small_score, trials=20, storage=tmp_path / "kept.sqlite3", seed=5)
    assert (found.score, len(found.records), found.exhausted) == (7.0, 12, True)


# What is learned


def test_other_studies_of_the_storage_are_started_from(tmp_path: Path) -> None:
    """A network for which the same recipes are good is done in two trials; without, it is not."""
    storage = tmp_path / "kept.sqlite3"
    search(
        SMALL,
        lambda recipe: 100 * small_score(recipe),
        trials=12,
        storage=storage,
        study="other",
        statistics={"w": 1.0},
    )
    search(
        SMALL, lambda recipe: -small_score(recipe), trials=12, storage=storage, study="unlike", statistics={"w": 9.0}
    )
    assert [one.name for one in earlier_studies(storage, without="unlike")] == ["other"]
    warm = search(SMALL, small_score, trials=2, storage=storage, study="mine", statistics={"w": 1.5})
    assert warm.score == 7.0
    assert np.mean([search(SMALL, small_score, trials=2, seed=seed).score for seed in range(8)]) < 6


def test_predictions_follow_the_scores() -> None:
    recipes = list(SMALL.recipes())
    own = [Record(recipe, small_score(recipe)) for recipe in recipes]
    ranked = CostModel(SMALL).propose(recipes, own, recipes, np.random.default_rng(0))
    assert {recipes[index]["a"] for index in ranked[:4]} == {2}
    assert recipes[ranked[0]]["c"] is True


def test_statistics_tell_networks_apart(digits: Path, shared_models: Path) -> None:
    mlp, resnet = (graph_statistics(import_model(digits / f"digits_{name}.onnx")) for name in ("mlp", "resnet"))
    keywords = graph_statistics(import_model(shared_models / "kws_float.onnx", batch=1))
    assert (mlp["layers_dense"], mlp["layers_conv"], resnet["layers_conv"], resnet["additions"]) == (3, 0, 7, 3)
    assert (keywords["layers_depthwise"], keywords["layers_pointwise"], resnet["layers_pointwise"]) == (4, 4, 1)
    assert 0 < keywords["depthwise_share"] < 0.5
    assert 10 ** mlp["log10_weights"] == pytest.approx(64 * 96 + 96 * 48 + 48 * 10, rel=1e-3)
    assert all(np.isfinite(value) for each in (mlp, resnet, keywords) for value in each.values())


# The claim: within one sample of the best of 96 recipes in at most 12 trials on average over 5 seeds


def tables() -> dict[str, Any]:
    """What `python -m benchmarks.recipe_search table` recorded."""
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    return recorded


@pytest.mark.parametrize("name", ["kws_w3", "kws_w4", "digits_mlp_w3", "digits_mlp_w6", "digits_resnet_w3"])
def test_at_most_twelve_trials_on_average_find_what_96_do(name: str) -> None:
    from benchmarks.recipe_search import trials_needed

    recorded = tables()
    assert len(recorded["tables"][name]["right"]) == 96
    assert np.mean([trials_needed(recorded, name, seed, warm=False) for seed in range(5)]) <= 12
    assert np.mean([trials_needed(recorded, name, seed, warm=True) for seed in range(5)]) <= 12
