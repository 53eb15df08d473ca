"""What a design takes of a part: look-up tables, flip-flops, multipliers and two kinds of memory blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True, order=True)
class Resources:
    """Counts. lut: of six inputs; ff: flip-flops; dsp: DSP48 slices; bram18: blocks of 18 kbit; uram: of 288 kbit."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram18 + other.bram18,
            self.uram + other.uram,
        )

    def __sub__(self, other: Resources) -> Resources:
        return Resources(*(a - b for a, b in zip(self.counts, other.counts, strict=True)))

    def __mul__(self, times: int) -> Resources:
        return Resources(*(times * count for count in self.counts))

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """In the order of `KINDS`."""
        return self.lut, self.ff, self.dsp, self.bram18, self.uram

    def within(self, budget: Resources) -> bool:
        return all(count <= most for count, most in zip(self.counts, budget.counts, strict=True))

    def as_dict(self) -> dict[str, int]:
        return dict(zip(KINDS, self.counts, strict=True))


KINDS = tuple(field.name for field in fields(Resources))
NONE = Resources()


def total(of: Iterable[Resources]) -> Resources:
    """The sum; `NONE` of nothing."""
    return sum(of, NONE)
