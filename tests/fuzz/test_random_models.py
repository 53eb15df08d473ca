"""Random models of every dialect: one meaning, whether interpreted, compiled, simulated in floats, or read from text.

`--random-models N` checks N new ones of each dialect; `--hypothesis-seed` says which.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.target import Target, find_target
from tests.fuzz.models.batch import Batch
from tests.fuzz.models.properties import (
    check_macs,
    check_onnxruntime,
    check_removed_work,
    check_simulation,
    check_text,
)
from tests.fuzz.models.random_model import MADE, RandomModel, random_models

MODELS = 45  # of each dialect, always the same ones
LEVELS = ("x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4+avx512vnni", "x86-64-v4+avx512vnni+avx512vbmi")
EVERY = 8  # of so many models one is also compiled for a level of x86


def runnable_levels() -> list[Target]:
    return [level for level in map(find_target, LEVELS) if level.runs_here]


@pytest.mark.parametrize("dialect", MADE)
def test_random_models_have_one_meaning(dialect: str, pytestconfig: pytest.Config) -> None:
    asked = pytestconfig.getoption("--random-models")
    count = asked or MODELS
    portable, others = Batch(find_target("portable")), [Batch(level) for level in runnable_levels()]
    compared = 0

    def check(model: RandomModel) -> None:
        nonlocal compared
        graph = quantized(model.proto)
        answers = [evaluate(graph, sample) for sample in model.samples]
        check_text(graph)
        compared += check_simulation(model, answers)
        check_macs(model, graph)
        check_removed_work(graph, answers, model.samples)
        if model.known_to_onnxruntime:
            check_onnxruntime(model)
        portable.add(model, graph, model.samples, answers)
        turn, place = divmod(len(portable.entries), EVERY)
        if place == 0 and others:
            others[turn % len(others)].add(model, graph, model.samples, answers)

    examples = settings(
        max_examples=count,
        derandomize=asked is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    examples(given(random_models(dialect))(check))()
    assert compared >= count or dialect == "dynamic", "simulations are compared with something"
    for batch in (portable, *others):
        for difference in batch.differences():
            pytest.fail(difference)
