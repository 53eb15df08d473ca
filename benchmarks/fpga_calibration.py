"""What Yosys makes of units of the target hls, beside the estimate: LUT, FF, DSP slices and blocks of RAM.

    python -m benchmarks.fpga_calibration [--fit] [--table benchmarks/fpga_calibration.json] [-o TABLE]

Each unit is the SystemVerilog of one actor (targets/hls/rtl), mapped by `synth_xilinx` for the 7 series, alone and
flat, without pads. Its multipliers are made of LUTs where the estimate says so (-nodsp). Yosys does not pair LUTs with
two outputs, so Vivado's counts are lower. benchmarks/fpga_calibration.json is what Yosys 0.23 made of them on
22 November 2026; with --table it is taken instead of another run, which takes some minutes.

Relative error of the estimate over the units that are fitted, median and worst: LUT 8 % and 38 %, FF 3 % and 23 %, DSP
0 %. Not fitted: multipliers of 8 bits (the formula is 2/3 of Yosys' LUTs), FIFOs (HLS tools make shift registers).
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.optimize import least_squares

from benchmarks.fpga_units import BIPOLAR, Maker
from subbyte.targets.hls.actors import Product
from subbyte.targets.hls.estimate import actors, arithmetic, coefficients, memories, windows
from subbyte.targets.hls.estimate.actors import cost
from subbyte.targets.hls.resources import Resources
from subbyte.targets.hls.rtl.fifo import fifo
from subbyte.targets.hls.rtl.netlist import Netlist
from subbyte.targets.hls.rtl.rtl import rtl
from subbyte.targets.hls.rtl.systemverilog import systemverilog
from subbyte.targets.hls.streams import Element

TABLE = Path(__file__).with_suffix(".json")
WORST = {"LUT": 0.38, "FF": 0.23, "DSP": 0.0}
"""Relative errors that no unit exceeds."""
LUTS_OF_CELL = {"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32X1S": 1, "RAM64X1S": 1}
LUTS_OF_CELL |= {f"LUT{inputs}": 1 for inputs in range(1, 7)} | {"SRL16E": 1, "SRLC32E": 1}
BLOCKS_OF_CELL = {"RAMB18E1": 1, "RAMB36E1": 2}


@dataclass(frozen=True)
class Mapped:
    """Cells of a module."""

    lut: int
    ff: int
    dsp: int
    bram18: int


def mapped(netlist: Netlist, use_dsp: bool) -> Mapped:
    """A module, mapped by Yosys.

    Raises: subprocess.CalledProcessError: Yosys refuses it. SystemExit: a cell that takes LUTs is not in the table.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "unit.sv"
        source.write_text(systemverilog(netlist.text()))
        script = f"read_verilog -sv {source}; synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {netlist.name}"
        script += ("" if use_dsp else " -nodsp") + f"; tee -o {folder}/stat.json stat -json"
        subprocess.run(["yosys", "-q", "-p", script], check=True, capture_output=True, text=True)
        cells = json.loads((Path(folder) / "stat.json").read_text())["design"]["num_cells_by_type"]
    unknown = [cell for cell in cells if cell.startswith("RAM") and cell not in LUTS_OF_CELL | BLOCKS_OF_CELL]
    if unknown:
        raise SystemExit(f"benchmarks.fpga_calibration does not know the cells {unknown} of {netlist.name}")
    return Mapped(
        sum(cells.get(cell, 0) * count for cell, count in LUTS_OF_CELL.items()),
        sum(count for cell, count in cells.items() if re.fullmatch(r"FD[RSCP]E(_1)?", cell)),
        cells.get("DSP48E1", 0),
        sum(cells.get(cell, 0) * count for cell, count in BLOCKS_OF_CELL.items()),
    )


# The units ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """A module and what it is estimated to take. fitted: whether `--fit` looks at it."""

    group: str
    label: str
    netlist: Netlist
    estimate: Callable[[], Resources]
    use_dsp: bool = False
    fitted: bool = True


