"""Rows for exact sums of products by planes of bits: QConv of group 1 and QGemm, few bits of codes and of weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import Call, ConstantArray, ConstantStruct, Kernel, Storage, TargetFacts, as_array
from subbyte.targets.arm.bit_planes import MOST_PAIRS, MOST_PLANES, PANEL, VECTOR, PlaneWeights, chunk_of
from subbyte.targets.arm.processors import AARCH32, AARCH64
from subbyte.targets.arm.rows import CYCLE, NEON, row, sharing_seconds
from subbyte.targets.arm.slabs import LINE_SLACK, is_pointwise, register_tiles, slab_cut, slab_tiles, window_pixels
from subbyte.targets.arm.sums import Cut, accepts_sums, input_range, sign_biases, sums_call
from subbyte.targets.common.sums import SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import ceil_div

_COUNTERS = {AARCH32: 8, AARCH64: 16}  # registers for counts; as many again hold planes and what is on its way
_SHAPES = ((4, 4), (4, 2), (2, 4), (2, 2), (1, 8), (1, 4), (1, 2))  # pixels by outputs of a register tile
_SLAB_BYTES = 8 * 1024  # of windows laid out at a time, a quarter of the first cache level
_READ_AT_ONCE = 64  # codes of a pixel: 8 vectors of 8


@dataclass(frozen=True)
class Pipeline:
    """Cycles: of a vector instruction that adds or counts, of a load; of what surrounds a step, and a chunk of steps.

    pixel: to make results of a pixel's 16 sums. code: to bring a code of the input into a plane.
    line: to lay a vector of 16 bytes out.
    """

    vector: float
    load: float
    step: float
    reduce: float
    pixel: float
    code: float
    line: float
    weight_byte: float  # from beyond the second cache level


# Fitted to llvm-mca of the loops; the Cortex-A7 to what its manual says of 128-bit operations on 64-bit units.
_PIPELINES = {
    "cortex-a7": Pipeline(2.0, 2.0, 2.0, 8.0, 110.0, 0.7, 8.0, 0.5),
    "cortex-a9": Pipeline(1.0, 1.0, 2.0, 5.0, 80.0, 0.5, 6.0, 0.4),
    "cortex-a53": Pipeline(1.0, 0.6, 8.0, 4.0, 55.0, 0.35, 4.0, 0.25),
    "cortex-a55": Pipeline(1.0, 1.0, 8.0, 4.0, 55.0, 0.35, 4.0, 0.2),
    "cortex-a72": Pipeline(0.5, 0.05, 0.6, 1.6, 28.0, 0.15, 2.0, 0.15),
    "neoverse-n1": Pipeline(0.5, 0.05, 0.6, 1.6, 28.0, 0.15, 2.0, 0.1),
    "neoverse-n2": Pipeline(0.5, 0.05, 0.5, 1.6, 28.0, 0.15, 2.0, 0.1),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a call needs but the weights in their vectors."""

    cut: Cut
    weights: PlaneWeights
    group: int
    slab: int


def _weights(op: SumOfProducts) -> PlaneWeights | None:
    """The weights as planes; None where they, or the codes of the input, have too many, or these are signed."""
    low, high = input_range(op)
    if low < 0 or high >= 1 << MOST_PLANES:
        return None
    g = geometry(op)
    values = weights_of(op).reshape(g.outputs, -1, g.channels)
    weights = PlaneWeights(values, max(1, high.bit_length()))
    if weights.w_planes > MOST_PLANES or weights.w_planes * weights.x_planes > MOST_PAIRS:
        return None
    return weights if chunk_of(weights.factors) > 0 else None


@lru_cache(maxsize=32)
def plan(op: SumOfProducts, state: str) -> Plan | None:
    """How `op` is cut; None where planes do not serve it."""
    weights = _weights(op)
    if weights is None:
        return None
    g = geometry(op)
    pairs = weights.w_planes * weights.x_planes
    places = g.results[0] * g.results[1]
    shapes = [s for s in _SHAPES if s[0] <= places and s[0] * s[1] * pairs <= _COUNTERS[state]]
    if not shapes:
        return None

    def instructions(shape: tuple[int, int]) -> float:
        pixels, group = shape
        loads = pixels * weights.x_planes + group * weights.w_planes
        return ceil_div(places, pixels) / group * (3 * pixels * group * pairs + loads + 4)

    pixels, group = min(shapes, key=instructions)
    pointwise = g.kernel == (1, 1)
    cut = slab_cut(op, pixels, PANEL, reads=_READ_AT_ONCE if pointwise else VECTOR, always_window=not pointwise)
    slab = slab_tiles(cut, weights.steps * pixels * weights.x_planes * VECTOR, _SLAB_BYTES)
    return Plan(replace(cut, free_bytes=_free_bytes(cut, weights, slab)), weights, group, slab)


