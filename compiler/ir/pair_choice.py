"""The integer form of an addition, subtraction or product of two tensors of codes, by all pairs of their codes."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import NumericsError, UnsupportedError
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.qops import QAdd, QBinary, QMul, QSub
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.affine import to_integers, to_real
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.pair_choice import Classes, Joined, exact, joined_by_steps, joined_sums
from subbyte.compiler.numerics.pair_forms import PairForm, PairSteps, PairTable, apply_pair

TABLE_BITS = 8
"""Bits of both codes together up to which a table of all pairs is the cheapest form."""
MOST_BITS = 16
"""Bits of both codes together up to which all pairs are compared."""


def choose_pair_form(node: QBinary) -> PairForm:
    """A table for few bits or a quotient, else the narrowest tables found whose sum or product is rounded to the codes.

    Raises: UnsupportedError: there are too many pairs of codes, or a scale is per axis or computed at run time.
    """
    a, b = (_codes(node, name, value) for name, value in (("a", node.a), ("b", node.b)))
    bits = sum((codes.size - 1).bit_length() for codes in (a, b))
    if bits > MOST_BITS:
        raise UnsupportedError(
            f"{node.label} combines {a.size} codes with {b.size}; integer forms are proved by all pairs of codes, "
            f"which is done for up to {MOST_BITS} bits of both together. Quantize one of them to fewer bits"
        )
    y = _every_pair(node, a, b)
    table = PairTable(int(a[0]), int(b[0]), y)
    if bits <= TABLE_BITS:
        return _proved(node, table, a, b, y)
    joined = _joined(node, a, b, y)
    if joined is None:
        return _proved(node, table, a, b, y)
    product = isinstance(node, QMul)
    form = PairSteps(table.a_low, table.b_low, joined.left, joined.right, product, joined.steps)
    return _proved(node, form, a, b, y)


def _joined(node: QBinary, a: Codes, b: Codes, y: Codes) -> Joined | None:
    """Tables and steps for a sum, a difference or a product; None where none were found, and for a quotient."""
    classes = Classes(y)
    of_a, of_b = _quant(node, node.a), _quant(node, node.b)
    if isinstance(node, QMul):
        return joined_by_steps(to_integers(a, of_a), to_integers(b, of_b), True, classes)
    if not isinstance(node, QAdd | QSub):
        return None
    left, right = to_real(a, of_a), to_real(b, of_b)
    right = right if isinstance(node, QAdd) else -right
    found = joined_sums(left, right, float(node.quant.scalar()[0]), y, classes)
    tables = exact(left, right) if found is None else None
    return found if tables is None else joined_by_steps(*tables, False, classes)


def _proved(node: QBinary, form: PairForm, a: Codes, b: Codes, y: Codes) -> PairForm:
    """`form`, compared with the interpreter for every pair of codes."""
    if (apply_pair(form, a[:, None], b[None, :]) != y).any():
        raise NumericsError(f"the integer form of {node.label} differs from its float32 arithmetic for a pair of codes")
    return form


def _every_pair(node: QBinary, a: Codes, b: Codes) -> Codes:
    """int64 [codes of a, codes of b], by the interpreter."""
    operands = a[:, None].astype(node.a.type.dtype.numpy), b[None, :].astype(node.b.type.dtype.numpy)
    left, right = (
        Input(name, TensorType(value.type.dtype, codes.shape, value.type.quant)).out
        for name, value, codes in zip("ab", (node.a, node.b), operands, strict=True)
    )
    (y,) = evaluate_node(type(node)(left, right, node.dtype, node.quant), operands)
    return np.asarray(y, np.int64)


def _codes(node: QBinary, name: str, value: Value) -> Codes:
    """All codes that an operand may have, and the 0 between bipolar ones."""
    if value.type.quant is None or not value.type.quant.is_static or value.type.quant.axis is not None:
        raise UnsupportedError(
            f"{node.label}: {name} is {value.type}; integer forms are made for codes with one constant scale"
        )
    low, high = value.type.code_range()
    return np.arange(low, high + 1)


def _quant(node: QBinary, value: Value) -> QuantParams:
    if value.type.quant is None:
        raise UnsupportedError(f"{node.label}: {value.type} has no scale")
    return value.type.quant
