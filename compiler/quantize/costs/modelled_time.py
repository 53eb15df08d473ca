"""The time of each layer by the costs that a target's kernels are chosen by: for targets that are not at hand."""

from __future__ import annotations

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.quantize.costs.cost import Choices, Cost, CostTable, Progress
from subbyte.compiler.quantize.costs.steps import steps_of
from subbyte.compiler.target import Target


def _modelled_time(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    """Each layer lowered by itself, and the costs of the kernels that it gets. What is between layers is left out."""
    assert target is not None  # a cost that needs a target
    if target.language != "c":
        raise UnsupportedError(
            f"a layer has no time of its own on target '{target.name}': how many lanes it gets is chosen for the whole "
            "design (compile --fps). Assign bits by weight_bytes, average_bits or bops."
        )
    total = sum(map(len, choices.values()))
    values: dict[str, dict[Choice, float]] = {}
    for count, (layer, choice, steps) in enumerate(steps_of(graph, choices, target), 1):
        values.setdefault(layer, {})[choice] = sum(_seconds(call, target) for call in steps.calls)
        if progress is not None:
            progress("lowering layers", count, total)
    return CostTable(values)


def _seconds(call: KernelCall, target: Target) -> float:
    return target.kernel(type(call.op), call.kernel).cost(call.op, target.facts)


MODELLED_TIME = Cost(
    "modelled_time", "s", "seconds of the layers by the costs of the target's kernels", _modelled_time, True
)
