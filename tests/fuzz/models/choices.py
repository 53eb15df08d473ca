"""Every decision that a random model is made by: hypothesis takes them, so that it can shrink what fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

T = TypeVar("T")


class Choices:
    """draw: of a hypothesis composite. Write the simplest option first: that is what failures shrink to."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return int(self._draw(st.integers(low, high)))

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; one that stands there twice is taken twice as often."""
        return options[self.number(0, len(options) - 1)]

    def happens(self, percent: int) -> bool:
        """True that often; what fails shrinks to False."""
        return self.number(0, 99) >= 100 - percent

    def random(self) -> np.random.Generator:
        """Weights and samples: too many numbers to be drawn one by one."""
        return np.random.default_rng(self.number(0, (1 << 32) - 1))
