"""`python -m benchmarks.latency_budget NETWORK`: bits per layer for a latency budget, predicted and then measured.

The float network is a file, or one that benchmarks/topologies builds. Every layer and choice is timed on this machine,
every choice's loss is measured, and the integer program is solved for a budget between the fastest and the slowest
uniform network. The mixed network and the uniform ones are then compiled and timed in turns; how well each answers is
its signal to quantization noise ratio against the float network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Choice, Problem, problem_of
from subbyte.compiler.assignment.solve import solve
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.executor import Executor
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.plan import Plan
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.quantize.activations import activation_bits, activation_grids
from subbyte.compiler.quantize.costs import COSTS
from subbyte.compiler.quantize.costs.cost import CostTable
from subbyte.compiler.quantize.costs.timed import TimedProgram, Timing, interleaved
from subbyte.compiler.quantize.prepare import import_float, prepared
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.compiler.quantize.statistics import Statistics, gather
from subbyte.compiler.quantize.weights import rounded_weights
from subbyte.compiler.sensitivity import measure
from subbyte.compiler.target import Target, find_target
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.passes.insert_quantizers import insert_quantizers

Sample = Mapping[str, NDArray[Any]]
RECIPE = Recipe(rounding="mse", calibration="mse", correct_biases="none", merge=False)
LATENCY = COSTS["measured_latency"]


@dataclass(frozen=True)
class Point:
    """A network: seconds predicted from its layers, measured with spread; its answers' ratio to the float network's."""

    name: str
    predicted: float
    measured: float
    low: float
    high: float
    sqnr_db: float

    @property
    def error(self) -> float:
        """Of the prediction, as a share of what was measured."""
        return self.predicted / self.measured - 1


def latency_budget(
    network: Annotated[str, typer.Argument(help="A float ONNX file, or a topology of benchmarks/topologies.")],
    target: Annotated[str, typer.Option(help="Which kernels; one that runs here.")] = "native",
    choices: Annotated[str, typer.Option(help="Bits of weights / activations.")] = "8/8,6/8,4/8,2/8,2/2",
    ends: Annotated[str, typer.Option(help="The same for the first and the last layer.")] = "8/8",
    share: Annotated[float, typer.Option(help="Of the way from the fastest to the slowest uniform network.")] = 0.5,
    budget_us: Annotated[float | None, typer.Option(help="The budget in microseconds instead.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Of a topology.")] = None,
    samples: Annotated[Path | None, typer.Option(help="An .npz of inputs; random ones if not given.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many samples are used.")] = 8,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")] = None,
) -> None:
    """Meet a latency budget on this machine, and say how well."""
    goal = find_target(target)
    graph = prepared(_float_graph(network, resolution), RECIPE, None)
    given = _samples(graph, samples, count)
    data = Data(list(given))
    statistics = gather(graph, data, second_moments=False)
    offered = _offered(graph, _parsed(choices), _parsed(ends))
    table = LATENCY.measure(graph, offered, goal, _show)
    loss = measure(graph, data, offered, "mse")
    uniform = _uniform(offered)
    totals = [table.total(chosen) for chosen in uniform.values()]
    budget = 1e-6 * budget_us if budget_us is not None else min(totals) + share * (max(totals) - min(totals))
    mixed = solve(_problem(graph, loss, table, budget))
    networks = {**uniform, "mixed": dict(mixed.choices)}
    points = _measured(graph, statistics, networks, table, goal, given)
    predicted = mixed.costs[LATENCY.name]
    typer.echo(f"budget {1e6 * budget:.1f} us, predicted {1e6 * predicted:.1f} us: {_summary(mixed.choices)}")
    for point in points:
        spread = f"{1e6 * point.measured:9.1f} us ({1e6 * point.low:.1f} .. {1e6 * point.high:.1f})"
        error = f"predicted {1e6 * point.predicted:.1f} ({100 * point.error:+.1f} %)"
        typer.echo(f"{point.name:8} {spread}, {error}, {point.sqnr_db:.2f} dB")
    if json_file is not None:
        content = {"target": goal.name, "budget": budget, "fixed": table.fixed, "points": [asdict(p) for p in points]}
        bits = {layer: str(choice) for layer, choice in mixed.choices.items()}
        json_file.write_text(json.dumps({**content, "mixed": bits}, indent=1) + "\n")


def _problem(graph: Graph, loss: Mapping[str, Mapping[Choice, float]], table: CostTable, budget: float) -> Problem:
    """Layers that read one tensor read it in the same bits."""
    readers: dict[object, list[str]] = {}
    for layer in layers(graph):
        readers.setdefault(layer.x, []).append(layer.name)
    return problem_of(
        loss,
        {LATENCY.name: table.values},
        {LATENCY.name: budget},
        together=[(names, "activations") for names in readers.values() if len(names) > 1],
        fixed={LATENCY.name: table.fixed},
    )


def _measured(
    graph: Graph, statistics: Statistics, networks: Mapping[str, Mapping[str, Choice]], table: CostTable,
    target: Target, given: Sequence[Sample],
) -> list[Point]:  # fmt: skip
    """Every network compiled, asked, and timed in turns with the others."""
    compiler = find_compiler(target)
    programs = []
    for number, (name, chosen) in enumerate(networks.items(), 1):
        whole = lowered(_quantized(graph, statistics, chosen), target, Options())
        programs.append(TimedProgram(whole, target, compiler))
        _show(f"compiling {name}", number, len(networks))
    _, rounds = interleaved([], programs, lambda done, of: _show("measuring networks", done, of))
    executor = Executor(graph, [output.value for output in graph.outputs])
    expected = [executor.run(sample) for sample in given]
    points = []
    for (name, chosen), program, of_network in zip(networks.items(), programs, rounds, strict=True):
        timing = Timing.of(of_network)
        noise = _sqnr(expected, [program.answers(sample) for sample in given])
        points.append(Point(name, table.total(chosen), timing.seconds, timing.low, timing.high, noise))
    return points


def _quantized(graph: Graph, statistics: Statistics, chosen: Mapping[str, Choice]) -> Graph:
    weights = rounded_weights(graph, {name: c.weight_bits for name, c in chosen.items()}, RECIPE, statistics)
    bits = activation_bits(graph, {name: c.activation_bits for name, c in chosen.items()})
    return insert_quantizers(Plan(weights, activation_grids(graph, statistics, RECIPE, bits)))(graph)


def _sqnr(expected: Sequence[Sequence[NDArray[Any]]], found: Sequence[Sequence[NDArray[Any]]]) -> float:
    """10 log10 of the power of the float outputs over that of the differences, in decibels."""
    pairs = [(e, f) for one, other in zip(expected, found, strict=True) for e, f in zip(one, other, strict=True)]
    signal = sum(float(np.square(e, dtype=np.float64).sum()) for e, _ in pairs)
    noise = sum(float(np.square(e.astype(np.float64) - f).sum()) for e, f in pairs)
    return 10 * math.log10(signal / noise) if noise else math.inf


def _offered(graph: Graph, inside: Sequence[Choice], ends: Sequence[Choice]) -> dict[str, tuple[Choice, ...]]:
    names = [layer.name for layer in layers(graph)]
    return {name: tuple(ends if name in (names[0], names[-1]) else inside) for name in names}


def _uniform(offered: Mapping[str, Sequence[Choice]]) -> dict[str, dict[str, Choice]]:
    """One network for each choice; layers that do not have it keep their first."""
    every = dict.fromkeys(choice for of in offered.values() for choice in of)
    return {str(choice): {name: choice if choice in of else of[0] for name, of in offered.items()} for choice in every}


def _float_graph(network: str, resolution: int | None) -> Graph:
    if network.endswith(".onnx"):
        return import_float(network)
    from benchmarks.topologies.build import build

    return import_float(build(network, "float", resolution).model)


def _samples(graph: Graph, path: Path | None, count: int) -> list[Sample]:
    """The first of the file, or normal ones from a seed."""
    if path is not None:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {node.name: stored[node.name][:count] for node in graph.inputs}
        return [
            {node.name: arrays[node.name][k].reshape(node.type.shape).astype(np.float32) for node in graph.inputs}
            for k in range(len(next(iter(arrays.values()))))
        ]
    generator = np.random.default_rng(7)
    return [
        {node.name: generator.standard_normal(node.type.shape).astype(np.float32) for node in graph.inputs}
        for _ in range(count)
    ]


def _parsed(text: str) -> tuple[Choice, ...]:
    pairs = (part.split("/") for part in text.split(","))
    return tuple(Choice(int(weights), int(activations)) for weights, activations in pairs)


def _summary(chosen: Mapping[str, Choice]) -> str:
    counted: dict[str, int] = {}
    for choice in chosen.values():
        counted[str(choice)] = counted.get(str(choice), 0) + 1
    return ", ".join(f"{count} layers {name}" for name, count in sorted(counted.items(), reverse=True))


def _show(what: str, done: int, total: int | None) -> None:
    if done == total:
        typer.echo(f"{what}: {done}", err=True)


if __name__ == "__main__":
    typer.run(latency_budget)
