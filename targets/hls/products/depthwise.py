"""DepthwiseVector: each channel's own filter (kernels/subbyte_hls_depthwise.h)."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.step_forms import apply_steps
from subbyte.targets.hls.actors import DepthwiseVector
from subbyte.targets.hls.codes.steps import steps_text
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.products.bounds import check_word, finished_sums
from subbyte.targets.hls.products.latency import products_latency
from subbyte.targets.hls.products.roms import bias_text, packed, padded, rom_text, signed_bits
from subbyte.targets.hls.products.weights import WeightBits, weight_bits
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.trace import Trace, trace


def check(actor: DepthwiseVector) -> None:
    """Raises GraphError where weights and streams do not fit each other."""
    x, y = actor.x.type, actor.y.type
    if (
        actor.weights.shape != (x.channels, x.runs)
        or actor.bias.shape != (x.channels,)
        or y.runs != 1
        or (x.height, x.width, x.channels, x.lanes) != (y.height, y.width, y.channels, y.lanes)
    ):
        raise GraphError(
            f"actor '{actor.name}' has weights {actor.weights.shape} and biases {actor.bias.shape} between streams {x} "
            f"and {y}; [channels, taps] and [channels] of streams with the same pixels, channels and lanes are needed"
        )


@trace.register
def trace_depthwise(actor: DepthwiseVector) -> Trace:
    check(actor)
    words, taps = actor.x.type.words, actor.x.type.runs
    return Trace(words, (np.arange(words),), (np.arange(taps - 1, words, taps),), products_latency(actor, 1))


def weight_words(actor: DepthwiseVector, weights: WeightBits) -> list[int]:
    """[FOLDS * TAPS] words of a weight for each lane: word fold * TAPS + tap."""
    lanes, taps = actor.x.type.lanes, actor.x.type.runs
    folds = padded(weights.codes, 0, lanes).reshape(-1, lanes, taps)
    return packed(folds.transpose(0, 2, 1).reshape(-1, lanes), weights.bits)


@instance.register
def instance_depthwise(actor: DepthwiseVector) -> Instance:
    check(actor)
    x, y = actor.x.type, actor.y.type
    sums = finished_sums(actor)
    weights = weight_bits(actor)
    check_word(actor, weights.bits)
    bias = actor.bias - weights.excess * x.runs
    steps = steps_text(actor.name, actor.steps, sums, y.element, y.lanes, y.channels)
    sum_bits = signed_bits(actor.sums)
    return Instance(
        headers=("subbyte_hls_depthwise.h", *steps.headers),
        constants=rom_text(f"{actor.name}_weights", weight_words(actor, weights), weights.bits * x.lanes)
        + bias_text(f"{actor.name}_bias", bias, y.lanes, sum_bits)
        + steps.constants,
        body=(
            f"subbyte_hls::depthwise_vector<{weights.c_type},\n"
            f"                              /*PIXELS*/ {x.pixels}, /*TAPS*/ {x.runs}, /*CHANNELS*/ {x.channels},\n"
            f"                              /*LANES*/ {x.lanes}, /*SUM_BITS*/ {sum_bits}, "
            f"/*Y_BITS*/ {y.element.bits}>(\n"
            f"    in0, out0, {actor.name}_weights, {actor.name}_bias, {steps.expression});"
        ),
        comment=(
            f"y[c] = steps(sum over {x.runs} taps of w[c] * x[c] + bias[c]) for each of {x.pixels} pixels",
            f"{x.lanes} of {x.channels} channels a cycle, {x.words} cycles a frame",
            f"sums {sums.low}..{sums.high}",
        ),
    )


@reference.register
def reference_depthwise(actor: DepthwiseVector, x: Codes) -> tuple[Codes, ...]:
    check(actor)
    windows = x.reshape(actor.x.type.pixels, actor.x.type.runs, actor.x.type.channels)
    sums = (windows * actor.weights.T).sum(axis=1) + actor.bias
    return (np.asarray(apply_steps(actor.steps, sums))[:, None, :],)
