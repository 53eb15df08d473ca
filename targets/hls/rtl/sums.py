"""What sums of products share: a stage behind the products of MULTIPLY, one for each TREE_LEVELS levels of the trees of
adders, one for the accumulators, and those of the step form."""

from __future__ import annotations

from subbyte.targets.hls.actors import DepthwiseVector, MatrixVector
from subbyte.targets.hls.rtl.lane_products import LaneProduct
from subbyte.targets.hls.rtl.netlist import Signal
from subbyte.targets.hls.rtl.numbers import Number, extended, total
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline
from subbyte.targets.hls.rtl.rtl import Rtl
from subbyte.targets.hls.rtl.steps import Finished, by_lane, steps
from subbyte.targets.hls.streams import Codes, Element, StreamType

TREE_LEVELS = 2


def with_sums(
    actor: MatrixVector | DepthwiseVector,
    pipeline: Pipeline,
    product: LaneProduct,
    weights: Codes,
    terms: list[list[Number]],
    words: int,
    before: Beat,
    beat: Beat,
) -> Rtl:
    """The module, from the terms of stage 1 on.

    Args: weights: [outputs, runs, channels]; terms: for each lane of y what is added in an iteration; words: iterations
        of a sum; beat: of stage 1; before: the one a stage earlier.
    """
    netlist, y = pipeline.netlist, actor.y.type
    if product.registered:
        terms = [[pipeline.hold_number(term, "product") for term in lane] for lane in terms]
        before, beat = beat, pipeline.next(beat)
    level = 0
    while len(terms[0]) > 1:
        terms = [[total(netlist, lane[at : at + 2]) for at in range(0, len(lane), 2)] for lane in terms]
        level += 1
        if level % TREE_LEVELS == 0 or len(terms[0]) == 1:
            terms = [[pipeline.hold_number(term, "partial") for term in lane] for lane in terms]
            before, beat = beat, pipeline.next(beat)

    # Accumulators, then the codes.
    bits = actor.sums.bits
    start = (actor.bias + product.correction(weights)).reshape(-1, 1)
    starts = by_lane(pipeline, y, "bias", start & ((1 << bits) - 1), Element(0, (1 << bits) - 1), before)
    sums = []
    for (term,), (bias,) in zip(terms, starts, strict=True):
        accumulator = netlist.register("sum", bits)
        so_far = bias.signal if words == 1 else netlist.choose(beat.first, bias.signal, accumulator)
        term_bits = extended(netlist, product.scaled(netlist, term), bits)
        netlist.drive(accumulator, netlist.add(so_far, term_bits), netlist.all_of(pipeline.advance, beat.valid))
        sums.append(Number(accumulator, actor.sums))
    before, beat = beat, pipeline.next(Beat(netlist.all_of(beat.valid, beat.last), netlist.true, netlist.true))
    codes, before, beat = steps(actor.steps, Finished(pipeline, tuple(sums), before, beat, y))
    pipeline.finish(netlist.concat(_without_padding(pipeline, codes, y, before)), beat)
    return Rtl(netlist, pipeline.stages)


def _without_padding(pipeline: Pipeline, codes: list[Signal], y: StreamType, before: Beat) -> list[Signal]:
    """The codes, with bits 0 in the lanes beyond the last channel; before: the beat a stage before theirs."""
    netlist, rows, tail = pipeline.netlist, y.words_per_pixel, y.channels % y.lanes
    if tail == 0:
        return codes
    whole = pipeline.by_row("whole", [1] * (rows - 1) + [0], 1, before)
    gate = netlist.replicate(whole, y.element.bits)
    return [code if lane < tail else netlist.all_of(code, gate) for lane, code in enumerate(codes)]
