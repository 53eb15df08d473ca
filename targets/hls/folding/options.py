"""The folds that a layer may get: every lane count that saves a word, and no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import gcd

import numpy as np

from subbyte.targets.hls import layers as of
from subbyte.targets.hls.actors import Multiplier, Product
from subbyte.targets.hls.estimate.arithmetic import factor_of
from subbyte.targets.hls.estimate.layers import layer_work
from subbyte.targets.hls.expand import input_lanes, output_lanes
from subbyte.targets.hls.folding.problem import Option
from subbyte.targets.hls.layers import Fold, Layer
from subbyte.targets.hls.products.bounds import MOST_WORD_BITS
from subbyte.targets.hls.resources import KINDS, Resources

MOST_PRODUCTS = 4096
"""Products of one layer in a cycle: what vendor tools unroll in one loop."""
DSP_WORTHWHILE_BITS = 8
"""Of a product: a narrower one is a few LUTs."""


def useful_lanes(channels: int) -> list[int]:
    """For each number of words that `channels` codes can have, the fewest lanes that make it, ascending.

    More lanes for the same number of words would only be padding.
    """
    found, lanes = [], 1
    while lanes <= channels:
        found.append(lanes)
        words = -(-channels // lanes)
        if words == 1:
            break
        lanes = -(-channels // (words - 1))
    return found


def folds(layer: Layer) -> list[Fold]:
    """Every fold worth a look, each layer's width limits kept; one at least."""
    channels, bits = layer.x.channels, layer.x.element.bits
    if isinstance(layer, of.Flattening):
        return [Fold()]
    if isinstance(layer, (of.Concatenation, of.Separation)):
        parts = layer.inputs if isinstance(layer, of.Concatenation) else layer.outputs
        common = gcd(*(frame.channels for frame in parts))
        lanes = [lanes for lanes in range(1, common + 1) if common % lanes == 0]
        return [Fold(simd) for simd in _narrow(lanes, bits)]
    widest = max(bits, *(frame.element.bits for frame in layer.outputs))
    if isinstance(layer, of.DepthwiseSums):
        lanes = _narrow(useful_lanes(channels), max(widest, _weight_bits(layer)))
        return [Fold(simd, multiplier=made_of) for simd in lanes for made_of in multipliers(layer)]
    if not isinstance(layer, of.Sums):
        return [Fold(simd) for simd in _narrow(useful_lanes(channels), widest)]
    weight_bits = _weight_bits(layer)
    rows = _narrow(useful_lanes(layer.y.channels), layer.y.element.bits)
    found = [Fold(simd, pe) for simd in _narrow(useful_lanes(channels), max(bits, weight_bits)) for pe in rows]
    for taps in sorted({layer.window.kernel[1], layer.window.taps} - {1}):
        if channels * taps * max(bits, weight_bits) <= MOST_WORD_BITS and not layer.window.is_pixel:
            found += [Fold(channels, pe, taps) for pe in rows]
    return [
        replace(fold, multiplier=made_of)
        for fold in found
        if fold.simd * fold.taps * fold.pe <= MOST_PRODUCTS
        for made_of in multipliers(layer)
    ]


def multipliers(layer: of.Sums | of.DepthwiseSums) -> tuple[Multiplier, ...]:
    """What the products of `layer` may be made of: LUTs, and DSP slices where they are not too narrow for one."""
    if layer.product is not Product.MULTIPLY:
        return (Multiplier.AUTO,)
    bits = layer.x.element.bits + _weight_bits(layer)
    return (Multiplier.FABRIC, Multiplier.DSP) if bits >= DSP_WORTHWHILE_BITS else (Multiplier.FABRIC,)


def _weight_bits(layer: of.Sums | of.DepthwiseSums) -> int:
    """Of a weight in its ROM."""
    return factor_of(layer.product, layer.x.element, layer.weights, layer.terms).weight_bits


def _narrow(lanes: Sequence[int], bits: int) -> list[int]:
    return [count for count in lanes if count * bits <= MOST_WORD_BITS] or [lanes[0]]


def options(layer: Layer, of_folds: Iterable[Fold]) -> tuple[Option, ...]:
    """What each fold comes to."""
    found = []
    for fold in of_folds:
        work = layer_work(layer, fold)
        reads, writes = input_lanes(layer, fold), output_lanes(layer, fold)
        found.append(Option(fold, work.cycles, work.resources, reads, writes, work.first, work.tail, work.needs))
    return tuple(found)


def reduced(of_layer: Sequence[Option], frame_cycles: int, weights: Resources, delays: bool) -> tuple[int, ...]:
    """The options that a best choice may need: of those within `frame_cycles`, by their numbers, ascending,

    * those that no other is as good as in every resource, and in cycles and delays too where `delays`;
    * the cheapest of each number of lanes that divides the channels' folds evenly, read or written, since neighbours of
      the same lanes need no conversion.
    """
    fitting = [index for index, option in enumerate(of_layer) if option.cycles <= frame_cycles]
    if not fitting:
        return ()
    figures = np.array([_figures(of_layer[index], delays) for index in fitting], np.int64)
    shares = (figures[:, : len(KINDS)] / np.maximum(weights.counts, 1)).sum(axis=1).tolist()
    order = sorted(range(len(fitting)), key=lambda k: (shares[k], fitting[k]))
    front: list[int] = []
    for k in order:
        if not front or not (figures[front] <= figures[k]).all(axis=1).any():
            front.append(k)
    kept = set(front)
    for lanes in ([option.reads for option in of_layer], [option.writes for option in of_layer]):
        seen: set[int] = set()
        most = max(lanes)
        for k in order:
            count = lanes[fitting[k]]
            if count not in seen and most % count == 0:
                seen.add(count)
                kept.add(k)
    return tuple(sorted(fitting[k] for k in kept))


def _figures(option: Option, delays: bool) -> tuple[int, ...]:
    return (*option.resources.counts, *((option.cycles, option.first, option.tail) if delays else ()))
