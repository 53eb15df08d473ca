"""Any monotone function of an integer as a staircase: its steps by binary search on the function itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.staircase import Staircase


def staircase_of(function: Callable[[Codes], Codes], low: int, high: int, most: int = 1 << 16) -> Staircase:
    """`function` over low..high in one row: for each code between its ends the first integer that reaches it.

    Args: function: int64 [n] -> codes [n], element by element, monotone (rising or falling) over low..high.
    Raises: NumericsError: the range is empty or beyond +-2**61, there are more than `most` steps, or the function is
        not what its steps say at an end of a stair, so it is not monotone.
    Source: design.md N5.
    """
    if low > high or max(-low, high) > 1 << 61:
        raise NumericsError(f"a staircase was asked for over {low}..{high}; a range within +-2**61 is needed")
    first, last = function(np.array([low, high], np.int64)).tolist()
    count = abs(last - first)
    if count > most:
        raise NumericsError(f"a function takes {count} steps over {low}..{high}; at most {most} are looked for")
    towards = 1 if last >= first else -1
    codes = first + towards * np.arange(count + 1)
    below = np.full(count, low)  # not reached, or not known to be
    above = np.full(count, high)  # reached
    while (below < above).any():
        middle = below + (above - below) // 2
        reached = towards * function(middle) >= towards * codes[1:]
        above = np.where(reached, middle, above)
        below = np.where(reached, below, middle + 1)
    found = Staircase(above[None], codes[None], np.array([low]), np.array([high]))
    starts = np.append(low, above)
    ends = np.append(above, high + 1) - 1
    stairs = starts <= ends
    for side in (starts, ends):
        if (function(np.where(stairs, side, low)) != np.where(stairs, codes, first)).any():
            raise NumericsError(f"a function that was to be a staircase over {low}..{high} is not monotone there")
    return found
