"""A target with one kernel, whose header the tests write: codegen needs a target, and no particular one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.target import (
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    OperandPointer,
    ResultPointer,
    Special,
    Storage,
    Target,
    TargetFacts,
    as_array,
)

HEADER = """#ifndef TOY_CLAMP_H
#define TOY_CLAMP_H
#include <stdint.h>
struct toy_bounds { int32_t low, high; };
/* y[i] = min(max(x[i], low), high) + offset[0], four elements a tile. */
static inline int32_t toy_clamp(const int8_t *x, int8_t *y, const struct toy_bounds *bounds, const int8_t *offset,
                                int32_t count, int32_t begin, int32_t end, void *scratch) {
  int8_t *copy = (int8_t *)scratch;
  for (int32_t i = begin * 4; i < end * 4 && i < count; ++i) {
    copy[i % 4] = x[i];
    if (copy[i % 4] < bounds->low) copy[i % 4] = (int8_t)bounds->low;
    if (copy[i % 4] > bounds->high) copy[i % 4] = (int8_t)bounds->high;
    y[i] = (int8_t)(copy[i % 4] + offset[0]);
  }
  return 0;
}
#endif
"""
QUANT = QuantParams(np.float32(0.5), np.int64(1), -128, 127)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """The toy target; its header stands in the test's own folder."""
    header = tmp_path / "toy" / "kernels" / "toy_clamp.h"
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(HEADER)

    def call(op: Node) -> Call:
        assert isinstance(op, qops.Clamp)
        count = op.type.elements
        return Call(
            "toy_clamp",
            (
                OperandPointer(0),
                ResultPointer(),
                ConstantStruct("toy_bounds", (("low", op.low), ("high", op.high))),
                ConstantArray("offset", as_array([0], np.int8)),
                Integer(count),
                Special.TILE_BEGIN,
                Special.TILE_END,
                Special.SCRATCH,
            ),
            tiles=-(-count // 4),
            scratch_bytes=4,
            checked=True,
        )

    kernel = Kernel(qops.Clamp, "toy_clamp", header, Storage.ANY, call, lambda op, facts: 1.0, in_place=(0,))
    return Target("toy", "toy", frozenset(), TargetFacts(), (), "x86_64-linux-gnu", "x86_64", (kernel,), runs_here=True)


def clamp(x: Value, low: int, high: int, source: str) -> Value:
    op = qops.Clamp(x, low, high, sources=(source,))
    return KernelCall(op, "toy_clamp", "toy", sources=op.sources).out


@pytest.fixture
def toy_graph() -> Callable[..., Graph]:
    return _toy_graph


def _toy_graph(input_name: str = "x", output_name: str = "y", shape: tuple[int, ...] = (2, 5)) -> Graph:
    """x clamped three times, shown as it is, as a view, beside the input and a constant."""
    x = Input(input_name, TensorType(INT8, shape, QUANT))
    y = x.out
    for step in range(3):
        y = clamp(y, -100 + step, 100 - step, f"clamp {step}")
    flat = View(ops.Reshape(y, (int(np.prod(shape)),))).out
    constant = Constant.of(np.arange(3, dtype=np.int8))
    outputs = (
        Output(output_name, y),
        Output("flat", flat),
        Output("same", x.out),
        Output("constant", constant.out),
    )
    return Graph("toy", (x,), outputs, Stage.LOWERED)
