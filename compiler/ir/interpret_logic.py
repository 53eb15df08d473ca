"""What comparisons, selection, bits and remainders mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT64
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir import exact, ops_logic
from subbyte.compiler.ir.interpret_registry import interprets

Array = NDArray[Any]


@interprets(ops_logic.Compare)
def compare(node: ops_logic.Compare, a: Array, b: Array) -> Array:
    match node.relation:
        case "equal":
            return np.equal(a, b)
        case "less":
            return np.less(a, b)
    return np.less_equal(a, b)


@interprets(ops_logic.Where)
def select(node: ops_logic.Where, condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


@interprets(ops_logic.BitAnd)
def bit_and(node: ops_logic.BitAnd, a: Array, b: Array) -> Array:
    return np.bitwise_and(a, b)


@interprets(ops_logic.BitOr)
def bit_or(node: ops_logic.BitOr, a: Array, b: Array) -> Array:
    return np.bitwise_or(a, b)


@interprets(ops_logic.BitXor)
def bit_xor(node: ops_logic.BitXor, a: Array, b: Array) -> Array:
    return np.bitwise_xor(a, b)


@interprets(ops_logic.ShiftLeft)
def shift_left(node: ops_logic.ShiftLeft, a: Array, b: Array) -> Array:
    dtype = node.type.dtype
    inside = (b >= 0) & (b < dtype.bits)
    wide = np.uint64 if dtype.kind == "uint" else np.int64
    shifted = np.left_shift(a.astype(wide), np.where(inside, b, 0).astype(wide))
    return exact.wrap(np.where(inside, shifted, 0), dtype)


@interprets(ops_logic.ShiftRight)
def shift_right(node: ops_logic.ShiftRight, a: Array, b: Array) -> Array:
    inside = (b >= 0) & (b < node.type.dtype.bits)
    return np.where(
        inside, np.right_shift(a, np.where(inside, b, 0).astype(b.dtype)), np.where(a < 0, -1, 0).astype(a.dtype)
    )


@interprets(ops_logic.Mod)
def modulo(node: ops_logic.Mod, a: Array, b: Array) -> Array:
    """A remainder that is not 0 and whose sign is not that of b moves by one b."""
    rest = remainder(node, a, b)
    if not node.type.dtype.is_float:
        return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
    divisor = b if node.type.dtype == FLOAT64 else b.astype(np.float32)
    moved = np.where((rest < 0) != (divisor < 0), rest + divisor, rest)
    return np.asarray(np.where(rest == 0, np.copysign(rest, divisor), moved))


@interprets(ops_logic.Remainder)
def remainder(node: ops_logic.Mod | ops_logic.Remainder, a: Array, b: Array) -> Array:
    """The remainder of floats is a float of their type, so that nothing is rounded."""
    if not node.type.dtype.is_float:
        if not b.all():
            raise ModelError(f"{node.label} divides integers by 0, which leaves no remainder; only floats may be")
        return np.asarray(np.fmod(a, b))
    wide = np.float64 if node.type.dtype == FLOAT64 else np.float32
    return np.asarray(np.fmod(a.astype(wide), b.astype(wide)))
