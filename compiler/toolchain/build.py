"""Builds what a bundle offers beside its C: libmodel.so, libmodel.a, and the runner.

model.c alone is compiled for the target's instructions; everything is linked for the baseline of its architecture. So
zig builds a C library once for an architecture and not for each processor, and the runner starts on a processor that
lacks an instruction, to say so. The object is the same for every C library.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from subbyte.compiler.codegen.bundle import Bundle
from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import Compiler, Libc, compile_c, run_tool, zig_triple

SHARED, STATIC, RUNNER = "libmodel.so", "libmodel.a", "runner"
_OBJECT = "model.o"
_RUNTIME = Path(__file__).parents[2] / "runtime_cpp"


def build_bundle(
    bundle: Bundle,
    target: Target,
    compiler: Compiler,
    products: tuple[str, ...],
    *,
    libc: Libc | None = None,
    warnings: bool = False,
) -> dict[str, bytes]:
    """Compile `bundle` in a temporary folder; returns `products` (SHARED, STATIC, RUNNER), contents by file name.

    libc: the runner's; "gnu" is linked dynamically, None is static, with the compiler's own (of zig's, musl).
    warnings: see compile_c.
    """
    with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
        folder = Path(temporary)
        for path, content in bundle.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        flags = (*compiler.flags_for(target), "-fPIC", "-c")
        cache = folder / "cache"
        compile_c(compiler, flags, [folder / "model.c"], folder / _OBJECT, warnings=warnings, cache=cache)
        if SHARED in products:
            _link_shared(compiler, target, folder)
        if STATIC in products or RUNNER in products:
            archive(compiler, [folder / _OBJECT], folder / STATIC)
        if RUNNER in products:
            _build_runner(compiler, target, folder, libc)
        return {product: (folder / product).read_bytes() for product in products}


def first_link(compiler: Compiler, target: Target, products: tuple[str, ...], libc: Libc | None) -> str:
    """What to tell people before a build that may take a minute: zig makes a C library when it is first asked for."""
    if compiler.family != "zig" or RUNNER not in products or libc == "gnu":
        return ""
    return f"; the first program for {zig_triple(target, 'musl')} builds its C library too, about a minute"


def archive(compiler: Compiler, objects: list[Path], library: Path) -> None:
    """Put `objects` into a static library."""
    if compiler.family == "zig":
        command = [*compiler.command[:-1], "ar"]
    elif shutil.which("ar"):
        command = ["ar"]
    else:
        raise ToolchainError("`ar` is needed to make libmodel.a, and it was not found; install binutils")
    run_tool([*command, "rcsD", str(library), *map(str, objects)], f"archiving {library.name}")


def _link_shared(compiler: Compiler, target: Target, folder: Path) -> None:
    """With zig: without any library, so that programs of glibc and of musl load it alike.

    What C compilers call of themselves (memcpy; 64-bit division on 32-bit Arm) comes from zig's compiler_rt, as much of
    it as is called; it is not visible from outside.
    """
    output = ("-o", str(folder / SHARED), str(folder / _OBJECT))
    if compiler.family == "zig":
        alone = ("-nostdlib", "-lcompiler_rt", "-Wl,--gc-sections")
        command = [*compiler.command, "-target", zig_triple(target, "musl"), "-shared", "-s", *output, *alone]
    else:
        command = [*compiler.command, *compiler.flags_for(target), "-shared", "-s", *output]
    run_tool(command, f"linking {SHARED}")


def _build_runner(compiler: Compiler, target: Target, folder: Path, libc: Libc | None) -> None:
    """The runner without the target's instruction sets: it lives to say that the processor lacks one."""
    sources = [*sorted((_RUNTIME / "runner").glob("*.c")), *sorted((_RUNTIME / "src").glob("*.c")), folder / STATIC]
    # The runner is ours, not the user's: it may use POSIX beside C99.
    includes = ("-D_POSIX_C_SOURCE=200809L", "-I", str(_RUNTIME / "include"), "-I", str(_RUNTIME / "src"))
    flags = compiler.flags_for(target, baseline=True, libc=libc or "musl")
    linked = ("-pthread", "-s") if libc == "gnu" else ("-static", "-pthread", "-s")
    compile_c(compiler, (*flags, *includes, *linked), sources, folder / RUNNER)