def _free_bytes(cut: Cut, weights: PlaneWeights, slab: int) -> int:
    """Scratch behind the window: subbyte_arm_bits_scratch of kernels/arm_bit_serial.h."""
    counts = slab * cut.pixels * 4
    tiles = slab * weights.steps * cut.pixels * weights.x_planes * VECTOR
    line = weights.x_planes * (weights.steps + 1) * VECTOR
    window = 0 if is_pointwise(cut) else weights.x_planes * (window_pixels(cut) * weights.lanes + LINE_SLACK)
    return counts + tiles + line + window


def _accepts(op: SumOfProducts, state: str, *, raw: bool) -> bool:
    """Unsigned codes of few bits, weights of few planes."""
    return accepts_sums(op, raw=raw) and plan(op, state) is not None


def _struct(p: Plan, *, by_sign: bool) -> ConstantStruct:
    """The struct subbyte_arm_bits of kernels/arm_bit_serial.h."""
    w = p.weights
    return ConstantStruct(
        "subbyte_arm_bits",
        (
            ("x_planes", w.x_planes),
            ("w_planes", w.w_planes),
            ("lanes", w.lanes),
            ("steps", w.steps),
            ("chunk", min(chunk_of(w.factors), w.steps)),
            ("group", p.group),
            ("slab", p.slab),
            ("level", w.planes.level),
            ("by_sign", int(by_sign)),
            ("factors", w.factors),
        ),
    )


def _call(op: SumOfProducts, state: str) -> Call:
    p = plan(op, state)
    assert p is not None
    layout = f"planes{p.weights.w_planes}o{p.group}"
    weights = ConstantArray("weights", p.weights.packed(p.group), layout)
    known = ConstantArray("known", as_array(p.weights.known, np.uint8))
    signs = sign_biases(op)
    struct = _struct(p, by_sign=signs is not None)
    return sums_call(_symbol(raw=op.requantization is None), op, p.cut, (weights, known), (struct,), signs)


def _symbol(*, raw: bool) -> str:
    return "subbyte_arm_sums_s32_bit_serial" if raw else "subbyte_arm_sums_bit_serial"


def cycles(p: Plan, pipeline: Pipeline) -> float:
    """What all tiles take: counts, results, the input as planes and weights that come from far."""
    g, w = p.cut.geometry, p.weights
    pixels = p.cut.pixels
    pairs = w.w_planes * w.x_planes
    step = 3 * pixels * p.group * pairs * pipeline.vector
    step += (pixels * w.x_planes + p.group * w.w_planes) * pipeline.load + pipeline.step
    chunks = ceil_div(w.steps, min(chunk_of(w.factors), w.steps))
    of_count = (
        1.3 if pairs == 1 else 2.0 * (1 + pairs)
    )  # a single pair is added across in bytes, others are weighed first
    of_group = w.steps * step + chunks * (pixels * p.group * of_count * pipeline.vector + pipeline.reduce)
    of_tile = PANEL // p.group * of_group + pixels * pipeline.pixel
    places = g.images * g.results[0] * g.results[1]
    tiles = register_tiles(p.cut) * g.images
    panels = ceil_div(g.outputs, PANEL)
    codes = min(g.images * g.extents[0] * g.extents[1], places * g.kernel[0] * g.kernel[1]) * w.lanes * 8
    prepared = codes * pipeline.code * (1 + 0.3 * w.x_planes) + places * w.steps * w.x_planes * pipeline.line
    prepared *= p.cut.tiles.panels
    of_weights = panels * PANEL * w.steps * w.w_planes * VECTOR
    return tiles * panels * of_tile + prepared + of_weights * pipeline.weight_byte


def _cost(op: SumOfProducts, facts: TargetFacts, state: str) -> float:
    p = plan(op, state)
    assert p is not None
    shared = sharing_seconds(data_of(op).type, p.cut.tiles.panels) + sharing_seconds(op.type)
    return cycles(p, _PIPELINES.get(facts.core, _PIPELINES["cortex-a53"])) * CYCLE + shared


def _row(op: type[Node], state: str, storage: Storage, *, raw: bool) -> Kernel:
    made = row(
        op,
        _symbol(raw=raw),
        "arm_bit_serial.h",
        storage,
        partial(_call, state=state),
        partial(_accepts, state=state, raw=raw),
        f"u1..u4, s1..s4 -> {'s32' if raw else 'b8'}",
        partial(_cost, state=state),
        packed=True,
        features=NEON | {state},
    )
    return replace(made, tile=(PANEL,))


def _rows() -> Iterator[Kernel]:
    for state in (AARCH64, AARCH32):
        for raw in (False, True):
            yield _row(QConv, state, Storage.CHANNELS_LAST, raw=raw)
            yield _row(QGemm, state, Storage.ROW_MAJOR, raw=raw)


ROWS = tuple(_rows())
