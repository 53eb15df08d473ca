"""Averages, means and sums of codes (N6) as staircases over their exact integer sums."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.interpret_windows import windows_of
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops import QAveragePool, QReduce, QReduceMean
from subbyte.compiler.numerics.elementwise import average, reduce_sum
from subbyte.compiler.numerics.monotone import staircase_of
from subbyte.compiler.numerics.staircase import Staircase


def pool_staircase(node: QAveragePool | QReduce, low: int, high: int) -> Staircase:
    """N2(f32(f32(f32(sum A) * s_x) / n)), without the division for a sum, of the sums low..high of A = x - x_zero.

    Raises: UnsupportedError: windows of an average count different numbers of elements, or scales come at run time.
    Source: design.md N6.
    """
    scale = _scale(node, node.x)
    if isinstance(node, QAveragePool):
        counts = np.unique(windows_of(node).counts(with_pads=node.count_include_pad))
        if counts.size != 1:
            raise UnsupportedError(
                f"{node.label} divides by {counts.tolist()}, as its windows reach beyond its input; steps are made for "
                "one divisor. Count the pads (count_include_pad) or pad before the pool"
            )
        return staircase_of(partial(average, count=int(counts[0]), scale=scale, out=node.quant), low, high)
    if isinstance(node, QReduceMean):
        count = math.prod(node.x.type.shape[axis] for axis in node.axes)
        return staircase_of(partial(average, count=count, scale=scale, out=node.quant), low, high)
    return staircase_of(partial(reduce_sum, scale=scale, out=node.quant), low, high)


def _scale(node: QAveragePool | QReduce, x: Value) -> np.float32:
    """The one scale of the codes that are summed."""
    quant = x.type.quant
    if quant is None or not quant.is_static or not node.quant.is_static:
        raise UnsupportedError(f"{node.label} has scales that are computed at run time; steps need constant ones")
    return np.float32(quant.scalar()[0])
