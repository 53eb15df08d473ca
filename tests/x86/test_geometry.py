"""Sums of products and depthwise convolutions over geometries at the edges of register tiles, windows and panels.

The table-driven tests of tests/conformance reach every row of the kernel table; these reach every way through a row, in
the C that users get: with constant geometry, to which the compiler specialises each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.dtype import INT8, INT32, UINT8
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import Kernel, Target, find_target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.targets.x86.levels import NAMES

CHANNELS_LAST = Layout((0, 2, 3, 1))


@dataclass(frozen=True)
class Convolution:
    """A convolution with random weights: x [images, channels, *extents], `outputs` outputs, group 1 or depthwise."""

    channels: int
    outputs: int
    extents: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    images: int = 1
    depthwise: bool = False
    zeros: bool = False  # weight zero points that do not fit into the weights
    small: bool = False  # weights whose pairs cannot saturate vpmaddubsw
    fill: str = "random"
    spread: float = 60.0  # output steps of a typical sum
    shift: bool = False
    raw: bool = False

    def op(self, number: int) -> tuple[QConv, NDArray[np.uint8]]:
        """The operation, whose input is called `x` and the number, and that input."""
        random = np.random.default_rng(number)
        group = self.channels if self.depthwise else 1
        outputs = self.channels if self.depthwise else self.outputs
        shape = (outputs, self.channels // group, *self.kernel)
        low, high = (-64, 64) if self.small else (-128, 127)
        x_shape = (self.images, self.channels, *self.extents)
        if self.fill == "extremes":
            weights = np.where(random.random((outputs, 1, 1, 1)) < 0.5, low, high) * np.ones(shape, np.int64)
            x = np.full(x_shape, 255, np.uint8)
        else:
            weights = random.integers(low, high, shape, endpoint=True)
            x = random.integers(0, 255, x_shape, np.uint8, endpoint=True)
        zeros = random.integers(-128, 127, outputs) if self.zeros else np.zeros(outputs, np.int64)
        x_zero, y_zero = int(random.integers(0, 256)), int(random.integers(0, 256))
        quant = QuantParams(np.full(outputs, 0.01, np.float32), zeros, -128, 127, 0)
        products = weights[0].size
        typical = 60 * 90 * np.sqrt(products)
        multiplier = (random.uniform(0.5, 2, outputs) * self.spread / typical).astype(np.float32)
        multiplier[::3] *= -1
        shift = random.uniform(-9, 9, outputs).astype(np.float32) if self.shift else None
        end = None if self.raw else Requantization(multiplier, shift, y_zero, 0, 255)
        op = QConv(
            Input(f"x{number}", TensorType(UINT8, x_shape, QuantParams(0.1, x_zero, 0, 255), CHANNELS_LAST)).out,
            Constant.of(weights, INT8, quant=quant).out,
            Constant.of(random.integers(-5000, 5000, outputs), INT32).out,
            end,
            INT32 if self.raw else UINT8,
            None if self.raw else QuantParams(0.1, y_zero, 0, 255),
            self.strides,
            self.pads,
            self.dilations,
            group,
            layout=CHANNELS_LAST,
        )
        return op, x


def _around(size: int) -> Sequence[int]:
    return (1, size - 1, size, size + 1)


def sums() -> Iterator[Convolution]:
    """Group 1: outputs around panels, widths around register tiles, channels around groups, every kind of window."""
    for outputs in (*_around(8), *_around(16), *_around(32), 48, 65, 130):
        yield Convolution(8, outputs, (2, 5))
    for width in (*_around(16), *_around(33), 125):
        yield Convolution(4, 16, (3, width), (3, 3), (1, 1, 1, 1))
        yield Convolution(4, 5, (1, width))
    for channels in (1, 2, 3, 4, 5, 15, 17, 33):
        yield Convolution(channels, 9, (5, 7))
        yield Convolution(channels, 17, (5, 7), (3, 3), (1, 1, 1, 1))
        yield Convolution(channels, 3, (4, 6), (2, 3), (0, 1, 1, 0), zeros=True)
    yield Convolution(6, 20, (9, 11), (3, 3), (0, 0, 1, 1), (2, 2))
    yield Convolution(6, 20, (9, 11), (3, 3), (2, 2, 2, 2), (1, 2), (2, 2))
    yield Convolution(8, 20, (9, 11), (1, 1), strides=(2, 2))
    yield Convolution(8, 20, (9, 11), (2, 2), strides=(3, 1))  # in place, without a window
    yield Convolution(3, 20, (9, 11), (5, 5), (4, 4, 4, 4))  # windows wholly outside
    yield Convolution(8, 20, (4, 4), (3, 3), (1, 1, 1, 1), images=3)
    yield Convolution(8, 20, (5, 3), images=4)  # one row of pixels, images and all
    yield Convolution(1, 64, (49, 10), (10, 4), (4, 1, 5, 1), (2, 2))
    yield Convolution(64, 64, (40, 40), (3, 3), (1, 1, 1, 1))  # many tiles
    yield Convolution(64, 40, (1, 3000), small=True)  # tiles of columns
    yield Convolution(512, 16, (1, 200), (1, 3), (0, 1, 0, 1))  # a window of columns
    for fill in ("random", "extremes"):
        for more in ({}, {"raw": True}, {"shift": True}, {"spread": 1e12}, {"zeros": True}, {"small": True}):
            yield Convolution(36, 19, (5, 6), (3, 3), (1, 1, 1, 1), fill=fill, **more)


def depthwise() -> Iterator[Convolution]:
    """Channels around registers, strides and dilations that sort columns, rows of segments, kernels of many taps."""
    plain = Convolution(1, 1, (6, 9), (3, 3), (1, 1, 1, 1), depthwise=True)
    for channels in (*_around(16), *_around(32), *_around(64), 3, 5, 24, 48, 130):
        yield replace(plain, channels=max(channels, 2))
    for strides in ((1, 2), (2, 1), (2, 2), (3, 3), (1, 5)):
        yield replace(plain, channels=24, strides=strides)
        yield replace(plain, channels=19, strides=strides, dilations=(2, 3), pads=(2, 3, 2, 3))
    for kernel in ((1, 1), (1, 3), (3, 1), (2, 2), (5, 5), (4, 6)):
        yield replace(plain, channels=17, kernel=kernel, pads=(kernel[0] // 2, 0, kernel[0] // 2, kernel[1] - 1))
    yield replace(plain, channels=65, kernel=(10, 8), extents=(20, 3), pads=(5, 5, 5, 5))
    yield replace(plain, channels=2, extents=(5, 5), pads=(7, 7, 7, 7))  # rows and columns wholly outside
    yield replace(plain, channels=64, extents=(60, 60))  # many tiles
    yield replace(plain, channels=7, images=3)
    for fill in ("random", "extremes"):
        for more in ({}, {"shift": True}, {"spread": 1e12}, {"zeros": True}):
            yield replace(plain, channels=40, fill=fill, **more)


@pytest.mark.parametrize("kind", [sums, depthwise], ids=["sums", "depthwise"])
@pytest.mark.parametrize("name", NAMES)
def test_geometries_equal_the_interpreter(
    name: str,
    kind: Callable[[], Iterator[Convolution]],
    tmp_path: Path,
    optional_capability: Callable[[str, str], None],
) -> None:
    target = find_target(name)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {target.name}")
    calls: dict[str, KernelCall] = {}
    inputs: dict[str, NDArray[np.uint8]] = {}
    for number, convolution in enumerate(kind()):
        op, x = convolution.op(number)
        assert any(kernel.accepts(op) for kernel in _rows(target)), f"{name} has no kernel for {convolution}"
        rows = [kernel for kernel in _own_rows(target) if kernel.accepts(op)]
        if rows:
            inputs[f"x{number}"] = x
        calls |= {f"{number}: {convolution} by {kernel.symbol}": KernelCall(op, kernel.symbol, name) for kernel in rows}
    model = _model(target, calls, tmp_path)
    results = model.run([np.moveaxis(x, 1, -1).copy().reshape(x.shape) for x in inputs.values()])
    for (label, call), result in zip(calls.items(), results, strict=True):
        assert isinstance(call.op, QConv)
        expected = evaluate_node(call.op, [_array(operand, inputs) for operand in call.op.operands])[0]
        found = np.moveaxis(result.reshape(call.type.stored_shape), -1, 1)
        assert (found == expected).all(), f"{label}: {(found != expected).sum()} of {expected.size} differ"


def _model(target: Target, calls: dict[str, KernelCall], folder: Path) -> LoadedModel:
    """A model of independent calls, channels-last from input to output, run by two threads."""
    inputs = dict.fromkeys(operand.node for call in calls.values() for operand in call.operands)
    outputs = tuple(Output(f"y{number}", call.out) for number, call in enumerate(calls.values()))
    graph = Graph("calls", tuple(node for node in inputs if isinstance(node, Input)), outputs, Stage.LOWERED)
    bundle = make_bundle(build_program(graph, target), "calls", "inline", {}, "0")
    library = folder / SHARED
    library.write_bytes(build_bundle(bundle, target, find_compiler(target), (SHARED,))[SHARED])
    return LoadedModel(str(library), threads=2)


def _array(operand: Value, inputs: dict[str, NDArray[np.uint8]]) -> NDArray[Any]:
    """What an operand holds, in logical order."""
    if isinstance(operand.node, Constant):
        return operand.node.value
    assert isinstance(operand.node, Input)
    return inputs[operand.node.name]


def _rows(target: Target) -> list[Kernel]:
    """The rows for QConv that are not those of `portable`."""
    return [kernel for kernel in target.kernels_for(QConv) if kernel.symbol.startswith("subbyte_x86_")]


def _own_rows(target: Target) -> list[Kernel]:
    """The rows that no weaker level has: the others are tested with the first that has them."""
    weaker = NAMES[: NAMES.index(target.name)]
    known = {id(kernel) for name in weaker for kernel in find_target(name).kernels}
    return [kernel for kernel in _rows(target) if id(kernel) not in known]
