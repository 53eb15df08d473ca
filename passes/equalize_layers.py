"""Equalize the ranges of weights across layers: cross-layer equalization, through every path a channel takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.pass_manager import Within, graph_pass
from subbyte.passes.equalization.scaled import scaled
from subbyte.passes.equalization.spaces import FIXED, Labels, Spaces

_SWEEPS, _SMALL = 200, 1e-3
"""Sweeps end when no scale moves by more than 0.1 %."""


@graph_pass(
    requires=Stage.IMPORTED,
    ensures=Stage.IMPORTED,
    exactness=Within(steps=1, reason="weights and biases are rounded once after they are multiplied by the scales"),
)
def equalize_layers(graph: Graph) -> Graph:
    """W2 relu(W1 x + b1)  ->  (W2 S) relu(S^-1 W1 x + S^-1 b1), s_c = sqrt(range(W1 row c) / range(W2 column c)).

    So that one scale a tensor serves all of its channels. The ranges are the largest magnitudes. A channel that several
    layers make or read (additions, Concat, depthwise layers in between) has one scale, which minimizes
    sum of (log range - log s)^2 over those that make it + sum of (log range + log s)^2 over those that read it; layers
    are visited in turn until nothing moves. What all channels of a layer have in common is left as it is.

    Scales pass Relu, LeakyRelu, PRelu, pools, additions, data movement. They do not pass a Clip at 6: `split_clips`
    makes a limit for each channel of it, `relax_clips` takes limits away that no sample reaches. Nor do they pass
    BatchNormalization: run `fold_batch_norm` before. Graph inputs and outputs keep their scale, and so do layers whose
    weights others share.
    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.1.
    """
    spaces = Spaces(graph)
    roots = spaces.roots()
    sides = [
        side
        for stretch in spaces.stretches
        for side in _sides(np.abs(stretch.matrix()).max(axis=3, initial=0.0), roots[stretch.taken], roots[stretch.made])
    ]
    logs = np.zeros(len(roots))
    for _ in range(_SWEEPS):
        moved = [_balance(block, sides, logs) for block in _blocks(sides)]
        if max(moved, default=0.0) < _SMALL:
            break
    if np.abs(logs).max(initial=0.0) < _SMALL:
        return graph
    return scaled(graph, spaces, np.exp(logs)[roots])


@dataclass(frozen=True)
class _Side:
    """One side of a layer: the magnitudes of its weights [groups, channels of this side, of the other side].

    own, other: the labels of the channels. sign: +1 where it makes the channels (their scales divide), -1 where it
    reads them.
    """

    magnitudes: NDArray[np.float64]
    own: Labels
    other: Labels
    sign: int

    def log_ranges(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """[channels] log of the range of each channel's weights under the scales; -inf where all are zero."""
        groups = len(self.magnitudes)
        across = np.exp(self.sign * logs[self.other]).reshape(groups, 1, -1)
        ranges = (self.magnitudes * across).max(axis=2, initial=0.0).reshape(-1)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(ranges) - self.sign * logs[self.own])


def _sides(magnitudes: NDArray[np.float64], taken: Labels, made: Labels) -> tuple[_Side, _Side]:
    return (
        _Side(magnitudes, made, taken, +1),
        _Side(np.swapaxes(magnitudes, 1, 2), taken, made, -1),
    )


def _blocks(sides: list[_Side]) -> list[Labels]:
    """The free labels, those that a layer makes together: each label in the first block that has it."""
    seen = {FIXED}
    blocks = []
    for side in sides:
        if side.sign > 0:
            fresh = np.array(sorted(set(side.own.tolist()) - seen), np.int64)
            seen.update(fresh.tolist())
            blocks.append(fresh)
    return [block for block in blocks if len(block)]


def _balance(block: Labels, sides: list[_Side], logs: NDArray[np.float64]) -> float:
    """Move the scales of `block` to their optimum while all others stay; how far the one moves that moves most."""
    total, made, read = (np.zeros(len(logs)) for _ in range(3))
    for side in sides:
        if not np.isin(side.own, block).any():
            continue
        widest = np.full(len(logs), -np.inf)
        np.maximum.at(widest, side.own, side.log_ranges(logs))
        known = np.isfinite(widest)
        total[known] += side.sign * widest[known]
        (made if side.sign > 0 else read)[known] += 1
    free = block[(made[block] > 0) & (read[block] > 0)]  # weights of nothing but zeros have no range
    if not len(free):
        return 0.0
    steps = total[free] / (made[free] + read[free])
    steps -= steps.mean()
    logs[free] += steps
    return float(np.abs(steps).max())
