"""The instructions that each layer and choice executes, counted exactly under an emulator, for boards not at hand.

The layers of a network in one choice are compiled as one program, as they are where time is measured, and each step is
run once. What a network executes beside its layers is what is left of two whole networks, that of each layer's first
choice and that of its last, when their layers are taken off; the mean of both is the fixed part.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.quantize.costs.cost import Choices, Cost, CostTable, Progress
from subbyte.compiler.quantize.costs.reference import quantized_in
from subbyte.compiler.quantize.costs.steps import Steps, steps_of
from subbyte.compiler.quantize.costs.timed import side_by_side
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.counted_steps import build_steps, count_steps
from subbyte.compiler.toolchain.emulators import find_emulator
from subbyte.compiler.version import VERSION


def _instructions(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    assert target is not None  # a cost that needs a target
    if not target.emulator:
        raise UnsupportedError(
            f"instructions are counted under an emulator, and there is none for target '{target.name}'; the cost "
            "'modelled_time' is known for every target of C, 'measured_latency' where its code runs."
        )
    find_emulator(target)  # before the work, not after it
    by_choice: dict[Choice, dict[str, Steps]] = {}
    for layer, choice, steps in steps_of(graph, choices, target):
        by_choice.setdefault(choice, {})[layer] = steps
    values: dict[str, dict[Choice, float]] = {layer: {} for layer in choices}
    total = len(by_choice) + 2
    for done, (choice, of_choice) in enumerate(by_choice.items()):
        part, taken = side_by_side([found.calls for found in of_choice.values()])
        counts = counted(part, target)
        for layer, places in zip(of_choice, taken, strict=True):
            values[layer][choice] = sum(counts[place] for place in places)
        if progress is not None:
            progress("counting instructions", done + 1, total)
    rests = []
    for done, place in enumerate((0, -1)):
        chosen = {layer: of[place] for layer, of in choices.items()}
        whole = lowered(quantized_in(graph, chosen), target, Options(remove_work=False))
        rests.append(sum(counted(whole, target)) - sum(values[layer][choice] for layer, choice in chosen.items()))
        if progress is not None:
            progress("counting instructions", len(by_choice) + done + 1, total)
    return CostTable(values, sum(rests) / len(rests))


def counted(graph: Graph, target: Target) -> list[int]:
    """Instructions of each kernel call of a lowered graph, in order."""
    bundle = make_bundle(build_program(graph, target), graph.name, "file", {}, VERSION)
    with tempfile.TemporaryDirectory(prefix="subbyte-") as folder:
        steps = count_steps(build_steps(bundle, target, Path(folder) / "counted"), target.emulator)
    calls = sum(isinstance(node, KernelCall) for node in graph.nodes())
    return [step.counts.total for step in steps][:calls]


INSTRUCTIONS = Cost(
    "instructions",
    "instructions",
    "instructions of an inference, counted under the target's emulator",
    _instructions,
    True,
)
