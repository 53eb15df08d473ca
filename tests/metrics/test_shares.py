"""top1 and agreement: counts, classes, ties, intervals, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.intervals import Interval, wilson
from subbyte.compiler.metrics.paired import compare_right, mcnemar
from subbyte.compiler.metrics.shares import agreement, top1, top1_right

SCORES = np.array([[0.1, 0.9, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]])


def test_top1_counts_the_first_of_equal_scores() -> None:
    score = top1(SCORES, np.array([1, 0, 0, 1]))
    assert (score.value, score.numerator, score.count) == (0.75, 3, 4)
    assert [(each.numerator, each.count, each.value) for each in score.classes] == [
        (2, 2, 1.0),
        (1, 2, 0.5),
        (0, 0, None),
    ]


def test_extents_of_one_beside_the_classes_do_not_matter() -> None:
    assert top1(SCORES.reshape(4, 1, 3, 1), np.array([[1], [0], [0], [1]])).numerator == 3


def test_a_tie_of_the_reference_agrees() -> None:
    reference = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 1.0]])
    moved = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    score = agreement(moved, reference)
    assert agreement(reference, reference).numerator == 4
    assert score.numerator == 1  # the first: the reference is as large at 2 as at 1
    assert [each.count for each in score.classes] == [1, 1, 2]


def test_infinite_scores_are_ordered_like_others() -> None:
    assert top1(np.array([[-np.inf, -1.0], [np.inf, 1.0]]), np.array([1, 0])).numerator == 2


def test_wilsons_interval() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20 and 1 of 29."""
    for numerator, count, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        found = wilson(numerator, count)
        assert found is not None
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert wilson(0, 0) is None
    assert wilson(20, 20) == Interval(pytest.approx(1 - 0.1611, abs=1e-4), 1.0, 0.95, "Wilson")  # type: ignore[arg-type]


def test_mcnemars_test_is_the_binomial_one() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(1, 0) == 1.0
    assert mcnemar(0, 6) == 2 / 64
    assert mcnemar(8, 1) == mcnemar(1, 8) == 2 * (1 + 9) / 512
    assert 0 < mcnemar(900, 1300) < 1e-15


def test_pairs_are_counted_sample_by_sample() -> None:
    labels = np.array([1, 0, 0, 1])
    other = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    paired = compare_right(top1_right(SCORES, labels), top1_right(other, labels))
    assert (paired.both, paired.only_first, paired.only_second, paired.neither) == (1, 2, 1, 0)
    assert (paired.count, paired.difference, paired.p_value) == (4, 1, 1.0)


@pytest.mark.parametrize(
    ("scores", "labels", "said"),
    [
        (SCORES, np.array([0, 1, 2]), "4 samples and labels of the shape [3]"),
        (SCORES, np.array([0, 1, 3, 2]), "label of sample 2 is 3"),
        (SCORES, np.array([0, 1, 2, -1]), "label of sample 3 is -1"),
        (SCORES, np.array([0, 1, 2, 0.5]), "whole numbers"),
        (SCORES, np.array([0, 1, 2, np.nan]), "whole numbers"),
        (SCORES, np.array(["a", "b", "c", "d"]), "whole numbers"),
        (
            np.where(SCORES == 2.0, np.nan, SCORES),
            np.array([0, 1, 2, 0]),
            "NaN for 1 of 4 samples, the first of them sample 1",
        ),
        (np.zeros((0, 3)), np.zeros(0, int), "no sample"),
        (np.zeros((4, 1)), np.zeros(4, int), "one score for each class"),
        (np.zeros((4, 3, 3)), np.zeros(4, int), "one score for each class"),
        (np.zeros(4), np.zeros(4, int), "one score for each class"),
    ],
)
def test_what_is_no_answer_or_no_label_is_refused(scores: np.ndarray, labels: np.ndarray, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ModelError) as raised:
        top1(scores, labels)
    assert said in str(raised.value)


def test_answers_of_other_shapes_do_not_agree() -> None:
    with pytest.raises(ModelError, match="same samples and classes"):
        agreement(SCORES, SCORES[:3])


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="between 0 and 1"):
        top1(SCORES, np.array([0, 1, 2, 0]), level=95)
