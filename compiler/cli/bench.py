"""`subbyte bench`: how long one inference takes, and each of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subbyte.compiler.cli.options import CompilerCommand, Dims, Json, ModelOrBundle, NoRemoveWork, Threads, parse_dims
from subbyte.compiler.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from subbyte.compiler._runtime import StepProfile
    from subbyte.compiler.toolchain.peak import Peak


def bench(
    model: ModelOrBundle,
    target: Annotated[str | None, typer.Option("--target", "-t", help="What to compile a MODEL for; native.")] = None,
    threads: Threads = 1,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="How many inferences are timed; 200, under an emulator 10."),
    ] = None,
    per_op: Annotated[bool, typer.Option("--per-op", help="Time each step as well.")] = False,
    dim: Dims = None,
    no_remove_work: NoRemoveWork = False,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Time inferences of random inputs on this machine: median, 10th and 90th percentile, in microseconds.

    With --per-op each step stands beside the machine's peak: what it computes and moves a second, and how close that is
    to the least time that the processor's multiplications and its memory allow. What is compiled for another processor
    runs under an emulator, and the times are the emulator's: they say nothing of a board.
    """
    dims = parse_dims(dim)

    import numpy as np

    from subbyte.compiler.cli.loaded import input_types, module_of
    from subbyte.compiler.samples import random_samples

    module = module_of(model, target, threads, dims, compiler=compiler, remove_work=not no_remove_work)
    inputs = list(random_samples(input_types(module), 3))[2]
    emulated = bool(module.emulator)
    repeats = repeats or (10 if emulated else 200)
    with progress(f"timing {repeats} inferences"):
        warmup = 1 if emulated else max(10, repeats // 10)
        times = np.asarray(module.benchmark(inputs, repeats=repeats, warmup=warmup)) / 1000
        steps = module.profile(inputs, repeats=repeats if emulated else max(20, repeats // 4)) if per_op else []
    low, median, high = (float(value) for value in np.percentile(times, (10, 50, 90)))
    peak = _peak(module.target, compiler) if per_op and not emulated else None
    ops = [_op(step, peak, threads, rated=not emulated) for step in steps]
    if json:
        print_json(
            {
                "target": module.target,
                "threads": threads,
                "emulated": emulated,
                "median_us": median,
                "p10_us": low,
                "p90_us": high,
                "peak": None if peak is None else peak.as_dict(),
                "ops": ops,
            }
        )
        return
    if ops:
        columns = ("step", "kernel", "us", "MACs", "GMAC/s", "bytes", "GB/s", "% of roof", "sources")
        keys = ("name", "kernel", "median_us", "macs", "gmac_per_s", "bytes", "gb_per_s", "percent_of_roof", "sources")
        print_table("", columns, [["" if op[key] is None else op[key] for key in keys] for op in ops])
    if peak is not None:
        reads = ", ".join(f"{rate:.1f} GB/s of {level // 1024} KiB" for level, rate in peak.reads)
        typer.echo(f"one core at its peak: {peak.gmac_per_s:.1f} GMAC/s ({peak.instruction}); reads {reads}")
    typer.echo(
        f"{module.name} for {module.target}, {threads} thread{'s' if threads > 1 else ''}: median {median:.2f} us, "
        f"p10 {low:.2f}, p90 {high:.2f} over {repeats} inferences"
    )
    if emulated:
        typer.echo(
            f"These are times of the emulator, `{module.emulator}`, not of a board, and do not even rank models. "
            "docs/boards.md has the commands that time it on a board."
        )


def _op(step: StepProfile, peak: Peak | None, threads: int, *, rated: bool) -> dict[str, Any]:
    """A step as --json prints it; rates only where the time is a processor's."""
    us, macs, moved = step["median_ns"] / 1000, step["macs"], step["bytes"]
    roof = None if peak is None else peak.roof_us(macs, moved, threads)
    return {
        "name": step["name"],
        "sources": step["sources"],
        "kernel": step["kernel"],
        "median_us": us,
        "macs": macs,
        "bytes": moved,
        "gmac_per_s": macs / us / 1000 if us and rated else None,
        "gb_per_s": moved / us / 1000 if us and rated else None,
        "roof_us": roof,
        "percent_of_roof": 100 * roof / us if roof is not None and us else None,
    }


def _peak(target: str, compiler: str | None) -> Peak | None:
    """The roof of this machine; None, with a line that says why, where it cannot be measured."""
    from subbyte.compiler import knobs
    from subbyte.compiler.errors import SubbyteError
    from subbyte.compiler.target import find_target
    from subbyte.compiler.toolchain.compilers import find_compiler
    from subbyte.compiler.toolchain.peak import measured_peak

    try:
        goal = find_target(target)
        with progress(f"measuring the peak of this machine for {goal.name}"):
            named = knobs.CACHE_FOLDER.read()
            folder = Path(named) if named else Path.home() / ".cache"
            return measured_peak(goal, find_compiler(goal, compiler), folder / "subbyte")
    except SubbyteError as error:
        typer.echo(f"the steps are not compared with the machine's peak: {error}", err=True)
        return None
