"""`python -m benchmarks.topologies resnet18 w2a2 OUT.onnx`: writes a network, and its input as OUT.npz."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer

from benchmarks.topologies.build import ALL, build
from benchmarks.topologies.precision import PRECISIONS


def main(
    topology: Annotated[str, typer.Argument(help=", ".join(ALL))],
    precision: Annotated[str, typer.Argument(help=", ".join(PRECISIONS))],
    output: Annotated[Path, typer.Argument(metavar="OUT.onnx")],
    resolution: Annotated[int | None, typer.Option(min=8, help="Of the image, or the length of the sequence.")] = None,
) -> None:
    """Write TOPOLOGY with random weights in PRECISION."""
    for value, known, name in ((topology, ALL, "TOPOLOGY"), (precision, PRECISIONS, "PRECISION")):
        if value not in known:
            raise typer.BadParameter(f"'{value}' is none of {', '.join(known)}", param_hint=name)
    built = build(topology, precision, resolution)
    onnx.save(built.model, output)
    samples: dict[str, Any] = {name: array[None] for name, array in built.inputs.items()}
    np.savez(output.with_suffix(".npz"), **samples)
    typer.echo(f"{output}: {len(built.model.graph.node)} nodes, {built.model.ByteSize():,} bytes")


if __name__ == "__main__":
    typer.run(main)
