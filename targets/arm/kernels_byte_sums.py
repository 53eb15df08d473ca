"""Rows for exact sums of products in bytes: QConv of group 1 and QGemm, by products of bytes and by tables of sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import Argument, Call, ConstantArray, ConstantStruct, Kernel, Storage, TargetFacts
from subbyte.targets.arm.byte_weights import CODES_AT_ONCE, VECTOR, CellWeights, Chunks, ProductWeights
from subbyte.targets.arm.processors import AARCH32, AARCH64
from subbyte.targets.arm.rows import CYCLE, NEON, row, sharing_seconds
from subbyte.targets.arm.slabs import LINE_SLACK, is_pointwise, register_tiles, slab_cut, slab_tiles, window_pixels
from subbyte.targets.arm.sums import Cut, accepts_sums, input_range, sums_call
from subbyte.targets.common.lookup_weights import NIBBLES, choose_cells
from subbyte.targets.common.sums import SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import ceil_div

_PRODUCTS = 0  # SUBBYTE_ARM_PRODUCTS of kernels/arm_byte_sums.h; NIBBLES and OUTPUTS are one more than those of x86
_SHAPES = {  # pixels by vectors of outputs of a register tile, whose sums stay in registers
    AARCH64: ((4, 4), (4, 2), (4, 1), (2, 4), (2, 2), (2, 1), (1, 8), (1, 4), (1, 2), (1, 1)),
    AARCH32: ((4, 2), (4, 1), (2, 4), (2, 2), (2, 1), (1, 4), (1, 2), (1, 1)),
}
_SLAB_BYTES = 8 * 1024  # of windows laid out at a time, a quarter of the first cache level
_LEAST_CHUNK = 8  # codes: shorter ones are widened for longer than they are added


@dataclass(frozen=True)
class Pipeline:
    """Cycles of an instruction: `mla` of bytes, `tbl`, others of vectors, and loads.

    result: of 16 results; byte: of a window laid out; weight_byte: of weights from beyond the second cache level.
    """

    multiply: float
    look_up: float
    vector: float
    load: float
    result: float
    byte: float
    weight_byte: float


# Fitted to llvm-mca of the loops; the Cortex-A7 and A9 by what their manuals say of 128-bit operations on 64-bit units.
_PIPELINES = {
    "cortex-a7": Pipeline(2.0, 4.0, 2.0, 2.0, 110.0, 1.0, 0.5),
    "cortex-a9": Pipeline(2.0, 4.0, 1.0, 1.5, 80.0, 0.7, 0.4),
    "cortex-a53": Pipeline(1.0, 1.0, 1.0, 1.8, 75.0, 0.5, 0.25),
    "cortex-a55": Pipeline(1.0, 1.0, 1.0, 1.8, 70.0, 0.5, 0.2),
    "cortex-a72": Pipeline(1.8, 1.4, 0.5, 0.35, 32.0, 0.25, 0.15),
    "neoverse-n1": Pipeline(1.0, 0.5, 0.5, 0.35, 30.0, 0.2, 0.1),
    "neoverse-n2": Pipeline(1.0, 0.5, 0.5, 0.3, 28.0, 0.2, 0.1),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a call needs but the weights in their vectors."""

    cut: Cut
    weights: ProductWeights | CellWeights
    chunks: Chunks
    vectors: int
    slab: int


@lru_cache(maxsize=32)
def plan(op: SumOfProducts, state: str, by: str) -> Plan | None:
    """How `op` is cut to be computed `by` "products" or "lookup"; None where that does not serve it."""
    weights = _products(op) if by == "products" else _cells(op)
    if weights is None or weights.chunks is None:
        return None
    g = geometry(op)
    places = g.results[0] * g.results[1]
    all_vectors = ceil_div(g.outputs, VECTOR)

    def instructions(shape: tuple[int, int]) -> float:
        pixels, vectors = shape
        of_step = _step(pixels, vectors, weights, _PIPELINES["cortex-a53"])
        return ceil_div(places, pixels) * ceil_div(all_vectors, vectors) * of_step

    pixels, vectors = min((s for s in _SHAPES[state] if s[0] <= places and s[1] <= all_vectors), key=instructions)
    pointwise = g.kernel == (1, 1)
    reads = VECTOR
    if pointwise:
        reads = CODES_AT_ONCE if isinstance(weights, ProductWeights) else 8 * weights.cells.codes
    rest = ceil_div(g.outputs % (vectors * VECTOR), VECTOR) * VECTOR
    cut = slab_cut(op, pixels, vectors * VECTOR, rest or None, reads=reads, always_window=not pointwise)
    slab = slab_tiles(cut, pixels * (weights.steps + LINE_SLACK), _SLAB_BYTES)
    return Plan(replace(cut, free_bytes=_free_bytes(cut, weights, slab)), weights, weights.chunks, vectors, slab)


def _products(op: SumOfProducts) -> ProductWeights | None:
    weights = ProductWeights(weights_of(op).reshape(geometry(op).outputs, -1), input_range(op))
    low, high = weights.x_range
    if max(high, -low) * int(np.abs(weights.values).max(initial=0)) > 127:  # no chunk would be long enough
        return None
    return weights if weights.chunks is not None and weights.chunks.steps >= _LEAST_CHUNK else None


def _cells(op: SumOfProducts) -> CellWeights | None:
    low, high = input_range(op)
    g, values = geometry(op), weights_of(op)
    cells = choose_cells(np.unique(values).size, high, sextets=False) if low >= 0 else None
    return None if cells is None else CellWeights(values.reshape(g.outputs, -1, g.channels), high, cells)


