"""The tables of a staircase as hardware holds them: steps, what is added to their number, levels of a search."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.targets.hls.streams import Element


@dataclass(frozen=True, eq=False)
class Stairs:
    """The bits of y = first + number of steps reached (first - number where falling), or codes[number].

    steps: int64 [rows, n], at least one; end: int64 [rows], a step that no sum reaches; first: int64 [rows]; falling:
    bool [rows]; codes: int64 [rows, n + 1], None where the codes of every row are consecutive. Bipolar codes -1 and 1
    are 0 and 1 here. low, high: of all sums; saturates: whether sums are brought to low..high before the steps.
    """

    steps: Codes
    end: Codes
    first: Codes
    falling: NDArray[np.bool_]
    codes: Codes | None
    low: int
    high: int
    saturates: bool = False

    @property
    def bits(self) -> int:
        """Of the signed type that holds every sum and every step."""
        return signed_bits(np.append(self.steps, [self.low, self.high, *self.end]))


def signed_bits(values: Codes) -> int:
    """The fewest bits of a two's complement that holds all values."""
    numbers = Element(int(values.min()), int(values.max()))
    return numbers.bits + (not numbers.signed)


def saturated(stairs: Stairs) -> Stairs:
    """The same of sums that are brought to where codes change, if that takes fewer bits."""
    real = stairs.steps < stairs.end[:, None]
    if not real.any():
        return stairs
    low, last = int(stairs.steps[real].min()) - 1, int(stairs.steps[real].max())
    end = np.full_like(stairs.end, last + 1)
    steps = np.where(real, stairs.steps, last + 1)
    found = replace(stairs, steps=steps, end=end, low=max(low, stairs.low), high=last, saturates=True)
    return found if found.bits < stairs.bits else stairs


def compared(stairs: Stairs) -> Stairs:
    """The same as it is compared with all steps at once.

    Saturation costs about as much as three comparisons; it is done where what is saved is more.
    """
    narrow = saturated(stairs)
    saved = stairs.steps.shape[1] * (stairs.bits - narrow.bits)
    return narrow if saved > 3 * stairs.bits else stairs


def stairs_of(staircase: Staircase, y: Element) -> Stairs:
    """Steps that no sum reaches become the last reachable sum + 1; a row without steps gets one of those.

    Raises: GraphError: a code is none of y's.
    """
    end = staircase.high[:, None] + 1
    steps = np.minimum(staircase.steps, end)
    codes = staircase.codes
    if not steps.shape[1]:
        steps, codes = end, np.repeat(codes, 2, axis=1)
    real = steps < end
    # Behind the last step that a sum reaches any code will do.
    at = np.concatenate([np.zeros_like(end), np.where(real, np.arange(1, steps.shape[1] + 1), 0)], axis=1)
    codes = np.take_along_axis(codes, np.maximum.accumulate(at, axis=1), axis=1)
    if codes.min() < y.low or codes.max() > y.high:
        raise GraphError(f"steps make the codes {codes.min()}..{codes.max()}, which {y.low}..{y.high} does not hold")
    if y.bipolar:
        codes = (codes + 1) // 2
    moves = np.diff(codes, axis=1)
    falling = np.asarray((moves < 0).any(axis=1), np.bool_)
    consecutive = ((moves == np.where(falling, -1, 1)[:, None]) | ~real).all()
    ends = int(staircase.low.min()), int(staircase.high.max())
    return Stairs(steps, end[:, 0], codes[:, 0], falling, None if consecutive else codes, *ends)


def search_bits(count: int) -> int:
    """Comparisons of a binary search among `count` steps."""
    return max(count.bit_length(), 1)


def levels(stairs: Stairs, bits: int) -> list[Codes]:
    """For each comparison of a binary search its steps: int64 [rows, 2**level], of all filled up to 2**bits - 1."""
    filler = np.repeat(stairs.end[:, None], (1 << bits) - 1 - stairs.steps.shape[1], axis=1)
    filled = np.concatenate([stairs.steps, filler], axis=1)
    return [filled[:, (1 << (bits - 1 - level)) - 1 :: 1 << (bits - level)] for level in range(bits)]
