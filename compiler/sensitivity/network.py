"""A float network with samples, and what becomes of it when layers get fewer bits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.executor import Executor, chosen_backend
from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.calibration.ranges import activation_grid
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_logic import Compare, Where
from subbyte.compiler.ir.plan import ActivationGrid
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.numerics.affine import to_codes, to_real
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Grid
from subbyte.compiler.sensitivity.reading import Reading, reading_of
from subbyte.compiler.sensitivity.types import FLOAT_BITS, bits_of

if TYPE_CHECKING:
    from subbyte.compiler.torch_graph import TorchGraph

Array = NDArray[Any]
RoundWeights = Callable[[Layer, int], Array]
"""The float weights that a layer has after rounding to so many bits, of the shape of its weights."""
MakeGrid = Callable[[Layer, Array, int], ActivationGrid]
"""The grid of so many bits for what a layer reads, given as the samples make it."""

BACKENDS = ("torch", "onnxruntime", "interpreter")
_MOST_AT_ONCE = 64  # samples in one run
_MOST_ELEMENTS = 1 << 24  # of all values of the network in one run: gradients keep them


def nearest_weights(layer: Layer, bits: int) -> Array:
    """Rounded to nearest: symmetric, one scale for each output channel."""
    rounded = nearest(layer.matrix().astype(np.float64), Grid(bits))
    return np.asarray(layer.from_matrix(rounded.values()), np.float32)


def minmax_grid(layer: Layer, values: Array, bits: int) -> ActivationGrid:
    """From the smallest to the largest value."""
    seen = MinMax()
    seen.update(values)
    return activation_grid(seen, bits)


@dataclass(frozen=True, eq=False)
class Network:
    """A graph of stage imported, samples, and the choices of bits for its layers.

    samples: by input name, [n * extent, ...]: n samples one behind the other along axis 0.
    choices: by layer name; layers without any stay as they are. A sequence is for all layers.
    round_weights, make_grid: what weights and activations become.
    backend: what runs it: "torch", "onnxruntime", "interpreter", or None for the first of these that is installed.
    progress: called with (steps done, steps in all).
    Raises: ModelError: there is no layer, no sample, no choice, or a name is unknown.
    """

    graph: Graph
    samples: Mapping[str, Array]
    choices: Mapping[str, Sequence[Any]] | Sequence[Any]
    round_weights: RoundWeights = nearest_weights
    make_grid: MakeGrid = minmax_grid
    backend: str | None = None
    progress: Callable[[int, int], None] | None = None
    _kept: dict[Any, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        found = {layer.name: layer for layer in layers(self.graph)}
        if not found:
            raise ModelError(
                f"graph '{self.graph.name}' has no layer with float weights: it is quantized already, or has no "
                "convolutions and matrix products; sensitivities are measured on the float model"
            )
        given = self.choices if isinstance(self.choices, Mapping) else dict.fromkeys(found, self.choices)
        unknown = [name for name in given if name not in found]
        if unknown:
            raise ModelError(f"'{unknown[0]}' is no layer of graph '{self.graph.name}'; layers are {', '.join(found)}")
        empty = [name for name, choices in given.items() if not choices]
        if empty or not given:
            raise ModelError(f"there is no choice of bits for {f'layer {empty[0]!r}' if empty else 'any layer'}")
        for choices in given.values():
            for choice in choices:
                bits_of(choice)
        object.__setattr__(self, "choices", given)
        if not self.count:
            raise ModelError("there are no samples; one is needed, and some dozens are usual")
        if self.backend not in (None, *BACKENDS):
            raise ModelError(f"there is no back end '{self.backend}'; there are {', '.join(BACKENDS)}")

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Those that have choices, in the order of the graph."""
        return tuple(layer for layer in layers(self.graph) if layer.name in self.choices)

    def choices_of(self, layer: Layer) -> Sequence[Any]:
        """The choices of a layer, as the caller gave them."""
        assert isinstance(self.choices, Mapping)  # since __post_init__
        found: Sequence[Any] = self.choices[layer.name]
        return found

    @cached_property
    def count(self) -> int:
        """How many samples there are."""
        counts = set()
        for node in self.graph.inputs:
            array = self.samples.get(node.name)
            if array is None:
                raise ModelError(f"input '{node.name}' {node.type} of graph '{self.graph.name}' has no samples")
            shape = node.type.shape
            count = len(array) // shape[0] if shape and array.ndim else 0
            if not shape or array.shape != (count * shape[0], *shape[1:]):
                raise ModelError(
                    f"the samples of input '{node.name}' have shape {list(array.shape)}; [n * extent, ...] of "
                    f"{node.type} is needed"
                )
            counts.add(count)
        if len(counts) != 1:
            raise ModelError(f"the inputs of graph '{self.graph.name}' hold different numbers of samples, or none")
        return counts.pop()

    # Running ----------------------------------------------------------------------------------------------------------

    @cached_property
    def runs_on(self) -> str:
        """The back end in use."""
        if self.backend is None:
            return "torch" if importlib.util.find_spec("torch") is not None else chosen_backend(None)
        return self.backend

    def run(
        self, graph: Graph, values: Sequence[Value] | None = None, more: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """What `values` of `graph` (None: its outputs) are for all samples: [n * extent, ...] each, float32.

        more: samples of inputs that the network itself does not have.
        """
        wanted = [output.value for output in graph.outputs] if values is None else list(values)
        inputs = {**self.samples, **(more or {})}
        if self.runs_on == "torch":
            return self._run_torch(graph, wanted, inputs)
        executor = Executor(graph, wanted, self.runs_on, self.at_once)
        parts = [executor.run(chunk) for chunk in self._chunks(graph, inputs, executor.batch)]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _run_torch(self, graph: Graph, values: Sequence[Value], inputs: Mapping[str, Array]) -> list[Array]:
        import torch

        from subbyte.compiler.torch_graph import TorchGraph

        runner = TorchGraph(graph)
        parts = []
        with torch.no_grad():
            for chunk in self._chunks(graph, inputs, self.at_once):
                found = runner.run({name: torch.tensor(array) for name, array in chunk.items()}, shown=values)
                parts.append([found[value].numpy() for value in values])
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _chunks(self, graph: Graph, inputs: Mapping[str, Array], size: int) -> Iterator[dict[str, Array]]:
        extents = {node.name: node.type.shape[0] for node in graph.inputs}
        for start in range(0, self.count, size):
            stop = min(start + size, self.count)
            yield {name: inputs[name][start * extent : stop * extent] for name, extent in extents.items()}

    @cached_property
    def at_once(self) -> int:
        """How many samples go into one run."""
        elements = sum(value.elements for node in self.graph.operations() for value in node.types)
        return max(1, min(_MOST_AT_ONCE, _MOST_ELEMENTS // max(1, elements), self.count))

    @cached_property
    def reference(self) -> list[Array]:
        """The outputs of the float network."""
        found = self.run(self.graph)
        for output, array in zip(self.graph.outputs, found, strict=True):
            if not np.isfinite(array).all():
                raise ModelError(f"output '{output.name}' of the float network is NaN or infinite for some sample")
        return found

    @cached_property
    def readings(self) -> list[Reading]:
        """How each output is read."""
        outputs = zip(self.graph.outputs, self.reference, strict=True)
        return [reading_of(output.value, array) for output, array in outputs]

    def divergence(self, outputs: Sequence[Array]) -> float:
        """How far outputs are from the float network's: the mean over samples of KL, summed over outputs, in nats."""
        parts = zip(self.readings, self.reference, outputs, strict=True)
        return float(sum(reading.divergence(a, b, self.count) for reading, a, b in parts))

    # Fewer bits -------------------------------------------------------------------------------------------------------

    def inputs_of(self, layer: Layer) -> Array:
        """What a layer of the float network reads; kept until another layer's is asked for."""
        return np.asarray(self._keep("inputs", layer, None, lambda: self.run(self.graph, [layer.x])[0]))

    def weights_of(self, layer: Layer, bits: int) -> Array:
        """The rounded weights; kept until another layer's are asked for."""
        if bits == FLOAT_BITS:
            return layer.weights
        found = self._keep("weights", layer, bits, lambda: np.asarray(self.round_weights(layer, bits), np.float32))
        return np.asarray(found)

    def grid_of(self, layer: Layer, bits: int) -> ActivationGrid:
        """The grid of what the layer reads."""
        found: ActivationGrid = self._keep(
            "grid", layer, bits, lambda: self.make_grid(layer, self.inputs_of(layer), bits)
        )
        return found

    def grids_of(self, layer: Layer) -> dict[int, ActivationGrid]:
        """The grid for each number of bits among the layer's choices, float aside."""
        bits = {bits_of(choice)[1] for choice in self.choices_of(layer)} - {FLOAT_BITS}
        return {b: self.grid_of(layer, b) for b in sorted(bits)}

    def weight_change(self, layer: Layer, bits: int) -> Array:
        """Q(W) - W, float64, of the weights' shape."""
        return np.asarray(self.weights_of(layer, bits).astype(np.float64) - layer.weights)

    def input_change(self, layer: Layer, bits: int) -> Array:
        """Q(x) - x of what the layer reads, float64, for all samples."""
        values = self.inputs_of(layer)
        return np.zeros(values.shape) if bits == FLOAT_BITS else rounding_error(values, self.grid_of(layer, bits))

    def _keep(self, what: str, layer: Layer, key: Any, make: Callable[[], Any]) -> Any:
        name, found = self._kept.setdefault(what, (layer.name, {}))
        if name != layer.name:
            found = {}
            self._kept[what] = (layer.name, found)
        if key not in found:
            found[key] = make()
        return found[key]

    def quantized(self, chosen: Mapping[str, Any]) -> Graph:
        """The graph with the layers in `chosen` {name: choice} in fewer bits, all else in float.

        A layer's activations are rounded for it alone, whoever else reads them.
        """
        new: dict[Node, Callable[[Layer], Node]] = {}
        for layer in self.layers:
            if layer.name in chosen:
                weight_bits, activation_bits = bits_of(chosen[layer.name])
                weights = self.weights_of(layer, weight_bits)
                grid = None if activation_bits == FLOAT_BITS else self.grid_of(layer, activation_bits)
                new[layer.node] = _fewer_bits(weights, grid)
        return self.rewritten(new)

    def rewritten(self, new: Mapping[Node, Callable[[Layer], Node]], more: Sequence[Input] = ()) -> Graph:
        """The graph with other nodes for those of some layers; a function gets the layer over its new operands.

        more: inputs that the new nodes read beside the graph's.
        """
        graph = Graph(self.graph.name, (*self.graph.inputs, *more), self.graph.outputs, self.graph.stage)
        rewriter = Rewriter(graph)
        for node in self.graph.nodes():
            current = rewriter.rebuilt(node)
            rewriter.replace(node, new[node](Layer("", current)) if node in new else current)  # type: ignore[arg-type]
        return rewriter.finish()

    @cached_property
    def tapped(self) -> tuple[Graph, dict[str, Layer]]:
        """The graph with a value of its own for what each layer reads, and its layers by the names they have here."""
        taps: dict[Node, Callable[[Layer], Node]] = {
            layer.node: lambda at: with_input(at, ops.Reshape(at.x, at.x.type.shape).out) for layer in self.layers
        }
        graph = self.rewritten(taps)
        own = dict(zip((layer.name for layer in layers(self.graph)), layers(graph), strict=True))
        return graph, {layer.name: own[layer.name] for layer in self.layers}

    def on_torch(self) -> TorchGraph:
        """The tapped graph on PyTorch.  Raises: ToolchainError: torch is not installed."""
        if importlib.util.find_spec("torch") is None:
            raise ToolchainError(
                "torch is not installed, and this sensitivity needs gradients; `pip install 'subbyte[exporters]'` "
                "brings it. Sensitivities 'kl', 'mse', 'hessian', 'pairs' and 'ompq' do without."
            )
        from subbyte.compiler.torch_graph import TorchGraph

        return TorchGraph(self.tapped[0])

    def chunks(self) -> Iterator[tuple[slice, dict[str, Array]]]:
        """(which samples, their inputs), all samples in turn."""
        size = self.at_once
        for start, chunk in zip(range(0, self.count, size), self._chunks(self.graph, self.samples, size), strict=True):
            yield slice(start, min(start + size, self.count)), chunk

    def show(self, done: int, total: int) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(done, total)


def rounding_error(values: Array, grid: ActivationGrid) -> Array:
    """Q(x) - x, float64."""
    if grid.dtype.kind == "bipolar":
        rounded = np.where(values >= 0, 1.0, -1.0) * grid.quant.scalar()[0]
    else:
        rounded = to_real(to_codes(values, grid.quant), grid.quant).astype(np.float64)
    return np.asarray(rounded - values)


def with_input(layer: Layer, x: Value) -> Node:
    """The layer's node, reading `x`."""
    return layer.node.replace(**{"a" if isinstance(layer.node, (ops.Gemm, ops.MatMul)) else "x": x})


def _fewer_bits(weights: Array, grid: ActivationGrid | None) -> Callable[[Layer], Node]:
    def build(layer: Layer) -> Node:
        node = layer.with_parameters(weights=weights)
        if grid is None:
            return node
        return with_input(Layer("", node), _rounded(layer.x, grid))

    return build


def _rounded(x: Value, grid: ActivationGrid) -> Value:
    """Q(x); bipolar codes are written as a choice by sign, which every back end runs."""
    if grid.dtype.kind == "bipolar":
        scale = grid.quant.scalar()[0]
        above, below, zero = (Constant.of(value, x.type.dtype).out for value in (scale, -scale, 0.0))
        return Where(Compare(zero, x, "less_or_equal").out, above, below).out
    return ops.DequantizeLinear(ops.QuantizeLinear(x, grid.dtype, grid.quant).out).out
