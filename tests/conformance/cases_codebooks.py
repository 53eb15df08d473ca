"""Cases of float sums of products with codebooks: CodebookConv, CodebookMatMul."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from subbyte.compiler.dtype import FLOAT32, DType
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_codebooks import CodebookConv, CodebookMatMul
from subbyte.compiler.ir.types import QuantParams
from tests.conformance.cases import Case, Operand, cases, generator, reals

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65)


def indices(name: str, shape: tuple[int, ...], bits: int) -> Operand:
    """Indices over a full table of random floats, both zeros and a tiny one among them."""
    random = generator(f"{name} {shape} {bits}")
    table = random.normal(0, 1, 1 << bits).astype(np.float32)
    table[: min(3, 1 << (bits - 1))] = np.array([-0.0, 0.0, 1e-40], np.float32)[: min(3, 1 << (bits - 1))]
    quant = QuantParams(np.float32(1), np.int64(0), 0, table.size - 1, levels=tuple(map(float, table)))
    return Operand(random.integers(0, table.size, shape).astype(np.uint8), DType("uint", bits), quant, True)


def conv(
    name: str,
    x: tuple[int, ...],
    outputs: int,
    kernel: tuple[int, ...],
    *,
    bits: int = 4,
    bias: bool = True,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    group: int = 1,
    specials: bool = False,
    scales: bool = False,
) -> Case:
    rank = len(kernel)
    numbers = (strides or (1,) * rank, pads or (0,) * 2 * rank, dilations or (1,) * rank, group)
    w = indices(f"{name} w", (outputs, x[1] // group, *kernel), bits)
    if scales and w.quant is not None:
        each = generator(f"{name} scales").uniform(0.1, 3, outputs).astype(np.float32)
        w = replace(w, quant=w.quant.replace(scale=each, zero_point=np.zeros(outputs, np.int64), axis=0))
    b = (reals(f"{name} b", (outputs,), FLOAT32, constant=True),) if bias else ()

    def build(data: Value, weights: Value, added: Value | None = None) -> Node:
        return CodebookConv(data, weights, added, *numbers)

    return Case(name, build, (reals(f"{name} x", x, FLOAT32, specials=specials), w, *b))


@cases
def codebook_convolutions() -> Iterator[Case]:
    same = (1, 1, 1, 1)
    for bits in (1, 2, 3, 4, 8):
        yield conv(f"floats_of_{bits}_bits", (1, 5, 4, 5), 9, (3, 3), bits=bits, pads=same)
        yield conv(f"scaled_floats_of_{bits}_bits", (1, 6, 4, 5), 66, (3, 3), bits=bits, group=2, scales=True)
    for extent in SIZES:
        yield conv(f"codebook_outputs_{extent}", (1, 3, 3, 4), extent, (2, 2))
        yield conv(f"codebook_inputs_{extent}", (1, extent, 3, 4), 3, (1, 3), bits=3, pads=(0, 1, 0, 1), bias=False)
    yield conv("codebook_specials", (1, 5, 4, 5), 9, (3, 3), pads=same, specials=True)
    yield conv("codebook_stride", (2, 3, 9, 8), 11, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
    yield conv("codebook_dilated", (1, 3, 9, 9), 5, (3, 3), dilations=(2, 3), pads=(2, 3, 2, 3))
    yield conv("codebook_groups", (1, 12, 5, 5), 20, (3, 3), group=2, pads=same)
    yield conv("codebook_depthwise", (1, 12, 5, 5), 12, (3, 3), group=12, pads=same)
    yield conv("codebook_1d", (2, 3, 11), 17, (3,), pads=(1, 1))


@cases
def codebook_products() -> Iterator[Case]:
    for extent in SIZES:
        for bits in (1, 3, 4):
            a = reals(f"a {extent}", (3, extent), FLOAT32)
            b = indices(f"b {extent}", (extent, 5), bits)
            yield Case(f"codebook_depth_{bits}_{extent}", CodebookMatMul, (a, b))
        a, b = reals(f"a {extent}", (2, 9), FLOAT32, specials=True), indices(f"b {extent}", (9, extent), 2)
        yield Case(f"codebook_columns_{extent}", CodebookMatMul, (a, b))
    batches = reals("batches", (2, 3, 4, 19), FLOAT32)
    yield Case("codebook_batches", CodebookMatMul, (batches, indices("batches", (19, 6), 4)))