def _free_bytes(cut: Cut, weights: ProductWeights | CellWeights, slab: int) -> int:
    """Scratch behind the window: struct subbyte_arm_byte_scratch of kernels/arm_byte_sums.h."""
    if isinstance(weights, ProductWeights) and is_pointwise(cut):
        return 0
    lines = slab * cut.pixels * (weights.steps + LINE_SLACK)
    if isinstance(weights, ProductWeights) or is_pointwise(cut):
        return lines
    return lines + window_pixels(cut) * weights.cells_of_pixel + LINE_SLACK


def _accepts(op: SumOfProducts, state: str, by: str, *, raw: bool) -> bool:
    return accepts_sums(op, raw=raw) and plan(op, state, by) is not None


def _struct(p: Plan) -> ConstantStruct:
    """The struct subbyte_arm_bytes of kernels/arm_byte_sums.h."""
    w = p.weights
    form, cells, code_bits, row_bytes = _PRODUCTS, p.cut.geometry.channels, 8, 0
    if isinstance(w, CellWeights):
        form, cells, code_bits = 1 + w.cells.form, w.cells_of_pixel, w.cells.code_bits
        row_bytes = w.cells.lookups * VECTOR
    return ConstantStruct(
        "subbyte_arm_bytes",
        (
            ("form", form),
            ("cells", cells),
            ("code_bits", code_bits),
            ("row_bytes", row_bytes),
            ("steps", w.steps),
            ("chunk", p.chunks.steps),
            ("chunks", p.chunks.chunks),
            ("slab", p.slab),
        ),
    )


def _call(op: SumOfProducts, state: str, by: str) -> Call:
    p = plan(op, state, by)
    assert p is not None
    packed = p.weights.packed(p.vectors)
    if isinstance(p.weights, CellWeights):
        arrays: tuple[Argument, ...] = (
            ConstantArray("weights", packed, f"o{p.vectors * VECTOR}{p.weights.cells.layout}"),
            ConstantArray("tables", p.weights.tables),
            ConstantArray("known", p.weights.known),
        )
    else:
        arrays = (ConstantArray("weights", packed, f"o{p.vectors * VECTOR}"),)
    return sums_call(_symbol(by, raw=op.requantization is None), op, p.cut, arrays, (_struct(p),))


def _symbol(by: str, *, raw: bool) -> str:
    return f"subbyte_arm_sums_{'s32_' if raw else ''}{by}"


def _step(pixels: int, vectors: int, weights: ProductWeights | CellWeights, pipeline: Pipeline) -> float:
    """Cycles of a step of a register tile."""
    if isinstance(weights, ProductWeights):
        of_sums = pixels * vectors * pipeline.multiply + pixels * pipeline.vector
        return of_sums + (1 + vectors / 2 + pixels / CODES_AT_ONCE) * pipeline.load
    halves = 2 if weights.cells.form == NIBBLES else 1
    of_sums = halves * pixels * vectors * (pipeline.look_up + pipeline.vector) + vectors * halves * pipeline.vector
    return of_sums + (2 + vectors * halves / 2 + 3 * pixels) * pipeline.load


def cycles(p: Plan, pipeline: Pipeline) -> float:
    """What all tiles take: sums, their widening, results, windows as lines, and weights that come from far."""
    g, w = p.cut.geometry, p.weights
    pixels, vectors = p.cut.pixels, p.vectors
    full, rest = divmod(ceil_div(g.outputs, VECTOR), vectors)
    tiles = register_tiles(p.cut) * g.images
    of_tile = 0.0
    for count, wide in ((full, vectors), (1, rest)):
        if wide:
            sums = w.steps * _step(pixels, wide, w, pipeline)
            widened = ceil_div(w.steps, p.chunks.steps) * pixels * wide * (3 * pipeline.vector + 2 * pipeline.load)
            of_tile += count * (sums + widened + pixels * wide * pipeline.result)
    places = g.images * g.results[0] * g.results[1]
    laid_out = 0.0 if isinstance(w, ProductWeights) and is_pointwise(p.cut) else places * w.steps * pipeline.byte
    if isinstance(w, CellWeights):
        laid_out += g.images * g.extents[0] * g.extents[1] * w.cells_of_pixel * pipeline.byte
    of_weights = w.steps * g.outputs / (2 if isinstance(w, CellWeights) and w.cells.form != NIBBLES else 1)
    return tiles * of_tile + laid_out * p.cut.tiles.panels + of_weights * pipeline.weight_byte


def _cost(op: SumOfProducts, facts: TargetFacts, state: str, by: str) -> float:
    p = plan(op, state, by)
    assert p is not None
    shared = sharing_seconds(data_of(op).type, p.cut.tiles.panels) + sharing_seconds(op.type)
    return cycles(p, _PIPELINES.get(facts.core, _PIPELINES["cortex-a53"])) * CYCLE + shared


_OPERANDS = {"products": "b4, s4", "lookup": "u2, 4 weights"}


def _row(op: type[Node], state: str, by: str, storage: Storage, *, raw: bool) -> Kernel:
    made = row(
        op,
        _symbol(by, raw=raw),
        "arm_byte_sums.h",
        storage,
        partial(_call, state=state, by=by),
        partial(_accepts, state=state, by=by, raw=raw),
        f"{_OPERANDS[by]} -> {'s32' if raw else 'b8'}",
        partial(_cost, state=state, by=by),
        packed=True,
        features=NEON | {state},
    )
    return replace(made, tile=(VECTOR,))


def _rows() -> Iterator[Kernel]:
    for state in (AARCH64, AARCH32):
        for by in ("products", "lookup"):
            for raw in (False, True):
                yield _row(QConv, state, by, Storage.CHANNELS_LAST, raw=raw)
                yield _row(QGemm, state, by, Storage.ROW_MAJOR, raw=raw)


ROWS = tuple(_rows())
