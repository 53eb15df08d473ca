"""What depends on the weights of a sum of products, and not on how its tensors are stored, is found once.

Passes try an operation with its tensors stored in one way and another: each is a new operation over the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm

Found = TypeVar("Found")


def remembered(function: Callable[..., Found]) -> Callable[..., Found]:
    """`function(op, ...)`, called once for the weights of `op`, its types but for their layouts, and its attributes.

    What it gives is kept as long as the weights are: it should be small.
    """
    known: WeakKeyDictionary[Node, dict[Hashable, Found]] = WeakKeyDictionary()

    @wraps(function)
    def found(op: QConv | QGemm, *arguments: Any) -> Found:
        weights = op.b if isinstance(op, QGemm) else op.w
        results = known.setdefault(weights.node, {})
        key = (_but_for_storage(op), arguments)
        if key not in results:
            results[key] = function(op, *arguments)
        return results[key]

    return found


def _but_for_storage(op: QConv | QGemm) -> Hashable:
    data = op.a if isinstance(op, QGemm) else op.x
    window = () if isinstance(op, QGemm) else (op.strides, op.pads, op.dilations, op.group)
    types = (data.type.with_layout(None), op.type.with_layout(None))
    return (type(op), *types, op.bias, op.requantization, *window)
