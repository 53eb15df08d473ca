"""`python -m benchmarks.costs MODEL`: how well the kernels' costs choose, layer by layer.

Every kernel of the target that accepts an operation is timed alone, operands in the caches, and the one that the model
of costs chooses is compared with the fastest: regret is how much longer a layer takes than it would have to. With
--settings some settings of the chosen kernel's knobs are timed too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.pipeline import Options, lowered
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import Kernel, Target, find_target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.tuning import Setting

ROUNDS, REPEATS = 7, 5


@dataclass(frozen=True)
class Timed:
    """One way to compute an operation. cost: seconds as the model says; seconds: measured, the least of the medians."""

    kernel: str
    setting: Setting
    cost: float
    seconds: float

    @property
    def name(self) -> str:
        return " ".join([self.kernel, *(f"{knob}={value}" for knob, value in self.setting)])


@dataclass(frozen=True)
class Layer:
    """Operations that are alike. ways: the chosen one first."""

    label: str
    count: int
    macs: int
    ways: tuple[Timed, ...]

    @property
    def best(self) -> Timed:
        return min(self.ways, key=lambda way: way.seconds)

    @property
    def regret(self) -> float:
        """What the choice costs more than the best way, as a share of it."""
        return self.ways[0].seconds / self.best.seconds - 1


def costs(
    model: Annotated[Path, typer.Argument(help="An ONNX model.")],
    target: Annotated[str, typer.Option(help="Whose kernels; native.")] = "native",
    settings: Annotated[int, typer.Option(min=0, help="So many settings of the chosen kernel's knobs as well.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")] = None,
) -> None:
    """Time every kernel that accepts a layer of MODEL, and compare the model of costs with the fastest."""
    goal = find_target(target)
    layers = [measured(ops, goal, settings) for ops in alike(lowered(model, goal, Options()))]
    for layer in sorted(layers, key=lambda layer: -layer.count * (layer.ways[0].seconds - layer.best.seconds)):
        chosen, best = layer.ways[0], layer.best
        typer.echo(
            f"{100 * layer.regret:6.1f} %  {layer.count} x {1e6 * chosen.seconds:.2f} us  {layer.label}: {chosen.name}"
            + ("" if chosen is best else f"; {1e6 * best.seconds:.2f} us by {best.name}")
        )
    total = sum(layer.count * layer.ways[0].seconds for layer in layers)
    least = sum(layer.count * layer.best.seconds for layer in layers)
    regret = 100 * (total / least - 1)
    typer.echo(f"all layers: {1e6 * total:.1f} us as chosen, {1e6 * least:.1f} us at best: regret {regret:.1f} %")
    if json_file is not None:
        json_file.write_text(
            json.dumps({"target": goal.name, "layers": [as_data(layer) for layer in layers]}, indent=1)
        )


def as_data(layer: Layer) -> dict[str, object]:
    """For JSON."""
    ways = [
        {"kernel": way.kernel, "knobs": dict(way.setting), "cost_us": 1e6 * way.cost, "us": 1e6 * way.seconds}
        for way in layer.ways
    ]
    return {"layer": layer.label, "count": layer.count, "macs": layer.macs, "regret": layer.regret, "ways": ways}


def alike(graph: Graph) -> list[list[Node]]:
    """The operations of the kernel calls, those together that differ in their constants' contents alone."""
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes():
        if isinstance(node, KernelCall):
            attributes = {k: v for k, v in node.op.attributes().items() if isinstance(v, (int, str, tuple))}
            constants = [isinstance(operand.node, Constant) for operand in node.op.operands]
            types = [f"{t} {t.layout}" for t in (*(v.type for v in node.op.operands), *node.op.types)]
            groups.setdefault(f"{type(node.op).__name__} {attributes} {constants} {types}", []).append(node.op)
    return list(groups.values())


def measured(ops: list[Node], target: Target, settings: int) -> Layer:
    """Every way to compute the first of `ops`, timed in turns."""
    op = ops[0]
    chosen = target.cheapest(op)
    assert chosen is not None, "the graph is lowered"
    rows = [chosen, *(row for row in _own(op, target) if row is not chosen)]
    ways = [(row, ()) for row in rows] + [(chosen, setting) for setting in _some(chosen, op, settings)]
    seconds = _time(op, target, ways)
    label = f"{type(op).__name__} {', '.join(str(operand.type) for operand in op.operands)} -> {op.types[0]}"
    timed = (
        Timed(row.symbol, setting, row.cost(op, target.facts), taken)
        for (row, setting), taken in zip(ways, seconds, strict=True)
    )
    return Layer(label, len(ops), multiply_accumulates(op), tuple(timed))


def _own(op: Node, target: Target) -> Iterator[Kernel]:
    """The rows of the target's own family that accept `op`: those of `portable` stand in for a missing one alone."""
    return (row for row in target.kernels_for(type(op)) if row.family == target.family and row.accepts(op))


def _some(kernel: Kernel, op: Node, count: int) -> list[Setting]:
    """`count` of the complete settings, evenly spaced."""
    if not count or not kernel.knobs:
        return []
    found = list(kernel.settings(op))
    return [found[i] for i in sorted(set(np.linspace(0, len(found) - 1, min(count, len(found))).astype(int).tolist()))]


def _time(op: Node, target: Target, ways: list[tuple[Kernel, Setting]]) -> list[float]:
    """Seconds of each way: the least of the medians of several rounds."""
    inputs = {
        value: Input(f"x{number}", value.type)
        for number, value in enumerate(dict.fromkeys(op.operands))
        if not isinstance(value.node, Constant)
    }

    def given(value: Value) -> Value:
        return inputs[value].out if value in inputs else value

    own = op.map_operands(given)
    calls = [KernelCall(own, row.symbol, target.name, setting) for row, setting in ways]
    outputs = [Output(f"y{n}_{i}", Value(call, i)) for n, call in enumerate(calls) for i in range(len(call.types))]
    graph = Graph("ways", tuple(inputs.values()), tuple(outputs), Stage.LOWERED)
    bundle = make_bundle(build_program(graph, target), "ways", "file", {}, "0")
    built = build_bundle(bundle, target, find_compiler(target), (SHARED,))
    with tempfile.TemporaryDirectory(prefix="subbyte-") as folder:
        library, weights = Path(folder) / SHARED, Path(folder) / "weights.bin"
        library.write_bytes(built[SHARED])
        weights.write_bytes(bundle.files["weights.bin"])
        loaded = LoadedModel(str(library), str(weights) if bundle.files["weights.bin"] else None)
        sample = list(random_samples({node.name: node.type for node in inputs.values()}, 3))[2]
        arrays = [sample[node.name] for node in inputs.values()]
        rounds = [[step["median_ns"] for step in loaded.profile(arrays, REPEATS)] for _ in range(ROUNDS)]
    return [1e-9 * max(taken, 1) for taken in np.min(rounds, axis=0)[: len(ways)].tolist()]


if __name__ == "__main__":
    typer.run(costs)
