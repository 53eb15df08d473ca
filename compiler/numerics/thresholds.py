"""N4 as a staircase (N5): the accumulators at which its result takes a step, found by binary search on N4 itself.

N4 is monotone in the accumulator, because each of its operations is: two forms of it that step at the same accumulators
are equal everywhere between them. That is the proof behind every integer form of N4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization, requantize

LIMIT = 1 << 61


def thresholds(r: Requantization, channel: int, low: int, high: int) -> Codes:
    """The steps t of one channel: N4 is qmin + sum(acc >= t), or qmax - sum(acc >= t) where the multiplier is negative.

    t[i] is the smallest accumulator in low..high whose result is at least qmin + 1 + i (at most qmax - 1 - i for a
    negative multiplier), or high + 1 where there is none.

    Args: channel: ignored where r is per tensor; low, high: the reachable accumulators (`accumulate.result_range`).
    Returns: int64 [qmax - qmin], ascending.
    Raises: NumericsError: the range is empty or beyond +-2**61.
    Source: design.md N5.
    """
    return np.asarray(all_thresholds(r.channel(channel), [low], [high])[0])


def all_thresholds(r: Requantization, low: Any, high: Any) -> Codes:
    """`thresholds` of every channel at once.

    Args: low, high: [C] integers, C as in r; a per-tensor r serves every row.
    Returns: int64 [C, qmax - qmin].
    """
    first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
    if (first > last).any() or (np.abs(first) > LIMIT).any() or (np.abs(last) > LIMIT).any():
        raise NumericsError(
            "thresholds were asked over an empty range of accumulators or one beyond 2**61; "
            "the range comes from accumulate.result_range"
        )
    rising = np.broadcast_to(r.multiplier > 0, first.shape)[:, None]
    steps = np.arange(1, r.qmax - r.qmin + 1)
    below = np.broadcast_to(first[:, None], (first.size, steps.size)).copy()
    above = np.broadcast_to(last[:, None] + 1, below.shape).copy()
    while (below < above).any():
        middle = below + (above - below) // 2
        codes = requantize(np.minimum(middle, last[:, None]), r, axis=0)
        reached = np.where(rising, codes >= r.qmin + steps, codes <= r.qmax - steps)
        above = np.where(reached, middle, above)
        below = np.where(reached, below, np.minimum(middle + 1, above))
    return np.asarray(below, np.int64)


def count_thresholds(accumulator: Any, steps: Codes, r: Requantization, channel: int) -> Codes:
    """N4 of one channel by its thresholds, for accumulators in the range that they were made for."""
    passed = np.searchsorted(steps, np.asarray(accumulator, np.int64), side="right")
    rising = bool(r.channel(channel).multiplier > 0)
    return np.asarray(r.qmin + passed if rising else r.qmax - passed, np.int64)
