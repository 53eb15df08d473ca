"""Convolutions and pools of one or two spatial axes as the kernels' structs describe them; 1-D is 2-D of height 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.ops import AveragePool, Conv, ConvTranspose, MaxPool
from subbyte.compiler.ir.qops import QAveragePool, QConv, QConvTranspose
from subbyte.compiler.ir.qops_codebooks import CodebookConv
from subbyte.compiler.ir.shapes import window_counts
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import ConstantArray, as_array

Convolution = QConv | QConvTranspose | Conv | ConvTranspose | CodebookConv
Pool = MaxPool | AveragePool | QAveragePool


@dataclass(frozen=True)
class Spatial:
    """A pair for every attribute: (height, width)."""

    extents: tuple[int, int]
    results: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    begins: tuple[int, int]
    ends: tuple[int, int]
    dilations: tuple[int, int]


def _pair(values: tuple[int, ...], missing: int) -> tuple[int, int]:
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def spatial(op: Convolution | Pool) -> Spatial:
    """The spatial attributes of an operation of rank 3 or 4."""
    kernel = op.kernel if isinstance(op, Pool) else op.w.type.shape[2:]
    rank = len(kernel)
    return Spatial(
        _pair(op.x.type.shape[2:], 1),
        _pair(op.type.shape[2:], 1),
        _pair(kernel, 1),
        _pair(op.strides, 1),
        _pair(op.pads[:rank], 0),
        _pair(op.pads[rank:], 0),
        _pair(op.dilations, 1),
    )


def is_spatial(of_type: TensorType) -> bool:
    """[N, C, W] or [N, C, H, W]."""
    return of_type.rank in (3, 4)


def counts(op: AveragePool | QAveragePool) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """How many elements count in each window: along the height, along the width; their product is N6's n."""
    s = spatial(op)
    along = (
        window_counts(
            s.extents[i],
            s.results[i],
            s.kernel[i],
            s.strides[i],
            s.begins[i],
            s.ends[i],
            s.dilations[i],
            with_pads=op.count_include_pad,
        )
        for i in (0, 1)
    )
    rows, columns = (np.array(values, np.int32) for values in along)
    return rows, columns


def count_arrays(op: AveragePool | QAveragePool) -> tuple[ConstantArray, ConstantArray]:
    rows, columns = counts(op)
    return ConstantArray("row_counts", as_array(rows, np.int32)), ConstantArray(
        "column_counts", as_array(columns, np.int32)
    )
