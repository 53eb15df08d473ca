"""Weights as the x86 kernels read them: panels of vectors of outputs, groups of products side by side in a lane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.targets.x86.registers import RegisterTile, ceil_div


def padded_to(values: NDArray[Any], axis: int, multiple: int) -> NDArray[Any]:
    """`values` with zeros behind, up to a multiple along `axis`."""
    missing = -values.shape[axis] % multiple
    return np.pad(values, [(0, missing if k == axis else 0) for k in range(values.ndim)])


def layout_id(lanes: int, group: int) -> str:
    """The name of `pack_weights`: o16k4 puts 16 outputs by 4 products into a vector."""
    return f"o{lanes}k{group}"


def pack_weights(weights: NDArray[Any], lanes: int, group: int, tile: RegisterTile) -> NDArray[np.int8]:
    """[outputs, runs, products] -> [panels][runs][groups][vectors][lanes][group], zeros where there is no product.

    A run is what lies side by side in the input: a row of the window. Panels have tile.vectors vectors, the last one
    what is left.
    """
    outputs, runs, _ = weights.shape
    grouped = padded_to(padded_to(weights, 2, group), 0, lanes)
    groups = grouped.shape[2] // group
    vectors = grouped.reshape(ceil_div(outputs, lanes), lanes, runs, groups, group).transpose(0, 2, 3, 1, 4)
    panels = [vectors[first : first + tile.vectors] for first in range(0, vectors.shape[0], tile.vectors)]
    return np.concatenate([panel.transpose(1, 2, 0, 3, 4).reshape(-1) for panel in panels]).astype(np.int8)


def pack_ones(runs: int, products: int, group: int) -> NDArray[np.int8]:
    """4 bytes for every group of products: 1 where there is a product, as bytes or as 16-bit integers."""
    ones = padded_to(np.ones((runs, products), np.int8 if group == 4 else np.int16), 1, group)
    return np.ascontiguousarray(ones).view(np.int8).reshape(-1)


def saturates(packed: NDArray[np.int8], input_qmax: int) -> bool:
    """Whether `vpmaddubsw` may saturate for weights packed in groups of 4 and codes 0..input_qmax.

    A pair of products reaches input_qmax times the sum of its positive weights, and of its negative ones.
    Source: design N3; numerics/accumulate.py, saturating_pairs.
    """
    pairs = packed.reshape(-1, 2).astype(np.int64)
    high = input_qmax * np.maximum(pairs, 0).sum(axis=1)
    low = input_qmax * np.minimum(pairs, 0).sum(axis=1)
    return bool((high > 32767).any() or (low < -32768).any())
