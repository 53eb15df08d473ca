"""What a LOWERED graph is made of: calls of kernels, and views that move nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.types import TensorType

WrapperT = TypeVar("WrapperT", bound="Wrapper")


@dataclass(frozen=True, eq=False, repr=False)
class Wrapper(Node):
    """An operation together with how it is carried out; operands, types and meaning are the operation's own."""

    op: Node

    def infer_type(self) -> tuple[TensorType, ...]:
        return self.op.types

    @property
    def operands(self) -> tuple[Value, ...]:
        return self.op.operands

    def map_operands(self: WrapperT, function: Callable[[Value], Value]) -> WrapperT:
        op = self.op.map_operands(function)
        return self if op is self.op else self.replace(op=op)


@dataclass(frozen=True, eq=False, repr=False)
class KernelCall(Wrapper):
    """`op` computed by the kernel `kernel` of the target `target`.

    Constant operands (weights, bias) stay semantic constants; the kernel packs them when the program is written.
    setting: values for knobs of the kernel, by name; it chooses those that are left out.
    """

    kernel: str
    target: str
    setting: tuple[tuple[str, int], ...] = ()


class View(Wrapper):
    """`op` (Reshape, Transpose, Repack) whose result has the same bytes in memory as its operand: no kernel runs."""
