"""`subbyte compile`: an ONNX model to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from subbyte.compiler.cli.fpga import (
    Budget,
    BusBits,
    Clock,
    Folding,
    Fps,
    Golden,
    Interface,
    Latency,
    Part,
    Terms,
    compile_project,
    hls_options,
)
from subbyte.compiler.cli.options import (
    ActivationBits,
    CompilerCommand,
    Dims,
    InputGrids,
    IntegerOnly,
    Json,
    ModelPath,
    NoRemoveWork,
    Strict,
    TargetName,
    Tuning,
    parse_activation_bits,
    parse_dims,
    parse_grids,
)
from subbyte.compiler.cli.output import print_json, progress

_PRODUCTS = {"c": None, "so": "libmodel.so", "a": "libmodel.a", "runner": "runner"}


def compile_command(
    model: ModelPath,
    target: TargetName = "native",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The bundle's folder; MODEL's name by default.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C functions; MODEL's name by default.")] = None,
    threads: Annotated[
        int,
        typer.Option(min=1, max=1024, help="How many it will run on; the code is the same, the scratch memory is not."),
    ] = 1,
    dim: Dims = None,
    io: Annotated[
        str, typer.Option(help="Inputs and outputs as in the model, or as codes: model | quantized.")
    ] = "model",
    weights: Annotated[
        str | None, typer.Option(help="Weights in model.c or beside it: inline | file; inline up to 16 MiB by default.")
    ] = None,
    emit: Annotated[
        list[str] | None,
        typer.Option(help="What to build: c | so | a | runner; may be repeated; so by default. Of target hls: rtl."),
    ] = None,
    libc: Annotated[
        str | None,
        typer.Option(
            help="The runner's C library: gnu (dynamic) | musl (static, of zig); the compiler's, static, by default."
        ),
    ] = None,
    no_build: Annotated[bool, typer.Option("--no-build", help="Write the C sources and build nothing.")] = False,
    strict: Strict = False,
    integer_only: IntegerOnly = False,
    no_remove_work: NoRemoveWork = False,
    activation_bits: ActivationBits = None,
    tuning: Tuning = None,
    input_grid: InputGrids = None,
    part: Part = None,
    clock: Clock = None,
    fps: Fps = None,
    latency: Latency = None,
    budget: Budget = None,
    folding: Folding = None,
    interface: Interface = None,
    bus_bits: BusBits = None,
    terms: Terms = None,
    golden: Golden = None,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Compile MODEL into a bundle: model.h, model.c, kernels, manifest and, built, libmodel.so.

    With --target hls: into a C++ project for high-level synthesis, with its testbench, estimates and drivers.
    """
    for value, choices, option in (
        (io, ("model", "quantized"), "--io"),
        (weights, ("inline", "file", None), "--weights"),
        (libc, ("gnu", "musl", None), "--libc"),
    ):
        if value not in choices:
            raise typer.BadParameter(f"'{value}' is none of {', '.join(filter(None, choices))}", param_hint=option)
    dims, grids = parse_dims(dim), parse_grids(input_grid)

    from subbyte.compiler.api import compile_bundle
    from subbyte.compiler.codegen.bundle import write_bundle
    from subbyte.compiler.pipeline import Options
    from subbyte.compiler.target import find_target
    from subbyte.compiler.toolchain.build import build_bundle, first_link
    from subbyte.compiler.toolchain.compilers import Libc, find_compiler
    from subbyte.compiler.tuning import read_tuning

    goal = find_target(target)
    of_hls: dict[str, Any] = {
        "part": part,
        "clock": clock,
        "fps": fps,
        "latency": latency,
        "budget": budget,
        "folding": folding,
        "interface": interface,
        "bus_bits": bus_bits,
        "terms": terms,
    }
    kinds = _kinds(emit, goal.language)
    of_c: dict[str, Any] = {
        "libc": libc,
        "compiler": compiler,
        "weights": weights,
        "io": None if io == "model" else io,
        "threads": None if threads == 1 else threads,
        "no_build": no_build or None,
    }
    _need_language(goal.language, {**of_hls, "golden": golden}, of_c)
    options = Options(
        dims=dims,
        strict=strict,
        integer_only=integer_only,
        threads=threads,
        io=io,
        weights=weights,
        name=name or _stem(model),
        remove_work=not no_remove_work,
        activation_bits=parse_activation_bits(activation_bits),
        tuning=() if tuning is None else read_tuning(tuning),
        input_grids=grids,
    )
    if goal.language == "hls":
        compile_project(model, options, hls_options(**of_hls, rtl="rtl" in kinds), output, golden, json)
        return
    with progress(f"compiling {model.name} for {goal.name}"):
        bundle = compile_bundle(model, goal, options)
    products = tuple(dict.fromkeys(p for kind in kinds if (p := _PRODUCTS[kind]) is not None))
    built: dict[str, bytes] = {}
    if products and not no_build:
        linked = cast("Libc | None", libc)
        found = find_compiler(goal, compiler, linked)
        note = first_link(found, goal, products, linked)
        with progress(f"building {', '.join(products)} with {found.family} {found.version}{note}"):
            built = build_bundle(bundle, goal, found, products, libc=linked)
    folder = output or Path(bundle.name)
    write_bundle(bundle, folder, built)
    memory = bundle.manifest["memory"]
    report = {
        "bundle": str(folder),
        "target": goal.name,
        "arena_bytes": memory["arena_bytes"],
        "arena_lower_bound_bytes": memory["arena_lower_bound_bytes"],
        "scratch_bytes": threads * memory["scratch_bytes"],
        "weight_bytes": bundle.weight_bytes,
        "code_bytes": len(built["libmodel.so"]) - (0 if bundle.manifest["weights"]["file"] else bundle.weight_bytes)
        if "libmodel.so" in built
        else None,
        "fallbacks": [f"{step['name']}: {step['kernel']}" for step in bundle.manifest["steps"] if step.get("fallback")],
    }
    if json:
        print_json(report)
        return
    for key, value in report.items():
        if isinstance(value, list):
            value = "".join(f"\n  {item}" for item in value)
        if value not in (None, ""):
            typer.echo(f"{key.replace('_', ' ')}: {f'{value:,}' if isinstance(value, int) else value}")


def _kinds(emit: list[str] | None, language: str) -> list[str]:
    """What is to be built; a usage error names what the target does not build."""
    known = ("hls", "rtl") if language == "hls" else tuple(_PRODUCTS)
    kinds = emit or ([] if language == "hls" else ["so"])
    if unknown := sorted(set(kinds) - set(known)):
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(known)}", param_hint="--emit")
    return kinds


def _need_language(language: str, of_hls: dict[str, Any], of_c: dict[str, Any]) -> None:
    """A usage error for an option that says nothing about what is generated."""
    others, belongs = (of_c, "a target that C is built for") if language == "hls" else (of_hls, "--target hls")
    for name, value in others.items():
        if value is not None:
            raise typer.BadParameter(f"it belongs to {belongs}", param_hint=f"--{name.replace('_', '-')}")


def _stem(model: Path) -> str:
    return model.name.removesuffix(".onnx").removesuffix(".qonnx")
