"""What is proved about a node before a faster form of its arithmetic is used."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.accumulators import accumulator_range_of
from subbyte.compiler.ir.qops import QConv, QGemm


def may_reach_int32(op: QConv | QGemm) -> bool:
    """Whether |sum * multiplier| may reach 2^31 for a reachable sum: then it is clamped before it becomes an integer.

    The bound leaves room for the roundings of the sum and of the product to float32, each at most 2^-24 of its value.
    """
    if op.requantization is None:
        return False
    low, high = accumulator_range_of(op)
    largest = np.maximum(-low.astype(np.float64), high) * np.abs(op.requantization.multiplier.astype(np.float64))
    return bool((largest >= 2.0**31 * (1 - 2.0**-20)).any())
