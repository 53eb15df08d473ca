"""Float functions of whole numbers that carry no scale, such as attention masks: tables of 256 entries, exactly."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.rewrite import union_sources
from subbyte.compiler.numerics.arrays import Codes
from subbyte.passes.quantization.coded import all_codes
from subbyte.passes.quantization.known import constants_of

_RISING_OR_FALLING = (ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Minimum, ops.Maximum)
_FUNCTIONS = ("Relu", "Neg", "Clip")


def whole_function(node: ops.QuantizeLinear) -> Node | None:
    """QuantizeLinear(f(Cast(k))) -> Lookup(k clamped to int8), f a chain of operations with one constant each.

    k is a signed integer of 8 bits or more, or uint8, without a scale. Every operation of the chain is monotone, in
    float32 as in the reals, and so is the rounding; so where the codes at both ends of k's type are those at -128 and
    127, all codes beyond are, and the table is exact. None where that does not hold.
    """
    if not node.quant.is_static or not node.quant.is_per_tensor or node.quant.levels is not None:
        return None
    chain = _chain(node)
    if chain is None:
        return None
    whole, operations = chain
    given = whole.type.dtype
    narrow = UINT8 if given == UINT8 else INT8
    codes = _codes(all_codes(narrow), given, operations, node)
    if given.bits > narrow.bits:
        ends = _codes(np.array([given.min, given.max]), given, operations, node)
        if ends.tolist() != [codes[0], codes[-1]]:
            return None
    table = codes.astype(node.dtype.numpy)
    sources = union_sources(*operations, node)
    return qops.Lookup(_narrowed(whole, narrow), table, node.dtype, node.quant, sources=sources, tensor=node.tensor)


def _chain(node: ops.QuantizeLinear) -> tuple[Value, list[Node]] | None:
    """(k, operations from the Cast on) below a QuantizeLinear; None where it is no such chain."""
    operations: list[Node] = []
    value = node.x
    while True:
        current = value.node
        operations.insert(0, current)
        if current.types[0].dtype != FLOAT32 or current.types[0].shape != node.type.shape:
            return None
        match current:
            case ops.Cast(x=x):
                of_x = x.type.dtype
                whole = of_x == UINT8 or (of_x.kind == "int" and of_x.bits >= INT8.bits)
                return (x, operations) if whole and x.type.quant is None and x.constant is None else None
            case ops.Unary(x=x, function=function) if function in _FUNCTIONS:
                value = x
            case ops.Binary(a=a, b=b) if isinstance(current, _RISING_OR_FALLING):
                falls = isinstance(current, (ops.Mul, ops.Div))
                if _is_number(b, falls):
                    value = a
                elif _is_number(a, falls) and not isinstance(current, ops.Div):
                    value = b
                else:
                    return None
            case _:
                return None


def _is_number(value: Value, factor: bool) -> bool:
    """One finite constant; as a factor, not zero: 0 * infinity is NaN."""
    array = value.constant
    return array is not None and array.size == 1 and bool(np.isfinite(array).all()) and not (factor and not array.all())


def _codes(k: Codes, dtype: DType, operations: list[Node], node: ops.QuantizeLinear) -> Codes:
    """What the chain and its quantization make of the numbers k of `dtype`, by the interpreter."""
    current = Constant.of(k.astype(dtype.numpy), dtype).out
    below = operations[0].operands[0]
    for one in (*operations, node):

        def stand_in(value: Value, below: Value = below, current: Value = current) -> Value:
            constant = value.constant
            return current if value == below else value if constant is None else _flat(value)

        (current,), below = constants_of(one.map_operands(stand_in).replace(layout=None)), Value(one, 0)
    found = current.constant
    assert found is not None, "an evaluated value is a constant"
    return found.astype(np.int64)


def _flat(value: Value) -> Value:
    """A constant of one element as []."""
    assert value.constant is not None, "a chain has constants beside it"
    return Constant.of(value.constant.reshape(()), value.type.dtype).out


def _narrowed(whole: Value, dtype: DType) -> Value:
    """k as `dtype`, clamped to it."""
    given = whole.type.dtype
    if given == dtype:
        return whole
    low, high = (Constant.of(np.array(end, given.numpy), given).out for end in (dtype.min, dtype.max))
    return ops.Cast(ops.Minimum(ops.Maximum(whole, low).out, high).out, dtype).out
