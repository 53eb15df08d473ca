"""Rows for pools of bytes, channels last: MaxPool, QAveragePool, and QReduceMean and QReduceSum over pixels."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from subbyte.compiler.ir.ops import MaxPool
from subbyte.compiler.ir.qops import QAveragePool, QReduce, QReduceMean, QReduceSum
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.arm.kernels_codes import is_quantized_byte, quant_flip
from subbyte.targets.arm.rows import CYCLE, in_order, is_byte, row
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import is_channels_last, merge, stored_strides
from subbyte.targets.common.windows import Pool, count_arrays, is_spatial, spatial

_LONGEST = 1 << 23  # elements of a window, whose sum fits 32 bits


def _struct(**fields: int) -> ConstantStruct:
    """The struct subbyte_arm_pool of kernels/arm_pool.h; what is not given is 1 for steps, and 0 else."""
    plain = {"stride_height": 1, "stride_width": 1, "dilation_height": 1, "dilation_width": 1}
    names = (
        "height", "width", "channels", "out_height", "out_width", "kernel_height", "kernel_width", "stride_height",
        "stride_width", "dilation_height", "dilation_width", "pad_top", "pad_left",
    )  # fmt: skip
    given = {**plain, **fields}
    return ConstantStruct("subbyte_arm_pool", tuple((name, given.get(name, 0)) for name in names))


def _pool_struct(op: Pool, pixel_bytes: int | None = None) -> ConstantStruct:
    s = spatial(op)
    return _struct(
        height=s.extents[0],
        width=s.extents[1],
        channels=op.x.type.shape[1] if pixel_bytes is None else pixel_bytes,
        out_height=s.results[0],
        out_width=s.results[1],
        kernel_height=s.kernel[0],
        kernel_width=s.kernel[1],
        stride_height=s.strides[0],
        stride_width=s.strides[1],
        dilation_height=s.dilations[0],
        dilation_width=s.dilations[1],
        pad_top=s.begins[0],
        pad_left=s.begins[1],
    )


def _average(x: TensorType, y: QuantParams) -> ConstantStruct:
    """The struct subbyte_arm_average."""
    assert x.quant is not None
    (x_scale, x_zero), (y_scale, y_zero), flip = x.quant.scalar(), y.scalar(), quant_flip(x)
    return ConstantStruct(
        "subbyte_arm_average",
        (
            ("x_scale", x_scale),
            ("y_scale", y_scale),
            ("flip", flip),
            ("x_zero", x_zero - flip),
            ("y_zero", y_zero),
            ("qmin", y.qmin),
            ("qmax", y.qmax),
        ),
    )


def is_pool(op: Pool) -> bool:
    return is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)


def _tiles(op: Pool) -> int:
    return op.type.shape[0] * spatial(op).results[0]


def _max_symbol(op: MaxPool) -> str:
    return f"subbyte_arm_max_pool_{'u' if is_unsigned_byte(op.type.dtype) else 's'}8"


def _accepts_max(op: MaxPool, sign: str) -> bool:
    return is_byte(op.type) and is_pool(op) and _max_symbol(op).endswith(f"{sign}8")


def max_pool_call(op: MaxPool, symbol: str, pixel_bytes: int) -> Call:
    """A call of a kernel that steps through bytes; codes of a pixel may share them."""
    geometry = _pool_struct(op, pixel_bytes)
    arguments = (operand(op, op.x), ResultPointer(), geometry, Special.TILE_BEGIN, Special.TILE_END)
    return Call(symbol, arguments, tiles=_tiles(op))


def _max_call(op: MaxPool) -> Call:
    return max_pool_call(op, _max_symbol(op), op.x.type.shape[1])


def _accepts_average(op: QAveragePool) -> bool:
    return (
        is_quantized_byte(op.x.type) and is_quantized_byte(op.type) and is_pool(op) and math.prod(op.kernel) <= _LONGEST
    )


def _average_call(op: QAveragePool) -> Call:
    return Call(
        "subbyte_arm_average_pool",
        (
            operand(op, op.x),
            ResultPointer(),
            *count_arrays(op),
            _pool_struct(op),
            _average(op.x.type, op.quant),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=_tiles(op),
        proof="N6 in float32",
    )


def _pixels(op: QReduce) -> tuple[int, int, int] | None:
    """(images, pixels, channels) where x is stored so, the pixels are what is reduced, and the result is the rest."""
    along, x = stored_strides(op.x.type), op.x.type
    order = x.order
    loops = merge(
        [x.shape[axis] for axis in order],
        [[along[axis] for axis in order], [0 if axis in op.axes else along[axis] for axis in order]],
    )
    steps = list(zip(loops.extents, loops.strides[1], strict=True))
    if len(steps) == 2:
        steps = [(1, x.elements), *steps]
    if len(steps) != 3 or [step == 0 for _, step in steps] != [False, True, False]:
        return None
    kept = [axis for axis in range(x.rank) if axis not in op.axes]
    stored = [axis for axis in order if axis in kept and x.shape[axis] != 1]
    results = kept if not op.keepdims else list(range(x.rank))
    same = [results[axis] for axis in op.type.order if op.type.shape[axis] != 1]
    return None if stored != same else (steps[0][0], steps[1][0], steps[2][0])


def _accepts_reduction(op: QReduce) -> bool:
    if not is_quantized_byte(op.x.type) or not is_quantized_byte(op.type):
        return False
    found = _pixels(op)
    return found is not None and found[1] <= _LONGEST


def _reduce_call(op: QReduce) -> Call:
    found = _pixels(op)
    assert found is not None
    images, pixels, channels = found
    counts = (1, pixels if isinstance(op, QReduceMean) else 1)  # a sum is a mean of one
    rows, columns = (as_array(np.array([count]), np.int32) for count in counts)
    window = _struct(
        height=1, width=pixels, channels=channels, out_height=1, out_width=1, kernel_height=1, kernel_width=pixels
    )
    return Call(
        "subbyte_arm_average_pool",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("row_counts", rows),
            ConstantArray("column_counts", columns),
            window,
            _average(op.x.type, op.quant),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=images,
        proof="N6 in float32",
    )


def pool_cost(op: Pool | QReduce, facts: TargetFacts, of_code: float, of_result: float, bits: int = 8) -> float:
    """By codes read, taken as often as there are windows with them, and by results; part blocks as whole ones.

    bits: of a code in memory, of which a block has 16 bytes.
    """
    if isinstance(op, QReduce):
        read, channels = op.x.type.elements, 16
    else:
        read, channels = op.type.elements * math.prod(op.kernel), op.x.type.shape[1]
    pixel = channels * bits // 8
    waste = 16 * math.ceil(pixel / 16) / pixel * (1 if pixel >= 8 else 2)
    slower = 1.0 if in_order(facts) else 0.6
    return ((read * of_code + op.type.elements * of_result) * waste * slower + 100) * CYCLE


ROWS: tuple[Kernel, ...] = (
    *(
        row(
            MaxPool, f"subbyte_arm_max_pool_{sign}8", "arm_pool.h", Storage.CHANNELS_LAST, _max_call,
            partial(_accepts_max, sign=sign), f"{sign}8 -> {sign}8", partial(pool_cost, of_code=0.4, of_result=1.5),
        )
        for sign in "us"
    ),
    row(
        QAveragePool, "subbyte_arm_average_pool", "arm_pool.h", Storage.CHANNELS_LAST, _average_call,
        _accepts_average, "b8 -> b8", partial(pool_cost, of_code=0.5, of_result=12.0),
    ),
    *(
        row(
            op, "subbyte_arm_average_pool", "arm_pool.h", Storage.ANY, _reduce_call, _accepts_reduction,
            "b8 -> b8, over pixels", partial(pool_cost, of_code=0.5, of_result=12.0),
        )
        for op in (QReduceMean, QReduceSum)
    ),
)  # fmt: skip
