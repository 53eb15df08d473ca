"""Ranges of activations without data: BatchNormalization says how its outputs are distributed, channel by channel.

Behind a BatchNormalization channel c is taken as normal with mean bias[c] and deviation |scale[c]|. Operations between
pass moments and bounds on; a range is mean - n deviations to mean + n deviations, cut to the bounds (0 behind a Relu).
Source: Nagel, van Baalen, Blankevoort, Welling, Data-Free Quantization through Weight Equalization and Bias Correction,
ICCV 2019, section 5 (n = 6) and appendix C (the moments of a clipped normal).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.observers import MinMax
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.layers import Layer, is_layer, value_names
from subbyte.compiler.ir.node import Input, Node, Value

Array = NDArray[Any]
DEVIATIONS = 6.0


@dataclass(frozen=True, eq=False)
class Spread:
    """What is known of a value: float64 [C] along axis 1, or [1] where all channels are alike.

    mean, deviation: moments. low, high: bounds that hold with certainty. centre, width: mean and deviation of the
    normal that was clipped to the bounds, which the range is taken from; of one that was not, its moments.
    """

    mean: Array
    deviation: Array
    low: Array
    high: Array
    centre: Array
    width: Array

    def range(self, deviations: float) -> tuple[Array, Array]:
        low, high = self.centre - deviations * self.width, self.centre + deviations * self.width
        return np.clip(low, self.low, self.high), np.clip(high, self.low, self.high)


def data_free_ranges(
    graph: Graph, *, deviations: float = DEVIATIONS, inputs: Mapping[str, tuple[float, float]] | None = None
) -> dict[Value, MinMax]:
    """A MinMax (along axis 1 where channels differ) for each value whose range is known: give it to `activation_grid`.

    Args:
        deviations: how many deviations lie on each side of the mean.
        inputs: the range of an input by name; else it is taken as normal with mean 0 and deviation 1.
    Raises ModelError: there is no BatchNormalization in the graph.
    """
    if not any(isinstance(node, ops.BatchNormalization) for node in graph.nodes()):
        raise ModelError(
            f"graph '{graph.name}' has no BatchNormalization, from which ranges without data come; give samples, or "
            "the model as it was before its normalizations were folded."
        )
    spreads = spreads_of(graph, inputs)
    found: dict[Value, MinMax] = {}
    for value, spread in spreads.items():
        low, high = (np.asarray(end, np.float32) for end in spread.range(deviations))
        whole = len(low) == 1 or value.type.rank < 2
        observer = MinMax(None if whole else 1)
        observer.restore({"low": low.min() if whole else low, "high": high.max() if whole else high})
        found[value] = observer
    return found


def unknown_values(graph: Graph, found: Mapping[Value, MinMax], wanted: Mapping[Value, object]) -> list[str]:
    """The names of those of the wanted values that have no range, for a sentence."""
    names = value_names(graph)
    return [names[value] for value in wanted if value not in found]


def spreads_of(graph: Graph, inputs: Mapping[str, tuple[float, float]] | None = None) -> dict[Value, Spread]:
    """What is known of each value; those behind operations that pass nothing on are left out."""
    given = dict(inputs or {})
    unknown = set(given) - {node.name for node in graph.inputs}
    if unknown:
        raise ModelError(f"there is no input '{unknown.pop()}' in graph '{graph.name}', for which a range was given.")
    spreads: dict[Value, Spread] = {}
    for node in graph.nodes():
        if isinstance(node, Input):
            if node.type.dtype.is_float:
                spreads[node.out] = _of_input(given.get(node.name))
            continue
        spread = _passed_on(node, spreads)
        if spread is not None:
            spreads[node.out] = spread
    return spreads


def _of_input(bounds: tuple[float, float] | None) -> Spread:
    """Standard normal; or even between the bounds."""
    if bounds is None:
        return normal(np.zeros(1), np.ones(1))
    low, high = bounds
    if not -math.inf < low <= high < math.inf:
        raise ModelError(f"the range {low:g} to {high:g} of an input is none; finite ends in order are needed.")
    mean, deviation = np.array([(low + high) / 2]), np.array([(high - low) / math.sqrt(12)])
    return dataclasses.replace(normal(mean, deviation), low=np.array([low]), high=np.array([high]))


def normal(mean: Array, deviation: Array) -> Spread:
    """Normal and not clipped."""
    unbounded = np.full(mean.shape, np.inf)
    return Spread(mean, deviation, -unbounded, unbounded, mean, deviation)


def clipped(spread: Spread, low: float, high: float) -> Spread:
    """min(max(x, low), high) of what `spread` describes.

    With a = (low - m) / s, b = (high - m) / s, density f and distribution F of the standard normal:
        mean   = m (F(b) - F(a)) + s (f(a) - f(b)) + low F(a) + high (1 - F(b))
        square = (m^2 + s^2) (F(b) - F(a)) + s ((m + low) f(a) - (m + high) f(b)) + low^2 F(a) + high^2 (1 - F(b))
    """
    lowest, highest = np.asarray(np.maximum(spread.low, low)), np.asarray(np.minimum(spread.high, high))
    m, s = spread.centre, np.maximum(spread.width, 1e-30)
    a, b = (lowest - m) / s, (highest - m) / s
    below, above = _distribution(a), _distribution(-b)
    inside = np.maximum(1 - below - above, 0.0)
    at_low, at_high = _density(a), _density(b)
    finite_low, finite_high = (np.where(np.isfinite(end), end, 0.0) for end in (lowest, highest))
    mean = m * inside + s * (at_low - at_high) + finite_low * below + finite_high * above
    square = (m**2 + s**2) * inside + s * ((m + finite_low) * at_low - (m + finite_high) * at_high)
    square = square + finite_low**2 * below + finite_high**2 * above
    return Spread(mean, np.sqrt(np.maximum(square - mean**2, 0.0)), lowest, highest, spread.centre, spread.width)


def _density(x: Array) -> Array:
    return np.asarray(np.exp(-0.5 * np.minimum(np.abs(x), 1e6) ** 2) / math.sqrt(2 * math.pi))


def _distribution(x: Array) -> Array:
    return np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in x])


def _passed_on(node: Node, spreads: Mapping[Value, Spread]) -> Spread | None:
    """What is known of output 0 of `node`; None where the operation passes nothing on."""
    known = [spreads.get(operand) for operand in node.operands]
    first = known[0] if known else None
    match node:
        case ops.BatchNormalization(scale=scale, bias=bias) if scale.constant is not None and bias.constant is not None:
            return normal(bias.constant.astype(np.float64), np.abs(scale.constant.astype(np.float64)))
        case ops.Unary(function="Relu") if first is not None:
            return clipped(first, 0.0, math.inf)
        case ops.Unary(function="Clip", parameters=(low, high)) if first is not None:
            return clipped(first, low, high)
        case ops.Add(a=a, b=b):
            terms = [spreads.get(value) or _of_constant(value, node.type.rank) for value in (a, b)]
            return _sum(terms[0], terms[1], node)
        case ops.Concat(axis=axis) if all(one is not None for one in known):
            return _joined([one for one in known if one is not None], node, axis)
        case ops.MaxPool() | ops.AveragePool() | ops.ResizeNearest() | ops.ResizeLinear():
            return first
        case ops.ReduceMean(axes=axes, keepdims=keepdims) if first is not None:
            return first if 1 not in axes and 0 not in axes and (keepdims or min(axes) > 1) else _merged(first)
        case ops.Reshape(x=x, shape=shape) if first is not None:
            return _reshaped(first, x.type.shape, shape)
        case ops.Transpose() | ops.Slice() | ops.Split() | ops.Gather() if first is not None:
            return _merged(first)
        case ops.Pad(mode="constant", value=0) if first is not None:
            return _with_zero(first)
    if is_layer(node) and first is not None:
        return _of_layer(Layer(node.label, node), first)  # type: ignore[arg-type]
    return None


def _of_constant(value: Value, rank: int) -> Spread | None:
    """A constant that is the same at all positions of a channel; None for other values."""
    array = value.constant
    if array is None:
        return None
    shape = (1,) * (rank - array.ndim) + array.shape
    if array.size not in (1, shape[1] if rank > 1 else 1):
        return None
    flat = array.reshape(-1).astype(np.float64)
    return Spread(flat, np.zeros(flat.shape), flat, flat, flat, np.zeros(flat.shape))


def _sum(a: Spread | None, b: Spread | None, node: Node) -> Spread | None:
    """Of independent terms."""
    if a is None or b is None:
        return None
    try:
        mean, variance = a.mean + b.mean, a.deviation**2 + b.deviation**2
        low, high = a.low + b.low, a.high + b.high
    except ValueError:
        raise UnsupportedError(f"{node.label} adds values of {len(a.mean)} and {len(b.mean)} channels") from None
    deviation = np.sqrt(variance)
    return Spread(mean, deviation, low, high, mean, deviation)


def _joined(parts: list[Spread], node: ops.Concat, axis: int) -> Spread:
    fields = [field.name for field in dataclasses.fields(Spread)]
    if axis == 1:
        extents = [value.type.shape[1] for value in node.values]
        wide = [
            {name: np.broadcast_to(getattr(part, name), (extent,)) for name in fields}
            for part, extent in zip(parts, extents, strict=True)
        ]
        return Spread(**{name: np.concatenate([part[name] for part in wide]) for name in fields})
    return _merged(Spread(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}))


def _merged(spread: Spread) -> Spread:
    """One spread for all channels: the moments of their mixture, bounds and range that hold all."""
    mean = spread.mean.mean(keepdims=True)
    deviation = np.sqrt(np.maximum((spread.deviation**2 + spread.mean**2).mean(keepdims=True) - mean**2, 0.0))
    low, high = spread.range(DEVIATIONS)
    centre, width = (low.min() + high.max()) / 2, (high.max() - low.min()) / 2 / DEVIATIONS
    bounds = spread.low.min(keepdims=True), spread.high.max(keepdims=True)
    return Spread(mean, deviation, *bounds, np.array([centre]), np.array([width]))


def _reshaped(spread: Spread, old: tuple[int, ...], new: tuple[int, ...]) -> Spread:
    """Flattening [N, C, ...] to [N, C * ...] repeats each channel; other shapes keep no channels."""
    if len(spread.mean) == 1 or (len(new) > 1 and old[:2] == new[:2]):
        return spread
    if len(new) == 2 and len(old) > 1 and new[0] == old[0]:
        each = new[1] // old[1]
        return Spread(**{f.name: np.repeat(getattr(spread, f.name), each) for f in dataclasses.fields(Spread)})
    return _merged(spread)


def _with_zero(spread: Spread) -> Spread:
    low, high = spread.range(DEVIATIONS)
    widened = np.minimum(low, 0.0), np.maximum(high, 0.0)
    centre, width = (widened[0] + widened[1]) / 2, (widened[1] - widened[0]) / 2 / DEVIATIONS
    return dataclasses.replace(
        spread, low=np.minimum(spread.low, 0.0), high=np.maximum(spread.high, 0.0), centre=centre, width=width
    )


def _of_layer(layer: Layer, x: Spread) -> Spread | None:
    """A layer without normalization behind it, its inputs taken as independent: sums of means and of variances."""
    matrix = layer.matrix().astype(np.float64)  # [groups, outputs, K], K = (channel in the group, kernel position)
    groups, outputs, k = matrix.shape
    channels = len(x.mean)
    if channels not in (1, groups * k) and (k * groups) % channels:
        return None
    each = groups * k // channels  # kernel positions of one channel
    mean, variance = (np.repeat(v, each).reshape(groups, 1, k) for v in (x.mean, x.deviation**2))
    centre = (matrix * mean).sum(axis=2).reshape(groups * outputs)
    deviation = np.sqrt((matrix**2 * variance).sum(axis=2)).reshape(groups * outputs)
    if layer.bias is not None:
        bias = layer.bias.constant
        if bias is None:
            return None
        centre = centre + bias.astype(np.float64).reshape(-1)
    return normal(centre, deviation)
