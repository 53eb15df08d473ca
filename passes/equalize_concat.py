"""Give the operands of a Concat one range, since they share one scale when they are quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import MinMax, Observer
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Value
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.equalization.scaled import scaled
from subbyte.passes.equalization.spaces import FIXED, Labels, Spaces

_SMALL = 0.01
"""Ranges that differ by 1 % are the same."""


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="weights and biases are rounded once after they are multiplied by the scales"),
)
def equalize_concat(graph: Graph, data: Data) -> Graph:
    """Concat(a, b)  ->  Concat(a / s_a, b / s_b), max |a / s_a| = max |b / s_b| = max |a, b|, on the samples.

    The layers that make an operand divide their weights by its scale, those that read the result multiply the columns
    that meet it. So an operand of small numbers uses all codes of the common grid. One that cannot be scaled (a graph
    input, what an earlier Concat has scaled, what comes from a Sigmoid) stays, and the others take the range of the
    largest that stays. Ways and limits are those of `equalize_layers`.
    """
    spaces = Spaces(graph)
    concats = [node for node in graph.nodes() if isinstance(node, ops.Concat) and len(node.values) > 1]
    operands = [[value for value in node.values if value in spaces.labels] for node in concats]
    roots = spaces.roots()
    kept = [values for values in operands if any((_labels(spaces, roots, value) != FIXED).all() for value in values)]
    if not kept:
        return graph
    ranges: dict[Value, MinMax] = {value: MinMax() for values in kept for value in values}
    observers: Mapping[Value, Observer] = ranges
    data.observe(graph, observers)
    scales = np.ones(len(roots))
    settled = {FIXED}
    for values in kept:
        _settle([(value, _labels(spaces, roots, value)) for value in values], ranges, scales, settled)
    if np.abs(np.log(scales)).max() < _SMALL:
        return graph
    return scaled(graph, spaces, scales[roots])


def _labels(spaces: Spaces, roots: Labels, value: Value) -> Labels:
    """The roots of the labels of a value, each once."""
    return np.unique(roots[spaces.labels[value]])


def _settle(
    operands: Sequence[tuple[Value, Labels]],
    ranges: Mapping[Value, MinMax],
    scales: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    settled: set[int],
) -> None:
    """Choose the scales of the operands of one Concat; what is settled before stays."""
    sizes = [float(max(abs(ranges[value].low), abs(ranges[value].high))) for value, _ in operands]
    free = [settled.isdisjoint(labels.tolist()) for _, labels in operands]
    staying = [
        size / float(scales[labels].max())
        for size, is_free, (_, labels) in zip(sizes, free, operands, strict=True)
        if not is_free
    ]
    target = max(staying, default=0.0) or max(sizes)
    for size, is_free, (_, labels) in zip(sizes, free, operands, strict=True):
        fresh = settled.isdisjoint(labels.tolist())  # an operand may stand twice
        if is_free and fresh and size > 0:
            scales[labels] = size / target
        settled.update(labels.tolist())
