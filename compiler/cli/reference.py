"""Reference answers for `subbyte verify`: the interpreter's, onnxruntime's, or those of an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.compare import Comparison, compare, output_scales
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.runtime import Module
from subbyte.compiler.samples import Samples, read_npz


def compare_outputs(module: Module, graph: Graph, model: Path, samples: Samples, against: str) -> dict[str, Comparison]:
    """Each output of `module` over all samples beside the reference `against`."""
    found = _stack(module.run_all(samples))
    reference = _reference(graph, model, samples, against)
    scales = output_scales(graph)
    comparisons = {}
    for name, array in found.items():
        if name not in reference:
            raise ModelError(
                f"'{against}' has no array for the output '{name}'; it has {', '.join(map(repr, reference))}."
            )
        expected = reference[name]
        if expected.shape != array.shape and expected.size == array.size:
            expected = expected.reshape(array.shape)
        if expected.shape != array.shape:
            raise ModelError(
                f"'{against}' has {list(expected.shape)} for the output '{name}'; {list(array.shape)} is needed: "
                f"{samples.count} samples of {list(array.shape[1:])}."
            )
        comparisons[name] = compare(expected, array, scales[name])
    return comparisons


def _stack(results: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    return {name: np.stack([result[name] for result in results]) for name in results[0]}


def _reference(graph: Graph, model: Path, samples: Samples, against: str) -> dict[str, NDArray[Any]]:
    if against == "interpreter":
        from subbyte.compiler.ir.interpret import evaluate

        return _stack([evaluate(graph, sample) for sample in samples])
    if against == "onnxruntime":
        from subbyte.compiler.oracle import OnnxRuntime

        session = OnnxRuntime(model)
        return _stack([session.run(sample) for sample in samples])
    return read_npz(Path(against))
