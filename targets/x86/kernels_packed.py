"""Rows for elementwise work on codes that share bytes: Lookup, QAdd, QSub and QMul.

A byte of such codes is looked up as it is where operands and results have as many bits: four bits of it are an index of
a table of 16 entries, or two bits of one operand beside two of the other. Every table is the interpreter's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import Lookup, QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.binary_forms import Grids
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import operand
from subbyte.targets.common.geometry import pieces, same_order, stored_bits, tensor_types
from subbyte.targets.common.lookup_tables import byte_tables
from subbyte.targets.x86.forms import form_of
from subbyte.targets.x86.kernels_codes import binary_struct
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import is_unsigned_grid, row, sharing_seconds

_CHUNK = 16384
_MOST_STEPS = 15  # of a table of bytes: beyond, codes that do not share bytes are faster
_PAIR = 4  # codes of an operand that two bits hold

Table = NDArray[np.uint8]


def _any_packed(op: Node) -> bool:
    return any(stored_bits(of_type) < 8 for of_type in tensor_types(op))


def _call(symbol: str, arguments: Sequence[Argument], elements: int, proof: str) -> Call:
    """A call over all elements, or bytes, in the order in which they are stored."""
    return Call(
        symbol,
        (*arguments, Integer(elements), Integer(_CHUNK), Special.TILE_BEGIN, Special.TILE_END),
        tiles=pieces(elements, _CHUNK),
        proof=proof,
    )


# Lookup ---------------------------------------------------------------------------------------------------------------


def _is_table(op: Lookup) -> bool:
    """One table of unsigned bytes for codes that are unsigned bytes, where anything shares bytes."""
    bytes_only = is_unsigned_byte(op.x.type.dtype) and is_unsigned_byte(op.dtype)
    return bytes_only and op.axis is None and same_order(op.x.type, op.type) and _any_packed(op)


def _table(op: Lookup) -> Table:
    """[256]: the code of each code."""
    return np.asarray(byte_tables(op)[0], np.uint8)


def _accepts_joined(op: Lookup) -> bool:
    return _is_table(op) and stored_bits(op.x.type) == stored_bits(op.type)


def _joined_call(op: Lookup, isa: str) -> Call:
    bits = stored_bits(op.x.type)
    four = np.arange(16)
    codes = _table(op) & (1 << bits) - 1
    low = sum(codes[four >> at & (1 << bits) - 1].astype(np.int64) << at for at in range(0, 4, bits))
    tables = np.array([low, np.left_shift(low, 4)])
    arguments = (operand(op, op.x), ResultPointer(), ConstantArray("table", as_array(tables, np.uint8), "by_four_bits"))
    return _call(f"subbyte_x86_lookup_joined_{isa}", arguments, op.type.bytes, "table")


def _accepts_of_16(op: Lookup) -> bool:
    return _is_table(op) and op.x.type.dtype.bits <= 4


def _of_16_call(op: Lookup, isa: str) -> Call:
    table = ConstantArray("table", as_array(_table(op)[:16], np.uint8))
    bits = (Integer(stored_bits(op.x.type)), Integer(stored_bits(op.type)))
    arguments = (operand(op, op.x), ResultPointer(), table, *bits)
    return _call(f"subbyte_x86_lookup_of_16_{isa}", arguments, op.type.elements, "table")


def _steps(op: Lookup) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(thresholds, deltas): the codes at which the table changes, and by how much; all 256 codes are looked at."""
    table = _table(op).astype(np.int64)
    thresholds = np.flatnonzero(np.diff(table)) + 1
    return thresholds, table[thresholds] - table[thresholds - 1]


def _accepts_steps(op: Lookup) -> bool:
    return _is_table(op) and stored_bits(op.x.type) == 8 and len(_steps(op)[0]) <= _MOST_STEPS


def _steps_call(op: Lookup, isa: str) -> Call:
    thresholds, deltas = _steps(op)
    arrays = (
        ConstantArray("thresholds", as_array(thresholds, np.uint8)),
        ConstantArray("deltas", as_array(deltas % 256, np.uint8)),
    )
    numbers = map(Integer, (len(thresholds), int(_table(op)[0]), stored_bits(op.type)))
    arguments: tuple[Argument, ...] = (operand(op, op.x), ResultPointer(), *arrays, *numbers)
    proof = f"{len(thresholds)} steps, equal to the table for all codes"
    return _call(f"subbyte_x86_lookup_steps_{isa}", arguments, op.type.elements, proof)


# Sums, differences and products ---------------------------------------------------------------------------------------


def _types(op: QBinary) -> tuple[TensorType, TensorType, TensorType]:
    return op.a.type, op.b.type, op.type


def _is_binary(op: QBinary) -> bool:
    """Tensors of one shape, stored alike, of unsigned bytes with a scale."""
    types = _types(op)
    grids = all(of_type.quant is not None and is_unsigned_grid(of_type) for of_type in types)
    return grids and all(same_order(of_type, op.type) for of_type in types)


