"""DepthwiseVector as a module: as MatrixVector without trees, a ROM word for each word of x."""

from __future__ import annotations

import numpy as np

from subbyte.targets.hls.actors import DepthwiseVector
from subbyte.targets.hls.rtl.lane_products import lane_product, packed
from subbyte.targets.hls.rtl.pipeline import Beat, Pipeline, counter, input_port, lanes_of
from subbyte.targets.hls.rtl.rtl import Rtl, module_of, rtl
from subbyte.targets.hls.rtl.sums import with_sums
from subbyte.targets.hls.streams import Codes


@rtl.register
def depthwise_vector(actor: DepthwiseVector) -> Rtl:
    x, y = actor.x.type, actor.y.type
    lanes, taps, rows = x.lanes, x.runs, y.words_per_pixel
    weights = folded_weights(actor)
    product = lane_product(actor.product, x.element, weights, actor.terms)
    netlist = module_of(actor)
    pipeline = Pipeline(netlist)

    port = input_port(netlist, 0, x)
    netlist.output("in0_ready", pipeline.advance)
    step = netlist.all_of(pipeline.advance, port.valid)
    tap, last_tap = counter(netlist, "tap", taps, step)
    issued = Beat(port.valid, netlist.equals(tap, 0) if taps > 1 else netlist.true, last_tap)
    codes = lanes_of(netlist, pipeline.hold(port.data, "x"), lanes)
    words = [packed(group, product.bits) for group in product.encode(weights).reshape(rows * taps, -1).tolist()]
    word = pipeline.table(
        "weights", words, lanes * product.bits, lambda: counter(netlist, "fold", rows * taps, step)[0]
    )
    encoded = lanes_of(netlist, word, lanes)
    terms = [[product.term(netlist, code, weight, netlist.true)] for code, weight in zip(codes, encoded, strict=True)]
    return with_sums(actor, pipeline, product, actor.weights[:, :, None], terms, taps, issued, pipeline.next(issued))


def folded_weights(actor: DepthwiseVector) -> Codes:
    """int64 [rows, taps, lanes]: the weights that each iteration works with, 0 where lanes are padding."""
    x, rows = actor.x.type, actor.y.type.words_per_pixel
    padded = np.zeros((rows * x.lanes, x.runs), np.int64)
    padded[: x.channels] = actor.weights
    return np.asarray(padded.reshape(rows, x.lanes, x.runs).transpose(0, 2, 1))
