"""WindowMax, WindowSum, GlobalMax, GlobalSum: of windows and whole frames (kernels/subbyte_hls_pool.h)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.step_forms import apply_steps
from subbyte.targets.hls.actors import GlobalMax, GlobalSum, WindowMax, WindowSum
from subbyte.targets.hls.codes.steps import steps_text
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.products.latency import steps_latency
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes, Element
from subbyte.targets.hls.texts import sign
from subbyte.targets.hls.trace import Iterations, Trace, trace

_HEADER = "subbyte_hls_pool.h"
_LATENCY = 3
"""The word of x, a comparison or sum, the write; of whole frames one more, the memory's."""

Pool = WindowMax | WindowSum | GlobalMax | GlobalSum


def _codes(actor: Pool) -> int:
    """How many codes a result is of.

    Raises: GraphError: y is no pool over x, or its elements cannot be what the pool makes of it.
    """
    x, y = actor.x.type, actor.y.type
    window = isinstance(actor, WindowMax | WindowSum)
    runs = actor.taps if isinstance(actor, WindowMax | WindowSum) else 1
    height, width = (x.height, x.width) if window else (1, 1)
    wanted = replace(x, element=y.element, height=height, width=width, runs=1)
    if x.runs != runs or y != wanted:
        raise GraphError(
            f"actor '{actor.name}' pools {x} to {y}; needed are {runs} runs a pixel, and {wanted} as the result"
        )
    if isinstance(actor, WindowMax | GlobalMax) and x.element != y.element:
        raise GraphError(f"actor '{actor.name}' picks codes of {x.element} and writes {y.element}: not the same codes")
    return runs if window else x.pixels


def sum_range(actor: WindowSum | GlobalSum) -> Element:
    """Every sum on the way: the bias with any number of codes, in any order, and `sums`."""
    element, count = actor.x.type.element, _codes(actor)
    low = actor.bias + count * min(element.low, 0)
    high = actor.bias + count * max(element.high, 0)
    return Element(min(low, actor.sums.low), max(high, actor.sums.high))


def _window_writes(actor: WindowMax | WindowSum) -> Iterations:
    return np.arange(actor.taps - 1, actor.x.type.words, actor.taps)


def _frame_writes(actor: GlobalMax | GlobalSum) -> Iterations:
    words = actor.x.type.words
    return np.arange(words - actor.x.type.words_per_pixel, words)


def _trace(actor: Pool, writes: Iterations, latency: int) -> Trace:
    _codes(actor)
    words = actor.x.type.words
    return Trace(words, (np.arange(words),), (writes,), latency)


@trace.register
def trace_window_max(actor: WindowMax) -> Trace:
    return _trace(actor, _window_writes(actor), _LATENCY)


@trace.register
def trace_window_sum(actor: WindowSum) -> Trace:
    return _trace(actor, _window_writes(actor), _LATENCY + steps_latency(actor.steps))


@trace.register
def trace_global_max(actor: GlobalMax) -> Trace:
    return _trace(actor, _frame_writes(actor), _LATENCY + 1)


@trace.register
def trace_global_sum(actor: GlobalSum) -> Trace:
    return _trace(actor, _frame_writes(actor), _LATENCY + 1 + steps_latency(actor.steps))


def _extents(actor: Pool) -> str:
    """The template arguments that all pools have."""
    x = actor.x.type
    taps = f"{actor.taps}, " if isinstance(actor, WindowMax | WindowSum) else ""
    return f"{x.pixels}, {taps}{x.channels}, {x.lanes}, {x.element.bits}, {sign(x.element)}"


def _of(actor: Pool) -> str:
    return f"{_codes(actor)} pixels " + (
        "of each window" if isinstance(actor, WindowMax | WindowSum) else "of the frame"
    )


def _max(actor: WindowMax | GlobalMax, function: str) -> Instance:
    return Instance(
        headers=(_HEADER,),
        body=f"subbyte_hls::{function}<{_extents(actor)}>(in0, out0);",
        comment=(f"y[c] = max over {_of(actor)} of x[c]",),
    )


def _sum(actor: WindowSum | GlobalSum, function: str) -> Instance:
    y, sums = actor.y.type, sum_range(actor)
    steps = steps_text(actor.name, actor.steps, actor.sums, y.element, y.lanes, y.channels)
    bits = sums.bits + (not sums.signed)
    return Instance(
        headers=(_HEADER, *steps.headers),
        constants=steps.constants,
        body=(
            f"subbyte_hls::{function}<{_extents(actor)}, {bits}, {actor.bias}LL, {y.element.bits}>"
            f"(in0, out0, {steps.expression});"
        ),
        comment=(f"y[c] = steps({actor.bias} + sum over {_of(actor)} of x[c])", f"sums {sums.low}..{sums.high}"),
    )


@instance.register
def instance_window_max(actor: WindowMax) -> Instance:
    return _max(actor, "window_max")


@instance.register
def instance_window_sum(actor: WindowSum) -> Instance:
    return _sum(actor, "window_sum")


@instance.register
def instance_global_max(actor: GlobalMax) -> Instance:
    return _max(actor, "global_max")


@instance.register
def instance_global_sum(actor: GlobalSum) -> Instance:
    return _sum(actor, "global_sum")


def _pixels(actor: Pool, x: Codes) -> Codes:
    """int64 [pixels of y, codes of each result, channels]."""
    return x.reshape(actor.y.type.pixels, _codes(actor), actor.x.type.channels)


@reference.register
def reference_window_max(actor: WindowMax, x: Codes) -> tuple[Codes, ...]:
    return (_pixels(actor, x).max(axis=1, keepdims=True),)


@reference.register
def reference_window_sum(actor: WindowSum, x: Codes) -> tuple[Codes, ...]:
    return (apply_steps(actor.steps, _pixels(actor, x).sum(axis=1, keepdims=True) + actor.bias),)


@reference.register
def reference_global_max(actor: GlobalMax, x: Codes) -> tuple[Codes, ...]:
    return (_pixels(actor, x).max(axis=1, keepdims=True),)


@reference.register
def reference_global_sum(actor: GlobalSum, x: Codes) -> tuple[Codes, ...]:
    return (apply_steps(actor.steps, _pixels(actor, x).sum(axis=1, keepdims=True) + actor.bias),)