def _has_pairs(op: QBinary) -> bool:
    """Both operands have so few codes that a pair of them is an index of 16 entries."""
    return all(of_type.code_range()[1] < _PAIR for of_type in (op.a.type, op.b.type))


def _pairs(op: QBinary) -> NDArray[np.int64]:
    """[16]: the result at a + 4 * b, by the interpreter; 0 for what is no pair of codes."""
    a, b, y = Grids.of(op).all_pairs()
    table = np.zeros((_PAIR, _PAIR), np.int64)
    table[b.ravel()[:, None], a.ravel()[None, :]] = y.T
    return table.ravel()


def _accepts_pairs_joined(op: QBinary) -> bool:
    bits = {stored_bits(of_type) for of_type in _types(op)}
    return _is_binary(op) and _has_pairs(op) and bits in ({1}, {2})


def _pairs_joined_call(op: QBinary, isa: str) -> Call:
    bits, index, pairs = stored_bits(op.type), np.arange(16), _pairs(op)
    made = pairs
    if bits == 1:  # two codes of each operand
        first, second = (pairs[(index >> k & 1) + _PAIR * (index >> 2 + k & 1)] for k in (0, 1))
        made = first + 2 * second
    tables = np.array([made << 2 * k for k in range(4)])
    arguments: tuple[Argument, ...] = (
        operand(op, op.a),
        operand(op, op.b),
        ResultPointer(),
        ConstantArray("table", as_array(tables, np.uint8), "by_four_bits"),
    )
    return _call(f"subbyte_x86_pairs_joined_{isa}", arguments, op.type.bytes, "table of all pairs of codes")


def _accepts_packed(op: QBinary) -> bool:
    return _is_binary(op) and _any_packed(op)


def _bits(op: QBinary) -> Iterator[Integer]:
    return (Integer(stored_bits(of_type)) for of_type in _types(op))


def _accepts_pairs(op: QBinary) -> bool:
    return _is_binary(op) and _has_pairs(op)


def _pairs_call(op: QBinary, isa: str) -> Call:
    table = ConstantArray("table", as_array(_pairs(op), np.uint8))
    arguments: tuple[Argument, ...] = (operand(op, op.a), operand(op, op.b), ResultPointer(), table, *_bits(op))
    return _call(f"subbyte_x86_pairs_of_16_{isa}", arguments, op.type.elements, "table of all pairs of codes")


def _binary_call(op: QBinary, isa: str) -> Call:
    arguments: tuple[Argument, ...] = (
        operand(op, op.a),
        operand(op, op.b),
        ResultPointer(),
        binary_struct(op),
        *_bits(op),
    )
    return _call(f"subbyte_x86_binary_packed_{isa}", arguments, op.type.elements, form_of(Grids.of(op)).proof)


# The table ------------------------------------------------------------------------------------------------------------


def _cost(codes_per_ns: float, op: Node, facts: TargetFacts) -> float:
    """Seconds at this rate for results; taking codes apart and putting them together is counted for each tensor."""
    del facts
    shared = sum(map(sharing_seconds, tensor_types(op)))
    return op.types[0].elements / codes_per_ns * 1e-9 + shared


def _joined_cost(bytes_per_ns: float, op: Node, facts: TargetFacts) -> float:
    """Seconds at this rate for results, whose codes are not taken apart."""
    del facts
    return op.types[0].bytes / bytes_per_ns * 1e-9


_UNARY = (  # bytes of results a nanosecond are those of a register, times the last
    ("lookup_joined", _joined_call, _accepts_joined, "u1 u2 u4 -> the same", (0,), 1.6),
    ("lookup_of_16", _of_16_call, _accepts_of_16, "u1 u2 u4 -> u1 u2 u4 u8", (0,), 2.0),
    ("lookup_steps", _steps_call, _accepts_steps, "u8 -> u1 u2 u4", (), 1.0),
)
_BINARY = (
    ("pairs_joined", _pairs_joined_call, _accepts_pairs_joined, "u1 u1 -> u1, u2 u2 -> u2", (0, 1), 0.6),
    ("pairs_of_16", _pairs_call, _accepts_pairs, "u1 u2 u8, u1 u2 u8 -> u1 u2 u4 u8", (0, 1), 1.6),
    ("binary_packed", _binary_call, _accepts_packed, "u1 u2 u4 u8, u1 u2 u4 u8 -> u1 u2 u4 u8", (0, 1), 0.33),
)


def _rows() -> Iterator[Kernel]:
    for isa, registers in REGISTERS.items():
        for operations, kinds in (((Lookup,), _UNARY), ((QAdd, QSub, QMul), _BINARY)):
            for op in operations:
                for stem, call, accepts, operands, places, share in kinds:
                    cost = _joined_cost if stem.endswith("joined") else _cost
                    yield row(
                        op, f"subbyte_x86_{stem}_{isa}", f"x86_packed_codes_{isa}.h", Storage.ANY,
                        partial(call, isa=isa), accepts, operands, registers.features,
                        partial(cost, registers.bytes * share), places, packed=True,
                    )  # fmt: skip


ROWS = tuple(_rows())
