"""MatrixVector as a module: a ROM of weights, lanes of products, trees of adders, accumulators, steps.

Stage 1 holds the word of x and the word of weights; the others are those of sums.py. The words of a pixel are kept in a
RAM while NF > 1 reads them again.
"""

from __future__ import annotations

import numpy as np

from subbyte.targets.hls.actors import MatrixVector, Product
from subbyte.targets.hls.rtl.lane_products import lane_product, packed
from subbyte.targets.hls.rtl.netlist import Signal
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, counter, input_port, lanes_of
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl
from subbyte.targets.hls.rtl.sums import with_sums
from subbyte.targets.hls.streams import Codes


@rtl.register
def matrix_vector(actor: MatrixVector) -> Rtl:
    x, y = actor.x.type, actor.y.type
    simd, pe = x.lanes, y.lanes
    words, rows = x.words_per_pixel, y.words_per_pixel
    weights = folded_weights(actor)
    product = lane_product(actor.product, x.element, weights, actor.terms)
    netlist = module_of(actor)
    pipeline = Pipeline(netlist)

    # Iterations: row 0 reads the words of x, the others read them from the RAM.
    port = input_port(netlist, 0, x)
    issue = netlist.declare("issue", 1)
    step = netlist.all_of(pipeline.advance, issue)
    word, last_word = counter(netlist, "word", words, step)
    row, _ = counter(netlist, "row", rows, netlist.all_of(step, last_word))
    reading = netlist.equals(row, 0) if rows > 1 else netlist.true
    netlist.define(issue, netlist.any_of(port.valid, netlist.inverse(reading)))
    netlist.output("in0_ready", netlist.all_of(pipeline.advance, reading))
    issued = Beat(issue, netlist.equals(word, 0) if words > 1 else netlist.true, last_word)

    # Stage 1: the words of x and of weights.
    data = port.data
    if rows > 1:
        kept = netlist.ram("kept", words, x.word_bits)
        netlist.store(kept, word, data, netlist.all_of(step, reading))
        data = netlist.choose(reading, data, netlist.load(kept, word))
    lanes = lanes_of(netlist, pipeline.hold(data, "x"), simd)
    weight_words = [packed(group, product.bits) for group in product.encode(weights).reshape(rows * words, -1).tolist()]
    weight_word = pipeline.table(
        "weights", weight_words, pe * simd * product.bits, lambda: counter(netlist, "fold", rows * words, step)[0]
    )
    encoded = lanes_of(netlist, weight_word, pe * simd)
    used = _used_lanes(pipeline, actor, step)
    before, beat = issued, pipeline.next(issued)

    terms = [[product.term(netlist, lanes[s], encoded[p * simd + s], used[s]) for s in range(simd)] for p in range(pe)]
    return with_sums(actor, pipeline, product, actor.weights, terms, words, before, beat)


def folded_weights(actor: MatrixVector) -> Codes:
    """int64 [rows, words, PE, SIMD]: the weights that each iteration works with, 0 where x or y is padding."""
    x, y = actor.x.type, actor.y.type
    padded = np.zeros((y.words_per_pixel * y.lanes, x.runs, x.words_per_run * x.lanes), np.int64)
    padded[: y.channels, :, : x.channels] = actor.weights
    folded = padded.reshape(y.words_per_pixel, y.lanes, x.words_per_pixel, x.lanes)
    return np.asarray(folded.transpose(0, 2, 1, 3))


def _used_lanes(pipeline: Pipeline, actor: MatrixVector, step: Signal) -> list[Signal]:
    """For each lane of x whether it is no padding, beside its word in stage 1. Only XNOR asks."""
    x, netlist = actor.x.type, pipeline.netlist
    tail = x.channels % x.lanes
    if tail == 0 or actor.product is not Product.XNOR:
        return [netlist.true] * x.lanes
    _, ends_run = counter(netlist, "run_word", x.words_per_run, step)
    whole = netlist.inverse(ends_run)
    if x.words_per_run > 1:
        whole = pipeline.hold(whole, "whole")
    return [netlist.true if lane < tail else whole for lane in range(x.lanes)]
