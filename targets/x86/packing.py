"""Weights as the x86 kernels read them: panels of vectors of outputs, groups of products side by side in a lane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.numerics.accumulate import saturating_pairs
from subbyte.targets.common.tiles import ceil_div, padded_to
from subbyte.targets.x86.registers import Dot


def layout_id(lanes: int, group: int) -> str:
    """The name of PackedWeights: o16k4 puts 16 outputs by 4 products into a vector."""
    return f"o{lanes}k{group}"


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """Weights as summands that the instruction multiplies exactly.

    main: int8 [panels][runs][groups][vectors][lanes][group], zeros where there is no product. A run is what lies side
        by side in the input: a row of the window. Panels have the vectors of the register tile, the last what is left.
    more: int8 [n][vectors][lanes][group]: what is left of weights that are too large for `main`, where anything is.
    more_at: int32 [n, 2], the run and the first product that row n of `more` is multiplied with.
    more_of: int32 [panels + 1]: the rows of panel p are more_of[p] to more_of[p + 1] - 1.
    """

    main: NDArray[np.int8]
    more: NDArray[np.int8]
    more_at: NDArray[np.int32]
    more_of: NDArray[np.int32]


def pack_weights(weights: NDArray[Any], dot: Dot, vectors: int, input_qmax: int) -> PackedWeights:
    """Pack [outputs, runs, products] for panels of `vectors` vectors and input codes 0..input_qmax."""
    outputs, runs, _ = weights.shape
    grouped = padded_to(padded_to(weights.astype(np.int64), 2, dot.group), 0, dot.lanes)
    groups = grouped.shape[2] // dot.group
    by_vector = grouped.reshape(ceil_div(outputs, dot.lanes), dot.lanes, runs, groups, dot.group)
    main, *rests = summands(by_vector.transpose(0, 2, 3, 1, 4), dot, input_qmax)
    firsts = range(0, len(main), vectors)
    rows: list[NDArray[np.int64]] = []
    places: list[tuple[int, int]] = []
    counts = [0]
    for first in firsts:
        for rest in rests:
            panel = rest[first : first + vectors]
            for run, group in np.argwhere(panel.any(axis=(0, 3, 4))):
                rows.append(np.zeros((vectors, dot.lanes, dot.group), np.int64))
                rows[-1][: len(panel)] = panel[:, run, group]
                places.append((int(run), int(group) * dot.group))
        counts.append(len(rows))
    panels = [main[first : first + vectors].transpose(1, 2, 0, 3, 4).reshape(-1) for first in firsts]
    return PackedWeights(
        np.concatenate(panels).astype(np.int8),
        np.array(rows, np.int8).reshape(-1),
        np.array(places, np.int32).reshape(-1, 2),
        np.array(counts, np.int32),
    )


def summands(weights: NDArray[np.int64], dot: Dot, input_qmax: int) -> list[NDArray[np.int64]]:
    """`weights` as a sum of arrays, each of which `dot` multiplies exactly with codes 0..input_qmax; mostly one.

    A weight beyond int8 (less its zero point) leaves a rest, and so does a pair for which `vpmaddubsw` may saturate.
    Every summand has the signs of the weights, so no partial sum exceeds the bounds of N3.
    """
    parts: list[NDArray[np.int64]] = []
    rest = weights
    while rest.any() or not parts:
        part = np.clip(rest, -128, 127)
        if dot.saturates:
            pairs = part.reshape(-1, 2)
            risky = saturating_pairs(pairs, input_qmax)
            pairs = np.where(risky[:, None], np.trunc(pairs / 2).astype(np.int64), pairs)
            part = pairs.reshape(part.shape)
        parts.append(part)
        rest = rest - part
    return parts
