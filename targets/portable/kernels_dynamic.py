"""Rows for quantization at run time: DynamicRange, DynamicQuantize, Centre."""

from __future__ import annotations

from subbyte.compiler.ir.qops_dynamic import Centre, DynamicQuantize, DynamicRange
from subbyte.compiler.target import Call, Integer, ResultPointer, Special, Storage
from subbyte.targets.common.c_types import type_code
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import pieces, same_order
from subbyte.targets.common.spans import CHUNK
from subbyte.targets.portable.rows import row


def _range_call(op: DynamicRange) -> Call:
    results = (ResultPointer(0), ResultPointer(1))
    return Call("subbyte_dynamic_range", (operand(op, op.x), *results, Integer(op.x.type.elements)))


def _quantize_call(op: DynamicQuantize) -> Call:
    elements = op.type.elements
    return Call(
        "subbyte_dynamic_quantize",
        (
            operand(op, op.x),
            operand(op, op.scale),
            operand(op, op.zero_point),
            ResultPointer(),
            Integer(elements),
            Integer(CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(elements, CHUNK),
    )


def _centre_call(op: Centre) -> Call:
    elements = op.type.elements
    return Call(
        "subbyte_centre_codes",
        (
            operand(op, op.x),
            operand(op, op.zero_point),
            ResultPointer(),
            Integer(type_code(op.x.type.dtype)),
            Integer(elements),
            Integer(CHUNK),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(elements, CHUNK),
    )


def _is_stored_alike(op: DynamicQuantize | Centre) -> bool:
    return same_order(op.x.type, op.type)


ROWS = (
    row(
        DynamicRange, "subbyte_dynamic_range", "dynamic.h", Storage.ANY, _range_call, lambda op: True,
        "f32 -> scale and zero point of u8",
    ),
    row(
        DynamicQuantize, "subbyte_dynamic_quantize", "dynamic.h", Storage.ANY, _quantize_call, _is_stored_alike,
        "f32, scale and zero point at run time -> u8",
    ),
    row(
        Centre, "subbyte_centre_codes", "dynamic.h", Storage.ANY, _centre_call, _is_stored_alike,
        "u8 s8, zero point at run time -> s16",
    ),
)  # fmt: skip
