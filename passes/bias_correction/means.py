"""The mean of what each layer multiplies: seen on samples, or told by BatchNormalization."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import Observer, State, Together
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Array, Layer, layers
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.passes.bias_correction.normal import Normal, clipped
from subbyte.passes.equalization.scaled import channel_scales
from subbyte.passes.fold_batch_norm import fold_batch_norm
from subbyte.passes.linear.affine import affine_of

Means = dict[str, NDArray[np.float64]]
"""[groups, K] for each layer's name: the mean of the rows that its matrix multiplies (Layer.rows, Layer.matrix)."""


def input_means(graph: Graph, data: Data, names: Collection[str] | None = None) -> Means:
    """The means over all samples and places; the zeros of a convolution's borders count as what they are.

    names: of which layers; None for all.
    """
    found = [layer for layer in layers(graph) if names is None or layer.name in names]
    observers = {layer.name: RowMeans(layer) for layer in found}
    readers: dict[Value, dict[str, Observer]] = {}
    for layer in found:
        readers.setdefault(layer.x, {})[layer.name] = observers[layer.name]
    data.observe(graph, {value: Together(**named) for value, named in readers.items()})
    return {name: observer.mean for name, observer in observers.items()}


def normal_input_means(graph: Graph, prepared: Graph | None = None) -> Means:
    """Means without samples: what BatchNormalization makes is taken for normal, N(bias, scale^2) in each channel.

    Means and variances pass Relu and Clip (as those of a clipped normal variable), additions (as of independent ones),
    factors and shifts, Concat, average pools and Reshape to [N, C]. Borders are not counted.

    Args:
        graph: with its BatchNormalizations.
        prepared: the graph whose layers are meant: `fold_batch_norm` of `graph`, which is the default, and what scaling
            of channels (`equalize_layers`, `equalize_concat`) has made of that.
    Returns: for the layers of `prepared` that are layers of `graph` over operands that are known.
    Source: Nagel et al. 2019, section 4.2 and appendix C.
    """
    known: dict[Value, Normal] = {}
    for node in graph.nodes():
        found = _normal(node, known)
        if found is not None:
            known[node.out] = found
    folded = fold_batch_norm(graph)
    scales = {} if prepared is None else channel_scales(folded, prepared)
    means: Means = {}
    for layer in layers(graph):
        operand, sources = known.get(layer.x), layer.node.sources
        names = [other.name for other in layers(folded) if other.node.sources[: len(sources)] == sources]
        if operand is None or len(names) != 1 or (prepared is not None and names[0] not in scales):
            continue
        groups, _, columns = layer.matrix().shape
        mean = (operand.mean / scales.get(names[0], np.ones(()))).reshape(groups, -1)
        means[names[0]] = np.repeat(mean, columns // mean.shape[1], axis=1)
    return means


def _normal(node: Node, known: Mapping[Value, Normal]) -> Normal | None:
    """Mean and variance for each index of axis 1; None where they are not known."""
    if isinstance(node, ops.BatchNormalization):
        scale, bias = node.scale.constant, node.bias.constant
        return None if scale is None or bias is None else Normal(bias.astype(np.float64), scale.astype(np.float64) ** 2)
    affine = affine_of(node)
    if affine is not None and affine.x in known:
        x = known[affine.x]
        return Normal(affine.gain * x.mean + affine.shift, affine.gain**2 * x.variance)
    operands = [known.get(value) for value in node.operands]
    if None in operands or not operands:
        return None
    (x, *others) = [operand for operand in operands if operand is not None]
    match node:
        case ops.Unary(function="Relu"):
            return clipped(x, 0.0, np.inf)
        case ops.Unary(function="Clip", parameters=(low, high)):
            return clipped(x, low, high)
        case ops.Add(a=a, b=b) if a.type.shape == b.type.shape and a != b:
            return Normal(x.mean + others[0].mean, x.variance + others[0].variance)
        case ops.Concat(axis=1):
            every = [x, *others]
            return Normal(np.concatenate([n.mean for n in every]), np.concatenate([n.variance for n in every]))
        case ops.AveragePool() | ops.ReduceMean() if not isinstance(node, ops.ReduceMean) or min(node.axes) > 1:
            return x
        case ops.Reshape(shape=shape) if shape == (node.operands[0].type.shape[0], len(x.mean)):
            return x
    return None


class RowMeans(Observer):
    """The mean of the rows of a layer, [groups, K] float64; observes the layer's input."""

    def __init__(self, layer: Layer) -> None:
        operand = "a" if isinstance(layer.node, (ops.Gemm, ops.MatMul)) else "x"
        alone = layer.node.replace(**{operand: Input("x", layer.x.type).out})  # without the network before it
        self.layer = Layer(layer.name, alone)
        self.rows = 0
        self._sum: NDArray[np.float64] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        if self._sum is None:
            raise NumericsError(f"no samples reached the layer '{self.layer.name}'; its mean is not known")
        return self._sum / self.rows

    def update(self, array: Array) -> None:
        extent = self.layer.x.type.shape[0]
        parts = [array[start : start + extent] for start in range(0, len(array), extent)]
        total, count = np.zeros(()), 0
        for part in parts:  # sample by sample: rows may take far more memory than x
            rows = self.layer.rows(part)
            total = total + rows.sum(axis=1, dtype=np.float64)
            count += rows.shape[1]
        if not np.isfinite(total).all():
            raise NumericsError(f"what '{self.layer.name}' multiplies holds NaN or infinite numbers; it has no mean")
        self._take(count, total)

    def merge(self, other: RowMeans) -> None:
        if other._sum is not None:
            self._take(other.rows, other._sum)

    def _take(self, rows: int, total: NDArray[np.float64]) -> None:
        self.rows += rows
        self._sum = total if self._sum is None else self._sum + total

    def state(self) -> State:
        return {} if self._sum is None else {"rows": np.asarray(self.rows, np.int64), "sum": self._sum}

    def restore(self, state: Mapping[str, Array]) -> None:
        self.rows = int(state["rows"]) if "rows" in state else 0
        self._sum = state.get("sum")

    def fresh(self) -> RowMeans:
        return RowMeans(self.layer)

    def describe(self) -> str:
        return f"row_means({self.layer.name})"
