"""Comparisons, selection, bits and remainders in ONNX."""

from __future__ import annotations

from subbyte.compiler.dtype import BOOL
from subbyte.compiler.exporter.writer import Writer, writes
from subbyte.compiler.ir import ops_logic

_RELATIONS = {"equal": "Equal", "less": "Less", "less_or_equal": "LessOrEqual"}

# of bools, of integers
_BITS: dict[type[ops_logic.WholeBinary], tuple[str, str]] = {
    ops_logic.BitAnd: ("And", "BitwiseAnd"),
    ops_logic.BitOr: ("Or", "BitwiseOr"),
    ops_logic.BitXor: ("Xor", "BitwiseXor"),
}


@writes(ops_logic.Compare)
def write_compare(writer: Writer, node: ops_logic.Compare) -> None:
    writer.emit_on(node, _RELATIONS[node.relation], node.a, node.b)


@writes(ops_logic.Where)
def write_where(writer: Writer, node: ops_logic.Where) -> None:
    writer.emit_on(node, "Where", node.condition, node.a, node.b)


@writes(*_BITS)
def write_bits(writer: Writer, node: ops_logic.WholeBinary) -> None:
    of_bools, of_integers = _BITS[type(node)]
    writer.emit_on(node, of_bools if node.a.type.dtype == BOOL else of_integers, node.a, node.b)


@writes(ops_logic.ShiftLeft, ops_logic.ShiftRight)
def write_shift(writer: Writer, node: ops_logic.WholeBinary) -> None:
    direction = "LEFT" if isinstance(node, ops_logic.ShiftLeft) else "RIGHT"
    writer.emit_on(node, "BitShift", node.a, node.b, direction=direction)


@writes(ops_logic.Mod, ops_logic.Remainder)
def write_mod(writer: Writer, node: ops_logic.Modular) -> None:
    writer.emit_on(node, "Mod", node.a, node.b, fmod=int(isinstance(node, ops_logic.Remainder)))
