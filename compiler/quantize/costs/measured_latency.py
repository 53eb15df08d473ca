"""The time of each layer and choice on the device at hand: compiled, and run beside the network's other layers.

The layers of a network in one choice are compiled as one program, each fed with codes of its own, so that they meet the
caches as in a network of that choice; the programs of all choices take turns. What a network takes beside its layers
(additions, pools, quantizing its input, calls) is what is left of two whole networks, that of each layer's first choice
and that of its last, when the times of their layers are taken off; the mean of both is the fixed part. It may be below
0, where a network's values stay nearer to the processor than those of layers side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.quantize.costs.cost import Choices, Cost, CostTable, Progress
from subbyte.compiler.quantize.costs.latency_cache import LatencyCache
from subbyte.compiler.quantize.costs.reference import quantized_in
from subbyte.compiler.quantize.costs.steps import Steps, signature, steps_of
from subbyte.compiler.quantize.costs.timed import TimedProgram, Timing, interleaved, side_by_side
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import Compiler, find_compiler


def measured_table(
    graph: Graph, choices: Choices, target: Target | None, progress: Progress | None, cache: Path | None = None
) -> CostTable:
    """Median seconds of every layer and choice, with spreads, and the fixed part.

    What was measured before on such a machine, with the same compiler and kernels, is read from the cache; `cache`
    names another file of it.
    Raises: UnsupportedError: the target does not run on this machine, or has no kernel for a layer.
    """
    assert target is not None  # a cost that needs a target
    if not target.runs_here:
        raise UnsupportedError(
            f"the time of layers on target '{target.name}' cannot be measured on this machine, which does not run its "
            "code; the cost 'modelled_time' estimates it."
        )
    return _Measurement(graph, choices, target, find_compiler(target), progress, cache).table()


@dataclass(frozen=True)
class _Whole:
    """A whole network: what was chosen, and its kernel calls."""

    chosen: Mapping[str, Choice]
    graph: Graph
    key: str


class _Measurement:
    def __init__(
        self, graph: Graph, choices: Choices, target: Target, compiler: Compiler, progress: Progress | None,
        cache: Path | None,
    ) -> None:  # fmt: skip
        self.graph, self.choices, self.target, self.compiler = graph, choices, target, compiler
        self.progress = progress or _silent
        self.cache = LatencyCache(target, compiler, cache)

    def table(self) -> CostTable:
        steps = self._steps()
        keys = {place: self.cache.key(self._versions(found.calls) + found.key) for place, found in steps.items()}
        wholes = list({whole.key: whole for whole in (self._whole(0), self._whole(-1))}.values())
        known = self.cache.read({*keys.values(), *(whole.key for whole in wholes)})
        # Whole networks are measured in the same rounds as their layers: where one is new, all are measured anew.
        if not known.keys() >= {*keys.values(), *(whole.key for whole in wholes)}:
            known = self._measure(steps, keys, wholes)
        values: dict[str, dict[Choice, float]] = {}
        spreads: dict[str, dict[Choice, tuple[float, float]]] = {}
        for (layer, choice), key in keys.items():
            values.setdefault(layer, {})[choice] = known[key].seconds
            spreads.setdefault(layer, {})[choice] = (known[key].low, known[key].high)
        rests = [known[w.key].seconds - sum(values[layer][c] for layer, c in w.chosen.items()) for w in wholes]
        return CostTable(values, sum(rests) / len(rests), spreads)

    def _steps(self) -> dict[tuple[str, Choice], Steps]:
        total = sum(map(len, self.choices.values()))
        found: dict[tuple[str, Choice], Steps] = {}
        for layer, choice, steps in steps_of(self.graph, self.choices, self.target):
            found[layer, choice] = steps
            self.progress("lowering layers", len(found), total)
        return found

    def _whole(self, place: int) -> _Whole:
        chosen = {layer: of[place] for layer, of in self.choices.items()}
        # Without calibration ranges are rough: channels that seem constant are none that the real network lacks.
        whole = lowered(quantized_in(self.graph, chosen), self.target, Options(remove_work=False))
        calls = [node for node in whole.nodes() if isinstance(node, KernelCall)]
        return _Whole(chosen, whole, self.cache.key(self._versions(calls) + signature(calls)))

    def _versions(self, calls: Sequence[KernelCall]) -> str:
        kernels = [self.target.kernel(type(call.op), call.kernel) for call in calls]
        return "".join(f"{kernel.symbol} {kernel.version}\n" for kernel in kernels)

    def _measure(
        self,
        steps: Mapping[tuple[str, Choice], Steps],
        keys: Mapping[tuple[str, Choice], str],
        wholes: Sequence[_Whole],
    ) -> dict[str, Timing]:
        """Everything by key, measured now and written to the cache; alike layers have the mean of their times."""
        by_choice: dict[Choice, dict[str, Steps]] = {}
        for (layer, choice), found in steps.items():
            by_choice.setdefault(choice, {})[layer] = found
        total = len(by_choice) + len(wholes)
        programs: list[TimedProgram] = []
        places: dict[str, list[tuple[int, list[int]]]] = {}  # of each key: the program, and the steps of a layer in it
        for choice, of_choice in by_choice.items():
            part, taken = side_by_side([found.calls for found in of_choice.values()])
            for layer, of_layer in zip(of_choice, taken, strict=True):
                places.setdefault(keys[layer, choice], []).append((len(programs), of_layer))
            programs.append(TimedProgram(part, self.target, self.compiler))
            self.progress("compiling layers", len(programs), total)
        complete = []
        for whole in wholes:
            complete.append(TimedProgram(whole.graph, self.target, self.compiler))
            self.progress("compiling layers", len(programs) + len(complete), total)
        step_rounds, whole_rounds = interleaved(
            programs, complete, lambda done, of: self.progress("measuring layers", done, of)
        )
        timings = {
            key: Timing.of(np.mean([step_rounds[k][:, taken].sum(axis=1) for k, taken in alike], axis=0))
            for key, alike in places.items()
        }
        timings |= {whole.key: Timing.of(rounds) for whole, rounds in zip(wholes, whole_rounds, strict=True)}
        about = {keys[place]: f"{place[0]} {place[1]}" for place in keys}
        self.cache.write({key: (timing, about.get(key, self.graph.name)) for key, timing in timings.items()})
        return timings


def _silent(what: str, done: int, total: int | None) -> None:
    """Nobody watches."""


def _measured(graph: Graph, choices: Choices, target: Target | None, progress: Progress | None) -> CostTable:
    return measured_table(graph, choices, target, progress)


MEASURED_LATENCY = Cost("measured_latency", "s", "median seconds of a run on this machine, one thread", _measured, True)
