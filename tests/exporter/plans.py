"""Plans for tests: min-max grids of a few samples, weights rounded to nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import layers, value_names
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.plan import ActivationGrid, Plan
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Grid
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.precision.points import quantization_points, shared_grids
from subbyte.passes.precision.weights import quantized_weights
from subbyte.passes.recognize_normalization import recognize_normalization
from subbyte.passes.remove_dead_nodes import remove_dead_nodes

Arrays = dict[str, NDArray[Any]]


def prepared(model: Any, dims: Mapping[str, int] | None = None) -> Graph:
    """A float graph as quantization begins with it."""
    graph = import_model(model, dims=dims or {})
    for one in (fold_constants, recognize_normalization, fold_batch_norm, remove_dead_nodes):
        graph = one(graph)
    return graph


def noise(graph: Graph, count: int, seed: int = 0) -> list[Arrays]:
    """Normal inputs."""
    random = np.random.default_rng(seed)
    shapes = {node.name: node.type.shape for node in graph.inputs}
    return [{name: random.standard_normal(s).astype(np.float32) for name, s in shapes.items()} for _ in range(count)]


def make_plan(
    graph: Graph,
    samples: Sequence[Arrays],
    weight_bits: int,
    activation_bits: int,
    *,
    per_channel: bool = True,
    symmetric: bool = False,
    outputs: bool = False,
) -> Plan:
    """All weights and all quantization points, each on one grid; symmetric: no zero point but 0."""
    points = quantization_points(graph, outputs=outputs)
    ranges = _ranges(graph, points, samples)
    for group in shared_grids(graph, outputs=outputs):
        joined = (min(ranges[v][0] for v in group), max(ranges[v][1] for v in group))
        ranges.update(dict.fromkeys(group, joined))
    names = value_names(graph)
    grid = Grid(weight_bits, per="channel" if per_channel else "tensor", narrow=weight_bits > 2)
    weights = {
        layer.name: quantized_weights(layer, nearest(layer.matrix().astype(float), grid)) for layer in layers(graph)
    }
    activations = {names[value]: activation_grid(*ranges[value], activation_bits, symmetric) for value in points}
    return Plan(weights, activations)


def activation_grid(low: float, high: float, bits: int, symmetric: bool) -> ActivationGrid:
    """Unsigned from 0 on where nothing is negative; else affine, or symmetric."""
    low, high = min(low, 0.0), max(high, 1e-6)
    if symmetric and low < 0:
        dtype = DType("int", bits)
        scale = np.float32(max(-low, high) / (dtype.max + 0.5))
        return ActivationGrid(dtype, QuantParams(scale, np.int64(0), dtype.min, dtype.max))
    dtype = DType("uint", bits)
    scale = np.float32((high - low) / dtype.max)
    return ActivationGrid(dtype, QuantParams(scale, np.int64(np.rint(-low / scale)), 0, dtype.max))


def _ranges(graph: Graph, values: Sequence[Value], samples: Sequence[Arrays]) -> dict[Value, tuple[float, float]]:
    shown = graph.with_outputs(Output(f"v{i}", value) for i, value in enumerate(values))
    found = [evaluate(shown, sample) for sample in samples]
    return {
        value: (
            min(float(result[f"v{i}"].min()) for result in found),
            max(float(result[f"v{i}"].max()) for result in found),
        )
        for i, value in enumerate(values)
    }
