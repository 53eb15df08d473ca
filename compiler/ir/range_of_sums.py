"""The range of sums of products, element by element: centres and reaches, computed where windows differ.

For x in c_x -+ r_x and w in c_w -+ r_w (less their zero points), every product lies in
c_x c_w -+ (|c_x| r_w + r_x (|c_w| + r_w)), and a sum of products in the sum of these; for known weights that is exactly
the sum of the extremes of its terms. Padding is the zero point: it adds nothing.
"""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import INT64
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.shapes import matmul_shape
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.numerics.arrays import Array, Codes
from subbyte.compiler.numerics.requantize import requantize

SumOfProducts = qops.QConv | qops.QConvTranspose | qops.QGemm
Ends = tuple[Array, Array]


def is_affine(value: Value) -> bool:
    """Whether the codes of `value` are a known scale times a distance to a known zero point."""
    quant = value.type.quant
    return quant is None or (quant.is_static and quant.levels is None and quant.block is None)


def sum_range(node: SumOfProducts, codes: Ends, weights: Ends, bias: Ends | None) -> Ends | None:
    """The ends of `node`: of its sums, of these and its bias, then N4 of both (a negative multiplier swaps them).

    Args: codes: of its data, all of it or one entry of axis 0 where all are alike; weights, bias: all of them.
    Returns: None where the sum itself, without requantization, may wrap, and where a table follows N4.
    Raises: NumericsError: a bound does not fit int64.
    """
    x, w = (node.a, node.b) if isinstance(node, qops.QGemm) else (node.x, node.w)
    c_x, r_x = _centred(x, codes)
    c_w, r_w = _centred(w, weights)
    both = np.concatenate([np.broadcast_to(part, c_x.shape) for part in (c_x, r_x)])  # one sweep finds what differs
    sums = _Sums(node, both)
    centre = sums(c_x, c_w)  # each factor is doubled: four times the sum
    reach = sums(r_x, np.abs(c_w) + r_w)
    if r_w.any():
        reach = reach + sums(np.abs(c_x), r_w)
    axis = node.type.rank - 1 if isinstance(node, qops.QGemm) else 1
    low, high = (centre - reach) // 4, -((-centre - reach) // 4)
    if bias is not None:
        low, high = (
            end + spread(shift.astype(np.int64), end.shape, axis) for end, shift in zip((low, high), bias, strict=True)
        )
    if node.requantization is None:
        fits = node.dtype.min <= int(low.min(initial=0)) and int(high.max(initial=0)) <= node.dtype.max
        return (low, high) if fits else None
    if node.requantization.table is not None:
        return None  # a table need not be monotone
    one, other = (requantize(end, node.requantization, axis) for end in (low, high))
    return np.minimum(one, other), np.maximum(one, other)


def _without_repeats(factor: Codes, depth: int) -> Codes:
    """`factor` with one entry along each axis but `depth` whose entries are all alike."""
    for axis in range(factor.ndim):
        first = factor.take([0], axis=axis)
        if axis != depth and factor.shape[axis] > 1 and (factor == first).all():
            factor = first
    return factor


def _centred(value: Value, ends: Ends) -> tuple[Codes, Codes]:
    """(low + high, high - low) of the codes less their zero point: twice the centre and twice the radius."""
    low, high = (end.astype(np.int64) for end in ends)
    quant = value.type.quant
    zero_point = 0 if quant is None else spread(quant.static()[1], value.type.shape, quant.axis)
    return np.asarray(low + high - 2 * zero_point, np.int64), np.asarray(high - low, np.int64)


class _Sums:
    """The sums of products of a node over other factors, only where these differ.

    Where data of a convolution are alike in every row and column but a few, as next to padding, so are the sums: of the
    windows with the same contents row by row and column by column one is computed, and copied to the others. Of a
    matrix product one row, column and matrix is computed where all are alike, as those of one quantization are.
    """

    def __init__(self, node: SumOfProducts, alike: Codes) -> None:
        self.node = node
        self.taken: list[Codes] = []
        self.copies: list[Codes] = []
        if isinstance(node, qops.QConv):
            self._find(node, alike)

    def __call__(self, x: Codes, w: Codes) -> Codes:
        """The sums of products of x and w in place of the node's data and weights; of one sample where x has one."""
        changes: dict[str, object] = {"bias": None, "requantization": None, "dtype": INT64, "quant": None}
        if self.taken:
            rank = len(self.taken)
            x = np.pad(x, [(0, 0), (0, 0), *[(0, 1)] * rank])  # the last entry is what padding holds
            for k, taken in enumerate(self.taken):
                x = x.take(taken, axis=2 + k)
            changes |= {"strides": w.shape[2:], "dilations": (1,) * rank, "pads": (0, 0) * rank}
        names, shape = ("x", "w"), None
        if isinstance(self.node, qops.QGemm):
            names, shape = ("a", "b"), matmul_shape(x.shape, w.shape)
            x, w = _without_repeats(x, x.ndim - 1), _without_repeats(w, w.ndim - 2)
        for name, factor in zip(names, (x, w), strict=True):
            changes[name] = Input(name, TensorType(INT64, factor.shape)).out
        sums = np.asarray(evaluate_node(self.node.replace(**changes, layout=None), [x, w])[0], np.int64)
        for k, copies in enumerate(self.copies):
            sums = sums.take(copies, axis=2 + k)
        return sums if shape is None else np.broadcast_to(sums, shape)

    def _find(self, node: qops.QConv, alike: Codes) -> None:
        """Along each axis: the entries that one window of each kind takes, and the kind of each window."""
        taken, copies, counts = [], [], []
        for k, extent in enumerate(alike.shape[2:]):
            entries = np.moveaxis(alike, 2 + k, 0).reshape(extent, -1)
            kinds = np.append(np.cumsum([0, *(entries[1:] != entries[:-1]).any(axis=1)]), -1)
            windows = np.arange(node.type.shape[2 + k]) * node.strides[k] - node.pads[k]
            places = windows[:, None] + np.arange(node.w.type.shape[2 + k]) * node.dilations[k]
            places = np.where((places < 0) | (places >= extent), extent, places)
            _, first, copy = np.unique(kinds[places], axis=0, return_index=True, return_inverse=True)
            taken.append(places[first].reshape(-1))
            copies.append(copy.reshape(-1))
            counts.append(len(first))
        if 4 * np.prod(counts) <= np.prod(node.type.shape[2:]):
            self.taken, self.copies = taken, copies
