"""Which function runs an operation on PyTorch, and when it may do so for all samples at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Node

Function = Callable[..., Any]
Rule = Callable[[Any, Sequence[bool]], bool]


@dataclass(frozen=True)
class TorchOperation:
    """How an operation runs.

    function: of the node and its operands, tensors, absent ones left out; a tensor, or a tuple of one for each output.
        It asks the operands, not the node, how long axis 0 is.
    together: whether the function may be applied to operands of which `carried` hold several samples one behind the
        other along axis 0. Where it may not, it is mapped over the samples.
    """

    function: Function
    together: Rule


_OPERATIONS: dict[type[Node], TorchOperation] = {}
FunctionT = TypeVar("FunctionT", bound=Function)


def never(node: Node, carried: Sequence[bool]) -> bool:
    """Always sample by sample."""
    return False


def first_alone(node: Node, carried: Sequence[bool]) -> bool:
    """The first operand carries samples and axis 0 is theirs alone; the others are parameters."""
    return carried[0] and not any(carried[1:])


def off_axis(node: Any, carried: Sequence[bool]) -> bool:
    """All operands carry samples, and the operation works along another axis than theirs."""
    return all(carried) and node.axis != 0


def broadcast(node: Node, carried: Sequence[bool]) -> bool:
    """Axis 0 of the result is axis 0 of each operand that carries samples, and the others are repeated along it."""
    shape = node.type.shape
    for operand, carries in zip(node.operands, carried, strict=True):
        found = operand.type.shape
        leads = len(found) == len(shape)
        if carries and not (leads and found[0] == shape[0]):
            return False
        if not carries and leads and found[0] != 1:
            return False
    return True


def runs(*operations: type[Node], together: Rule = never) -> Callable[[FunctionT], FunctionT]:
    """Register `function(node, *operands)` for `operations`."""

    def register(function: FunctionT) -> FunctionT:
        for operation in operations:
            _OPERATIONS[operation] = TorchOperation(function, together)
        return function

    return register


def operation_of(node: Node) -> TorchOperation:
    """How `node` runs.  Raises: UnsupportedError: it does not."""
    found = _OPERATIONS.get(type(node))
    if found is None:
        raise UnsupportedError(
            f"{node.label} does not run on torch; float operations of an imported graph do. Use what needs no "
            "gradients, or take the operation out of the graph."
        )
    return found


def supported_operations() -> frozenset[type[Node]]:
    """Every operation that runs on PyTorch."""
    return frozenset(_OPERATIONS)
