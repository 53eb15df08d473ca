"""Weights as kernels/arm_sums_sdot.h and arm_sums_smmla.h read them: vectors of 16, in 8, 4, 2 or 1 bits a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError
from subbyte.compiler.target import Argument, ConstantArray, Integer, as_array
from subbyte.targets.common.tiles import padded_to

STORED_BITS = (8, 4, 2, 1)
_NIBBLE = 4


def stored_bits(levels: int) -> int:
    """The bits of an index of so many levels, as they divide a byte; 8 where the weights are stored as they are."""
    return next((bits for bits in (1, 2, 4) if levels <= 1 << bits), 8)


@dataclass(frozen=True)
class Order:
    """How weights make vectors: `outputs` neighbours by `group` products, 16 in all.

    padded: products of a run are padded to a multiple of it, with the weight 0.
    """

    outputs: int
    group: int
    padded: int

    @property
    def layout(self) -> str:
        """The id of the layout: o4k4 puts 4 outputs by 4 products into a vector."""
        return f"o{self.outputs}k{self.group}"


def levels_of(weights: NDArray[np.int64], reads: int) -> NDArray[np.int64]:
    """The values that there are in weights [outputs, runs, products], ascending; 0 too where runs are padded with it.

    reads: products that the inner loop multiplies at a time, of a run that may end before.
    """
    values = np.unique(weights)
    return np.union1d(values, [0]) if weights.shape[2] % reads else values


def pack_weights(
    weights: NDArray[np.int64], order: Order, panel: int, last_panel: int, levels: NDArray[np.int64] | None
) -> tuple[Argument, Argument]:
    """(weights, levels) for [outputs, runs, products] in panels of `panel` outputs, the last of `last_panel`, if any.

    levels: ascending; None where weights are bytes. Otherwise each is stored as its index, in as few bits as divide 8,
    and 8 / bits vectors share 16 bytes: bits j * bits... of byte i are weight i of vector j.
    Raises GraphError: vectors of a panel do not fill whole bytes.
    """
    bits = 8 if levels is None else stored_bits(levels.size)
    values = padded_to(weights, 2, order.padded)
    outputs, runs = values.shape[:2]
    whole = outputs // panel * panel
    panels = [values[first : first + panel] for first in range(0, whole, panel)]
    if whole < outputs:
        panels.append(padded_to(values[whole:], 0, last_panel))
    vectors = np.concatenate([_vectors(part, runs, order) for part in panels])
    layout = f"{order.layout}_{bits}bit"
    if levels is None:
        return ConstantArray("weights", as_array(vectors, np.int8).view(np.uint8), order.layout), Integer(0)
    if len(vectors) % (8 // bits) or any(len(part) * runs * values.shape[2] % (128 // bits) for part in panels):
        raise GraphError(f"panels of {panel} and {last_panel} outputs leave vectors of {bits} bits that share no bytes")
    codes = np.searchsorted(levels, vectors).clip(max=levels.size - 1).reshape(-1, 8 // bits, 16)
    joined = (codes << (np.arange(8 // bits) * bits)[:, None]).sum(axis=1)
    return (
        ConstantArray("weights", as_array(joined, np.uint8), layout),
        ConstantArray("levels", as_array(_tables(levels, bits), np.int8), "by_four_bits"),
    )


def _vectors(panel: NDArray[np.int64], runs: int, order: Order) -> NDArray[np.int64]:
    """[vectors, 16] of outputs [panel, runs, products]: by run, group of products, vector of outputs."""
    split = panel.reshape(len(panel) // order.outputs, order.outputs, runs, -1, order.group)
    return split.transpose(2, 3, 0, 1, 4).reshape(-1, order.outputs * order.group)


def _tables(levels: NDArray[np.int64], bits: int) -> NDArray[Any]:
    """[4 / bits][16]: what four bits stand for as each of the weights in them."""
    four, entries = np.arange(1 << _NIBBLE), np.zeros(1 << bits, np.int64)
    entries[: levels.size] = levels
    return np.stack([entries[four >> at & (1 << bits) - 1] for at in range(0, _NIBBLE, bits)])
