"""`subbyte run`: samples from an .npz file through a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subbyte.compiler.cli.options import CompilerCommand, Dims, Json, ModelOrBundle, Threads, parse_dims
from subbyte.compiler.cli.output import print_json, progress, whole_file


def run(
    model: ModelOrBundle,
    inputs: Annotated[Path, typer.Option("--inputs", "-i", metavar="IN.npz", help="One array for each input.")],
    outputs: Annotated[Path, typer.Option("--outputs", "-o", metavar="OUT.npz", help="Where the outputs go.")],
    target: Annotated[str | None, typer.Option("--target", "-t", help="What to compile a MODEL for; native.")] = None,
    dim: Dims = None,
    threads: Threads = 1,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Run every sample of IN.npz (arrays of the inputs' shapes, or with a leading sample axis) and write OUT.npz."""
    dims = parse_dims(dim)

    import numpy as np

    from subbyte.compiler.cli.loaded import input_types, module_of
    from subbyte.compiler.errors import ModelError
    from subbyte.compiler.samples import read_samples

    module = module_of(model, target, threads, dims, compiler=compiler)
    samples = read_samples(inputs, input_types(module))
    with progress(f"running {samples.count} samples"):
        results = module.run_all(samples)
    stacked = {name: np.stack([result[name] for result in results]) for name in results[0]} if results else {}
    if not stacked:
        raise ModelError(f"'{inputs}' holds no sample; at least one is needed.")
    with whole_file(outputs) as stream:
        np.savez(stream, **stacked)  # type: ignore[arg-type]
    shapes = {name: f"{array.dtype}{list(array.shape)}" for name, array in stacked.items()}
    if json:
        print_json({"outputs": str(outputs), "samples": samples.count, "arrays": shapes})
    else:
        typer.echo(
            f"{samples.count} samples -> {outputs}: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}"
        )
