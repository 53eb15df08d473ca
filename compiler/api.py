"""What users call: compile a model, evaluate it by its written meaning."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subbyte.compiler.codegen.bundle import Bundle, make_bundle, write_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.errors import ToolchainError, UnsupportedError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.grids import parse_grid
from subbyte.compiler.manifest import read_manifest
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.runner import Program, RunnerModule
from subbyte.compiler.runtime import Module
from subbyte.compiler.target import Target, find_target
from subbyte.compiler.toolchain.build import RUNNER, SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import Compiler, find_compiler
from subbyte.compiler.toolchain.emulators import command_before
from subbyte.compiler.tuning import TuningRecord, read_tuning
from subbyte.compiler.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from subbyte.compiler.hls.options import HlsOptions

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto


def compile_bundle(model: Model | Graph, target: Target, options: Options) -> Bundle:
    """All of compilation but the C compiler: the bundle's files in memory."""
    graph = lowered(model, target, options)
    name = options.name or graph.name
    return make_bundle(build_program(graph, target), name, options.weights, options.recorded(), VERSION)


def compile(
    model: Model,
    *,
    target: str = "native",
    name: str | None = None,
    threads: int = 1,
    dims: Mapping[str, int] | None = None,
    strict: bool = False,
    weights: str | None = None,
    compiler: str | None = None,
    output: str | os.PathLike[str] | None = None,
    remove_work: bool = True,
    activation_bits: int | None = None,
    integer_only: bool = False,
    tuning: str | os.PathLike[str] | Sequence[TuningRecord] = (),
    input_grids: Mapping[str, str] | None = None,
    hls: HlsOptions | None = None,
) -> Module:
    """Compile an ONNX model ahead of time and build its library.

    Args:
        model: a path, the bytes of a file, or an onnx.ModelProto.
        target: `native`, or a name such as `x86-64-v3+avxvnni` (`subbyte list targets`).
        name: of the C functions; the graph's name where it is not given.
        threads: how many the returned module runs on; the compiled code does not depend on it.
        dims: values for symbolic dimensions, {"batch": 1}.
        strict: fail where a kernel of `portable` would stand in for a missing one of the target.
        weights: "inline" in model.c, "file" beside it, None: inline up to 16 MiB.
        compiler: the C compiler's command; found where it is not given.
        output: the folder of the bundle; a temporary one that lives as long as the module where it is not given.
        remove_work: leave out what range analysis proves constant or unused; the numbers are the same either way.
        activation_bits: 8: float activations of weight-only matrix products become 8-bit codes while the model runs.
        integer_only: float islands become integer functions at most one step from the real ones; fail where one cannot.
        tuning: records of kernels and their knobs by ONNX node, or the file of them (compiler/tuning.py).
        input_grids: float inputs that are quantized first: {"image": "fixed<16,6>"} (compiler/ir/grids.py).
        hls: of target `hls`: the device, how fast, by which ports.
    Returns: the module. It can be saved everywhere; it runs in this process where its target is this machine, and else
        under an emulator, by a runner that is built for the first run.
    Raises: ModelError, UnsupportedError, NumericsError, ToolchainError.
    """
    goal = find_target(target)
    options = Options(
        dims=dict(dims or {}),
        strict=strict,
        weights=weights,
        name=name,
        remove_work=remove_work,
        activation_bits=activation_bits,
        integer_only=integer_only,
        tuning=read_tuning(tuning) if isinstance(tuning, (str, os.PathLike)) else tuple(tuning),
        input_grids={name: parse_grid(grid) for name, grid in (input_grids or {}).items()},
    )
    if goal.language == "hls":
        if compiler is not None or weights is not None:
            raise UnsupportedError("target 'hls' writes a project of C++: it has no C compiler and no file of weights")
        return _compiled_project(model, options, hls, output)
    if hls is not None:
        raise UnsupportedError(f"options of hls were given, and the target is '{goal.name}'; leave them out")
    bundle = compile_bundle(model, goal, options)
    found = find_compiler(goal, compiler)
    built = build_bundle(bundle, goal, found, (SHARED,))
    keep = tempfile.TemporaryDirectory(prefix="subbyte-")
    folder = Path(keep.name) / bundle.name if output is None else Path(output)
    write_bundle(bundle, folder, built)
    if goal.runs_here or not goal.emulator:
        return Module(folder, threads, keep=keep)
    return RunnerModule(folder, lambda: _built_runner(bundle, goal, found, Path(keep.name)), threads, keep=keep)


def _compiled_project(
    model: Model, options: Options, hls: HlsOptions | None, output: str | os.PathLike[str] | None
) -> Module:
    """The project for high-level synthesis, run by its C simulation."""
    from subbyte.compiler.hls.compile import design_of, project_of
    from subbyte.compiler.hls.module import HlsModule
    from subbyte.compiler.hls.options import HlsOptions

    bundle = project_of(design_of(model, options, hls or HlsOptions()))
    keep = tempfile.TemporaryDirectory(prefix="subbyte-")
    folder = Path(keep.name) / bundle.name if output is None else Path(output)
    write_bundle(bundle, folder, {})
    return HlsModule(folder, keep=keep)


def load_runner(path: str | os.PathLike[str], threads: int = 1) -> RunnerModule:
    """The bundle in the folder `path`, run by its runner: a bundle for another processor than this machine's.

    Raises: ModelError: not a bundle, or one that was changed. ToolchainError: it has no runner.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    program = folder / RUNNER
    if not program.is_file():
        raise ToolchainError(
            f"The bundle '{folder}' is for {manifest.target}; this machine runs it by its runner, and it has none. "
            "Compile the model again with --emit so --emit runner."
        )
    target = find_target(manifest.target)
    return RunnerModule(folder, lambda: Program(program, command_before(target, program)), threads)


def _built_runner(bundle: Bundle, target: Target, compiler: Compiler, folder: Path) -> Program:
    program = folder / RUNNER
    program.write_bytes(build_bundle(bundle, target, compiler, (RUNNER,))[RUNNER])
    program.chmod(0o755)
    return Program(program, command_before(target, program))


def evaluate(
    model: Model,
    inputs: Mapping[str, NDArray[Any]],
    *,
    dims: Mapping[str, int] | None = None,
    activation_bits: int | None = None,
    integer_only: bool = False,
) -> dict[str, NDArray[np.generic]]:
    """The outputs of `model` by its written meaning, which every target equals bit for bit.

    dims, activation_bits, integer_only: as in `compile`.
    """
    from subbyte.compiler.ir import interpret

    options = Options(dims=dict(dims or {}), activation_bits=activation_bits, integer_only=integer_only)
    return interpret.evaluate(quantized(model, options), inputs)
