"""What a step costs: instructions as counted; cycles, executions of each block times llvm-mca's figure, added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.arm import mca
from benchmarks.arm.disassembly import Block


@dataclass(frozen=True)
class BlockCost:
    """cycles: of one execution, simulated; bound: what the execution units allow at best; None without a model."""

    block: Block
    cycles: float | None
    bound: float | None

    @property
    def instructions(self) -> int:
        """Executed in all."""
        return self.block.executions * len(self.block.instructions)

    @property
    def total(self) -> float:
        """Cycles of all executions; instructions where there is no model, to order by."""
        return self.block.executions * (self.cycles if self.cycles is not None else len(self.block.instructions))


@dataclass(frozen=True)
class Cost:
    """blocks: what was executed. All figures are of one run of a step, or of whatever the blocks are of."""

    blocks: tuple[BlockCost, ...]

    @property
    def instructions(self) -> int:
        return sum(each.instructions for each in self.blocks)

    @property
    def loads(self) -> int:
        return self._executed("is_load")

    @property
    def stores(self) -> int:
        return self._executed("is_store")

    @property
    def cycles(self) -> float | None:
        """Simulated, all blocks."""
        return self._sum([each.cycles for each in self.blocks])

    @property
    def bound(self) -> float | None:
        return self._sum([each.bound for each in self.blocks])

    @property
    def inner(self) -> Cost:
        """The loops of one block alone: all that is executed again and again, without what prepares and ends it."""
        return Cost(tuple(each for each in self.blocks if each.block.loops))

    @property
    def hottest(self) -> BlockCost:
        """The block that costs most."""
        return max(self.blocks, key=lambda each: each.total)

    def _sum(self, costs: Sequence[float | None]) -> float | None:
        total = 0.0
        for cost, each in zip(costs, self.blocks, strict=True):
            if cost is None:
                return None
            total += cost * each.block.executions
        return total

    def _executed(self, which: str) -> int:
        return sum(
            each.block.executions * sum(getattr(instruction, which) for instruction in each.block.instructions)
            for each in self.blocks
        )


def cost_of(blocks: Sequence[Block], model: mca.Model | None) -> Cost:
    """What the blocks cost. An instruction that the model has no answer for, such as push, counts as one cycle.

    Raises: ToolError.
    """
    if model is None:
        return Cost(tuple(BlockCost(block, None, None) for block in blocks))
    found = mca.cycles(model, [[each.text for each in block.instructions] for block in blocks])
    costs = []
    for block, cycles in zip(blocks, found, strict=True):
        length = len(block.instructions)
        if cycles is None:
            costs.append(BlockCost(block, float(length), float(length)))
        else:
            left_out = length - cycles.instructions
            costs.append(BlockCost(block, cycles.simulated + left_out, cycles.bound + left_out))
    return Cost(tuple(costs))
