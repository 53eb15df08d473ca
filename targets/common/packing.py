"""Weights packed to their real bits: the one definition, whose twin in C is kernels/packed.h.

A row of n codes of b bits, 1 to 8, takes ceil(n * b / 8) bytes. Code i has bits i * b to i * b + b - 1 of its row, the
lowest first; bit j of a row is bit j % 8 of its byte j / 8. For 4 bits that is what ONNX does: the first of two codes
is the low nibble.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.target import ConstantArray, ConstantStruct, Integer, as_array

TABLE_ENTRIES = 16


@dataclass(frozen=True, eq=False)
class Packing:
    """How integers are made of codes: lowest + step * code, or table[code].

    bits: of a code. table: int8 [n], n at most 16; None where the integers are evenly spaced.
    """

    bits: int
    lowest: int
    step: int
    table: NDArray[np.int8] | None = None

    @property
    def layout(self) -> str:
        """What is behind the order of the axes in the id of a layout: 3bit, table4[9]."""
        return f"{self.bits}bit" if self.table is None else f"table{self.bits}[{self.table.size}]"

    def codes(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """The code of each value; it has one."""
        if self.table is None:
            return (values - self.lowest) // self.step
        return np.searchsorted(self.table, values)

    def arrays(self, values: NDArray[np.int64], order: str) -> tuple[ConstantArray, ConstantArray | Integer]:
        """(the packed rows of values [..., n], the table or the null pointer) as a kernel is given them."""
        rows = pack_rows(self.codes(values), self.bits)
        weights = ConstantArray("weights", rows, f"{order}_{self.layout}")
        return weights, Integer(0) if self.table is None else ConstantArray("levels", as_array(self.table, np.int8))

    def struct(self) -> ConstantStruct:
        """The struct subbyte_packing of kernels/packed.h."""
        return ConstantStruct("subbyte_packing", (("bits", self.bits), ("lowest", self.lowest), ("step", self.step)))


def packing_of(values: NDArray[np.int64]) -> Packing | None:
    """The packing of integers -128..127 in the fewest bits, without a table where that is as good.

    None where that is 8 bits, or a value is no byte.
    """
    distinct = np.unique(values)
    if not distinct.size or distinct[0] < -128 or distinct[-1] > 127:
        return None
    lowest = int(distinct[0])
    step = int(np.gcd.reduce(distinct - lowest)) or 1
    evenly = _bits((int(distinct[-1]) - lowest) // step)
    if distinct.size <= TABLE_ENTRIES and (listed := _bits(distinct.size - 1)) < evenly:
        return Packing(listed, 0, 1, as_array(distinct, np.int8))
    return Packing(evenly, lowest, step) if evenly < 8 else None


def _bits(largest: int) -> int:
    """Bits of a code that is at most `largest`."""
    return max(largest.bit_length(), 1)


def pack_rows(codes: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Codes [..., n] as rows of bytes [..., ceil(n * bits / 8)]; what is left of the last byte is 0.

    Raises: GraphError: a code has more bits, or the bits are none of 1 to 8.
    """
    if not 1 <= bits <= 8:
        raise GraphError(f"codes of {bits} bits are not packed; codes of 1 to 8 bits are")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < 1 << bits:
        raise GraphError(f"codes {codes.min()}..{codes.max()} do not fit {bits} bits, which they are to be packed in")
    apart = (codes[..., None].astype(np.uint8) >> np.arange(bits, dtype=np.uint8)) & 1
    rows = apart.reshape(*codes.shape[:-1], codes.shape[-1] * bits)
    return as_array(np.packbits(rows, axis=-1, bitorder="little"), np.uint8)


def unpack_rows(rows: NDArray[np.uint8], bits: int, n: int) -> NDArray[np.int64]:
    """The inverse of `pack_rows`: the n codes of each row."""
    apart = np.unpackbits(rows, axis=-1, count=n * bits, bitorder="little")
    weights = 1 << np.arange(bits, dtype=np.int64)
    return np.asarray(apart.reshape(*rows.shape[:-1], n, bits) @ weights, np.int64)
