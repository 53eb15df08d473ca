"""Sums of products by tables of partial sums over geometries at the edges of cells, blocks, panels and areas, and at
the bounds of their narrow sums, under emulation where this processor is no Arm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT32, UINT8, DType
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import Kernel, find_target
from tests.conformance.harness import Library, Prepared, Run
from tests.conformance.machines import lacking

W2 = (-2, -1, 0, 1)
SAME = (1, 1, 1, 1)


@dataclass(frozen=True)
class Convolution:
    """A convolution: x [images, channels, *extents] of codes 0..top, weights out of `levels`.

    packed: codes of x, or of x and y, share bytes.
    """

    channels: int
    outputs: int
    extents: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    images: int = 1
    levels: tuple[int, ...] = W2
    top: int = 3
    fill: str = "random"
    y: DType = UINT8
    shift: bool = False
    packed: str = ""

    def op(self, number: int) -> tuple[QConv, NDArray[np.uint8]]:
        """The operation, whose input is called `x` and the number, and that input in logical order."""
        random = np.random.default_rng(number)
        shape = (self.outputs, self.channels, *self.kernel)
        x_shape = (self.images, self.channels, *self.extents)
        if self.fill == "random":
            weights, x = random.choice(self.levels, shape), random.integers(0, self.top, x_shape, np.uint8, True)
        else:  # every weight of an output the same, as large as it can be, and so the codes
            ends = np.array([min(self.levels), max(self.levels)])
            weights = np.broadcast_to(ends[np.arange(self.outputs) % 2].reshape(-1, 1, 1, 1), shape)
            x = np.full(x_shape, self.top, np.uint8)
        x_zero, y_zero = int(random.integers(0, self.top, endpoint=True)), int(random.integers(0, 4)) & self.y.max
        multiplier = (random.uniform(0.5, 2, self.outputs) / np.sqrt(weights[0].size)).astype(np.float32)
        multiplier[::3] *= -1
        shift = random.uniform(-1, 1, self.outputs).astype(np.float32) if self.shift else None
        raw = self.y == INT32
        low, high = (0, 0) if raw else (self.y.min, self.y.max)
        order = (0, 2, 3, 1)
        x_bits = self.top.bit_length() if "x" in self.packed else None
        x_dtype = UINT8 if x_bits is None else DType("uint", x_bits)
        x_type = TensorType(x_dtype, x_shape, QuantParams(0.1, x_zero, 0, self.top), Layout(order, bits=x_bits))
        op = QConv(
            Input(f"x{number}", x_type).out,
            Constant.of(weights, INT8, quant=QuantParams(np.float32(0.01), 0, -128, 127)).out,
            Constant.of(random.integers(-50, 50, self.outputs), INT32).out,
            None if raw else Requantization(multiplier, shift, y_zero, low, high),
            self.y,
            None if raw else QuantParams(0.1, y_zero, low, high),
            self.strides,
            self.pads,
            self.dilations,
            1,
            layout=Layout(order, bits=self.y.bits if "y" in self.packed else None),
        )
        return op, x


def convolutions() -> Iterator[Convolution]:
    """Outputs around rows of tables, pixels around register tiles, channels around cells and blocks; all windows."""
    for levels in ((-1, 1), (-1, 0, 1), W2, (-13, -4, 3, 17), tuple(range(-8, 8)), tuple(range(-128, 128))):
        for top in (1, 2, 3, 7):
            plain = Convolution(13, 9, (5, 6), (3, 3), SAME, levels=levels, top=top)
            yield plain
            yield replace(plain, outputs=40, y=INT32)
            yield replace(plain, fill="extremes", channels=96, y=INT32)
    for top in (1, 3):
        plain = Convolution(8, 9, (5, 6), (3, 3), SAME, top=top)
        for channels in (1, 2, 3, 4, 5, 6, 7, 12, 23, 24, 25, 36, 37, 64, 73):
            yield replace(plain, channels=channels)
        for outputs in (1, 8, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 97):
            yield replace(plain, outputs=outputs, channels=5)
    for y in (DType("uint", 1), DType("uint", 2), DType("uint", 4)):
        for top in (1, 3):
            plain = Convolution(8, 24, (5, 6), (3, 3), SAME, top=top, y=y)
            for packed in ("x", "y", "xy"):
                yield replace(plain, packed=packed)
                yield replace(plain, packed=packed, channels=40, outputs=8, strides=(2, 1), levels=(-100, 3, 101))
                yield replace(plain, packed=packed, channels=96, outputs=72, kernel=(1, 1), pads=(0, 0, 0, 0))
    for outputs in (1, 7, 8, 9, 15, 16, 17, 33):
        yield Convolution(9, outputs, (3, 3), (3, 3), SAME, levels=(-128, 127, 3), y=INT8)
    for pixels in (1, 2, 3, 4, 5, 7, 8, 9, 17):
        yield Convolution(12, 40, (1, pixels), shift=True)
        yield Convolution(12, 40, (pixels, 3), (3, 3), SAME, y=INT8)
    yield Convolution(6, 20, (9, 11), (3, 3), (0, 0, 1, 1), (2, 2))
    yield Convolution(6, 20, (9, 11), (3, 3), (2, 2, 2, 2), (1, 2), (2, 2))
    yield Convolution(70, 20, (9, 11), (3, 3), (2, 2, 2, 2), (2, 1), (2, 3))
    yield Convolution(8, 20, (9, 11), (1, 1), strides=(2, 2))
    yield Convolution(8, 20, (9, 11), (1, 1), SAME, strides=(2, 3))
    yield Convolution(8, 20, (9, 11), (1, 3), (0, 1, 0, 1), strides=(3, 2))
    yield Convolution(3, 20, (9, 11), (5, 5), (4, 4, 4, 4))  # windows wholly outside
    yield Convolution(8, 20, (4, 4), (3, 3), SAME, images=3)
    yield Convolution(8, 20, (5, 3), images=4)  # one row of pixels, images and all
    yield Convolution(64, 64, (40, 40), (3, 3), SAME)  # many tiles
    yield Convolution(64, 40, (1, 3000))  # tiles of columns
    yield Convolution(5460, 3, (1, 5), levels=(-2, 1), fill="extremes", y=INT32)  # -32760: all that 16 bits hold
    yield Convolution(5462, 3, (1, 5), levels=(-2, 1), fill="extremes", y=INT32)  # beyond: the sums of 16 bits
    yield Convolution(20000, 3, (1, 5), levels=(-128, 127), fill="extremes", y=INT32)
    yield Convolution(40, 5, (2, 3), levels=(0,))
    yield Convolution(40, 5, (2, 3), levels=(0, 1))


def _rows() -> Iterator[tuple[str, Kernel]]:
    for name in ("armv7-a+neon", "armv8-a"):
        for row in find_target(name).kernels_for(QConv):
            if row.header.name == "arm_partial_sums.h" and "s32" not in row.symbol:
                yield name, row


@pytest.mark.parametrize(("name", "row"), list(_rows()), ids=lambda part: getattr(part, "symbol", part))
def test_geometries_equal_the_interpreter(
    name: str, row: Kernel, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = find_target(name)
    if missing := lacking(target):
        optional_capability(*missing)
    raw = target.kernel(QConv, row.symbol.replace("sums", "sums_s32"))
    calls = []
    for number, convolution in enumerate(convolutions()):
        op, x = convolution.op(number)
        own = raw if convolution.y == INT32 else row
        assert own.accepts(op), f"{own.symbol} takes no {convolution}"
        constants = [value.constant for value in op.operands if value.constant is not None]
        calls.append(Prepared(str(convolution), own, op, [x, *constants]))
    for general, some in (
        (True, calls),
        (False, calls[::8]),
    ):  # one function for all; as models have them, one for each
        runs = []
        for call in some:
            tiles = call.call.tiles
            runs += [Run(call, [(0, tiles)]), Run(call, [(tile, tile + 1) for tile in reversed(range(tiles))])]
        library = Library(target, some, tmp_path, general=general)
        for run, answer in zip(runs, library.answers(runs), strict=True):
            assert not answer.fault, f"{run.prepared.name}: {answer.fault}"
            expected = evaluate_node(run.prepared.op, run.prepared.operands)[0]
            found = answer.results[0]
            assert (found == expected).all(), f"{run.prepared.name}: {(found != expected).sum()} of {found.size} differ"
