"""How much memory a run of samples takes at most: a formula, and what bounds the samples that run at once.

    bytes <= base + processes * (6 * weights + batch * (4 * inputs + 2 * values) + workspace + states) + states

base: Python with NumPy and the back end imported, and the pages of their code (once for each process).
weights: the constants of the graph; in each process: the graph's, the text or ONNX form that they came in, its copy in
    the back end, and the back end's repacked one.
inputs, values: of one sample, the inputs and all values of the graph (the back end holds on to none after a run, so
    this is more than it needs).
workspace: what observers take while they look at an array: blocks of 2^18 elements, and for second moments the rows of
    one sample, twice.
states: what observers keep: 8 bytes * groups * K^2 for second moments, 12 bytes for each bin of a histogram that holds
    something, the kept samples of a reservoir.

The number of samples is not in it. Sources read one sample at a time, but for arrays that the caller holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from subbyte.compiler.calibration.observers import Histogram, Observer, Reservoir, SecondMoments, Together
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Value

SHOWN_BYTES = 128 << 20  # of the values of the samples that run at once, where more than one does
_BLOCK_BYTES = 32 << 20  # several temporaries of 2^18 elements, and the bins of one histogram
_OCTAVES = 40  # of the bins of a histogram: a tensor whose magnitudes span more takes more


def bytes_at_once(graph: Graph, values: Sequence[Value]) -> int:
    """What one sample takes of SHOWN_BYTES: the values shown, and three times the largest value of the graph."""
    sizes = [of_type.bytes for node in graph.operations() for of_type in node.types]
    return sum(value.type.bytes for value in values) + 3 * max(sizes, default=0)


def bound(graph: Graph, observers: Mapping[Value, Observer], batch: int, processes: int = 1) -> int:
    """The formula above, without its base, for runs of `batch` samples at once."""
    nodes = graph.nodes()
    weights = sum(node.value.nbytes for node in nodes if isinstance(node, Constant))
    inputs = sum(node.type.bytes for node in graph.inputs)
    values = sum(of_type.bytes for node in graph.operations() for of_type in node.types)
    states = sum(state_bytes(observer, value) for value, observer in observers.items())
    workspace = _BLOCK_BYTES + max((_workspace(observer) for observer in observers.values()), default=0)
    return processes * (6 * weights + batch * (4 * inputs + 2 * values) + workspace + states) + states


def state_bytes(observer: Observer, value: Value) -> int:
    """What an observer of `value` keeps, at most; a histogram of magnitudes that span at most 40 octaves."""
    match observer:
        case Together(observers=several):
            return sum(state_bytes(one, value) for one in several.values())
        case SecondMoments(layer=layer):
            groups, _, k = layer.matrix().shape
            return int(8 * groups * k**2)
        case Histogram(axis=axis, bins=bins):
            return 12 * 2 * _OCTAVES * bins * (1 if axis is None else value.type.shape[axis])
        case Reservoir(n=n):
            return n * value.type.bytes
    return 64 * max(value.type.shape, default=1)


def _workspace(observer: Observer) -> int:
    match observer:
        case Together(observers=several):
            return max((_workspace(one) for one in several.values()), default=0)
        case SecondMoments(layer=layer):
            groups, outputs, k = layer.matrix().shape
            positions = math.prod(layer.node.type.shape) // max(1, groups * outputs)
            return int(16 * positions * groups * k + 8 * groups * k**2)
    return 0
