"""N4 as a staircase (N5): the accumulators at which its result takes a step, found by binary search on N4 itself.

N4 is monotone in the accumulator, because each of its operations is: two forms of it that step at the same accumulators
are equal everywhere between them. That is the proof behind every integer form of N4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.staircase import Staircase

LIMIT = 1 << 61
MOST_OF_ALL_CHANNELS = 1 << 24
"""Steps of all channels together that one staircase holds: 128 MiB, and as much again for its codes."""


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
    first = np.asarray(low, np.int64)
    return _first_reached(
        r, first, high, np.broadcast_to(np.arange(1, r.qmax - r.qmin + 1), (first.size, r.qmax - r.qmin))
    )


def _first_reached(r: Requantization, low: Any, high: Any, numbers: Codes) -> Codes:
    """The first accumulator at which N4, its table left out, has taken so many steps up (down where it falls).

    numbers: int64 [C, n] of 1..qmax - qmin.
    """
    r = replace(r, table=None, staircase=None)
    first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
    if (first > last).any() or (np.abs(first) > LIMIT).any() or (np.abs(last) > LIMIT).any():
        raise NumericsError(
            "thresholds were asked over an empty range of accumulators or one beyond 2**61; "
            "the range comes from accumulate.result_range"
        )
    rising = np.broadcast_to(r.multiplier > 0, first.shape)[:, None]
    below = np.broadcast_to(first[:, None], numbers.shape).copy()
    above = np.broadcast_to(last[:, None] + 1, below.shape).copy()
    while (below < above).any():
        middle = below + (above - below) // 2
        codes = requantize(np.minimum(middle, last[:, None]), r, axis=0)
        reached = np.where(rising, codes >= r.qmin + numbers, codes <= r.qmax - numbers)
        above = np.where(reached, middle, above)
        below = np.where(reached, below, np.minimum(middle + 1, above))
    return np.asarray(below, np.int64)


def count_thresholds(accumulator: Any, steps: Codes, r: Requantization, channel: int) -> Codes:
    """N4 of one channel by its thresholds, for accumulators in the range that they were made for."""
    passed = np.searchsorted(steps, np.asarray(accumulator, np.int64), side="right")
    rising = bool(r.channel(channel).multiplier > 0)
    return np.asarray(r.qmin + passed if rising else r.qmax - passed, np.int64)


def staircase(r: Requantization, low: Any, high: Any, most: int) -> Staircase | None:
    """`r` by thresholds over the reachable accumulators; None where a channel has more than `most` steps there.

    Only the steps at which the result changes count: equal codes in a row of the table are one, and so are the codes
    that no accumulator reaches.

    Args: low, high: [C] or [1] integers, the reachable accumulators; an r without channels gets one row for all.
    Raises: NumericsError: as `thresholds`; too many steps to hold; or N4 and the thresholds differ, which the proof
        would show.
    Source: design.md N5.
    """
    channels = r.channels
    rows = channels or 1
    first, last = np.asarray(low, np.int64), np.asarray(high, np.int64)
    first = np.broadcast_to(first, (rows,)) if channels else first.min(keepdims=True)
    last = np.broadcast_to(last, (rows,)) if channels else last.max(keepdims=True)
    results = _in_order(r, rows)
    reached = [_taken(r, end) for end in (first, last)]
    number = np.arange(1, results.shape[1])
    wanted = (results[:, 1:] != results[:, :-1]) & (reached[0][:, None] < number) & (number <= reached[1][:, None])
    count = int(wanted.sum(axis=1).max(initial=0))
    if count > most:
        return None
    if rows * count > MOST_OF_ALL_CHANNELS:
        raise NumericsError(
            f"{count} steps for each of {rows} channels were asked for, more than {MOST_OF_ALL_CHANNELS} together; "
            "quantize the result to fewer bits, or with one scale for all channels"
        )
    numbers = np.argsort(~wanted, axis=1, kind="stable")[:, :count] + 1  # those wanted first, ascending
    real = np.arange(count) < wanted.sum(axis=1)[:, None]
    steps = np.where(real, _first_reached(r, first, last, numbers), last[:, None] + 1)
    at = np.where(real, numbers, reached[0][:, None])  # behind the last real step: any code, none reaches it
    codes = np.take_along_axis(results, np.concatenate([reached[0][:, None], at], axis=1), axis=1)
    return proved(Staircase(steps, codes, first, last), r)


def _taken(r: Requantization, accumulator: Codes) -> Codes:
    """How many steps N4, its table left out, has taken at these accumulators [rows]."""
    codes = requantize(accumulator, replace(r, table=None, staircase=None), axis=0)
    return np.where(r.multiplier > 0, codes - r.qmin, r.qmax - codes)


def _in_order(r: Requantization, rows: int) -> Codes:
    """int64 [rows, qmax - qmin + 1]: the results as the accumulator rises; the codes fall where the multiplier does."""
    table = np.arange(r.qmin, r.qmax + 1) if r.table is None else r.table
    rising = np.broadcast_to(r.multiplier > 0, (rows,))[:, None]
    table = np.broadcast_to(table, (rows, table.shape[-1]))
    return np.where(rising, table, table[:, ::-1])


def proved(found: Staircase, r: Requantization) -> Staircase:
    """`found`, compared with N4 at both ends of every stair.

    N4 is monotone, so between two accumulators with codes a and b it takes only codes from a to b; where the table has
    one result for all of them, and it is the stair's, the stair is N4 for every accumulator on it.

    Raises: NumericsError: they differ.
    """
    starts = np.concatenate([found.low[:, None], found.steps], axis=1)
    ends = np.concatenate([found.steps, found.high[:, None] + 1], axis=1) - 1
    stairs = starts <= ends
    bare = replace(r, table=None, staircase=None)
    codes = [requantize(np.where(stairs, side, found.low[:, None]), bare, axis=0) - r.qmin for side in (starts, ends)]
    table = np.arange(r.qmin, r.qmax + 1) if r.table is None else r.table
    table = np.broadcast_to(table, (found.rows, table.shape[-1]))
    runs = np.cumsum(np.diff(table, axis=1, prepend=table[:, :1]) != 0, axis=1)
    alike = np.take_along_axis(runs, codes[0], axis=1) == np.take_along_axis(runs, codes[1], axis=1)
    same = np.take_along_axis(table, codes[0], axis=1) == found.codes
    if (stairs & ~(alike & same)).any():
        channel, stair = np.argwhere(stairs & ~(alike & same))[0].tolist()
        raise NumericsError(
            f"the thresholds of channel {channel} differ from N4 for an accumulator in "
            f"{starts[channel, stair]}..{ends[channel, stair]}"
        )
    return found