def units() -> Iterator[Unit]:
    """Every group with one to some hundred lanes, few bits and many."""
    make = Maker()

    def sums(group: str, label: str, *arguments: Any, use_dsp: bool = False, fitted: bool = True) -> Unit:
        x, values, product, words, rows, simd, pe, steps = arguments
        actor = make.matrix_vector(x, values, product, simd * words, pe * rows, simd, pe, steps, pixels=16)
        name = f"{group} {label}, SIMD {simd}, PE {pe}, {words} x {rows} words, sums of {actor.sums.bits} bits, {steps}"
        return Unit(group, name, rtl(actor).netlist, lambda: cost(actor).all, use_dsp, fitted)

    for bits, folds in ((2, SMALL), (3, SMALL), (4, SMALL), (8, SMALL[:2])):
        for simd, pe in folds:
            # Vivado's multipliers of 8 bits are about two thirds of Yosys', so these are shown and not fitted.
            arguments = (unsigned(bits), codes(bits), Product.MULTIPLY, 8, 4, simd, pe, "unchanged")
            yield sums("multiply", f"W{bits} A{bits}", *arguments, fitted=bits < 8)
    for simd, pe in ((8, 1), (8, 8), (32, 8), (64, 4)):
        yield sums("xnor", "W1 A1", BIPOLAR, (-1, 1), Product.XNOR, 8, 4, simd, pe, "unchanged")
    for bits in (2, 8):
        for simd, pe in ((4, 4), (16, 4)):
            yield sums("add", f"W1.6 A{bits}", unsigned(bits), (-1, 0, 1), Product.ADD, 8, 4, simd, pe, "unchanged")
            powers = (-8, -4, -2, -1, 0, 1, 2, 4)
            yield sums("shift", f"W4 A{bits}", unsigned(bits), powers, Product.SHIFT, 8, 4, simd, pe, "unchanged")
    for w, a in ((12, 12), (16, 8)):
        arguments = (signed(a), codes(w), Product.MULTIPLY, 8, 4, 4, 4, "unchanged")
        yield sums("dsp", f"W{w} A{a}", *arguments, use_dsp=True)
    for bits in (2, 5):
        for steps in ("compare 1", "compare 3", "compare 7", "compare 15", "search 15", "search 63"):
            arguments = (signed(bits), codes(bits), Product.MULTIPLY, 8, 16, 1, 4, f"{steps} rising")
            yield sums("steps", f"W{bits} A{bits}", *arguments)
    for frame, lanes, kernel, strides, pads in (
        ((8, 8, 4), 4, (3, 3), (1, 1), (1, 1, 1, 1)),
        ((16, 16, 8), 4, (3, 3), (1, 1), (0, 0, 0, 0)),
        ((32, 32, 3), 3, (3, 3), (2, 2), (1, 1, 1, 1)),
        ((28, 28, 8), 2, (5, 5), (1, 1), (2, 2, 2, 2)),
    ):
        window = make.sliding_window(frame, lanes, kernel, strides, pads)
        label = f"window {kernel[0]} x {kernel[1]} over {frame[0]} x {frame[1]} x {frame[2]}, {lanes} lanes of 3 bits"
        yield Unit("window", label, rtl(window).netlist, lambda window=window: cost(window).all)
    for depth, width in ((2, 16), (16, 16), (64, 16), (1024, 18)):
        found = memories.fifo(depth, width).resources
        yield Unit("fifo", f"fifo {depth} x {width}", fifo(depth, width), lambda found=found: found, fitted=False)


SMALL = ((1, 1), (4, 4), (8, 4), (16, 2))


def unsigned(bits: int) -> Element:
    return Element(0, (1 << bits) - 1)


