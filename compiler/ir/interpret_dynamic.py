"""What operations with run-time scales and with scales of blocks mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import qops_dynamic
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.dynamic import dynamic_range

Array = NDArray[Any]


@interprets(qops_dynamic.DynamicRange)
def find_range(node: qops_dynamic.DynamicRange, x: Array) -> tuple[Array, Array]:
    scale, zero_point = dynamic_range(x)
    return np.asarray(scale), np.asarray(zero_point)


@interprets(qops_dynamic.DynamicQuantize)
def quantize_at_run_time(node: qops_dynamic.DynamicQuantize, x: Array, scale: Array, zero_point: Array) -> Array:
    return quantize(x, scale, zero_point, 0, 255)


@interprets(qops_dynamic.Centre)
def centre(node: qops_dynamic.Centre, x: Array, zero_point: Array) -> Array:
    return x.astype(np.int64) - zero_point.astype(np.int64)
