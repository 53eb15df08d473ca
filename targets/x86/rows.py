"""How the rows of the x86 kernel tables are written, and what their operands are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Call, Kernel, Storage, TargetFacts
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import has_one_zero_point
from subbyte.targets.common.geometry import (
    all_plain,
    all_plain_or_shared,
    stored_bits,
    tensor_types,
)

KERNELS = Path(__file__).parent / "kernels"
_SHARED_PER_NS = 64  # codes taken apart or put together, by AVX2


def is_unsigned_grid(of_type: TensorType) -> bool:
    """Unsigned bytes with one zero point that is itself a byte."""
    if not is_unsigned_byte(of_type.dtype) or not has_one_zero_point(of_type):
        return False
    return of_type.quant is None or 0 <= of_type.quant.scalar()[1] <= 255


def sharing_seconds(of_type: TensorType, times: int = 1) -> float:
    """What it takes to take codes that share bytes apart so many times, or to put them together."""
    return 0.0 if stored_bits(of_type) == 8 else of_type.elements * times / _SHARED_PER_NS * 1e-9


def cost_at(elements_per_ns: float) -> Callable[[Node, TargetFacts], float]:
    """Seconds for operations that pass over their operands and results at this rate, less where codes share bytes."""

    def cost(op: Node, facts: TargetFacts) -> float:
        del facts
        types = tensor_types(op)
        apart = sum(of_type.elements for of_type in types) / elements_per_ns * 1e-9
        return apart + sum(map(sharing_seconds, types))

    return cost


def row(
    op: type[Node],
    symbol: str,
    header: str,
    storage: Storage,
    call: Callable[[Any], Call],
    accepts: Callable[[Any], bool],
    operands: str,
    features: frozenset[str],
    cost: Callable[[Any, TargetFacts], float],
    in_place: tuple[int, ...] = (),
    packed: bool = False,
) -> Kernel:
    """A row whose tensors are plain, whatever else `accepts` asks; with `packed`, unsigned codes may share bytes."""
    stored = all_plain_or_shared if packed else all_plain
    return Kernel(
        op=op,
        symbol=symbol,
        header=KERNELS / header,
        storage=storage,
        call=call,
        cost=cost,
        accepts=lambda node: stored(node) and accepts(node),
        in_place=in_place,
        features=features,
        operands=operands,
    )
