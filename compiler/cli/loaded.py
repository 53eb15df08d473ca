"""What run, verify and bench work on: a model compiled on the way, or a bundle that stands."""

from __future__ import annotations

from pathlib import Path

import typer

from subbyte.compiler.cli.options import is_bundle
from subbyte.compiler.cli.output import progress
from subbyte.compiler.dtype import DType
from subbyte.compiler.ir.types import TensorType
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
        return load(path, threads)
    from subbyte.compiler.api import compile

    with progress(f"compiling {path.name}"):
        return compile(
            path,
            target=target or "native",
            threads=threads,
            dims=dims,
            strict=strict,
            compiler=compiler,
            name=path.stem,
            remove_work=remove_work,
        )


def input_types(module: Module) -> dict[str, TensorType]:
    """The types of a module's inputs, for samples."""
    return {
        signature.name: TensorType(DType.from_numpy(signature.dtype.numpy), tuple(signature.shape))
        for signature in module.inputs
    }
