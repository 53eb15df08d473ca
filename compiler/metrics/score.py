"""What every metric returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subbyte.compiler.metrics.intervals import Interval


@dataclass(frozen=True)
class ClassScore:
    """The figure of one class over the `count` samples (of mAP: true boxes) that belong to it; None where it has none.

    numerator: how many of them are right, where the figure is such a share.
    """

    label: int
    value: float | None
    count: int
    numerator: int | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class Score:
    """A metric's figure over `count` samples.

    numerator: value = numerator / count, where the figure is a share of samples. interval: of the value, None where
    there is no telling. details: further figures by name.
    """

    metric: str
    value: float
    count: int
    interval: Interval | None
    numerator: int | None = None
    classes: tuple[ClassScore, ...] = ()
    details: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "metric": self.metric,
            "value": self.value,
            "count": self.count,
            "numerator": self.numerator,
            "interval": None if self.interval is None else self.interval.as_dict(),
            "details": dict(self.details),
            "classes": [
                {
                    "class": each.label,
                    "value": each.value,
                    "count": each.count,
                    "numerator": each.numerator,
                    "interval": None if each.interval is None else each.interval.as_dict(),
                }
                for each in self.classes
            ],
        }
