"""Rows that make pixels of planes and planes of pixels: Repack and Transpose of bytes, N1 and N2 with either."""

from __future__ import annotations

from functools import partial

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear, Repack, Transpose
from subbyte.compiler.target import Call, Integer, Kernel, Real, ResultPointer, Special, Storage
from subbyte.targets.arm.kernels_codes import grid_struct, has_reciprocal, is_normal_grid, quant_flip
from subbyte.targets.arm.rows import cost_at, row
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import stored_strides
from subbyte.targets.common.planes import Planes, planes

_BLOCK = 16  # pixels, SUBBYTE_ARM_PLANE_PIXELS of kernels/arm_planes.h: tiles are cut between them
_STRUCT = "subbyte_arm_planes"


def _copied(op: Repack | Transpose) -> Planes | None:
    along = stored_strides(op.x.type)
    if isinstance(op, Transpose):
        along = tuple(along[axis] for axis in op.perm)
    return planes(op.x.type, along, op.type)


def _converted(op: QuantizeLinear | DequantizeLinear) -> Planes | None:
    """Planes to pixels for QuantizeLinear, pixels to planes for DequantizeLinear."""
    found = planes(op.x.type, stored_strides(op.x.type), op.type)
    return found if found is None or isinstance(op, QuantizeLinear) else found.turned


def _are_few(found: Planes) -> bool:
    """Whether loads take the bytes of a pixel apart by themselves, planes to be made of them."""
    return 2 <= found.pixels <= 4


def _accepts_copy(op: Repack | Transpose, few: bool) -> bool:
    found = _copied(op)
    return op.type.dtype.numpy.itemsize == 1 and found is not None and _are_few(found) == few


def _copy_call(op: Repack | Transpose, few: bool) -> Call:
    found = _copied(op)
    assert found is not None
    struct, tiles = (found.turned if few else found).struct(_STRUCT, _BLOCK)
    arguments = (operand(op, op.x), ResultPointer(), struct, Special.TILE_BEGIN, Special.TILE_END)
    return Call(_COPIES[few], arguments, tiles=tiles)


_COPIES = {False: "subbyte_arm_transpose_bytes", True: "subbyte_arm_separate_bytes"}


def _accepts_quantize(op: QuantizeLinear) -> bool:
    return has_reciprocal(op) and _converted(op) is not None


def _quantize_call(op: QuantizeLinear) -> Call:
    found = _converted(op)
    assert found is not None
    struct, tiles = found.struct(_STRUCT, _BLOCK)
    numbers = (struct, grid_struct(op.quant))
    arguments = (operand(op, op.x), ResultPointer(), *numbers, Special.TILE_BEGIN, Special.TILE_END)
    return Call("subbyte_arm_quantize_planes", arguments, tiles=tiles, proof="N2 in float32")


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    return is_normal_grid(op.x.type) and op.type.dtype == FLOAT32 and _converted(op) is not None


def _dequantize_call(op: DequantizeLinear) -> Call:
    found = _converted(op)
    assert found is not None
    assert op.x.type.quant is not None
    struct, tiles = found.struct(_STRUCT, _BLOCK)
    scale, zero = op.x.type.quant.scalar()
    numbers = (struct, Real(scale), Integer(zero), Integer(quant_flip(op.x.type)))
    arguments = (operand(op, op.x), ResultPointer(), *numbers, Special.TILE_BEGIN, Special.TILE_END)
    return Call("subbyte_arm_dequantize_pixels", arguments, tiles=tiles, proof="N1 in float32")


_COPYING: tuple[type[Node], ...] = (Repack, Transpose)

ROWS: tuple[Kernel, ...] = (
    *(
        row(
            op, symbol, "arm_planes.h", Storage.ANY, partial(_copy_call, few=few), partial(_accepts_copy, few=few),
            "bytes -> the same", cost_at(1.0, 0.7),
        )
        for op in _COPYING
        for few, symbol in _COPIES.items()
    ),
    row(
        QuantizeLinear, "subbyte_arm_quantize_planes", "arm_planes.h", Storage.ANY, _quantize_call, _accepts_quantize,
        "f32 -> b8, pixels", cost_at(4.5, 3.0),
    ),
    row(
        DequantizeLinear, "subbyte_arm_dequantize_pixels", "arm_planes.h", Storage.ANY, _dequantize_call,
        _accepts_dequantize, "b8, pixels -> f32", cost_at(3.0, 2.0),
    ),
)  # fmt: skip
