"""Which channels somebody needs: a channel that is constant, or meets only zeros, is summed once and for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import qops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ranges import CodeRange
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.arrays import Codes
from subbyte.passes.channels.spaces import Labels, Product, Spaces, summed_axis

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Intake:
    """How a product takes in C channels of its data, for each of its O results.

    taken [C], made [O]: labels. uses [O, C]: whether there is a weight other than zero. known [C]: the channel is one
    constant wherever the product reads it; its padding is that constant too, or there is none.
    sums: int64 [O, C], what a known channel adds to the sum, 0 for others.
    """

    taken: Labels
    made: Labels
    uses: Flags
    known: Flags
    sums: Codes

    def needed(self, gone: Flags) -> Labels:
        """Labels of the channels that it still needs when those in `gone` are not computed."""
        return self.taken[~self.known & self.uses[~gone[self.made]].any(axis=0)]


def intake(product: Product, spaces: Spaces, ranges: dict[Value, CodeRange]) -> Intake | None:
    """How `product` takes in its data; None where its data has no channels that could go."""
    data, w = data_and_weights(product)
    taken = spaces.channels.get(data)
    if taken is None or taken.axis != summed_axis(product):
        return None
    low, high = ranges[data].along(taken.axis)
    quant = data.type.quant
    zero_point = 0 if quant is None else int(quant.static()[1])
    padded = isinstance(product, qops.QConv) and any(product.pads)
    known = np.broadcast_to((low == high) & ((low == zero_point) | (not padded)), taken.labels.shape)
    sums = np.where(known, (low - zero_point) * w.sum(axis=2), 0)
    return Intake(taken.labels, spaces.channels[product.out].labels, (w != 0).any(axis=2), known, sums)


def data_and_weights(product: Product) -> tuple[Value, Codes]:
    """The data of a product, and its weights less their zero point as int64 [O, C, taps]."""
    data, weights = (product.a, product.b) if isinstance(product, qops.QGemm) else (product.x, product.w)
    codes = weights.node.value.astype(np.int64)  # type: ignore[attr-defined]
    quant = weights.type.quant
    if quant is not None:
        codes = codes - spread(quant.static()[1], codes.shape, quant.axis)
    return data, codes.T[:, :, None] if isinstance(product, qops.QGemm) else codes.reshape(*codes.shape[:2], -1)


def gone_channels(spaces: Spaces, intakes: list[Intake]) -> Flags:
    """For each label whether its channels go: the largest set that nobody needs, one channel left of each value.

    It grows from nothing: what goes may free what it was made of. Each round keeps what it had.
    """
    roots = spaces.roots()
    fixed = np.zeros(len(roots), np.bool_)
    fixed[roots[sorted(spaces.fixed)]] = True
    while True:
        gone = _unneeded(roots, fixed, intakes)
        empty = [c.labels for c in spaces.channels.values() if len(c.labels) and gone[c.labels].all()]
        if not empty:
            return gone
        fixed[roots[[labels[0] for labels in empty]]] = True


def _unneeded(roots: Labels, fixed: Flags, intakes: list[Intake]) -> Flags:
    gone = np.zeros(len(roots), np.bool_)
    while True:
        needed = fixed.copy()
        for one in reversed(intakes):
            needed[roots[one.needed(gone)]] = True
        now = ~needed[roots]
        if (now == gone).all():
            return gone
        gone = now
