"""The arithmetic of a comparison: ratios round by round, the fastest peer, and what floor and goal say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Timing, ratios
from benchmarks.suite.rows import Comparison

GOAL, FLOOR, BELOW, OPEN = "goal met", "floor met", "below the floor", ""


@dataclass(frozen=True)
class Verdict:
    """ratio: the median over the rounds of (fastest peer / ours); by_round: all of them; peer: who was fastest.

    cpu_ratio: that peer's processor time over ours, which neighbours on the machine change less than the wall's.
    """

    ours: str
    peers: tuple[str, ...]
    peer: str
    ratio: float
    by_round: tuple[float, ...]
    cpu_ratio: float
    floor: float | None
    goal: float | None

    @property
    def word(self) -> str:
        """Of the ratio with two digits, as it is printed."""
        ratio = round(self.ratio, 2)
        if self.goal is not None and ratio >= self.goal:
            return GOAL
        if self.floor is None:
            return OPEN
        return FLOOR if ratio >= self.floor else BELOW


def judge(comparison: Comparison, timings: Mapping[str, Timing]) -> Verdict | None:
    """What came of `comparison`; None where none of its peers ran."""
    peers = {name: timings[name] for name in comparison.peers if name in timings}
    if not peers:
        return None
    ours, peer = timings[comparison.ours], fastest(peers)
    per_round, _ = ratios(ours, peers)
    return Verdict(
        comparison.ours,
        tuple(peers),
        peer,
        float(np.median(per_round)),
        tuple(map(float, per_round)),
        float(np.median(peers[peer].cpu) / np.median(ours.cpu)),
        comparison.floor,
        comparison.goal,
    )


def fastest(timings: Mapping[str, Timing]) -> str:
    """Whose median over all rounds is the least."""
    return min(timings, key=lambda name: float(np.median(timings[name].medians)))
