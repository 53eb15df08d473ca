"""Which function says what an operation means: the registry that the files interpret_*.py fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numpy.typing import NDArray

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Node

Arrays = NDArray[Any] | tuple[NDArray[Any], ...]
Interpretation = Callable[..., Arrays]

_INTERPRETATIONS: dict[type[Node], Interpretation] = {}
FunctionT = TypeVar("FunctionT", bound=Interpretation)


def interprets(*operations: type[Node]) -> Callable[[FunctionT], FunctionT]:
    """Register `function(node, *operands)` as the meaning of `operations`.

    The operands are arrays, absent ones left out. It returns an array, or a tuple of one for each output. Integers may
    come back in a wider type than the container of the output's dtype if they fit it; floats are rounded to it.
    """

    def register(function: FunctionT) -> FunctionT:
        for operation in operations:
            _INTERPRETATIONS[operation] = function
        return function

    return register


def interpretation_of(node: Node) -> Interpretation:
    """The function that says what `node` means."""
    found = _INTERPRETATIONS.get(type(node))
    if found is None:
        raise UnsupportedError(
            f"{node.label} has no interpretation; a function @interprets({type(node).__name__}) is needed"
        )
    return found


def interpreted_operations() -> frozenset[type[Node]]:
    """Every operation that has a meaning."""
    return frozenset(_INTERPRETATIONS)
