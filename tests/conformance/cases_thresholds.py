"""Cases of sums that end in thresholds or in a table: accumulators one before, at and one behind every step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import INT4, INT8, INT16, INT32, UINT2, UINT8, DType
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.thresholds import all_thresholds, staircase
from tests.conformance.cases import Array, Case, Operand, cases, generator, quantized

CHANNELS = 11
BIAS = np.array([0, 7000, -12345, 1, -1, 2, 3, 4, 5, 6, -7])


@dataclass(frozen=True, eq=False)
class Numbers:
    """A requantization, what is added to the sums, and the range of the codes that are summed."""

    name: str
    requantization: Requantization
    bias: Array | None
    low: int
    high: int

    @property
    def added(self) -> Array:
        return np.zeros(CHANNELS, np.int64) if self.bias is None else self.bias


def _requantization(name: str, dtype: DType, form: str) -> Requantization:
    """`form` names what is special: one (multiplier), falling, mixed (signs), shift, table, tables, rising (table)."""
    random = generator(name)
    words = form.split()
    shape: Any = () if "one" in words else CHANNELS
    reach = 9000.0 if "far" not in words else 90000.0  # with few codes reached
    multiplier = random.uniform(0.5, 2.0, shape) * (dtype.max - dtype.min + 1) / reach
    if "ties" in words:
        multiplier = 2.0 ** np.round(np.log2(multiplier))
    if "falling" in words:
        multiplier = -multiplier
    if "mixed" in words:
        multiplier = multiplier * random.choice([-1.0, 1.0], shape)
    shift = np.float32(random.normal(0, 2, shape)) if "shift" in words else None
    entries = dtype.max - dtype.min + 1
    table = None
    if "table" in words:
        table = random.integers(-128, 128, entries)
    if "tables" in words:
        table = random.integers(-128, 128, (CHANNELS, entries))
    if "rising" in words:
        table = np.sort(random.integers(-8, 8, entries))
    zero_point = int(random.integers(dtype.min, dtype.max, endpoint=True))
    return Requantization(np.asarray(multiplier, np.float32), shift, zero_point, dtype.min, dtype.max, table)


def _sums(n: Numbers) -> Array:
    """What to add to each bias: whatever meets a step of a channel or stands next to one, and the ends."""
    r, low, high = replace(n.requantization, table=None), n.low + n.added, n.high + n.added
    if r.channels is None:
        low, high = low.min(keepdims=True), high.max(keepdims=True)
    steps = all_thresholds(r, low, high)
    near = [steps - n.added[:, None] + d for d in (-1, 0, 1)]
    return np.unique(np.clip(np.concatenate([*near, np.array([n.low, n.high])], axis=None), n.low, n.high))


DTYPES = (UINT2, INT4, DType("uint", 1), DType("int", 3), INT8)
FORMS = (
    "", "one", "ties", "one ties", "falling", "one falling", "mixed", "mixed ties", "shift", "one shift", "mixed shift",
    "table", "one table", "mixed table", "tables", "mixed tables", "rising", "one rising", "shift rising", "far",
    "mixed far", "one far table",
)  # fmt: skip


def _numbers() -> Iterator[Numbers]:
    """Requantizations with thresholds where they are few; those with tables without thresholds too."""
    for number, (dtype, form) in enumerate(itertools.product(DTYPES, FORMS)):
        bias = BIAS if number % 2 else None
        low, high = (INT16.min, INT16.max) if number % 3 else (-9000, 9000)  # steps of 32 bits, and of 16
        name = f"{dtype.name} {form}{'' if bias is None else ' bias'}"
        n = Numbers(name, _requantization(name, dtype, form), bias, low, high)
        found = staircase(n.requantization, low + n.added, high + n.added, 15)
        if found is not None:
            made = replace(n.requantization, staircase=found)
            yield replace(n, name=f"{name} by thresholds", requantization=made)
        if n.requantization.table is not None:
            yield replace(n, name=f"{name} by N4")


def _result(r: Requantization) -> DType:
    """A type for the results."""
    low, high = r.results()
    return INT8 if low < 0 else UINT8 if high < 256 else INT16


def _case(n: Numbers, kind: str) -> Case:
    sums, r, bias = _sums(n), n.requantization, n.bias
    dtype = _result(r)
    quant = quantized(dtype, 0.05, 0 if r.table is not None else r.zero_point)
    held = () if bias is None else (Operand(bias.astype(np.int32), INT32, None, True),)
    grid = quantized(INT16, 0.01, 0, None, n.low, n.high)
    if kind == "gemm":
        ones: Array = np.ones((1, CHANNELS), np.int8)
        x = Operand(sums[:, None].astype(np.int16), INT16, grid)
    elif kind == "depthwise":
        ones = np.ones((CHANNELS, 1, 1, 1), np.int8)
        x = Operand(np.broadcast_to(sums, (1, CHANNELS, 1, sums.size)).astype(np.int16), INT16, grid)
    else:
        ones = np.ones((CHANNELS, 1, 1, 1) if kind == "conv" else (1, CHANNELS, 1, 1), np.int8)
        x = Operand(sums.reshape(1, 1, 1, -1).astype(np.int16), INT16, grid)
    weights = Operand(ones, INT4, quantized(INT4, 0.1, 0), True)

    def build(data: Value, w: Value, added: Value | None = None) -> Node:
        match kind:
            case "gemm":
                return QGemm(data, w, added, r, dtype, quant)
            case "conv_transpose":
                return QConvTranspose(
                    data, w, added, r, dtype, quant, (1, 1), (0,) * 4, (1, 1), 1, output_padding=(0, 0)
                )
        return QConv(data, w, added, r, dtype, quant, (1, 1), (0,) * 4, (1, 1), CHANNELS if kind == "depthwise" else 1)

    return Case(f"{kind}_{n.name}", build, (x, weights, *held))


@cases
def thresholds() -> Iterator[Case]:
    for kind in ("gemm", "conv", "depthwise", "conv_transpose"):
        for n in _numbers():
            if kind == "gemm" or "mixed" in n.name:
                yield _case(n, kind)


@cases
def thresholds_of_two_run_time_matrices() -> Iterator[Case]:
    for n in _numbers():
        if "int4 mixed" in n.name:
            case = _case(n, "gemm")
            x, weights, *held = case.operands
            yield replace(case, name=f"{case.name}_run_time", operands=(x, replace(weights, constant=False), *held))
