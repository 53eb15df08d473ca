"""Sums of products by look-ups over geometries at the edges of register tiles, cells and panels, and at the bounds of
their narrow sums, in the C that users get: with constant geometry, to which the compiler specialises each call.
"""

from __future__ import annotations

import re
import shutil
import subprocess
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
from subbyte.compiler.target import Target, find_target
from subbyte.targets.x86.kernels_lookup_sums import LOOKUPS, Lookup, plan
from subbyte.targets.x86.levels import NAMES
from tests.conformance.harness import Library, Prepared

LEVELS = {"w1": (-1, 1), "ternary": (-1, 0, 1), "w2": (-2, -1, 0, 1), "codebook": (-13, -4, 3, 17)}


@dataclass(frozen=True)
class Convolution:
    """A convolution: x [images, channels, *extents] of codes 0..2^bits - 1, weights out of `levels`.

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
    levels: tuple[int, ...] = LEVELS["ternary"]
    bits: int = 2
    packed: str = ""
    fill: str = "random"
    shift: bool = False
    raw: bool = False

    def op(self, number: int) -> tuple[QConv, NDArray[np.uint8]]:
        """The operation, whose input is called `x` and the number, and that input in logical order."""
        random = np.random.default_rng(number)
        shape = (self.outputs, self.channels, *self.kernel)
        x_shape = (self.images, self.channels, *self.extents)
        top = 2**self.bits - 1
        if self.fill == "random":
            weights, x = random.choice(self.levels, shape), random.integers(0, top, x_shape, np.uint8, endpoint=True)
        else:  # every weight of an output the same, as large as it can be, and so the codes
            ends = np.array([min(self.levels), max(self.levels)])
            weights = np.broadcast_to(ends[np.arange(self.outputs) % 2].reshape(-1, 1, 1, 1), shape)
            x = np.full(x_shape, top, np.uint8)
        x_zero, y_zero = int(random.integers(0, top, endpoint=True)), int(random.integers(0, 4))
        multiplier = (random.uniform(0.5, 2, self.outputs) / np.sqrt(weights[0].size)).astype(np.float32)
        multiplier[::3] *= -1
        shift = random.uniform(-1, 1, self.outputs).astype(np.float32) if self.shift else None
        narrow = DType("uint", self.bits)
        y = UINT8 if "y" not in self.packed else narrow
        end = None if self.raw else Requantization(multiplier, shift, y_zero & y.max, 0, y.max)
        order = (0, 2, 3, 1)
        x_type = TensorType(
            narrow if "x" in self.packed else UINT8,
            x_shape,
            QuantParams(0.1, x_zero, 0, top),
            Layout(order, bits=self.bits if "x" in self.packed else None),
        )
        op = QConv(
            Input(f"x{number}", x_type).out,
            Constant.of(weights, INT8, quant=QuantParams(np.float32(0.01), 0, -128, 127)).out,
            Constant.of(random.integers(-50, 50, self.outputs), INT32).out,
            end,
            INT32 if self.raw else y,
            None if self.raw else QuantParams(0.1, y_zero & y.max, 0, y.max),
            self.strides,
            self.pads,
            self.dilations,
            1,
            layout=Layout(order, bits=self.bits if "y" in self.packed else None),
        )
        return op, x


SAME = (1, 1, 1, 1)


def convolutions() -> Iterator[Convolution]:
    """Outputs around vectors, pixels around register tiles, channels around cells, every kind of window and weight."""
    for levels in LEVELS.values():
        for bits in (1, 2):
            plain = Convolution(13, 9, (5, 6), (3, 3), SAME, levels=levels, bits=bits)
            yield plain
            yield replace(plain, outputs=70, raw=True)
            yield replace(plain, outputs=40, shift=True)
            yield replace(plain, fill="extremes", channels=700, kernel=(1, 1), pads=(0, 0, 0, 0), raw=True)
            yield replace(plain, fill="extremes", channels=96, raw=True)
            for packed in ("x", "y", "xy"):
                yield replace(plain, packed=packed, outputs=24, channels=40)
                yield replace(plain, packed=packed, outputs=72, channels=8, kernel=(1, 1), pads=(0, 0, 0, 0))
    for name, bits in (("ternary", 2), ("w1", 2), ("w1", 1)):  # every form
        plain = Convolution(8, 9, (5, 6), (3, 3), SAME, levels=LEVELS[name], bits=bits)
        for channels in (1, 2, 3, 4, 5, 6, 7, 9, 33, 64):
            yield replace(plain, channels=channels)
        for outputs in (1, 31, 32, 33, 63, 65, 97, 129, 300):
            yield replace(plain, outputs=outputs, channels=5)
        yield replace(plain, packed="xy", outputs=8, kernel=(2, 2), pads=(0, 0, 0, 0), strides=(2, 1))
    for pixels in (1, 2, 3, 4, 5, 7, 8, 9, 17):
        yield Convolution(12, 40, (1, pixels))
        yield Convolution(12, 40, (pixels, 3), (3, 3), SAME)
    yield Convolution(6, 20, (9, 11), (3, 3), (0, 0, 1, 1), (2, 2))
    yield Convolution(6, 20, (9, 11), (3, 3), (2, 2, 2, 2), (1, 2), (2, 2))
    yield Convolution(8, 20, (9, 11), (1, 1), strides=(2, 2))
    yield Convolution(3, 20, (9, 11), (5, 5), (4, 4, 4, 4))  # windows wholly outside
    yield Convolution(8, 20, (4, 4), (3, 3), SAME, images=3)
    yield Convolution(8, 20, (5, 3), images=4)  # one row of pixels, images and all
    yield Convolution(64, 64, (40, 40), (3, 3), SAME)  # many tiles
    yield Convolution(64, 40, (1, 3000))  # tiles of columns
    for levels in ((-128, 127), (-2, -1, 0, 1)):  # a chunk for every cell or so; beyond 16 bits
        for bits in (1, 2):
            deep = Convolution(20000, 3, (1, 5), levels=levels, bits=bits, fill="extremes", raw=True)
            yield deep
            yield replace(deep, channels=2500, kernel=(3, 3), extents=(3, 3), pads=SAME, fill="random")
    yield Convolution(40, 5, (2, 3), levels=(0,))
    yield Convolution(40, 5, (2, 3), levels=(0, 1))


def _target(lookup: Lookup) -> Target:
    """The least one that has the instruction."""
    return next(target for target in map(find_target, NAMES) if lookup.features <= target.features)


def _prepared(convolution: Convolution, number: int, lookup: Lookup) -> Prepared | None:
    """The call of the row for the instruction; None where it does not take the convolution."""
    op, x = convolution.op(number)
    for row in _target(lookup).kernels_for(QConv):
        if row.header.name == f"x86_lookup_sums_{lookup.name}.h" and row.accepts(op):
            constants = [value.constant for value in op.operands if value.constant is not None]
            return Prepared(str(convolution), row, op, [x, *constants])
    return None


@pytest.mark.parametrize("lookup", LOOKUPS, ids=lambda lookup: lookup.name)
def test_geometries_equal_the_interpreter(
    lookup: Lookup, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    target = _target(lookup)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {target.name}")
    calls = []
    for number, convolution in enumerate(convolutions()):
        prepared = _prepared(convolution, number, lookup)
        if prepared is not None:
            calls.append(prepared)
        else:  # a table of one sum of products is beyond a byte, or packed codes have other bits than those of a cell
            assert max(map(abs, convolution.levels)) > 2 or convolution.packed, f"{lookup.name} takes no {convolution}"
    library = Library(target, calls, tmp_path)
    for prepared in calls:
        tiles = prepared.call.tiles
        expected = evaluate_node(prepared.op, prepared.operands)[0]
        for bounds in ([(0, tiles)], [(tile, tile + 1) for tile in reversed(range(tiles))]):
            found = library.run(prepared, bounds)[0]
            assert (found == expected).all(), f"{prepared.name}: {(found != expected).sum()} of {found.size} differ"


PEAK = {
    "avx2": Convolution(128, 64, (28, 28), (3, 3), SAME),
    "avx512": Convolution(128, 256, (28, 28), (3, 3), SAME),
    "avx512vbmi": Convolution(128, 256, (28, 28), (3, 3), SAME),
}
"""Convolutions that take the fastest register tile of each instruction set."""


@pytest.mark.parametrize("lookup", LOOKUPS, ids=lambda lookup: lookup.name)
def test_the_innermost_loop_stays_in_registers(
    lookup: Lookup, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    """As many look-ups and additions as the register tile has, and nothing read from the stack or written at all."""
    tool = shutil.which("objdump")
    if tool is None:
        optional_capability("disassembler", "objdump is not installed")
    target = _target(lookup)
    prepared = _prepared(PEAK[lookup.name], 0, lookup)
    assert prepared is not None
    made = plan(prepared.op, lookup)
    assert made is not None
    Library(target, [prepared], tmp_path)
    listed = subprocess.run(
        [tool, "-d", "--no-show-raw-insn", str(tmp_path / "calls.o")], capture_output=True, text=True, check=True
    )
    look_up = "vpermb" if lookup.sextets else "vpshufb"
    tile = made.cut.register_tile
    wanted = made.weights.cells.lookups * tile.pixels * tile.vectors
    loops = [loop for loop in _loops(listed.stdout) if sum(look_up in line for line in loop) == wanted]
    assert loops, f"no loop has {wanted} {look_up}"
    for loop in loops:
        assert sum("vpaddb" in line for line in loop) == wanted
        assert not [line for line in loop if "(%rsp" in line or "(%rbp" in line]
        assert not [line for line in loop if re.search(r"vmov\S+ +%\S+,\S*\(", line)], "a vector is stored"


def _loops(listing: str) -> Iterator[list[str]]:
    """The instructions between each backward jump and its goal that hold no other backward jump."""
    lines = [line.split("\t") for line in listing.splitlines() if re.match(r" +[0-9a-f]+:\t", line)]
    at = {int(line[0].strip(" :"), 16): number for number, line in enumerate(lines)}
    innermost = 0
    for number, line in enumerate(lines):
        jump = re.match(r"j\w+ +([0-9a-f]+)", line[-1].strip())
        first = at.get(int(jump.group(1), 16), number) if jump else number
        if first < number:
            if first >= innermost:
                yield [each[-1] for each in lines[first : number + 1]]
            innermost = number + 1
