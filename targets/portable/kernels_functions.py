"""Rows for functions of codes in integers alone: normalizations, softmax of wide codes, piecewise functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops_functions import (
    QLayerNormalization,
    QNormalization,
    QPiecewise,
    QRMSNormalization,
    QWideSoftmax,
)
from subbyte.compiler.numerics.softmax import softmax_reciprocal
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    as_array,
)
from subbyte.targets.common.c_types import is_short_code, type_code
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import around, is_row_major, pieces, same_order
from subbyte.targets.common.spans import CHUNK
from subbyte.targets.portable.rows import row

HEADER = "integer_functions.h"


def _grid_fields(op: QNormalization | QWideSoftmax | QPiecewise) -> tuple[tuple[str, int], ...]:
    """What ends the structs of all three: the zero point and the range of the result."""
    return (("zero_point", op.quant.scalar()[1]), ("qmin", op.quant.qmin), ("qmax", op.quant.qmax))


def _accepts_normalization(op: QNormalization) -> bool:
    return is_short_code(op.dtype) and is_row_major(op.x.type) and is_row_major(op.type)


def _normalization_call(op: QNormalization) -> Call:
    constants = op.constants
    fields = (
        ("x_type", type_code(op.x.type.dtype)),
        ("y_type", type_code(op.dtype)),
        ("n", constants.n),
        ("centred", int(constants.centred)),
        ("x_zero_point", constants.input_zero_point),
        ("epsilon_whole", constants.epsilon_whole),
        ("epsilon_part", constants.epsilon_part),
        ("f", constants.f),
        ("h", constants.h),
        *_grid_fields(op),
    )
    name = "LayerNormalization" if constants.centred else "RMSNormalization"
    return Call(
        "subbyte_normalize_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("gain", as_array(constants.gain, np.int32)),
            ConstantArray("offset", as_array(constants.offset, np.int64)),
            ConstantStruct("subbyte_normalized_rows", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=op.type.elements // constants.n,
        proof=_within(f"integer {name}", constants.tolerance),
    )


def _within(name: str, tolerance: float) -> str:
    """What a tolerance before the last rounding says of the codes."""
    return f"{name}, at most 1 step from the real one, equal where that is more than {tolerance:.1e} steps from a tie"


def _accepts_softmax(op: QWideSoftmax) -> bool:
    return is_short_code(op.dtype) and same_order(op.x.type, op.type)


def _softmax_call(op: QWideSoftmax) -> Call:
    outer, extent, inner = around(op.x.type, op.axis)
    m, k = softmax_reciprocal(op.quant.scalar()[0])
    fields = (
        ("x_type", type_code(op.x.type.dtype)),
        ("y_type", type_code(op.dtype)),
        ("extent", extent),
        ("inner", inner),
        ("m", m),
        ("k", k),
        *_grid_fields(op),
    )
    return Call(
        "subbyte_softmax_of_wide_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("exponentials", as_array(op.tables, np.uint32)),
            ConstantStruct("subbyte_wide_softmax", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=outer * inner,
        proof=_within("integer Softmax", op.tolerance),
    )


def _accepts_piecewise(op: QPiecewise) -> bool:
    return is_short_code(op.dtype) and same_order(op.x.type, op.type)


def _piecewise_call(op: QPiecewise) -> Call:
    elements, codes = op.x.type.elements, 1 << op.x.type.dtype.bits
    fields = (
        ("x_type", type_code(op.x.type.dtype)),
        ("y_type", type_code(op.dtype)),
        ("lowest", op.x.type.dtype.min),
        *_grid_fields(op),
        ("elements", elements),
        ("chunk", CHUNK),
    )
    return Call(
        "subbyte_piecewise_of_codes",
        (
            operand(op, op.x),
            ResultPointer(),
            ConstantArray("segments", as_array(op.segments, np.int32)),
            ConstantArray("coefficients", as_array(op.coefficients, np.int32)),
            ConstantStruct("subbyte_piecewise", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
        ),
        tiles=pieces(elements, CHUNK),
        proof=f"{len(op.coefficients)} parabolas in {op.pieces.bytes} bytes, at most {op.steps} "
        f"step{'s' * (op.steps != 1)} from the float operations: all {codes} codes compared, {op.differing} differ",
    )


def _rows() -> Iterator[Kernel]:
    normalizations: tuple[type[Node], ...] = (QLayerNormalization, QRMSNormalization)
    for op in normalizations:
        yield row(
            op, "subbyte_normalize_codes", HEADER, Storage.ROW_MAJOR, _normalization_call, _accepts_normalization,
            "codes of up to 16 bits -> codes", (0,),
        )  # fmt: skip
    yield row(
        QWideSoftmax, "subbyte_softmax_of_wide_codes", HEADER, Storage.ANY, _softmax_call, _accepts_softmax,
        "codes of up to 16 bits -> codes", (0,),
    )  # fmt: skip
    yield row(
        QPiecewise, "subbyte_piecewise_of_codes", HEADER, Storage.ANY, _piecewise_call, _accepts_piecewise,
        "codes of 9 to 16 bits -> codes", (0,),
    )  # fmt: skip


ROWS = tuple(_rows())
