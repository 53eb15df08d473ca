"""`subbyte bench`: how long one inference takes, and each of its steps."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from subbyte.compiler.cli.options import CompilerCommand, Dims, Json, ModelOrBundle, NoRemoveWork, Threads, parse_dims
from subbyte.compiler.cli.output import print_json, print_table, progress


def bench(
    model: ModelOrBundle,
    target: Annotated[str | None, typer.Option("--target", "-t", help="What to compile a MODEL for; native.")] = None,
    threads: Threads = 1,
    repeats: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many inferences are timed.")] = 200,
    per_op: Annotated[bool, typer.Option("--per-op", help="Time each step as well.")] = False,
    dim: Dims = None,
    no_remove_work: NoRemoveWork = False,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Time inferences of random inputs on this machine: median, 10th and 90th percentile, in microseconds."""
    dims = parse_dims(dim)

    import numpy as np

    from subbyte.compiler.cli.loaded import input_types, module_of
    from subbyte.compiler.samples import random_samples

    module = module_of(model, target, threads, dims, compiler=compiler, remove_work=not no_remove_work)
    inputs = list(random_samples(input_types(module), 3))[2]
    with progress(f"timing {repeats} inferences"):
        times = np.asarray(module.benchmark(inputs, repeats=repeats, warmup=max(10, repeats // 10))) / 1000
        steps = module.profile(inputs, repeats=max(20, repeats // 4)) if per_op else []
    low, median, high = (float(value) for value in np.percentile(times, (10, 50, 90)))
    ops: list[dict[str, Any]] = [
        {
            "name": step["name"],
            "sources": step["sources"],
            "kernel": step["kernel"],
            "median_us": step["median_ns"] / 1000,
            "macs": step["macs"],
            "bytes": step["bytes"],
        }
        for step in steps
    ]
    if json:
        print_json(
            {
                "target": module.target,
                "threads": threads,
                "median_us": median,
                "p10_us": low,
                "p90_us": high,
                "ops": ops,
            }
        )
        return
    if ops:
        rows = [
            [op["name"], op["kernel"], op["median_us"], op["macs"], _rate(op["macs"], op["median_us"]), op["sources"]]
            for op in ops
        ]
        print_table("", ("step", "kernel", "us", "MACs", "GMAC/s", "sources"), rows)
    typer.echo(
        f"{module.name} for {module.target}, {threads} thread{'s' if threads > 1 else ''}: median {median:.2f} us, "
        f"p10 {low:.2f}, p90 {high:.2f} over {repeats} inferences"
    )


def _rate(macs: int, microseconds: float) -> float:
    return macs / microseconds / 1000 if microseconds else 0.0
