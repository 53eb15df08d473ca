"""Models through subbyte, each interpreted once for all the tests of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import Options, quantized

Arrays = dict[str, NDArray[Any]]
Interpret = Callable[[Path, Mapping[str, NDArray[Any]]], Arrays]
MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def graph_of() -> Callable[[Path], Graph]:
    """graph_of(path) is the QUANTIZED graph of a model: its meaning."""
    return cache(lambda path: quantized(path, Options()))


@pytest.fixture(scope="session")
def interpret(graph_of: Callable[[Path], Graph], make_once: MakeOnce) -> Interpret:
    """interpret(path, samples) are the outputs of the interpreter, [samples, ...] each; computed once a run."""

    def outputs(path: Path, samples: Mapping[str, NDArray[Any]]) -> Arrays:
        def make(result: Path) -> None:
            graph = graph_of(path)
            answers = [evaluate(graph, sample) for sample in each_sample(graph, samples)]
            with result.open("wb") as file:
                np.savez(file, **{name: np.stack([answer[name] for answer in answers]) for name in answers[0]})  # type: ignore[arg-type]

        with np.load(make_once(f"{path.name}.interpreted.npz", make)) as archive:
            return dict(archive)

    return outputs


def each_sample(graph: Graph, samples: Mapping[str, NDArray[Any]]) -> Iterator[Arrays]:
    """The inputs of `graph`, sample by sample."""
    names = [node.name for node in graph.inputs]
    for index in range(len(samples[names[0]])):
        yield {name: samples[name][index] for name in names}
