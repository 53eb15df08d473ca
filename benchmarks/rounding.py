"""`python -m benchmarks.rounding MODEL DATA`: how well each method of rounding keeps a network's outputs.

Every convolution and matrix product is rounded by itself, per output channel, with the second moments of its inputs
over the samples. The figure of a method is the mean over the layers of 10 log10(power of the outputs / power of their
error), in dB; no other samples and no labels are looked at.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.machine import machine
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.observers import SecondMoments
from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Value
from subbyte.compiler.rounding.coordinate_descent import multistart_descent
from subbyte.compiler.rounding.objective import sqnr
from subbyte.compiler.rounding.registry import ROUNDINGS
from subbyte.compiler.rounding.types import Grid, Reals, Rounding

METHODS: dict[str, Rounding] = {
    **ROUNDINGS,
    "multistart_descent, 20 kicks": partial(multistart_descent, kicks=20),
}
CODEBOOKS = ("kmeans", "power_sums", "power_levels")
BITS = (8, 7, 6, 5, 4, 3, 2, 1)


def main(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A float ONNX model.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="npz: an array for each input, samples along axis 0.")],
    limit: Annotated[int, typer.Option(min=1, help="Only the first samples are read.")] = 200,
    bits: Annotated[list[int] | None, typer.Option(help="May be repeated. Default: 8 to 1.")] = None,
    per: Annotated[str, typer.Option(help="One scale for each: tensor | channel.")] = "channel",
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")] = None,
) -> None:
    """Round every layer by every method; print dB and seconds, and write the figures of each layer."""
    problems = moments_of(model, data, limit)
    widths = bits or list(BITS)
    figures: dict[str, dict[int, dict[str, float]]] = {}
    seconds: dict[str, float] = {}
    for name, method in METHODS.items():
        figures[name] = {}
        for width in widths:
            begin = time.perf_counter()
            if suits(name, width):
                grid = Grid(width, per=per)  # type: ignore[arg-type]
                figures[name][width] = {
                    layer: sqnr(matrix, method(matrix, grid, moments), moments)
                    for layer, (matrix, moments) in problems.items()
                }
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
    typer.echo(f"machine: {json.dumps(machine())}\nlayers: {len(problems)}, samples: {limit}, scales per {per}\n")
    typer.echo(table(figures, widths, seconds))
    if json_file is not None:
        json_file.write_text(json.dumps({"figures": figures, "seconds": seconds}, indent=1) + "\n")


def moments_of(model: Path, data: Path, limit: int) -> dict[str, tuple[Reals, Reals]]:
    """(matrix, second moments) of each layer of the network over the first samples.

    An int8 array `input` with `input_scale`, as the labelled keyword samples hold it, is multiplied out.
    """
    graph = import_model(model, batch=1)
    with np.load(data) as arrays:
        first = graph.inputs[0].name
        samples = arrays[first][:limit] if first in arrays else arrays["input"][:limit] * arrays["input_scale"]
    found: dict[Layer, SecondMoments] = {layer: SecondMoments(layer) for layer in layers(graph)}
    by_value: dict[Value, list[SecondMoments]] = {}
    for layer, observer in found.items():
        by_value.setdefault(layer.x, []).append(observer)
    shape = (-1, *graph.inputs[0].type.shape)
    read = Data({first: samples.astype(np.float32).reshape(shape)})
    for turn in range(max(len(observers) for observers in by_value.values())):
        read.observe(graph, {value: seen[turn] for value, seen in by_value.items() if len(seen) > turn})
    return {layer.name: (layer.matrix().astype(np.float64), observer.mean) for layer, observer in found.items()}


def suits(method: str, bits: int) -> bool:
    """Whether a codebook of that kind has so few or so many levels."""
    return not (method == "kmeans" and bits == 8) and not (method in CODEBOOKS[1:] and bits not in range(2, 8))


def table(figures: dict[str, dict[int, dict[str, float]]], widths: list[int], seconds: dict[str, float]) -> str:
    """Methods down, bits across: mean dB over the layers."""
    lines = ["| method | " + " | ".join(f"W{width}" for width in widths) + " | s |", "|---" * (len(widths) + 2) + "|"]
    for name, found in figures.items():
        means = [f"{np.mean(list(found[width].values())):.1f}" if width in found else "" for width in widths]
        lines.append(f"| {name} | " + " | ".join(means) + f" | {seconds[name]:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        typer.run(main)
    except SubbyteError as error:
        sys.exit(f"{type(error).__name__}: {error}")
