"""Rows for products of a few rows with weights of 1 to 4 bits, stored as such: QGemm, and QConv 1x1 of few pixels.

Then memory decides: every weight is used once or twice, and an eighth to a half of the bytes come sooner than they are
multiplied. Weights are evenly spaced; codebooks are kernels_dots.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT16
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import QConv, QGemm
from subbyte.compiler.target import Call, ConstantArray, Integer, Kernel, Storage, TargetFacts, as_array
from subbyte.targets.arm.packing_dots import stored_bits
from subbyte.targets.arm.rows import AARCH32, AARCH64, CYCLE, in_order, row, sharing_seconds
from subbyte.targets.arm.sums import Cut, accepts_sums, cut_into, input_range, sums_call, with_weights
from subbyte.targets.common import geometry as shapes
from subbyte.targets.common.remembered import remembered
from subbyte.targets.common.sums import SumOfProducts, data_of, geometry, weights_of
from subbyte.targets.common.tiles import ceil_div, padded_to

OUTPUTS, GROUP = 8, 16  # of a register tile, and products at a time, as in kernels/arm_few_rows.h
MOST_ROWS = 4  # beyond, weights are used often enough to be bytes
_MOST_PRODUCTS = 1 << 16  # sums of x times a whole byte of digits, on their way, fit 32 bits
_DIGIT_OPERATIONS = {4: 2, 2: 6, 1: 15}  # that take a vector of bytes apart


@dataclass(frozen=True)
class Way:
    """What multiplies, and how many rows at once its registers hold."""

    name: str
    rows: int
    features: frozenset[str]


WAYS = (
    Way("sdot", 2, AARCH64 | {"dotprod"}),
    Way("neon", 2, AARCH64),
    Way("neon", 1, AARCH32),
)


@dataclass(frozen=True)
class Digits:
    """Weights as lowest + step * digit, 0 <= digit < 2^bits."""

    lowest: int
    step: int
    bits: int

    @property
    def sharing(self) -> int:
        """Outputs whose digits share a byte."""
        return 8 // self.bits

    def offsets(self, outputs: int) -> NDArray[np.int64]:
        """[outputs]: what is multiplied with the sum of x; the top digit of a byte is stored less half its range."""
        top = np.arange(outputs) % self.sharing == self.sharing - 1
        return np.asarray(self.lowest + top * (self.step << self.bits - 1), np.int64)

    def pack(self, weights: NDArray[np.int64]) -> NDArray[np.uint8]:
        """[panels][groups][bits][16] of weights [outputs, products]."""
        digits = padded_to(padded_to((weights - self.lowest) // self.step, 0, OUTPUTS), 1, GROUP)
        digits = digits.reshape(-1, self.bits, self.sharing, digits.shape[1] // GROUP, GROUP)
        digits[:, :, -1] ^= 1 << self.bits - 1
        joined = (digits << (np.arange(self.sharing) * self.bits)[:, None, None]).sum(axis=2)
        return as_array(joined.transpose(0, 2, 1, 3).reshape(-1), np.uint8)


@remembered
def digits_of(op: SumOfProducts) -> Digits | None:
    """How the weights are spaced; None where they need more than 4 bits."""
    values = np.unique(weights_of(op))
    lowest, highest = int(values[0]), int(values[-1])
    step = int(np.gcd.reduce(values - lowest)) or 1
    bits = stored_bits((highest - lowest) // step + 1)
    return None if bits == 8 else Digits(lowest, step, bits)


def _block(op: SumOfProducts, digits: Digits) -> int:
    """Groups of products of digits, and of codes, that a lane of 16 bits holds: each adds two of both."""
    low, high = input_range(op)
    return int(INT16.max) // (2 * max(-low, high, 1) * ((1 << digits.bits) - 1))


def _cut(op: SumOfProducts, way: Way) -> Cut:
    return cut_into(op, min(way.rows, geometry(op).results[1]), OUTPUTS, OUTPUTS, reads=GROUP)


def _call(op: SumOfProducts, way: Way) -> Call:
    digits, cut = digits_of(op), _cut(op, way)
    assert digits is not None, "accepted with weights of at most 4 bits"
    weights = weights_of(op)
    offsets = padded_to(digits.offsets(len(weights)), 0, OUTPUTS)
    constants = (
        ConstantArray(
            "weights", digits.pack(weights.reshape(len(weights), -1)), f"o{OUTPUTS}k{GROUP}_{digits.bits}bit"
        ),
        ConstantArray("offsets", as_array(offsets, np.int32)),
    )
    more = tuple(map(Integer, (digits.bits, digits.step, _block(op, digits))))
    return sums_call(_symbol(way, raw=op.requantization is None), op, cut, constants, more)


def _symbol(way: Way, *, raw: bool) -> str:
    return f"subbyte_arm_{'raw_' if raw else ''}few_rows_{way.name}"


def _accepts(op: SumOfProducts, *, raw: bool) -> bool:
    """What accepts_sums says, of weights of few bits, for few pixels of one run.

    A run that ends within a group is followed by zeros where it is the only one.
    """
    if not accepts_sums(op, raw=raw) or shapes.stored_bits(op.type) == 1:
        return False
    g = geometry(op)
    if g.images * g.results[0] != 1 or g.results[1] > MOST_ROWS or g.kernel != (1, 1) or g.channels > _MOST_PRODUCTS:
        return False
    return (g.results[1] == 1 or g.channels % GROUP == 0) and digits_of(op) is not None


def _cost(op: SumOfProducts, facts: TargetFacts, way: Way) -> float:
    """The larger of what multiplies and what fetches, or both in turn where the pipeline is in order."""
    digits, cut, g = digits_of(op), _cut(op, way), geometry(op)
    assert digits is not None, "accepted with weights of at most 4 bits"
    groups, rows, ordered = ceil_div(g.channels, GROUP), cut.pixels, in_order(facts)
    loads = rows + digits.bits
    if way.name == "sdot":
        apart, multiplications = digits.bits * (digits.sharing - 1), 9 * rows
        step = multiplications + apart + 2 * loads if ordered else (multiplications + apart) / 2
    else:
        apart, multiplications = digits.bits * _DIGIT_OPERATIONS[digits.bits], 17 * rows
        widened = 24 * rows / _block(op, digits)
        step = multiplications + apart + widened + loads
        step = step + 10.0 if ordered else max(multiplications, (multiplications + apart + widened) / 2)
    if facts.core == "cortex-a7":
        step *= 2
    tile = groups * step + rows * (20.0 if ordered else 10.0) + 15.0
    passes = ceil_div(g.results[1], rows)
    cycles = passes * ceil_div(g.outputs, OUTPUTS) * tile
    shared = sharing_seconds(data_of(op).type) + sharing_seconds(op.type)
    return with_weights(cycles, cut, passes * g.outputs * g.channels * digits.bits / 8, facts) * CYCLE + shared


def _rows() -> Iterator[Kernel]:
    kinds: tuple[tuple[type[Node], Storage], ...] = ((QConv, Storage.CHANNELS_LAST), (QGemm, Storage.ROW_MAJOR))
    for way in WAYS:
        for raw in (False, True):
            for op, storage in kinds:
                made = row(
                    op,
                    _symbol(way, raw=raw),
                    "arm_few_rows.h",
                    storage,
                    partial(_call, way=way),
                    partial(_accepts, raw=raw),
                    f"b8 s1 s2 s4 -> {'s32' if raw else 'b8'}",
                    partial(_cost, way=way),
                    packed=True,
                    features=way.features,
                )
                yield replace(made, tile=(OUTPUTS, GROUP))


ROWS = tuple(_rows())
