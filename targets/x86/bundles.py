"""Weights as bundles: fours of products that may be added in 16 bits before they are widened, which is proved here.

`vpmaddubsw` adds two products u8 * s8 in a lane of 16 bits, and `vpaddw` adds such lanes further. What a lane reaches
lies between input_qmax times the sum of its negative weights and input_qmax times that of its positive ones. For full
codes, a lane is exact as long as neither sum exceeds 128 in size.

A *four* is four neighbouring codes of a window, multiplied with their weights for every output of a vector. Where the
two weights of a pair might overflow, fours overlap, so that the weights come to stand in different pairs; the other
four has a zero there. Fours of a vector are then matched into bundles of two, and of four, whose lanes add up within
16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.accumulate import saturating_pairs

FOUR = 4
SIZES = (4, 2, 1)  # of bundles, in the order in which they stand
_MATCHED_TOGETHER = 160  # fours among which partners are sought
_CANDIDATES = ((0, 4), (0, 3), (1, 3), (1, 2), (2, 2), (0, 2), (3, 1), (2, 1), (1, 1), (0, 1))

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bundles:
    """Packed weights of all vectors of outputs.

    weights: int8 [fours][lanes][4]. places: int32 [fours, 2]: the run, and the first of its codes, that a four is
        multiplied with. of: int32 [vectors, 4]: the first four of a vector, its bundles of 4, of 2, of 1.
    """

    weights: NDArray[np.int8]
    places: NDArray[np.int32]
    of: NDArray[np.int32]

    @property
    def count(self) -> tuple[int, int, int]:
        """Bundles of 4, of 2, of 1."""
        four, two, one = (int(n) for n in self.of[:, 1:].sum(axis=0))
        return four, two, one


def pack_bundles(weights: Ints, lanes: int, input_qmax: int) -> Bundles:
    """Pack [outputs, runs, products] for vectors of `lanes` outputs and input codes 0..input_qmax.

    Raises: NumericsError: a weight is no int8, or a single product does not fit 16 bits.
    """
    if weights.min(initial=0) < -128 or weights.max(initial=0) > 127:
        raise NumericsError(f"weights {weights.min()}..{weights.max()} do not fit int8, which bundles are made of")
    if input_qmax > 255:
        raise NumericsError(f"codes up to {input_qmax} do not fit uint8, which bundles are multiplied with")
    outputs, runs, products = weights.shape
    vectors = -(-outputs // lanes)
    padded = np.zeros((vectors * lanes, runs, max(products, FOUR)), np.int64)
    padded[:outputs, :, :products] = weights
    packed: list[NDArray[np.int8]] = []
    places: list[NDArray[np.int32]] = []
    of: list[tuple[int, int, int, int]] = []
    first = 0
    for vector in range(vectors):
        own, at = cut_into_fours(padded[vector * lanes : (vector + 1) * lanes], products, input_qmax)
        order, counts = bundle(lane_sums(own), input_qmax)
        packed.append(own[order].astype(np.int8))
        places.append(at[order])
        of.append((first, *counts))
        first += len(order)
    return Bundles(np.concatenate(packed), np.concatenate(places), np.array(of, np.int32))


def cut_into_fours(weights: Ints, products: int, input_qmax: int) -> tuple[Ints, NDArray[np.int32]]:
    """(fours [n, lanes, 4], places [n, 2]) of the weights [lanes, runs, products or 4] of one vector.

    Every weight is in one four; no pair may overflow; as few fours as that allows: each ends as far on as it can, since
    of two ends of a run the shorter never needs more.
    """
    _, runs, stored = weights.shape
    last = stored - FOUR  # where the last four may begin
    neighbours = np.stack([weights[:, :, :-1], weights[:, :, 1:]], axis=-1)
    risky = saturating_pairs(neighbours, input_qmax).any(axis=0).tolist()
    fours: list[tuple[int, int, int, int]] = []  # run, first code, first weight, weights
    for run in range(runs):
        bad = risky[run]
        k = 0
        while k < products:
            for back, count in _CANDIDATES:
                start = k - back
                if start > last:
                    start, count = last, min(count, last + FOUR - k)
                if start < 0 or k + count > products or k + count > start + FOUR:
                    continue
                pairs = [p for p in (start, start + 2) if k <= p and p + 1 < k + count]
                if not any(bad[p] for p in pairs):
                    fours.append((run, start, k, count))
                    k += count
                    break
    run_of, start_of, k_of, count_of = np.array(fours, np.int64).reshape(-1, 4).T
    codes = start_of[:, None] + np.arange(FOUR)
    used = (codes >= k_of[:, None]) & (codes < (k_of + count_of)[:, None])
    cut = np.where(used[:, :, None], weights[:, run_of[:, None], codes].transpose(1, 2, 0), 0)
    return cut.transpose(0, 2, 1), np.stack([run_of, start_of], axis=1).astype(np.int32)


def lane_sums(fours: Ints) -> Ints:
    """[n, lanes * 2, 2]: the sums of the positive and of the negative weights (as positives) of every 16-bit lane."""
    pairs = fours.reshape(len(fours), -1, 2)
    return np.stack([np.maximum(pairs, 0).sum(axis=-1), -np.minimum(pairs, 0).sum(axis=-1)], axis=-1)


def bundle(sums: Ints, input_qmax: int) -> tuple[Ints, tuple[int, int, int]]:
    """(the order of the fours, how many bundles of 4, 2 and 1), for the lane sums [n, lanes, 2] of fours."""
    limits = np.array([32767 // max(input_qmax, 1), 32768 // max(input_qmax, 1)])
    pairs, ones = _matched(sums, limits)
    doubles = sums[pairs[:, 0]] + sums[pairs[:, 1]]
    quads, twos = _matched(doubles, limits)
    order = np.concatenate([pairs[quads].reshape(-1), pairs[twos].reshape(-1), ones])
    return order, (len(quads), len(twos), len(ones))


def _matched(sums: Ints, limits: Ints) -> tuple[Ints, Ints]:
    """(pairs [m, 2], the rest) of rows of `sums` [n, lanes, 2]; what the rows of a pair add up to is within the limits.

    Rows are taken in blocks; of a block, again and again the row with the fewest partners, with that partner of it that
    itself has the fewest.
    """
    n = len(sums)
    blocks = -(-n // _MATCHED_TOGETHER)
    if not blocks:
        return np.zeros((0, 2), np.int64), np.zeros(0, np.int64)
    size = -(-n // blocks)
    members = np.arange(blocks * size).reshape(blocks, size)
    fits = _fits(sums, limits, members)
    free = members < n
    fits &= free[:, :, None] & free[:, None, :]
    degree = fits.sum(axis=2)
    rows = np.arange(blocks)
    never = size + 1
    pairs: list[Ints] = []
    while True:
        one = np.where(degree > 0, degree, never).argmin(axis=1)
        live = degree[rows, one] > 0
        if not live.any():
            break
        other = np.where(fits[rows, one], degree, never).argmin(axis=1)
        pairs.append(np.stack([members[rows, one], members[rows, other]], axis=1)[live])
        for taken in (one, other):
            gone = rows[live], taken[live]
            degree[live] -= fits[gone]
            fits[gone] = False
            fits[gone[0], :, gone[1]] = False
            degree[gone] = 0
    found = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)
    rest = np.setdiff1d(np.arange(n), found.reshape(-1))
    return found, rest


def _fits(sums: Ints, limits: Ints, members: Ints) -> NDArray[np.bool_]:
    """[blocks, size, size]: whether two different rows of a block, each within the limits, may be added."""
    blocks, size = members.shape
    container = np.uint8 if max(limits.max(), sums.max()) <= 255 else np.uint16  # of bytes, four times as fast
    narrow, most = sums.astype(container).transpose(1, 2, 0), limits.astype(container)
    own = np.ascontiguousarray(narrow[:, :, np.minimum(members, len(sums) - 1)])  # [lanes, 2, blocks, size]
    bad = np.zeros((blocks, size, size), np.bool_)
    for lane in own:
        for column, limit in zip(lane, most, strict=True):
            bad |= column[:, :, None] > (limit - column)[:, None, :]
    bad[:, np.arange(size), np.arange(size)] = True
    return ~bad
