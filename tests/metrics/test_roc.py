"""auc: beside scikit-learn's answers, beside the count of pairs, and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.intervals import bootstrap, hanley_mcneil
from subbyte.compiler.metrics.paired import compare_values
from subbyte.compiler.metrics.roc import auc, auc_statistic

# scores, labels, and what sklearn.metrics.roc_auc_score (1.9.1) answers
RECORDED = [
    ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
    ([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 1], 0.5),
    ([3.0, 2.0, 2.0, 2.0, 1.0, 0.0, 2.0], [1, 1, 0, 0, 0, 1, 1], 0.5833333333333334),
    ([-1.0, -2.0, -3.0], [0, 1, 1], 0.0),
]


@pytest.mark.parametrize(("scores", "labels", "expected"), RECORDED)
def test_areas_are_scikit_learns(scores: list[float], labels: list[int], expected: float) -> None:
    assert auc(np.array(scores), np.array(labels)).value == pytest.approx(expected, abs=1e-15)


def test_the_area_is_the_share_of_ordered_pairs() -> None:
    generator = np.random.default_rng(3)
    scores, labels = generator.integers(0, 12, 300), generator.integers(0, 2, 300)
    pairs = scores[labels == 1][:, np.newaxis] - scores[labels == 0]
    score = auc(scores.reshape(300, 1), labels)
    assert score.value == ((pairs > 0).sum() + 0.5 * (pairs == 0).sum()) / pairs.size
    assert score.details == {"anomalies": int(labels.sum()), "normal": int((1 - labels).sum())}


def test_drawing_a_sample_twice_is_having_it_twice() -> None:
    scores, labels = np.array([3.0, 2.0, 2.0, 1.0]), np.array([1, 0, 1, 0])
    twice = auc(np.array([3.0, 2.0, 2.0, 2.0, 1.0]), np.array([1, 0, 0, 1, 0]))
    assert auc_statistic(scores, labels)(np.array([1, 2, 1, 1])) == twice.value
    assert np.isnan(auc_statistic(scores, labels)(np.array([2, 0, 2, 0])))


def test_hanley_and_mcneils_interval() -> None:
    """Their example: an area of 0.893 over 51 abnormal and 58 normal images has the standard error 0.032."""
    interval = hanley_mcneil(0.893, 51, 58, level=0.6826894921370859)
    assert interval.high - 0.893 == pytest.approx(0.032, abs=6e-4)


def test_the_interval_covers_the_true_area_about_as_often_as_it_says() -> None:
    """Normal scores one standard deviation apart: the area is Phi(1 / sqrt 2) = 0.7602."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    covered = {"formula": 0, "drawn": 0}
    for _ in range(100):
        scores = generator.standard_normal(80) + labels
        formula = auc(scores, labels).interval
        drawn = bootstrap(auc_statistic(scores, labels), 80, resamples=100)
        assert formula is not None
        assert drawn is not None
        covered["formula"] += formula.low <= 0.7602 <= formula.high
        covered["drawn"] += drawn.low <= 0.7602 <= drawn.high
    assert 88 <= covered["formula"] <= 100
    assert 85 <= covered["drawn"] <= 100


def test_two_models_are_compared_on_the_same_samples() -> None:
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 1], 100)
    good = generator.standard_normal(200) + 1.5 * labels
    same = compare_values(auc_statistic(good, labels), auc_statistic(good, labels), 200, resamples=100)
    assert (same.difference, same.interval and (same.interval.low, same.interval.high)) == (0.0, (0.0, 0.0))
    worse = compare_values(
        auc_statistic(good, labels),
        auc_statistic(good + 2 * generator.standard_normal(200), labels),
        200,
        resamples=200,
    )
    assert worse.interval is not None
    assert 0 < worse.interval.low < worse.difference < worse.interval.high


def test_drawings_depend_on_the_seed_alone() -> None:
    labels = np.repeat([0, 1], 20)
    statistic = auc_statistic(np.arange(40) % 7, labels)
    assert bootstrap(statistic, 40, seed=5) == bootstrap(statistic, 40, seed=5)
    assert bootstrap(statistic, 40, seed=5) != bootstrap(statistic, 40, seed=6)


@pytest.mark.parametrize(
    ("scores", "labels", "said"),
    [
        ([1.0, 2.0], [0, 2], "label of sample 1 is 2"),
        ([1.0, 2.0], [1, 1], "all 2 samples have the label 1"),
        ([1.0, np.nan], [0, 1], "NaN for 1 of 2"),
        ([[1.0, 2.0], [1.0, 2.0]], [0, 1], "one anomaly score"),
        ([1.0, 2.0], [0, 1, 1], "2 samples and labels of the shape [3]"),
    ],
)
def test_what_has_no_area_is_refused(scores: list[float], labels: list[int], said: str) -> None:
    with pytest.raises(ModelError) as raised:
        auc(np.array(scores), np.array(labels))
    assert said in str(raised.value)
