"""Comparisons, selection, and the arithmetic of plain integers and bools that ops.py does not hold.

The rules of ops.py hold: integers wrap modulo 2^bits, floats round once, bools are 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.dtype import BOOL
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import Binary, arithmetic_type, need_same_grid
from subbyte.compiler.ir.shapes import broadcast
from subbyte.compiler.ir.types import TensorType

RELATIONS = ("equal", "less", "less_or_equal")


@dataclass(frozen=True, eq=False, repr=False)
class Compare(Node):
    """Whether a stands in `relation` to b, element by element, broadcast; a NaN stands in none.

    Greater is less with the operands exchanged.  Source: ONNX Equal, Less, LessOrEqual.
    """

    a: Value
    b: Value
    relation: str

    def infer_type(self) -> TensorType:
        a, b = self.a.type, self.b.type
        if self.relation not in RELATIONS:
            raise GraphError(f"there is no relation '{self.relation}'; there are {', '.join(RELATIONS)}")
        if a.dtype != b.dtype or a.quant is not None or b.quant is not None:
            raise GraphError(f"operands are {a} and {b}; one dtype, without scales, is needed")
        return TensorType(BOOL, broadcast(a.shape, b.shape))


@dataclass(frozen=True, eq=False, repr=False)
class Where(Node):
    """a where `condition` is true, else b; all three broadcast. Any element type.  Source: ONNX Where.

    Codes lie on one grid, with one scale for the tensor; the code range is the union of theirs, as in Concat.
    """

    condition: Value
    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        condition, a, b = self.condition.type, self.a.type, self.b.type
        if condition.dtype != BOOL:
            raise GraphError(f"the condition is {condition}; bool is needed")
        need_same_grid((self.a, self.b))
        quant = a.quant
        if quant is not None:
            if not quant.is_per_tensor:
                raise GraphError(f"{a} is quantized per axis; one scale for the tensor is needed")
            (a_low, a_high), (b_low, b_high) = a.code_range(), b.code_range()
            quant = quant.replace(qmin=min(a_low, b_low), qmax=max(a_high, b_high))
        return TensorType(a.dtype, broadcast(condition.shape, broadcast(a.shape, b.shape)), quant)


@dataclass(frozen=True, eq=False, repr=False)
class WholeBinary(Binary):
    """An operation on two operands of one whole type: plain integers, or bools where `on_bools` says so."""

    on_bools = False

    def infer_type(self) -> TensorType:
        a, b = self.a.type, self.b.type
        if a.dtype != b.dtype or a.quant is not None or b.quant is not None:
            raise GraphError(f"operands are {a} and {b}; one dtype, without scales, is needed")
        if a.dtype.kind not in ("int", "uint") and not (self.on_bools and a.dtype == BOOL):
            raise GraphError(f"operands are {a}; integers{' or bools are' if self.on_bools else ' are'} needed")
        return TensorType(a.dtype, broadcast(a.shape, b.shape))


class BitAnd(WholeBinary):
    """Each bit of a and b.  Source: ONNX And, BitwiseAnd."""

    on_bools = True


class BitOr(WholeBinary):
    """Each bit of a or b.  Source: ONNX Or, BitwiseOr."""

    on_bools = True


class BitXor(WholeBinary):
    """Each bit of a that differs from that of b.  Source: ONNX Xor, BitwiseXor."""

    on_bools = True


class ShiftLeft(WholeBinary):
    """a * 2^b modulo 2^bits; 0 where b is negative or not below the width of the type.  Source: ONNX BitShift-28."""


class ShiftRight(WholeBinary):
    """floor(a / 2^b); where b is negative or not below the width: -1 for negative a, else 0.  Source: BitShift-28."""


@dataclass(frozen=True, eq=False, repr=False)
class Modular(Node):
    """What is left of a after a division by b: floats or plain integers of one dtype, broadcast as in NumPy."""

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        return arithmetic_type(self.a.type, self.b.type)


class Mod(Modular):
    """a - floor(a / b) * b, with the sign of b; of integers, b = 0 is an error.  Source: ONNX Mod, fmod = 0.

    Floats: r = Remainder(a, b); where r is not 0 and its sign differs from that of b: f32(r + b); a zero has the sign
    of b.
    """


class Remainder(Modular):
    """a - trunc(a / b) * b, with the sign of a; of floats exact, of integers b = 0 is an error.  Source: Mod, fmod = 1.

    Floats: NaN where a is infinite or b is 0; a where b is infinite.
    """
