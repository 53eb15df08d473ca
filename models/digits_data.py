"""scikit-learn's real 8x8 handwritten digits, split once and for all into training and held test images.

The images come from the UCI "Optical Recognition of Handwritten Digits" test set (1,797 digits by 13 writers), which
scikit-learn ships. A pixel counts the set dots of a 4x4 block, 0 to 16; dividing by 16 makes it a float in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SEED = 20240229
TEST_IMAGES = 360
FOLDER = Path(__file__).resolve().parent
TEST_FILE = FOLDER / "digits_test.npz"
CALIBRATION_FILE = FOLDER / "digits_calibration.npz"
CALIBRATION_IMAGES = 256

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Digits:
    """Images [N,1,8,8] float32 in [0, 1] and labels [N] int64 in 0..9."""

    images: Array
    labels: Array


def split_digits() -> tuple[Digits, Digits]:
    """The training images and the held test images: the same 1437 and 360 on every machine."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)[:, np.newaxis]
    labels = bunch.target.astype(np.int64)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=TEST_IMAGES, random_state=SEED, stratify=labels
    )
    return Digits(train_images, train_labels), Digits(test_images, test_labels)


def read_test_digits() -> Digits:
    """The held test images as shipped beside the models, so that no training dependency is needed to evaluate."""
    with np.load(TEST_FILE) as archive:
        return Digits(archive["input"][:, 0], archive["label"])


def write_test_digits(test: Digits) -> None:
    """Store the held images as `subbyte run --inputs` reads samples: by input name, [samples, *shape of the input]."""
    np.savez_compressed(TEST_FILE, input=test.images[:, np.newaxis], label=test.labels)


def write_calibration_digits(training: Digits) -> None:
    """Store the first training images, with labels, as samples to calibrate with: the test images stay unseen."""
    images, labels = training.images[:CALIBRATION_IMAGES], training.labels[:CALIBRATION_IMAGES]
    np.savez_compressed(CALIBRATION_FILE, input=images[:, np.newaxis], label=labels)