def signed(bits: int) -> Element:
    return Element(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def codes(bits: int) -> tuple[int, ...]:
    return tuple(range(-(1 << (bits - 1)), 1 << (bits - 1)))


# The fit --------------------------------------------------------------------------------------------------------------

FITTED = (
    "PROCESS_LUT",
    "LUT_PER_COUNTER_BIT",
    "LUT_PER_XNOR",
    "LUT_PER_COUNTED_ONE",
    "LUT_PER_ADDER_BIT",
    "LUT_PER_COMPARED_BIT",
    "LUT_PER_SELECTED_BIT",
)


def fit(measured: Sequence[tuple[Unit, Mapped]]) -> dict[str, float]:
    """The coefficients for which the logarithms of estimated / mapped LUTs are smallest, outliers counting less."""
    rows = [(unit, found) for unit, found in measured if unit.fitted]
    start = np.array([float(getattr(coefficients, name)) for name in FITTED])

    def distances(values: NDArray[np.float64]) -> NDArray[np.float64]:
        for name, value in zip(FITTED, values, strict=True):
            setattr(coefficients, name, float(value))
        for module in (actors, arithmetic, memories, windows):
            for function in vars(module).values():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()
        pairs = [(unit.estimate(), found) for unit, found in rows]
        return np.log([luts(e.lut, e.bram18) / luts(found.lut, found.bram18) for e, found in pairs])

    found = least_squares(distances, start, bounds=(start / 5, start * 3), diff_step=0.05, loss="soft_l1", f_scale=0.1)
    distances(start)
    return dict(zip(FITTED, found.x.tolist(), strict=True))


def luts(lut: int, bram18: int) -> float:
    """LUTs, with what a block is worth: the estimate and Yosys put some memories into one and the other."""
    return lut + coefficients.LUT_PER_BLOCK * bram18


def errors(measured: Sequence[tuple[Unit, Mapped]]) -> dict[str, tuple[float, float]]:
    """Median and worst relative error, by resource, over the units that are fitted."""
    pairs = [(unit.estimate(), found) for unit, found in measured if unit.fitted]
    ratios = {
        "LUT": [luts(e.lut, e.bram18) / luts(found.lut, found.bram18) for e, found in pairs],
        "FF": [e.ff / found.ff for e, found in pairs],
        "DSP": [e.dsp / found.dsp for e, found in pairs if found.dsp],
    }
    away = {name: np.abs(np.array(values) - 1) for name, values in ratios.items() if values}
    return {name: (float(np.median(values)), float(values.max())) for name, values in away.items()}


# The command ----------------------------------------------------------------------------------------------------------


def read_table(table: Path) -> tuple[str, dict[str, Mapped]]:
    """The version of Yosys, and by unit what it made."""
    recorded = json.loads(table.read_text())
    return recorded["version"], {row["unit"]: Mapped(**row["cells"]) for row in recorded["units"]}


def yosys_version() -> str:
    return subprocess.run(["yosys", "-V"], check=True, capture_output=True, text=True).stdout.strip()


def calibrate(
    group: Annotated[str | None, typer.Option(help="Only the units of this group.")] = None,
    fitted: Annotated[bool, typer.Option("--fit", help="Print coefficients that fit.")] = False,
    table: Annotated[Path | None, typer.Option(help="Take what Yosys made from this file; do not run it.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write what Yosys made as JSON.")] = None,
) -> None:
    version, known = read_table(table) if table else (yosys_version(), {})
    measured = []
    print("| unit | LUT | estimate | FF | estimate | DSP | estimate | BRAM18 | estimate |")
    print("|---|---|---|---|---|---|---|---|---|")
    for unit in units():
        if group in (None, unit.group):
            found, guess = known.get(unit.label) or mapped(unit.netlist, unit.use_dsp), unit.estimate()
            measured.append((unit, found))
            columns = zip((found.lut, found.ff, found.dsp, found.bram18), guess.counts, strict=False)
            print(f"| {unit.label} | " + " | ".join(f"{a} | {b}" for a, b in columns) + " |", flush=True)
    print(f"\n{version}, {len(measured)} units. Relative error of the estimate, median and worst:")
    for name, (median, worst) in errors(measured).items():
        print(f"{name}: {100 * median:.0f} %, {100 * worst:.0f} %")
    if fitted:
        for name, value in fit(measured).items():
            print(f"{name} = {value:.2f}  # now {getattr(coefficients, name)}")
    if output is not None:
        rows = [json.dumps({"unit": unit.label, "cells": asdict(found)}) for unit, found in measured]
        text = ",\n".join(rows)
        output.write_text(f'{{"version": {json.dumps(version)}, "units": [\n{text}\n]}}\n')


if __name__ == "__main__":
    typer.run(calibrate)
