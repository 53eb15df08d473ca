"""psnr: by hand, with exact samples, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError
from subbyte.compiler.metrics.noise import psnr


def test_it_is_the_mean_of_the_samples_ratios() -> None:
    references = np.zeros((2, 4, 4), np.float32)
    images = references.copy()
    images[0, 0, 0], images[1] = 4.0, 0.1  # mean squared errors 1 and 0.01
    score = psnr(images, references)
    assert score.value == pytest.approx(10.0, abs=1e-6)  # of 0 and 20 dB
    assert score.details["rmse"] == pytest.approx(math.sqrt(1.01 / 2))
    assert psnr(images, references, peak=255).value == pytest.approx(10.0 + 20 * math.log10(255), abs=1e-6)


def test_bytes_do_not_wrap_around() -> None:
    score = psnr(np.full((1, 2), 255, np.uint8), np.zeros((1, 2), np.uint8), peak=255)
    assert (score.value, score.interval) == (0.0, None)


def test_an_exact_sample_is_infinite() -> None:
    references = np.zeros((8, 3))
    images = references + np.arange(8)[:, np.newaxis]
    score = psnr(images, references)
    assert (score.value, score.details["exact"]) == (math.inf, 1)
    assert score.interval is not None
    assert score.interval.high == math.inf
    assert score.interval.low < 0


def test_the_interval_holds_the_value_and_repeats() -> None:
    generator = np.random.default_rng(0)
    images, references = generator.random((30, 5)), generator.random((30, 5))
    score = psnr(images, references, seed=1)
    assert score.interval is not None
    assert score.interval.low < score.value < score.interval.high
    assert psnr(images, references, seed=1) == score


@pytest.mark.parametrize(
    ("images", "references", "peak", "said"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), 1.0, "one reference of the same size"),
        (np.zeros((2, 3)), np.zeros((3, 2)), 1.0, "one reference of the same size"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), 1.0, "the references hold NaN for 2 of 2"),
        (np.full((2, 3), np.inf), np.zeros((2, 3)), 1.0, "infinity for sample 0"),
        (np.zeros((2, 3)), np.zeros((2, 3)), 0.0, "peak"),
        (np.zeros((0, 3)), np.zeros((0, 3)), 1.0, "no sample"),
    ],
)
def test_what_cannot_be_compared_is_refused(images: np.ndarray, references: np.ndarray, peak: float, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ModelError) as raised:
        psnr(images, references, peak=peak)
    assert said in str(raised.value)
