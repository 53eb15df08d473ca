"""What a cost model knows of a network: counts and shapes of its layers, which say what networks are alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.macs import multiply_accumulates

Statistics = Mapping[str, float]

_COUNTED = {
    "additions": ("Add", "Sub"),
    "products": ("Mul", "Div", "MatMul"),
    "pools": ("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"),
    "normalizations": ("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
    "activations": ("Unary", "Softmax", "LogSoftmax", "PRelu", "LeakyRelu"),
    "concatenations": ("Concat",),
}


def graph_statistics(graph: Graph) -> dict[str, float]:
    """Numbers of a float graph of stage IMPORTED, all finite.

    Layers by kind, other operations by kind, log10 of weights and of multiply-accumulates, the share of the latter in
    depthwise convolutions, and over layers the mean of: log2 of the largest over the median magnitude of the output
    channels, and log2 of the largest magnitude over the root mean square of the weights. The last two say how much one
    scale for all channels, and ranges that cut nothing, cost.
    Source: Lee et al., Quantune, arXiv 2202.05048, section 4 (counts); Nagel et al., arXiv 1906.04721 (ranges).
    """
    found = layers(graph)
    kinds = [_kind(layer) for layer in found]
    macs = [multiply_accumulates(layer.node) for layer in found]
    weights = sum(layer.weights.size for layer in found)
    depthwise = sum(count for count, kind in zip(macs, kinds, strict=True) if kind == "depthwise")
    names = [type(node).__name__ for node in graph.nodes()]
    statistics = {f"layers_{kind}": float(kinds.count(kind)) for kind in ("conv", "pointwise", "depthwise", "dense")}
    statistics |= {kind: float(sum(names.count(name) for name in counted)) for kind, counted in _COUNTED.items()}
    statistics["log10_weights"] = math.log10(1 + weights)
    statistics["log10_macs"] = math.log10(1 + sum(macs))
    statistics["depthwise_share"] = depthwise / sum(macs) if sum(macs) else 0.0
    statistics["channel_spread"] = _mean([_channel_spread(layer) for layer in found])
    statistics["weight_peak"] = _mean([_peak(layer.weights.astype(np.float64)) for layer in found])
    return statistics


def vector(statistics: Statistics, names: Sequence[str]) -> NDArray[np.float32]:
    """[names] the numbers in order; NaN, which XGBoost takes for unknown, where one is missing."""
    return np.array([statistics.get(name, math.nan) for name in names], np.float32)


def _kind(layer: Layer) -> str:
    if not isinstance(layer.node, (ops.Conv, ops.ConvTranspose)):
        return "dense"
    if layer.groups > 1 and layer.groups == layer.x.type.shape[1]:
        return "depthwise"
    return "pointwise" if math.prod(layer.weights.shape[2:]) == 1 else "conv"


def _channel_spread(layer: Layer) -> float:
    """log2(largest / median) of the largest magnitude in each output channel; 0 where the median channel is zero."""
    matrix = np.abs(layer.matrix().astype(np.float64))
    magnitudes = matrix.max(axis=2, initial=0.0).ravel()
    median = float(np.median(magnitudes))
    return math.log2(float(magnitudes.max()) / median) if median > 0 else 0.0


def _peak(weights: NDArray[np.float64]) -> float:
    """log2(largest magnitude / root mean square); 0 of zeros."""
    square = float((weights**2).mean())
    return math.log2(float(np.abs(weights).max()) / math.sqrt(square)) if square > 0 else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
