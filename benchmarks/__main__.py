"""`python -m benchmarks`: subbyte beside onnxruntime, OpenVINO and LiteRT, interleaved in one process.

Answers are compared first; then the engines take turns in blocks. The figure of a model is the median over the rounds
of (the faster peer's median / subbyte's median): above 1, subbyte is faster than every peer.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import subbyte
from benchmarks.agreement import agreements
from benchmarks.engines import subbyte_engine
from benchmarks.isa_mask import LEVELS, MaskError, answered, restart_with, trap_in_force
from benchmarks.machine import machine, programs
from benchmarks.measure import interleave
from benchmarks.peers import PEERS, is_installed, peer_engines
from benchmarks.report import Measured, as_data, as_markdown
from benchmarks.subjects import default_models, subject_of
from subbyte.compiler.compare import output_scales
from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.target import find_target


def benchmark(
    model: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="An 8-bit ONNX model; may be repeated. Default: MLPerf Tiny's, the digits."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="What subbyte compiles for; what fits --isa by default.")] = None,
    isa: Annotated[
        str, typer.Option(help=f"What all engines may know of the processor: {' | '.join(['native', *LEVELS])}.")
    ] = "native",
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"May be repeated: {', '.join(PEERS)}. Default: the installed ones but torch."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every engine.")] = 1,
    rounds: Annotated[int, typer.Option(min=5, help="Rounds of one block for each engine.")] = 11,
    block_ms: Annotated[float, typer.Option(min=1, help="Milliseconds a block.")] = 70,
    compiler: Annotated[str | None, typer.Option(help="The C compiler for subbyte; found by default.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables here too.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")] = None,
) -> None:
    """Time subbyte beside its peers; their answers are compared first."""
    if unknown := [name for name in peer or () if name not in PEERS]:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(PEERS)}", param_hint="--peer")
    if isa not in ("native", *LEVELS):
        raise typer.BadParameter(f"'{isa}' is none of native, {', '.join(LEVELS)}", param_hint="--isa")
    if isa != "native" and trap_in_force() is None:
        restart_with(isa)
    goal = find_target(target or ("native" if isa == "native" else LEVELS[isa]))
    paths = model or default_models()
    names = peer or [name for name in PEERS if name != "torch" and is_installed(name)]  # torch takes one layer
    conditions = {
        "machine": machine(),
        "programs": programs(goal, compiler),
        "run": {
            "threads": threads,
            "rounds": rounds,
            "block_ms": block_ms,
            "isa": isa,
            "hidden_by": trap_in_force(),
            "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        },
    }
    measured = []
    for path in paths:
        typer.echo(f"{path.name} ...", err=True)
        measured.append(measure(path, names, goal.name, threads, rounds, block_ms / 1000, compiler))
    if isa != "native" and not answered():
        raise MaskError("no engine asked for the processor's instruction sets: what they ran on is not known.")
    text = as_markdown(measured, conditions)
    typer.echo(text, nl=False)
    if markdown is not None:
        markdown.write_text(text)
    if json_file is not None:
        json_file.write_text(json.dumps(as_data(measured, conditions), indent=1) + "\n")


def measure(
    path: Path,
    peer_names: list[str],
    target: str,
    threads: int,
    rounds: int,
    block_seconds: float,
    compiler: str | None,
) -> Measured:
    """Compile, compare answers, time."""
    module = subbyte.compile(path, target=target, threads=threads, compiler=compiler)
    subject = subject_of(path, module)
    ours = subbyte_engine(module, threads)
    peers, notes = peer_engines(peer_names, path, threads)
    found = agreements(ours, peers, subject.samples, output_scales(quantized(path, Options())))
    for engine in (ours, *peers):
        engine.load(subject.sample)
    timings = interleave({engine.name: engine.call for engine in (ours, *peers)}, rounds, block_seconds)
    return Measured(subject, timings, found, notes)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(benchmark)


def main() -> None:
    try:
        app()
    except (SubbyteError, MaskError) as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
