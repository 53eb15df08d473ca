"""Comparisons, logic, bits, remainders, and the choice between two tensors."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import BOOL
from subbyte.compiler.importer.codes import plain
from subbyte.compiler.importer.operator import Marks, Operator, converts
from subbyte.compiler.ir import ops_logic
from subbyte.compiler.ir.node import Value

# ONNX operator -> (relation, whether the operands are exchanged)
_RELATIONS = {
    "Equal": ("equal", False),
    "Less": ("less", False),
    "LessOrEqual": ("less_or_equal", False),
    "Greater": ("less", True),
    "GreaterOrEqual": ("less_or_equal", True),
}


@converts(*_RELATIONS)
def convert_comparison(op: Operator) -> Value:
    a, b = plain(op, op.operand(0)), plain(op, op.operand(1))
    relation, exchanged = _RELATIONS[op.op_type]
    left, right = (b, a) if exchanged else (a, b)
    return op.emit(ops_logic.Compare(left, right, relation, **op.marks))


_WHOLE: dict[str, type[ops_logic.WholeBinary]] = {
    "And": ops_logic.BitAnd,
    "Or": ops_logic.BitOr,
    "Xor": ops_logic.BitXor,
    "BitwiseAnd": ops_logic.BitAnd,
    "BitwiseOr": ops_logic.BitOr,
    "BitwiseXor": ops_logic.BitXor,
}


@converts(*_WHOLE)
def convert_bits(op: Operator) -> Value:
    a, b = plain(op, op.operand(0)), plain(op, op.operand(1))
    if not op.op_type.startswith("Bitwise") and BOOL not in (a.type.dtype, b.type.dtype):
        raise op.broken(f"has operands {a.type} and {b.type}; bool is needed.")
    return op.emit(_WHOLE[op.op_type](a, b, **op.marks))


@converts("Not", "BitwiseNot")
def convert_not(op: Operator) -> Value:
    """Every bit exchanged: true xor x, all ones xor x."""
    x = plain(op, op.operand(0))
    if op.op_type == "Not":
        return inverted(op, x, op.marks)
    ones = -1 if x.type.dtype.kind == "int" else x.type.dtype.max if x.type.dtype.kind == "uint" else 0
    return op.emit(ops_logic.BitXor(x, op.part(ones, x.type.dtype), **op.marks))


def inverted(op: Operator, x: Value, marks: Marks) -> Value:
    """Not x."""
    return op.emit(ops_logic.BitXor(x, op.part(True, BOOL), **marks))


@converts("BitShift")
def convert_bit_shift(op: Operator) -> Value:
    direction = op.word("direction", "")
    if direction not in ("LEFT", "RIGHT"):
        raise op.broken(f"has direction '{direction}'; LEFT and RIGHT exist.")
    kind = ops_logic.ShiftLeft if direction == "LEFT" else ops_logic.ShiftRight
    return op.emit(kind(plain(op, op.operand(0)), plain(op, op.operand(1)), **op.marks))


@converts("Mod")
def convert_mod(op: Operator) -> Value:
    """The remainder with the sign of the divisor; with that of the dividend for fmod=1."""
    a, b = plain(op, op.operand(0)), plain(op, op.operand(1))
    if b.constant is not None and b.type.dtype.is_integer and not b.constant.all():
        raise op.broken("divides by zero.")
    kind: type[ops_logic.Modular] = ops_logic.Remainder if op.flag("fmod", False) else ops_logic.Mod
    return op.emit(kind(a, b, **op.marks))


@converts("Where")
def convert_where(op: Operator) -> Value:
    condition, a, b = (plain(op, op.operand(i)) for i in range(3))
    return op.emit(ops_logic.Where(condition, a, b, **op.marks))


@converts("IsNaN")
def convert_is_nan(op: Operator) -> Value:
    """Whether x is not equal to itself."""
    x = plain(op, op.operand(0))
    return inverted(op, op.emit(ops_logic.Compare(x, x, "equal", **op.inner)), op.marks)


@converts("IsInf")
def convert_is_inf(op: Operator) -> Value:
    """Whether x is +inf or -inf, of which each may be left out."""
    x = plain(op, op.operand(0))
    if not x.type.dtype.is_float:
        raise op.broken(f"is applied to {x.type}; floats are needed.")
    positive, negative = op.flag("detect_positive", True), op.flag("detect_negative", True)
    if not positive and not negative:
        return op.computed(np.zeros(x.type.shape, np.bool_), BOOL)
    both = positive and negative
    marks = op.inner if both else op.marks
    ends = [op.part(end, x.type.dtype) for end, wanted in ((math.inf, positive), (-math.inf, negative)) if wanted]
    found = [op.emit(ops_logic.Compare(x, end, "equal", **marks)) for end in ends]
    return op.emit(ops_logic.BitOr(found[0], found[1], **op.marks)) if both else found[0]
