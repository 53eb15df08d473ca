"""A model that answers samples: compiled, on the interpreter, or on onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from subbyte.compiler.cli.options import is_bundle
from subbyte.compiler.cli.output import progress
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.samples import Samples

Sample = Mapping[str, NDArray[Any]]
ENGINES = ("compiled", "interpreter", "onnxruntime")


@dataclass(frozen=True)
class Answering:
    """name: of the file or folder. engine: who computes. inputs: what a sample must be. notes: what was assumed."""

    name: str
    engine: str
    inputs: Mapping[str, TensorType]
    run: Callable[[Iterable[Sample]], list[dict[str, NDArray[Any]]]]
    notes: tuple[str, ...] = ()

    def answers(self, samples: Samples) -> dict[str, NDArray[Any]]:
        """Each output over all samples, [samples, *shape of the output]."""
        with progress(f"running {samples.count} samples through {self.name}"):
            results = self.run(samples)
            return {name: np.stack([result[name] for result in results]) for name in results[0]}


def answering(
    path: Path, engine: str, target: str | None, dims: Mapping[str, int], threads: int, compiler: str | None
) -> Answering:
    """The model or bundle `path`, ready to run.

    dims: extents of open dimensions, those of other models among them; leading ones that are left open are bound to 1,
        with a note.
    Raises: typer.BadParameter: a bundle on another engine than compiled code. Else as `compile`.
    """
    from subbyte.compiler.cli.loaded import input_types, module_of

    if is_bundle(path):
        if engine != "compiled":
            raise typer.BadParameter(f"'{path}' is a bundle, compiled already; --on {engine} belongs to a model")
        module = module_of(path, target, threads, dict(dims), compiler=compiler)
        return Answering(path.name, f"compiled for {module.target}", input_types(module), module.run_all)
    bound, notes = _bound(path, dims)
    if engine == "compiled":
        module = module_of(path, target, threads, bound, compiler=compiler)
        return Answering(path.name, f"compiled for {module.target}", input_types(module), module.run_all, notes)
    from subbyte.compiler.ir.interpret import evaluate
    from subbyte.compiler.pipeline import Options, quantized

    with progress(f"importing {path.name}"):
        graph = quantized(path, Options(dims=bound))
    inputs = {node.name: node.type for node in graph.inputs}
    if engine == "interpreter":
        return Answering(path.name, engine, inputs, lambda samples: [evaluate(graph, one) for one in samples], notes)
    from subbyte.compiler.oracle import OnnxRuntime

    session = OnnxRuntime(path)
    return Answering(path.name, engine, inputs, lambda samples: [session.run(one) for one in samples], notes)


def _bound(path: Path, dims: Mapping[str, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """`dims`, and 1 for leading dimensions that it leaves open; a note for each of these."""
    from subbyte.compiler.importer.inputs import leading_dimensions
    from subbyte.compiler.importer.load import load

    graph = load(path).graph
    constants = {tensor.name for tensor in graph.initializer}
    given = [info for info in graph.input if info.name not in constants]
    left = [name for name in leading_dimensions(given) if name not in dims]
    notes = tuple(f"the leading dimension '{name}' of {path.name} is bound to 1: one sample a run" for name in left)
    return {**dict.fromkeys(left, 1), **dims}, notes
