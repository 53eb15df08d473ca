"""What run, verify and bench work on: a model compiled on the way, or a bundle that stands."""

from __future__ import annotations

from pathlib import Path

import typer

from subbyte.compiler.cli.options import is_bundle
from subbyte.compiler.cli.output import progress
from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.manifest import read_manifest
from subbyte.compiler.runtime import Module, load


def module_of(
    path: Path,
    target: str | None,
    threads: int,
    dims: dict[str, int],
    *,
    strict: bool = False,
    compiler: str | None = None,
    remove_work: bool = True,
) -> Module:
    """The module in the bundle `path`, or the model `path` compiled for `target` (native where it is not given)."""
    if is_bundle(path):
        if target is not None or dims or not remove_work:
            raise typer.BadParameter(
                f"'{path}' is a bundle, compiled already; --target, --dim and --no-remove-work belong to a model"
            )
        return _loaded(path, threads)
    from subbyte.compiler.api import compile
    from subbyte.compiler.target import find_target
    from subbyte.compiler.toolchain.emulators import find_emulator, needs_emulator

    goal = find_target(target or "native")
    if needs_emulator(goal):
        find_emulator(goal)  # before the work, not after it
    with progress(f"compiling {path.name} for {goal.name}"):
        module = compile(
            path,
            target=target or "native",
            threads=threads,
            dims=dims,
            strict=strict,
            compiler=compiler,
            name=path.stem,
            remove_work=remove_work,
        )
    prepare(module)
    return module


def prepare(module: Module) -> None:
    """Load the library, or build the runner of another processor."""
    with progress(
        f"preparing {module.target}; the first program for an architecture builds its C library too, a minute"
    ):
        module.prepare()


def _loaded(path: Path, threads: int) -> Module:
    """The bundle in this process, or by its runner where it was compiled for another processor."""
    from subbyte.compiler.target import find_target

    target = find_target(read_manifest(path).target)
    if target.language == "hls":
        from subbyte.compiler.hls.module import load_hls

        return load_hls(path)
    if target.runs_here or not target.emulator:
        return load(path, threads)
    from subbyte.compiler.api import load_runner

    module = load_runner(path, threads)
    module.prepare()
    return module


def input_types(module: Module) -> dict[str, TensorType]:
    """The types of a module's inputs, for samples."""
    return {
        signature.name: TensorType(DType.from_numpy(signature.dtype.numpy), tuple(signature.shape))
        for signature in module.inputs
    }
