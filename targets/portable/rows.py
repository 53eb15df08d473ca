"""How the rows of this kernel table are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node
from subbyte.compiler.target import Call, Kernel, Storage, TargetFacts
from subbyte.targets.common.geometry import all_plain, all_plain_or_packed, tensor_types

KERNELS = Path(__file__).parent / "kernels"
SECONDS_PER_MAC = 1e-9
SECONDS_PER_ELEMENT = 4e-9


def scalar_cost(op: Node, facts: TargetFacts) -> float:
    """One multiply-accumulate a nanosecond, and a few for every element read or written; longer on slow processors."""
    elements = sum(of_type.elements for of_type in tensor_types(op))
    return (multiply_accumulates(op) * SECONDS_PER_MAC + elements * SECONDS_PER_ELEMENT) * facts.scalar_slowdown


def row(
    op: type[Node],
    symbol: str,
    header: str,
    storage: Storage,
    call: Callable[[Any], Call],
    accepts: Callable[[Any], bool],
    operands: str,
    in_place: tuple[int, ...] = (),
    packed: bool = False,
) -> Kernel:
    """A row whose tensors are plain, whatever else `accepts` asks; with `packed`, codes may share bytes."""
    stored = all_plain_or_packed if packed else all_plain
    return Kernel(
        op=op,
        symbol=symbol,
        header=KERNELS / header,
        storage=storage,
        call=call,
        cost=scalar_cost,
        accepts=lambda node: stored(node) and accepts(node),
        in_place=in_place,
        operands=operands,
    )
