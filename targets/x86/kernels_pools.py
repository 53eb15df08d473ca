"""Rows for pools of bytes, channels last: MaxPool and QAveragePool."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from subbyte.compiler.ir.ops import MaxPool
from subbyte.compiler.ir.qops import QAveragePool
from subbyte.compiler.target import Call, ConstantStruct, Kernel, ResultPointer, Special, Storage
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import is_channels_last, stored_bits
from subbyte.targets.common.windows import Pool, count_arrays, is_spatial, spatial
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, is_unsigned_grid, row


def _struct(op: Pool) -> ConstantStruct:
    """The struct subbyte_x86_pool of kernels/x86_pool.h."""
    s = spatial(op)
    return ConstantStruct(
        "subbyte_x86_pool",
        (
            ("height", s.extents[0]),
            ("width", s.extents[1]),
            ("channels", op.x.type.shape[1]),
            ("out_height", s.results[0]),
            ("out_width", s.results[1]),
            ("kernel_height", s.kernel[0]),
            ("kernel_width", s.kernel[1]),
            ("stride_height", s.strides[0]),
            ("stride_width", s.strides[1]),
            ("dilation_height", s.dilations[0]),
            ("dilation_width", s.dilations[1]),
            ("pad_top", s.begins[0]),
            ("pad_left", s.begins[1]),
            ("x_bits", stored_bits(op.x.type)),
            ("y_bits", stored_bits(op.type)),
        ),
    )


def _is_pool(op: Pool) -> bool:
    return is_spatial(op.x.type) and is_channels_last(op.x.type) and is_channels_last(op.type)


def _tiles(op: Pool) -> int:
    return op.type.shape[0] * spatial(op).results[0]


def _max_call(op: MaxPool, isa: str) -> Call:
    return Call(
        f"subbyte_x86_max_pool_u8_{isa}",
        (operand(op, op.x), ResultPointer(), _struct(op), Special.TILE_BEGIN, Special.TILE_END),
        tiles=_tiles(op),
    )


def _accepts_max(op: MaxPool) -> bool:
    return is_unsigned_byte(op.type.dtype) and _is_pool(op) and stored_bits(op.x.type) == stored_bits(op.type)


def _accepts_average(op: QAveragePool) -> bool:
    grids = op.x.type.quant is not None and is_unsigned_grid(op.x.type) and is_unsigned_grid(op.type)
    return grids and _is_pool(op) and math.prod(op.kernel) <= 1 << 23


def _average_call(op: QAveragePool, isa: str) -> Call:
    assert op.x.type.quant is not None
    (x_scale, x_zero), (y_scale, y_zero) = op.x.type.quant.scalar(), op.quant.scalar()
    average = ConstantStruct(
        "subbyte_x86_average",
        (
            ("x_scale", x_scale),
            ("y_scale", y_scale),
            ("x_zero", x_zero),
            ("y_zero", y_zero),
            ("qmin", op.quant.qmin),
            ("qmax", op.quant.qmax),
        ),
    )
    return Call(
        f"subbyte_x86_average_pool_u8_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            *count_arrays(op),
            _struct(op),
            average,
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=_tiles(op),
        proof="N6 in float32",
    )


def _rows() -> Iterator[Kernel]:
    last = Storage.CHANNELS_LAST
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_pool_{isa}.h", registers.features, cost_at(registers.bytes / 16)
        largest = cost_at(registers.bytes * 2)
        yield row(
            MaxPool, f"subbyte_x86_max_pool_u8_{isa}", header, last, partial(_max_call, isa=isa),
            _accepts_max, "u8 -> u8", features, largest, packed=True,
        )  # fmt: skip
        yield row(
            QAveragePool, f"subbyte_x86_average_pool_u8_{isa}", header, last,
            partial(_average_call, isa=isa), _accepts_average, "u8 -> u8", features, cost,
            packed=True,
        )  # fmt: skip


ROWS = tuple(_rows())
