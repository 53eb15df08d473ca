"""Rows for elementwise work on codes that share bytes: tables and clamps, N6, the largest of windows, N1 and N2.

A byte of such codes is looked up as it is where operands and results have as many bits: four bits of it are an index of
a table of 16 entries, or two bits of one operand beside two of the other. Every table is the interpreter's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, MaxPool, QuantizeLinear
from subbyte.compiler.ir.qops import Clamp, Lookup, QAdd, QBinary, QMul, QSub
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    Integer,
    Kernel,
    Real,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.arm.kernels_codes import grid_struct, has_reciprocal, is_normal_grid, is_quantized_byte, quant_flip
from subbyte.targets.arm.kernels_pairs import pair_bits, pair_table
from subbyte.targets.arm.kernels_pools import is_pool, max_pool_call, pool_cost
from subbyte.targets.arm.rows import CYCLE, in_order, row
from subbyte.targets.common.binary_forms import Grids
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import pieces, same_order, stored_bits, tensor_types
from subbyte.targets.common.lookup_tables import byte_tables

_CHUNK = 16384
_MOST_STEPS = 15  # of a table of bytes: beyond, codes that do not share bytes are faster
_HEADER = "arm_packed.h"

Table = NDArray[np.uint8]


def _any_packed(op: Node) -> bool:
    return any(stored_bits(of_type) < 8 for of_type in tensor_types(op))


def _call(symbol: str, arguments: Sequence[Argument], elements: int, proof: str) -> Call:
    """A call over all elements, or bytes, in the order in which they are stored."""
    return Call(
        f"subbyte_arm_{symbol}",
        (*arguments, Integer(elements), Integer(_CHUNK), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(elements, _CHUNK),
        proof=proof,
    )


# Tables and clamps ----------------------------------------------------------------------------------------------------


def _table(op: Lookup | Clamp) -> Table:
    """[256]: the code of each byte."""
    if isinstance(op, Clamp):
        return as_array(np.clip(np.arange(256), op.low, op.high), np.uint8)
    return as_array(byte_tables(op)[0].view(np.uint8), np.uint8)


def _is_table(op: Lookup | Clamp) -> bool:
    """One table of codes of a byte each for codes of a byte each, where anything shares bytes."""
    if isinstance(op, Lookup) and (op.axis is not None or op.dtype.numpy.itemsize != 1):
        return False
    return op.x.type.dtype.container_bits == 8 and same_order(op.x.type, op.type) and _any_packed(op)


def _accepts_joined(op: Lookup | Clamp) -> bool:
    return _is_table(op) and stored_bits(op.x.type) == stored_bits(op.type)


def _joined_call(op: Lookup | Clamp) -> Call:
    bits = stored_bits(op.x.type)
    four = np.arange(16)
    codes = _table(op) & (1 << bits) - 1
    low = sum(codes[four >> at & (1 << bits) - 1].astype(np.int64) << at for at in range(0, 4, bits))
    tables = np.array([low, np.left_shift(low, 4)])
    arguments = (operand(op, op.x), ResultPointer(), ConstantArray("table", as_array(tables, np.uint8), "by_four_bits"))
    return _call("lookup_joined", arguments, op.type.bytes, "table")


def _accepts_of_16(op: Lookup) -> bool:
    return _is_table(op) and is_unsigned_byte(op.x.type.dtype) and op.x.type.dtype.bits <= 4


def _of_16_call(op: Lookup) -> Call:
    table = ConstantArray("table", as_array(_table(op)[:16], np.uint8))
    bits = (Integer(stored_bits(op.x.type)), Integer(stored_bits(op.type)))
    return _call("lookup_of_16", (operand(op, op.x), ResultPointer(), table, *bits), op.type.elements, "table")


def _steps(op: Lookup) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """(the result of the lowest code, thresholds, deltas): where the table changes, and by how much.

    Codes are -128..127 here; those of 0..255 are less by 128. All 256 are looked at.
    """
    table = _table(op)[np.arange(-128, 128) & 255 ^ quant_flip(op.x.type)].astype(np.int64)
    places = np.flatnonzero(np.diff(table)) + 1
    return int(table[0]), places - 128, table[places] - table[places - 1]


def _accepts_steps(op: Lookup) -> bool:
    return _is_table(op) and stored_bits(op.x.type) == 8 and len(_steps(op)[1]) <= _MOST_STEPS


def _steps_call(op: Lookup) -> Call:
    first, thresholds, deltas = _steps(op)
    arrays = (
        ConstantArray("thresholds", as_array(thresholds, np.int8)),
        ConstantArray("deltas", as_array(deltas % 256, np.uint8)),
    )
    numbers = map(Integer, (len(thresholds), first, quant_flip(op.x.type), stored_bits(op.type)))
    arguments: tuple[Argument, ...] = (operand(op, op.x), ResultPointer(), *arrays, *numbers)
    return _call(
        "lookup_steps", arguments, op.type.elements, f"{len(thresholds)} steps, equal to the table for all codes"
    )


# Sums, differences and products ---------------------------------------------------------------------------------------


def _has_pairs(op: QBinary) -> bool:
    """Tensors of one shape, stored alike, whose operands have so few codes that a pair is an index of 16 entries."""
    types, bits = (op.a.type, op.b.type, op.type), pair_bits(op)
    few = bits is not None and bits <= 4 and _any_packed(op)
    return few and all(map(is_quantized_byte, types)) and all(same_order(of_type, op.type) for of_type in types)


def _accepts_pairs_joined(op: QBinary) -> bool:
    return _has_pairs(op) and {stored_bits(of_type) for of_type in (op.a.type, op.b.type, op.type)} in ({1}, {2})


def _pairs_joined_call(op: QBinary) -> Call:
    bits, index = stored_bits(op.type), np.arange(16)
    made = pair_table(Grids.of(op), 16).astype(np.int64)  # of a code of a and one of b, beside each other
    if bits == 1:  # two codes of each operand
        first, second = (made[(index >> k & 1) + 2 * (index >> 2 + k & 1)] for k in (0, 1))
        made = first + 2 * second
    tables = np.array([made << 2 * k for k in range(4)])
    table = ConstantArray("table", as_array(tables, np.uint8), "by_four_bits")
    arguments = (operand(op, op.a), operand(op, op.b), ResultPointer(), table)
    return _call("pairs_joined", arguments, op.type.bytes, "N6 by a table of all pairs of codes")


def _pairs_call(op: QBinary) -> Call:
    table = ConstantArray("table", pair_table(Grids.of(op), 16), "pairs16")
    bits = (Integer(stored_bits(of_type)) for of_type in (op.a.type, op.b.type, op.type))
    arguments: tuple[Argument, ...] = (
        operand(op, op.a),
        operand(op, op.b),
        ResultPointer(),
        table,
        Integer(op.a.type.dtype.bits),
        *bits,
    )
    return _call("pairs_of_16", arguments, op.type.elements, "N6 by a table of all pairs of codes")


# The largest of windows -----------------------------------------------------------------------------------------------


def _accepts_max(op: MaxPool, bits: int) -> bool:
    return is_pool(op) and stored_bits(op.x.type) == stored_bits(op.type) == bits


def _max_call(op: MaxPool, bits: int) -> Call:
    return max_pool_call(op, f"subbyte_arm_max_pool_u{bits}", op.x.type.shape[1] * bits // 8)


def _max_cost(op: MaxPool, facts: TargetFacts, bits: int) -> float:
    """An instruction or two for each code of a byte, and all bytes of a register at once."""
    return pool_cost(op, facts, (0.4 + 0.12 * (8 // bits if bits > 1 else 1)) * bits / 8, 1.5 * bits / 8, bits)


# N1 and N2 ------------------------------------------------------------------------------------------------------------


def _accepts_dequantize(op: DequantizeLinear) -> bool:
    packed = stored_bits(op.x.type) < 8 and is_normal_grid(op.x.type)
    return packed and op.type.dtype == FLOAT32 and same_order(op.x.type, op.type)


def _dequantize_call(op: DequantizeLinear) -> Call:
    assert op.x.type.quant is not None
    scale, zero = op.x.type.quant.scalar()
    numbers = (Real(scale), Integer(zero), Integer(stored_bits(op.x.type)))
    return _call("dequantize_packed", (operand(op, op.x), ResultPointer(), *numbers), op.type.elements, "N1 in float32")


def _accepts_quantize(op: QuantizeLinear) -> bool:
    return stored_bits(op.type) < 8 and has_reciprocal(op) and same_order(op.x.type, op.type)


def _quantize_call(op: QuantizeLinear) -> Call:
    numbers = (grid_struct(op.quant), Integer(stored_bits(op.type)))
    return _call("quantize_packed", (operand(op, op.x), ResultPointer(), *numbers), op.type.elements, "N2 in float32")


# The table ------------------------------------------------------------------------------------------------------------


def _cost(
    in_order_cycles: float, out_of_order_cycles: float, each: Callable[[Any], float]
) -> Callable[[Node, TargetFacts], float]:
    """Cycles for each of the codes, bytes or steps that `each` counts."""

    def cost(op: Node, facts: TargetFacts) -> float:
        return (each(op) * (in_order_cycles if in_order(facts) else out_of_order_cycles) + 100) * CYCLE

    return cost


def _elements(op: Node) -> float:
    return float(op.types[0].elements)


def _bytes(op: Node) -> float:
    return float(op.types[0].bytes)


def _cycles(op: Lookup) -> float:
    """For each code: what is done once for 16 of them, and for each step."""
    return op.type.elements * (27 + 12 * len(_steps(op)[1])) / 16


def _rows() -> Iterator[Kernel]:
    anyhow, joined = Storage.ANY, _cost(2.0, 0.8, _bytes)
    for table in (Lookup, Clamp):
        yield row(
            table, "subbyte_arm_lookup_joined", _HEADER, anyhow, _joined_call, _accepts_joined, "u1 u2 u4 -> the same",
            joined, (0,), packed=True,
        )  # fmt: skip
    yield row(
        Lookup, "subbyte_arm_lookup_of_16", _HEADER, anyhow, _of_16_call, _accepts_of_16, "u1 u2 u4 u8 -> b8 u1 u2 u4",
        _cost(2.5, 1.2, _elements), (0,), packed=True,
    )  # fmt: skip
    yield row(
        Lookup, "subbyte_arm_lookup_steps", _HEADER, anyhow, _steps_call, _accepts_steps, "b8 -> u1 u2 u4",
        _cost(1.0, 0.5, _cycles), packed=True,
    )  # fmt: skip
    for operation in (QAdd, QSub, QMul):
        yield row(
            operation, "subbyte_arm_pairs_joined", _HEADER, anyhow, _pairs_joined_call, _accepts_pairs_joined,
            "u1 u1 -> u1, u2 u2 -> u2", _cost(3.0, 1.2, _bytes), (0, 1), packed=True,
        )  # fmt: skip
        yield row(
            operation, "subbyte_arm_pairs_of_16", _HEADER, anyhow, _pairs_call, _has_pairs,
            "u1 u2 u4 u8, u1 u2 u4 u8 -> b8 u1 u2 u4", _cost(4.0, 1.8, _elements), (0, 1), packed=True,
        )  # fmt: skip
    for bits in (1, 2, 4):
        yield row(
            MaxPool, f"subbyte_arm_max_pool_u{bits}", _HEADER, Storage.CHANNELS_LAST, partial(_max_call, bits=bits),
            partial(_accepts_max, bits=bits), f"u{bits} -> u{bits}", partial(_max_cost, bits=bits), packed=True,
        )  # fmt: skip
    yield row(
        DequantizeLinear, "subbyte_arm_dequantize_packed", _HEADER, anyhow, _dequantize_call, _accepts_dequantize,
        "u1 u2 u4 -> f32", _cost(2.0, 1.3, _elements), packed=True,
    )  # fmt: skip
    yield row(
        QuantizeLinear, "subbyte_arm_quantize_packed", _HEADER, anyhow, _quantize_call, _accepts_quantize,
        "f32 -> u1 u2 u4", _cost(4.5, 2.8, _elements), packed=True,
    )  # fmt: skip


ROWS = tuple(_rows())
