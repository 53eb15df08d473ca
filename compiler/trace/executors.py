"""Who is traced: an engine that shows its inner tensors by their ONNX names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_values
from subbyte.compiler.ir.node import Value


class Executor(Protocol):
    """An engine. `shown`: the ONNX names of the outputs and inner tensors of a model that `run` gives for a sample."""

    @property
    def shown(self) -> Collection[str]: ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]: ...


class Simulation:
    """The imported graph in our own interpreter: floats between the quantizations, in the order of N8.

    tensors: the values to be shown beside the outputs, by ONNX name.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Value]) -> None:
        self._graph = graph
        self._shown = {**tensors, **{output.name: output.value for output in graph.outputs}}

    @property
    def shown(self) -> Collection[str]:
        return self._shown.keys()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        used = {node.name: inputs[node.name] for node in self._graph.inputs}
        values = evaluate_values(self._graph, used, keep=set(self._shown.values()))
        return {name: values[value] for name, value in self._shown.items()}
