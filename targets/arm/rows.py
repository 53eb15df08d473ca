"""How the rows of the Arm kernel tables are written, and what their operands are asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Call, Kernel, Storage, TargetFacts
from subbyte.targets.common.c_types import is_signed_byte, is_unsigned_byte
from subbyte.targets.common.constants import has_one_zero_point
from subbyte.targets.common.geometry import (
    all_plain,
    all_plain_or_shared,
    stored_bits,
    tensor_types,
)

KERNELS = Path(__file__).parent / "kernels"
# What rows demand, beside "dotprod" and "i8mm"; AARCH64 and AARCH32 stand for the registers of an execution state.
NEON = frozenset({"neon"})
AARCH64 = NEON | {"aarch64"}
AARCH32 = NEON | {"aarch32"}
CYCLE = 1e-9  # seconds: costs are those of a nominal 1 GHz


def is_byte(of_type: TensorType) -> bool:
    """Codes of a byte each or fewer bits, of either signedness."""
    return is_signed_byte(of_type.dtype) or is_unsigned_byte(of_type.dtype)


def is_byte_grid(of_type: TensorType) -> bool:
    """Codes of at most 8 bits with one zero point, which is a byte of their signedness too."""
    if not is_byte(of_type) or not has_one_zero_point(of_type):
        return False
    low = -128 if is_signed_byte(of_type.dtype) else 0
    return of_type.quant is None or low <= of_type.quant.scalar()[1] <= low + 255


def flip_of(of_type: TensorType) -> int:
    """0x80 where codes of a byte are 0..255, so that turning bit 7 over makes them -128..127."""
    return 0x80 if is_unsigned_byte(of_type.dtype) and of_type.code_range()[1] > 127 else 0


def in_order(facts: TargetFacts) -> bool:
    """Whether the pipeline issues two instructions a cycle at best, in the order of the program."""
    return facts.core in ("cortex-a7", "cortex-a53", "cortex-a55", "")


def cost_at(
    in_order_cycles: float, out_of_order_cycles: float, per_call: float = 100.0
) -> Callable[[Node, TargetFacts], float]:
    """Cycles for each byte or float of the first result, by the kind of pipeline, and for the call itself."""

    def cost(op: Node, facts: TargetFacts) -> float:
        each = in_order_cycles if in_order(facts) else out_of_order_cycles
        shared = sum(of_type.elements for of_type in tensor_types(op) if stored_bits(of_type) < 8)
        return (op.types[0].elements * each + 0.4 * shared + per_call) * CYCLE

    return cost


def sharing_seconds(of_type: TensorType, times: int = 1) -> float:
    """What it takes to take codes that share bytes apart so many times, or to put them together."""
    return 0.0 if stored_bits(of_type) == 8 else 0.6 * of_type.elements * times * CYCLE


def row(
    op: type[Node],
    symbol: str,
    header: str,
    storage: Storage,
    call: Callable[[Any], Call],
    accepts: Callable[[Any], bool],
    operands: str,
    cost: Callable[[Any, TargetFacts], float],
    in_place: tuple[int, ...] = (),
    packed: bool = False,
    features: frozenset[str] = NEON,
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
