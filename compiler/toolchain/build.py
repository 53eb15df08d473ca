"""Builds what a bundle offers beside its C: libmodel.so, libmodel.a, and the static runner."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from subbyte.compiler.codegen.bundle import Bundle
from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import Compiler, compile_c, run_tool

SHARED, STATIC, RUNNER = "libmodel.so", "libmodel.a", "runner"
_RUNTIME = Path(__file__).parents[2] / "runtime_cpp"


def build_bundle(
    bundle: Bundle, target: Target, compiler: Compiler, products: tuple[str, ...], *, warnings: bool = False
) -> dict[str, bytes]:
    """Compile `bundle` in a temporary folder; returns `products` (SHARED, STATIC, RUNNER), contents by file name.

    warnings: see compile_c.
    """
    with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
        folder = Path(temporary)
        for path, content in bundle.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        flags = compiler.flags_for(target)
        model = folder / "model.c"
        if SHARED in products:
            shared = (*flags, "-fPIC", "-shared", "-s")
            compile_c(compiler, shared, [model], folder / SHARED, warnings=warnings)
        if STATIC in products or RUNNER in products:
            compile_c(compiler, (*flags, "-fPIC", "-c"), [model], folder / "model.o", warnings=warnings)
            archive(compiler, [folder / "model.o"], folder / STATIC)
        if RUNNER in products:
            _build_runner(compiler, target, folder)
        return {product: (folder / product).read_bytes() for product in products}


def archive(compiler: Compiler, objects: list[Path], library: Path) -> None:
    """Put `objects` into a static library."""
    if compiler.family == "zig":
        command = [*compiler.command[:-1], "ar"]
    elif shutil.which("ar"):
        command = ["ar"]
    else:
        raise ToolchainError("`ar` is needed to make libmodel.a, and it was not found; install binutils")
    run_tool([*command, "rcsD", str(library), *map(str, objects)], f"archiving {library.name}")


def _build_runner(compiler: Compiler, target: Target, folder: Path) -> None:
    """The runner without the target's instruction sets: it lives to say that the processor lacks one."""
    sources = [*sorted((_RUNTIME / "runner").glob("*.c")), *sorted((_RUNTIME / "src").glob("*.c")), folder / STATIC]
    # The runner is ours, not the user's: it may use POSIX beside C99.
    includes = ("-D_POSIX_C_SOURCE=200809L", "-I", str(_RUNTIME / "include"), "-I", str(_RUNTIME / "src"))
    flags = compiler.flags_for(target, baseline=True)
    compile_c(compiler, (*flags, *includes, "-static", "-pthread", "-s"), sources, folder / RUNNER)
