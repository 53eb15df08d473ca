"""What one pass of the samples through the float network tells: ranges, second moments, and a few samples to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import Histogram, Observer, Reservoir, SecondMoments, Together
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Value
from subbyte.passes.precision.points import quantization_points

KEPT_SAMPLES = 1024
_LARGEST_MOMENTS = 1 << 30  # bytes of one layer's second moments; above, its weights are rounded without them


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was seen.

    histograms: of every tensor that is to be quantized. second_moments: by layer, [groups, K, K], where asked for.
    samples: at most KEPT_SAMPLES of the inputs, by input, behind each other along axis 0.
    """

    histograms: Mapping[Value, Histogram]
    second_moments: Mapping[str, NDArray[np.float64]]
    samples: Mapping[str, NDArray[Any]]


def gather(
    graph: Graph, data: Data, *, second_moments: bool, seed: int = 0, checkpoint: Path | None = None
) -> Statistics:
    """Run all samples once.  Args: second_moments: of the rows of each layer, which compensating roundings want."""
    histograms = {value: Histogram() for value in quantization_points(graph)}
    moments = {layer.name: SecondMoments(layer) for layer in layers(graph) if second_moments and _affordable(layer)}
    kept = {
        node.name: Reservoir(KEPT_SAMPLES, seed, node.type.shape[0] if node.type.rank else 1) for node in graph.inputs
    }
    wanted: dict[Value, dict[str, Observer]] = {value: {"range": histogram} for value, histogram in histograms.items()}
    for layer in layers(graph):
        if layer.name in moments:
            wanted.setdefault(layer.x, {})[layer.name] = moments[layer.name]
    for node in graph.inputs:
        wanted.setdefault(node.out, {})["kept"] = kept[node.name]
    data.observe(graph, {value: Together(**observers) for value, observers in wanted.items()}, checkpoint)
    return Statistics(
        histograms,
        {name: observer.mean for name, observer in moments.items()},
        {name: reservoir.samples for name, reservoir in kept.items()},
    )


def _affordable(layer: Layer) -> bool:
    groups, _, k = layer.matrix().shape
    return bool(8 * groups * k * k <= _LARGEST_MOMENTS)
