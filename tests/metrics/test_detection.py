"""mAP: cases counted by hand, drawings beside copies, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.detection import THRESHOLDS, Boxes, map_statistic, mean_average_precision, overlaps

SQUARE = [0.0, 0.0, 10.0, 10.0]
FAR = [100.0, 100.0, 110.0, 110.0]


def found(*rows: tuple[list[float], float, int]) -> Boxes:
    boxes, scores, classes = zip(*rows, strict=True) if rows else ([], [], [])
    return Boxes.of(np.array(boxes).reshape(-1, 4), np.array(classes, int), np.array(scores))


def true(*rows: tuple[list[float], int]) -> Boxes:
    boxes, classes = zip(*rows, strict=True) if rows else ([], [])
    return Boxes.of(np.array(boxes).reshape(-1, 4), np.array(classes, int))


def test_overlap_is_intersection_over_union() -> None:
    others = np.array([SQUARE, [5.0, 0.0, 15.0, 10.0], FAR, [3.0, 3.0, 3.0, 3.0]])
    assert overlaps(np.array([SQUARE]), others).tolist() == [[1.0, 50 / 150, 0.0, 0.0]]


def test_a_perfect_detector() -> None:
    score = mean_average_precision([found((SQUARE, 0.9, 0), (FAR, 0.2, 3))], [true((SQUARE, 0), (FAR, 3))])
    assert (score.value, score.details["AP50"], score.details["AP75"]) == (1.0, 1.0, 1.0)
    assert [(each.label, each.value, each.count) for each in score.classes] == [(0, 1.0, 1), (3, 1.0, 1)]


def test_the_overlap_decides_at_how_many_thresholds_a_box_is_right() -> None:
    """80 of 100 units overlap: right at 0.50 to 0.80, which are 7 of the 10 thresholds."""
    score = mean_average_precision([found(([0.0, 0.0, 8.0, 10.0], 0.5, 1))], [true((SQUARE, 1))])
    assert score.value == pytest.approx(0.7)
    assert (score.details["AP50"], score.details["AP75"]) == (1.0, 1.0)


def test_precision_is_read_at_101_recalls() -> None:
    """Right, wrong, right, of 3 true boxes: precision 1 to recall 1/3 (34 points), 2/3 to recall 2/3 (33), then 0."""
    third = [50.0, 50.0, 60.0, 60.0]
    detections = found((SQUARE, 0.9, 0), ([200.0, 200.0, 210.0, 210.0], 0.8, 0), (FAR, 0.7, 0))
    score = mean_average_precision([detections], [true((SQUARE, 0), (FAR, 0), (third, 0))])
    assert score.value == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)


def test_a_true_box_is_found_once() -> None:
    """The second detection of the same box is false, and comes before the last right one: precision 2/3 from 1/2 on."""
    detections = found((SQUARE, 0.9, 0), (SQUARE, 0.8, 0), (FAR, 0.7, 0))
    score = mean_average_precision([detections], [true((SQUARE, 0), (FAR, 0))])
    assert score.value == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)


def test_detections_are_ordered_over_all_samples() -> None:
    """The wrong one of the second sample scores highest: precision 1/2 everywhere."""
    score = mean_average_precision([found((SQUARE, 0.3, 0)), found((SQUARE, 0.6, 0))], [true((SQUARE, 0)), true()])
    assert score.value == pytest.approx(0.5)


def test_boxes_of_other_classes_and_samples_match_nothing() -> None:
    score = mean_average_precision([found((SQUARE, 0.9, 1)), found((SQUARE, 0.9, 0))], [true((SQUARE, 0)), true()])
    assert score.value == 0.0
    assert score.details["detections"] == 2


def test_at_most_100_detections_of_a_class_in_a_sample_count() -> None:
    wrong = [(FAR, 0.9, 0)] * 100
    assert mean_average_precision([found(*wrong, (SQUARE, 0.1, 0))], [true((SQUARE, 0))]).value == 0.0
    assert mean_average_precision([found(*wrong[1:], (SQUARE, 0.1, 0))], [true((SQUARE, 0))]).value == pytest.approx(
        0.01
    )


def test_negative_classes_fill_up() -> None:
    padded = Boxes.of(np.array([SQUARE, [9.0, 9.0, 0.0, 0.0]]), np.array([2, -1]), np.array([0.5, np.nan]))
    assert mean_average_precision([padded], [true((SQUARE, 2))]).value == 1.0


def random_scene(generator: np.random.Generator, samples: int) -> tuple[list[Boxes], list[Boxes]]:
    detections, truths = [], []
    for _ in range(samples):
        corners = generator.integers(0, 60, (4, 2)).astype(float)
        boxes = np.hstack([corners, corners + 20])
        classes = generator.integers(0, 2, 4)
        truths.append(Boxes.of(boxes, classes))
        moved = np.vstack([boxes + generator.integers(-4, 5, (4, 1)), boxes + 30])
        detections.append(Boxes.of(moved, np.tile(classes, 2), generator.permutation(8) / 8))
    return detections, truths


def test_drawing_a_sample_twice_is_having_it_twice() -> None:
    detections, truths = random_scene(np.random.default_rng(4), 6)
    weights = np.array([2, 0, 1, 3, 1, 0])
    copies = [index for index, often in enumerate(weights) for _ in range(often)]
    copied = mean_average_precision([detections[i] for i in copies], [truths[i] for i in copies], resamples=1)
    assert map_statistic(detections, truths)(weights) == pytest.approx(copied.value, abs=1e-12)
    assert 0.1 < copied.value < 0.9


def test_the_interval_holds_the_value_and_repeats() -> None:
    detections, truths = random_scene(np.random.default_rng(5), 20)
    score = mean_average_precision(detections, truths, resamples=50, seed=2)
    assert score.interval is not None
    assert score.interval.low < score.value < score.interval.high
    assert mean_average_precision(detections, truths, resamples=50, seed=2) == score


def test_the_thresholds_are_cocos() -> None:
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def test_what_is_no_box_is_refused() -> None:
    with pytest.raises(ModelError, match="boxes \\[n, 4\\]"):
        Boxes.of(np.zeros((3, 5)), np.zeros(3, int))
    with pytest.raises(ModelError, match="boxes \\[n, 4\\]"):
        Boxes.of(np.zeros((3, 4)), np.zeros(3, int), np.zeros(2))
    with pytest.raises(ModelError, match="x1 <= x2"):
        Boxes.of(np.array([[5.0, 0.0, 1.0, 1.0]]), np.zeros(1, int))
    with pytest.raises(ModelError, match="the scores hold NaN"):
        Boxes.of(np.array([SQUARE]), np.zeros(1, int), np.array([np.nan]))
    with pytest.raises(ModelError, match="none of the 1 samples has a true box"):
        mean_average_precision([found((SQUARE, 0.9, 0))], [true()])
    with pytest.raises(ModelError, match="1 samples and true boxes of 2"):
        mean_average_precision([found()], [true(), true()])
