"""Compiled programs whose steps, or whole runs, are timed on this machine; several take turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import Compiler
from subbyte.compiler.version import VERSION

ROUNDS = 9
_ROUND_SECONDS = 0.03
_MOST_REPEATS = 2000

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
    """Of rounds that each have a median. seconds: their median; low and high: a tenth of them lie below, and above."""

    seconds: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Seconds) -> Timing:
        low, middle, high = np.percentile(rounds, (10, 50, 90)).tolist()
        return cls(middle, low, high)


class TimedProgram:
    """A lowered graph as loaded code, run on random inputs."""

    def __init__(self, graph: Graph, target: Target, compiler: Compiler) -> None:
        bundle = make_bundle(build_program(graph, target), graph.name, "file", {}, VERSION)
        built = build_bundle(bundle, target, compiler, (SHARED,))
        self.steps = sum(isinstance(node, KernelCall) for node in graph.nodes())
        with tempfile.TemporaryDirectory(prefix="subbyte-") as folder:
            library, weights = Path(folder) / SHARED, Path(folder) / "weights.bin"
            library.write_bytes(built[SHARED])
            weights.write_bytes(bundle.files["weights.bin"])
            self._loaded = LoadedModel(str(library), str(weights) if bundle.files["weights.bin"] else None)
        sample = list(random_samples({node.name: node.type for node in graph.inputs}, 3))[2]
        self._names = [node.name for node in graph.inputs]
        self._arrays = [sample[name] for name in self._names]

    def answers(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs for given inputs."""
        return self._loaded.run([np.ascontiguousarray(inputs[name]) for name in self._names])

    def profile(self, repeats: int) -> Seconds:
        """[steps]: seconds of each kernel call, the median of so many runs."""
        return np.array(
            [1e-9 * step["median_ns"] for step in self._loaded.profile(self._arrays, repeats)[: self.steps]]
        )

    def run(self, repeats: int) -> float:
        """Seconds of a run, the median of so many."""
        return 1e-9 * float(np.median(self._loaded.benchmark(self._arrays, repeats, warmup=2)))

    def repeats(self) -> int:
        """How many runs make a round."""
        self.run(3)
        return int(np.clip(_ROUND_SECONDS / max(self.run(3), 1e-9), 3, _MOST_REPEATS))


def interleaved(
    profiled: Sequence[TimedProgram], run: Sequence[TimedProgram], done: Callable[[int, int], None]
) -> tuple[list[Seconds], list[Seconds]]:
    """([rounds, steps] of each of `profiled`, [rounds] of each of `run`): a round is one turn of every program.

    done: called after each round with how many there were, and will be.
    """
    repeats = [program.repeats() for program in (*profiled, *run)]
    steps: list[list[Seconds]] = [[] for _ in profiled]
    whole: list[list[float]] = [[] for _ in run]
    for index in range(ROUNDS):
        for k, program in enumerate(profiled):
            steps[k].append(program.profile(repeats[k]))
        for k, program in enumerate(run):
            whole[k].append(program.run(repeats[len(profiled) + k]))
        done(index + 1, ROUNDS)
    return [np.stack(rounds) for rounds in steps], [np.array(rounds) for rounds in whole]


def side_by_side(parts: Sequence[Sequence[KernelCall]]) -> tuple[Graph, list[list[int]]]:
    """One graph of several groups of calls, each fed by inputs of its own, and the steps that each group is.

    What a group reads that none of its calls makes becomes an input, stored as it was.
    """
    inputs: list[Input] = []
    outputs: list[Output] = []
    rebuilt: list[list[Node]] = []
    for number, calls in enumerate(parts):
        new: dict[Value, Value] = {}

        def of(
            value: Value, new: dict[Value, Value] = new, calls: Sequence[Node] = calls, number: int = number
        ) -> Value:
            if isinstance(value.node, Constant):
                return value
            if value not in new:
                if isinstance(value.node, View):
                    new[value] = value.node.map_operands(of).out
                else:
                    node = Input(f"x{number}_{len(inputs)}", value.type)
                    inputs.append(node)
                    new[value] = node.out
            return new[value]

        made: list[Node] = []
        for call in calls:
            node = call.map_operands(of)
            made.append(node)
            new.update({Value(call, i): Value(node, i) for i in range(len(call.types))})
        read = {operand for node in made for operand in node.operands}
        results = [Value(node, i) for node in made for i in range(len(node.types))]
        outputs += [Output(f"y{number}_{k}", value) for k, value in enumerate(results) if value not in read]
        rebuilt.append(made)
    graph = Graph("layers", tuple(inputs), tuple(outputs), Stage.LOWERED)
    calls_in_order = (node for node in graph.nodes() if isinstance(node, KernelCall))
    place: dict[Node, int] = {node: k for k, node in enumerate(calls_in_order)}
    return graph, [[place[node] for node in made] for made in rebuilt]
