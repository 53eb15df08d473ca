"""Runs a float graph on samples, several at once where it keeps them apart, and shows the values asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.batching import with_batch
from subbyte.compiler.errors import GraphError, ModelError, ToolchainError, UnsupportedError
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear

Array = NDArray[Any]
BACKENDS = ("onnxruntime", "interpreter")


class Executor:
    """`values` of `graph` for given inputs, in float32, on one thread.

    backend: "onnxruntime" (extra [quantize]), "interpreter", or None for the best that is installed. Their results
        differ by rounding; each is the same on every run on one machine.
    batch: how many samples are wanted in one run; the attribute `batch` says how many it takes: 1 where the graph mixes
        samples that lie behind each other (calibration/batching.py), and then `why_single` says what does.
    Raises GraphError: a value is not of the graph. ToolchainError: the back end is not installed.
    """

    def __init__(self, graph: Graph, values: Sequence[Value], backend: str | None = None, batch: int = 1) -> None:
        self.backend = chosen_backend(backend)
        self.graph = graph
        self.values = tuple(values)
        batched, self.batch, self.why_single = batched_for(graph, self.values, batch)
        shown = [output.value for output in _showing(graph, self.values).outputs]
        self._names = {value: output.name for value, output in zip(shown, batched.outputs, strict=True)}
        self._scales = {value: _factor(value, new.value) for value, new in zip(shown, batched.outputs, strict=True)}
        self._run = _RUNNERS[self.backend](batched) if shown else _nothing

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The values, in their order, for at most `batch` samples laid behind each other along axis 0 of every input.

        Args:
            inputs: by name, each [samples * extent of axis 0, ...] in the container of its dtype.
        Returns: each [samples * extent of axis 0, ...]; a value that depends on no input is as it is.
        Raises ModelError: the inputs do not fit the graph.
        """
        count = self._count(inputs)
        full = {name: _filled(array, self.batch, count) for name, array in inputs.items()}
        results = self._run(full)
        found: list[Array] = []
        for value in self.values:
            match value.node:
                case Input(name=name):
                    found.append(inputs[name])
                case Constant(value=array):
                    found.append(array)
                case _:
                    result = results[self._names[value]]
                    batched = self._scales[value] == self.batch > count
                    found.append(result[: len(result) // self.batch * count] if batched else result)
        return found

    def _count(self, inputs: Mapping[str, Array]) -> int:
        """How many samples the inputs hold."""
        counts = set()
        for node in self.graph.inputs:
            array = inputs.get(node.name)
            shape = node.type.shape
            if array is None:
                raise ModelError(f"there is no array for input '{node.name}' of graph '{self.graph.name}'")
            rank_fits = array.ndim == len(shape) and array.shape[1:] == shape[1:]
            count = len(array) // max(1, shape[0]) if rank_fits and shape else 1
            if array.shape != ((count * shape[0], *shape[1:]) if shape else ()) or not 1 <= count <= self.batch:
                raise ModelError(
                    f"input '{node.name}' of graph '{self.graph.name}' was given an array of shape "
                    f"{list(array.shape)}; {node.type} for each of at most {self.batch} samples is needed"
                )
            counts.add(count)
        if len(counts) > 1:
            raise ModelError(f"the inputs of graph '{self.graph.name}' hold different numbers of samples")
        return counts.pop() if counts else 1


def batched_for(graph: Graph, values: Sequence[Value], batch: int) -> tuple[Graph, int, str]:
    """(`graph` that shows `values`, for so many samples, why for one only): for `batch` samples where it can be.

    Raises GraphError: a value is not of the graph.
    """
    own = set(graph.nodes())
    for value in values:
        if value.node not in own:
            raise GraphError(f"{value.node.label} is not part of graph '{graph.name}', whose values are to be shown")
    single = _showing(graph, values)
    try:
        return with_batch(single, batch), batch, ""
    except UnsupportedError as error:
        return single, 1, str(error)


def _showing(graph: Graph, values: Sequence[Value]) -> Graph:
    """`graph` with those of the values that are computed as its outputs."""
    computed = [v for v in dict.fromkeys(values) if not isinstance(v.node, (Input, Constant))]
    return graph.with_outputs(Output(f"shown.{number}", value) for number, value in enumerate(computed))


def chosen_backend(name: str | None) -> str:
    """`name`, or the best back end that is installed.  Raises ToolchainError: it is not; ModelError: there is none."""
    installed = importlib.util.find_spec("onnxruntime") is not None
    if name is None:
        return "onnxruntime" if installed else "interpreter"
    if name not in BACKENDS:
        raise ModelError(f"there is no executor '{name}'; there are {', '.join(BACKENDS)}")
    if name == "onnxruntime" and not installed:
        raise ToolchainError("onnxruntime is not installed; `pip install 'subbyte[quantize]'` brings it.")
    return name


def _factor(single: Value, batched: Value) -> int:
    """How many samples a value of the batched graph holds; 1 where it depends on no input."""
    if not single.type.rank or not single.type.shape[0]:
        return 1
    return batched.type.shape[0] // single.type.shape[0]


def _filled(array: Array, batch: int, count: int) -> Array:
    """`array` of `count` samples as one of `batch`, the last sample repeated."""
    if count == batch:
        return array
    extent = len(array) // count
    return np.concatenate([array, *[array[-extent:]] * (batch - count)])


Runner = Any


def _nothing(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {}


def _interpreter(graph: Graph) -> Runner:
    return lambda inputs: evaluate(graph, inputs)


def _onnxruntime(graph: Graph) -> Runner:
    """A session on one thread, so that results do not depend on the machine's cores, that holds on to no memory."""
    import onnxruntime

    from subbyte.compiler.exporter import export_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    if any(isinstance(node, (QuantizeLinear, DequantizeLinear)) for node in graph.nodes()):
        # fused, these round elsewhere (docs/semantics.md), and not all widths are known to what they are fused to
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        model = export_model(graph).SerializeToString()
    except UnsupportedError as error:
        raise UnsupportedError(f"onnxruntime cannot run the samples: {error} The executor 'interpreter' can.") from None
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base but Exception
        raise ModelError(
            f"onnxruntime does not take graph '{graph.name}': {error}. The executor 'interpreter' may."
        ) from error
    names = [output.name for output in session.get_outputs()]
    used = {given.name for given in session.get_inputs()}

    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = session.run(names, {name: array for name, array in inputs.items() if name in used})
        return dict(zip(names, results, strict=True))

    return run


_RUNNERS = {"onnxruntime": _onnxruntime, "interpreter": _interpreter}
