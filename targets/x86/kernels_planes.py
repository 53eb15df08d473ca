"""Rows that make pixels of planes: Repack and Transpose of bytes, QuantizeLinear and DequantizeLinear with either."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear, Repack, Transpose
from subbyte.compiler.target import Call, Integer, Kernel, Real, ResultPointer, Special, Storage
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import stored_strides
from subbyte.targets.common.planes import Planes, planes
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import cost_at, is_unsigned_grid, row

_STRUCT = "subbyte_x86_planes"  # of kernels/x86_planes.h
_BLOCK = 64  # pixels, SUBBYTE_X86_PIXELS of kernels/x86_planes.h: tiles are cut between them


def _copied(op: Repack | Transpose) -> Planes | None:
    along = stored_strides(op.x.type)
    if isinstance(op, Transpose):
        along = tuple(along[axis] for axis in op.perm)
    return planes(op.x.type, along, op.type)


def _converted(op: QuantizeLinear | DequantizeLinear) -> Planes | None:
    """Planes to pixels for QuantizeLinear, pixels to planes for DequantizeLinear."""
    found = planes(op.x.type, stored_strides(op.x.type), op.type)
    return found if found is None or isinstance(op, QuantizeLinear) else found.turned


def _accepts_copy(op: Repack | Transpose) -> bool:
    return op.type.dtype.numpy.itemsize == 1 and _copied(op) is not None


def _copy_call(op: Repack | Transpose) -> Call:
    found = _copied(op)
    assert found is not None
    struct, tiles = found.struct(_STRUCT, _BLOCK)
    arguments = (operand(op, op.x), ResultPointer(), struct, Special.TILE_BEGIN, Special.TILE_END)
    return Call("subbyte_x86_transpose_bytes", arguments, tiles=tiles)


def _accepts_quantize(op: QuantizeLinear) -> bool:
    plain = op.rounding == "HALF_EVEN" and not op.zero_point_first
    return plain and op.x.type.dtype == FLOAT32 and is_unsigned_grid(op.type) and _converted(op) is not None


def _quantize_call(op: QuantizeLinear, isa: str) -> Call:
    found = _converted(op)
    assert found is not None
    struct, tiles = found.struct(_STRUCT, _BLOCK)
    scale, zero = op.quant.scalar()
    return Call(
        f"subbyte_x86_quantize_planes_u8_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            struct,
            Real(scale),
            Integer(zero),
            Integer(op.quant.qmin),
            Integer(op.quant.qmax),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
        proof="N2 in float32",
    )


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    has_scale = op.x.type.quant is not None and is_unsigned_grid(op.x.type)
    return has_scale and op.type.dtype == FLOAT32 and _converted(op) is not None


def _dequantize_call(op: DequantizeLinear, isa: str) -> Call:
    found = _converted(op)
    assert found is not None
    assert op.x.type.quant is not None
    struct, tiles = found.struct(_STRUCT, _BLOCK)
    scale, zero = op.x.type.quant.scalar()
    return Call(
        f"subbyte_x86_dequantize_pixels_u8_{isa}",
        (
            operand(op, op.x),
            ResultPointer(),
            struct,
            Real(scale),
            Integer(zero),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=tiles,
        proof="N1 in float32",
    )


def _rows() -> Iterator[Kernel]:
    anyhow = Storage.ANY
    copied: tuple[type[Node], ...] = (Repack, Transpose)
    for op in copied:
        yield row(
            op, "subbyte_x86_transpose_bytes", "x86_planes.h", anyhow, _copy_call, _accepts_copy,
            "bytes -> the same", REGISTERS["avx2"].features, cost_at(8.0),
        )  # fmt: skip
    for isa, registers in REGISTERS.items():
        header, features, cost = f"x86_planes_{isa}.h", registers.features, cost_at(registers.bytes * 0.45)
        yield row(
            QuantizeLinear, f"subbyte_x86_quantize_planes_u8_{isa}", header, anyhow,
            partial(_quantize_call, isa=isa), _accepts_quantize, "f32 -> u8, pixels", features, cost,
        )  # fmt: skip
        yield row(
            DequantizeLinear, f"subbyte_x86_dequantize_pixels_u8_{isa}", header, anyhow,
            partial(_dequantize_call, isa=isa), _accepts_dequantize, "u8, pixels -> f32", features, cost,
        )  # fmt: skip


ROWS = tuple(_rows())
