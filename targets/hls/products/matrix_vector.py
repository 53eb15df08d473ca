"""MatrixVector: a folded matrix times the vector of each pixel (kernels/subbyte_hls_matrix_vector.h)."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.step_forms import apply_steps
from subbyte.targets.hls.actors import MatrixVector
from subbyte.targets.hls.codes.steps import steps_text
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.products.bounds import check_word, finished_sums
from subbyte.targets.hls.products.latency import products_latency
from subbyte.targets.hls.products.roms import bias_text, packed, padded, roms_text, signed_bits
from subbyte.targets.hls.products.weights import WeightBits, weight_bits
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.trace import Trace, trace


def check(actor: MatrixVector) -> None:
    """Raises GraphError where weights and streams do not fit each other."""
    x, y = actor.x.type, actor.y.type
    outputs = y.channels
    if (
        actor.weights.shape != (outputs, x.runs, x.channels)
        or actor.bias.shape != (outputs,)
        or y.runs != 1
        or (x.height, x.width) != (y.height, y.width)
    ):
        raise GraphError(
            f"actor '{actor.name}' has weights {actor.weights.shape} and biases {actor.bias.shape} between streams {x} "
            f"and {y}; [outputs, runs, channels] and [outputs] of streams with the same pixels are needed"
        )


@trace.register
def trace_matrix_vector(actor: MatrixVector) -> Trace:
    check(actor)
    x, y = actor.x.type, actor.y.type
    sf, nf = x.words_per_pixel, y.words_per_pixel
    first = np.arange(x.pixels)[:, None] * (nf * sf)
    reads = (first + np.arange(sf)).reshape(-1)
    writes = (first + np.arange(1, nf + 1) * sf - 1).reshape(-1)
    latency = products_latency(actor, x.lanes)
    return Trace(x.pixels * nf * sf, (reads,), (writes,), latency)


def weight_words(actor: MatrixVector, weights: WeightBits) -> list[list[int]]:
    """[PE][NF * SF] words of SIMD weights: word nf * SF + sf of ROM pe is of output nf * PE + pe and word sf of x."""
    simd, pe = actor.x.type.lanes, actor.y.type.lanes
    codes = padded(padded(weights.codes, 2, simd), 0, pe)
    by_output = codes.reshape(codes.shape[0] // pe, pe, -1, simd)
    return [packed(rom.reshape(-1, simd), weights.bits) for rom in by_output.transpose(1, 0, 2, 3)]


@instance.register
def instance_matrix_vector(actor: MatrixVector) -> Instance:
    check(actor)
    x, y = actor.x.type, actor.y.type
    sums = finished_sums(actor)
    weights = weight_bits(actor)
    check_word(actor, weights.bits)
    bias = actor.bias - weights.excess * x.runs * x.channels
    steps = steps_text(actor.name, actor.steps, sums, y.element, y.lanes, y.channels)
    sum_bits = signed_bits(actor.sums)
    return Instance(
        headers=("subbyte_hls_matrix_vector.h", *steps.headers),
        constants=roms_text(f"{actor.name}_weights", weight_words(actor, weights), weights.bits * x.lanes)
        + bias_text(f"{actor.name}_bias", bias, y.lanes, sum_bits)
        + steps.constants,
        body=(
            f"subbyte_hls::matrix_vector<{weights.c_type},\n"
            f"                           /*PIXELS*/ {x.pixels}, /*RUNS*/ {x.runs}, /*CHANNELS*/ {x.channels}, "
            f"/*OUTPUTS*/ {y.channels},\n"
            f"                           /*SIMD*/ {x.lanes}, /*PE*/ {y.lanes}, /*SUM_BITS*/ {sum_bits}, "
            f"/*Y_BITS*/ {y.element.bits}>(\n"
            f"    in0, out0, {actor.name}_weights, {actor.name}_bias, {steps.expression});"
        ),
        comment=(
            f"y[{y.channels}] = steps(w[{y.channels}][{x.runs * x.channels}] * x + bias) for each of {x.pixels} pixels",
            f"{x.lanes} codes by {y.lanes} outputs a cycle, {y.words * x.words_per_pixel} cycles a frame",
            f"sums {sums.low}..{sums.high}",
        ),
    )


@reference.register
def reference_matrix_vector(actor: MatrixVector, x: Codes) -> tuple[Codes, ...]:
    check(actor)
    of_type = actor.x.type
    rows = x.reshape(of_type.pixels, of_type.runs * of_type.channels)
    sums = rows @ actor.weights.reshape(actor.weights.shape[0], -1).T + actor.bias
    return (np.asarray(apply_steps(actor.steps, sums))[:, None, :],)
