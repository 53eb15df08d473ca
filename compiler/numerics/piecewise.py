"""Functions of codes of 9 to 16 bits in integers alone (N8, --integer-only): parabolas on segments of codes.

A code q has the index u = q - dtype.min. The upper bits of u, beyond the lowest 8, choose one of the segments of 256
codes; each is cut into 2**(8 - b) equal pieces of 2**b codes, as short as the function needs there, and a piece is a
parabola with three coefficients in units of 2**-12 steps of the output. With r the lowest b bits of u,

    y = clamp(rne((c0 * 2**(2 * b) + c1 * r * 2**b + c2 * r**2) / 2**(12 + 2 * b)) + zero_point, qmin, qmax),

one rounding, half to even. There is no error bound to trust: a function of 16-bit codes has 65536 results, and `fit`
compares every one of them with what it shall be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.rounding import shift_half_even

SEGMENT_BITS = 8
FRACTION_BITS = 12
TOLERANCE = 2.0**-5
"""How far, in steps of the output, a piece may be from the function before rounding: farther, and it is cut in two."""

_BEYOND = 2.0  # steps outside the range of the output at which a function is cut off: all of them become qmin or qmax


@dataclass(frozen=True, eq=False)
class Pieces:
    """segments: int32 [segments], 16 * (its first piece) + b; coefficients: int32 [pieces, 3]."""

    segments: NDArray[np.int32]
    coefficients: NDArray[np.int32]

    @property
    def bytes(self) -> int:
        return self.segments.nbytes + self.coefficients.nbytes


def fit(steps: Any, qmin: int, qmax: int) -> Pieces:
    """Pieces that are within TOLERANCE of a function wherever it is inside qmin .. qmax.

    Args:
        steps: float64 [2**bits]: the function of every code, in steps of the output, before rounding and without the
            zero point; infinities are cut off.
        qmin, qmax: of the output, less its zero point.
    """
    target = np.clip(np.asarray(steps, np.float64), qmin - _BEYOND, qmax + _BEYOND)
    segments: list[int] = []
    rows: list[tuple[int, int, int]] = []
    for segment in target.reshape(-1, 1 << SEGMENT_BITS):
        for b in range(SEGMENT_BITS, -1, -1):
            pieces = [_parabola(piece, qmin, qmax) for piece in segment.reshape(-1, 1 << b)]
            found = [piece for piece in pieces if piece is not None]
            if len(found) == len(pieces):
                break
        segments.append(16 * len(rows) + b)
        rows += found
    return Pieces(np.array(segments, np.int32), np.array(rows, np.int32))


def _parabola(target: NDArray[np.float64], qmin: int, qmax: int) -> tuple[int, int, int] | None:
    """The coefficients through three of the points, in units of 2**-12 steps; None where a point is too far off."""
    n = target.size
    if n == 1:
        return round(float(target[0]) * (1 << FRACTION_BITS)), 0, 0
    at: tuple[int, ...] = (0, 1) if n == 2 else (n // 16, n // 2, n - 1 - n // 16)
    y = [float(target[r]) for r in at]
    slope = (y[1] - y[0]) / (at[1] - at[0])
    bend = 0.0 if n == 2 else ((y[2] - y[1]) / (at[2] - at[1]) - slope) / (at[2] - at[0])
    start = y[0] - slope * at[0] + bend * at[0] * at[1]
    per_code = slope - bend * (at[0] + at[1])
    exact = (start, per_code * n, bend * n * n)
    if any(abs(part) >= 2.0 ** (31 - FRACTION_BITS) - 1 for part in exact):
        return None
    c = (round(exact[0] * 2**FRACTION_BITS), round(exact[1] * 2**FRACTION_BITS), round(exact[2] * 2**FRACTION_BITS))
    r = np.arange(n) / n
    found = np.clip((c[0] + c[1] * r + c[2] * r * r) / (1 << FRACTION_BITS), qmin - _BEYOND, qmax + _BEYOND)
    near = np.abs(found - target) <= TOLERANCE
    outside = ((found <= qmin - 1) & (target <= qmin - 1)) | ((found >= qmax + 1) & (target >= qmax + 1))
    return c if bool((near | outside).all()) else None


def evaluate_pieces(u: Any, pieces: Pieces, zero_point: int, qmin: int, qmax: int) -> Codes:
    """y of the module's text for indices u = q - dtype.min, any shape; int64.  Its C twin is subbyte_piecewise_code."""
    u = np.asarray(u, np.int64)
    entry = pieces.segments.astype(np.int64)[u >> SEGMENT_BITS]
    b = entry & 15
    piece = (entry >> 4) + ((u & ((1 << SEGMENT_BITS) - 1)) >> b)
    c0, c1, c2 = (pieces.coefficients.astype(np.int64)[piece, i] for i in range(3))
    r = u & ((1 << b) - 1)
    steps = np.zeros_like(u)
    for bits in np.unique(b).tolist():
        here = b == bits
        total = (c0[here] << (2 * bits)) + (c1[here] * r[here] << bits) + c2[here] * r[here] * r[here]
        steps[here] = shift_half_even(total, FRACTION_BITS + 2 * bits)
    return np.asarray(np.clip(steps + zero_point, qmin, qmax), np.int64)
