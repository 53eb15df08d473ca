"""Where the matrices of a batch begin in memory, for kernels that multiply two run-time operands."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import ConstantArray, as_array
from subbyte.targets.common.geometry import broadcast_strides


def firsts_of_batches(of_type: TensorType, batches: tuple[int, ...], role: str) -> ConstantArray:
    """int32 [batches]: the first element of the matrix [..., M, N] of each batch of a result, as operands repeat."""
    strides = broadcast_strides(of_type, len(batches) + 2)[:-2]
    starts = np.zeros(batches, np.int64)
    for axis, (extent, stride) in enumerate(zip(batches, strides, strict=True)):
        shape = [extent if axis == other else 1 for other in range(len(batches))]
        starts = starts + np.arange(extent).reshape(shape) * stride
    return ConstantArray(role, as_array(starts.reshape(-1), np.int32))
