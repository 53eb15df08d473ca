"""CombineCodes: two streams code by code (kernels/subbyte_hls_combine.h); the form of a pair is of codes/pairs.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.pair_forms import PairSteps, apply_pair
from subbyte.targets.hls.actors import CombineCodes
from subbyte.targets.hls.codes.pairs import pair_text
from subbyte.targets.hls.instance import Instance, instance
from subbyte.targets.hls.products.latency import steps_latency
from subbyte.targets.hls.reference import reference
from subbyte.targets.hls.streams import Codes
from subbyte.targets.hls.trace import Trace, trace


def check_combine(actor: CombineCodes) -> None:
    """Raise GraphError where the three streams are not of one shape in words of the same lanes."""
    a, b, y = actor.inputs[0].type, actor.inputs[1].type, actor.y.type
    if replace(a, element=y.element) != y or replace(b, element=y.element) != y:
        raise GraphError(
            f"actor '{actor.name}' combines {a} and {b} to {y}; shapes and lanes of all three must be equal"
        )


@trace.register
def trace_combine(actor: CombineCodes) -> Trace:
    """Latency: tables 2, write 1; where they follow, a sum 1 or a product 3, and its steps."""
    check_combine(actor)
    words = np.arange(actor.y.type.words)
    latency = 3
    if isinstance(actor.form, PairSteps):
        latency += (3 if actor.form.product else 1) + steps_latency(actor.form.steps)
    return Trace(words.size, (words, words), (words,), latency)


@instance.register
def instance_combine(actor: CombineCodes) -> Instance:
    check_combine(actor)
    a, b, y = actor.inputs[0].type, actor.inputs[1].type, actor.y.type
    pair = pair_text(actor.name, actor.form, a.element, b.element, y.element)
    arguments = f"{y.words}, {y.channels}, {y.lanes}, {a.element.bits}, {b.element.bits}, {y.element.bits}"
    return Instance(
        headers=("subbyte_hls_combine.h", *pair.headers),
        constants=pair.constants,
        body=f"subbyte_hls::combine_codes<{arguments}>(in0, in1, out0, {pair.expression});",
        comment=(_formula(actor), f"{y.words} words of {y.lanes} codes"),
    )


def _formula(actor: CombineCodes) -> str:
    if isinstance(actor.form, PairSteps):
        return f"y = steps(left[a] {'*' if actor.form.product else '+'} right[b])"
    return "y = table[a][b]"


@reference.register
def reference_combine(actor: CombineCodes, a: Codes, b: Codes) -> tuple[Codes, ...]:
    return (apply_pair(actor.form, a, b),)
