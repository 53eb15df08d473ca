"""What zig builds for Arm: libraries that need nothing, programs for either C library, the same bytes every time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from subbyte.compiler.api import compile_bundle
from subbyte.compiler.codegen.bundle import Bundle, write_bundle
from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target, header_closure
from subbyte.compiler.toolchain.build import RUNNER, SHARED, STATIC, build_bundle, first_link
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler, zig_triple
from subbyte.targets.arm.processors import NAMES
from tests.arm.elf import read_elf

MACHINES = {"cortex-a7": "arm", "cortex-a72": "aarch64"}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # pip's cmake lies beside Python
TEXT_BYTES = 60 * 1024  # of a small network's library, without weights


@pytest.fixture(scope="module")
def bundles(digits: Path) -> dict[str, Bundle]:
    """A small network with a softmax, which divides 64-bit numbers, for each of the two states."""
    options = Options(name="digits")
    return {name: compile_bundle(digits / "digits_mlp_int8.onnx", find_target(name), options) for name in MACHINES}


@pytest.fixture(scope="module")
def built(bundles: dict[str, Bundle]) -> dict[str, dict[str, bytes]]:
    return {name: build(bundle, name) for name, bundle in bundles.items()}


def build(bundle: Bundle, name: str, products: tuple[str, ...] = (SHARED, STATIC)) -> dict[str, bytes]:
    target = find_target(name)
    return build_bundle(bundle, target, find_compiler(target), products)


@pytest.mark.parametrize("name", MACHINES)
def test_the_library_needs_nothing(built: dict[str, dict[str, bytes]], name: str) -> None:
    """Not even a C library, so that programs of glibc and of musl load it."""
    library = read_elf(built[name][SHARED])
    assert library.machine == MACHINES[name]
    assert (library.needed, library.undefined) == ([], [])


@pytest.mark.parametrize("name", MACHINES)
def test_two_builds_have_the_same_bytes(
    bundles: dict[str, Bundle], built: dict[str, dict[str, bytes]], name: str
) -> None:
    assert build(bundles[name], name) == built[name]


@pytest.mark.parametrize("name", ["cortex-a53", "cortex-a7"])
def test_the_code_of_a_residual_network_is_small(shared_model: Callable[[str], Any], name: str) -> None:
    bundle = compile_bundle(shared_model("resnet8_int8").path, find_target(name), Options(name="resnet8"))
    library = read_elf(build(bundle, name, (SHARED,))[SHARED])
    assert 0 < library.size(".text") < TEXT_BYTES
    assert library.size(".debug_info") == library.size(".symtab") == 0


@pytest.mark.parametrize("name", MACHINES)
def test_the_runner_is_static_or_of_glibc(bundles: dict[str, Bundle], name: str) -> None:
    target = find_target(name)
    compiler = find_compiler(target)
    static = read_elf(build_bundle(bundles[name], target, compiler, (RUNNER,))[RUNNER])
    assert (static.machine, static.needed) == (MACHINES[name], [])
    dynamic = read_elf(build_bundle(bundles[name], target, compiler, (RUNNER,), libc="gnu")[RUNNER])
    assert "libc.so.6" in dynamic.needed


def test_what_the_first_link_costs_is_told() -> None:
    target = find_target("cortex-a72")
    compiler = find_compiler(target)
    assert "aarch64-linux-musl" in first_link(compiler, target, (SHARED, RUNNER), None)
    assert first_link(compiler, target, (SHARED,), None) == first_link(compiler, target, (RUNNER,), "gnu") == ""


def test_triples() -> None:
    assert zig_triple(find_target("cortex-a7"), "musl") == "arm-linux-musleabihf"
    assert zig_triple(find_target("cortex-a7"), "gnu") == "arm-linux-gnueabihf.2.17"
    assert zig_triple(find_target("x86-64-v3"), "musl") == "x86_64-linux-musl"
    assert zig_triple(find_target("portable"), "musl") == "native"


def test_a_missing_cross_compiler_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"cross compiler for 'cortex-a72'.*pip install 'subbyte\[cross\]'"):
        find_compiler(find_target("cortex-a72"))
    with pytest.raises(ToolchainError, match="musl"):
        find_compiler(find_target("native"), libc="musl")
    with pytest.raises(ToolchainError, match="zig alone"):
        find_compiler(find_target("native"), "cc", libc="musl")


@pytest.mark.parametrize("name", MACHINES)
def test_the_cross_gcc_of_a_user_builds_the_same_sources(
    bundles: dict[str, Bundle],
    emulated: Callable[[str], str],
    optional_capability: Callable[[str, str], NoReturn],
    tmp_path: Path,
    name: str,
) -> None:
    """By the bundle's toolchain file; and what GCC makes of them computes the same bytes as zig's."""
    target = find_target(emulated(name))
    triple = target.zig_target
    for tool in (f"{triple}-gcc", "cmake"):
        if not shutil.which(tool, path=PATH):
            optional_capability("cross gcc", f"{tool} is not installed")
    folder, made = tmp_path / "bundle", tmp_path / "build"
    write_bundle(bundles[name], folder, {})
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={folder}/toolchain-{triple}.cmake"
    cmake("-S", folder, "-B", made, toolchain, "-DBUILD_SHARED_LIBS=OFF")
    cmake("--build", made)
    assert (made / "libmodel.a").is_file()
    answers = []
    for command in (f"{triple}-gcc", None):
        compiler = find_compiler(target, command)
        program = tmp_path / "runner"
        program.write_bytes(build_bundle(bundles[name], target, compiler, (RUNNER,))[RUNNER])
        program.chmod(0o755)
        before = [] if target.runs_here else list(target.emulator)
        files = [tmp_path / f"output{index}" for index in range(len(bundles[name].manifest["outputs"]))]
        subprocess.run([*before, program, "--random", "7", "--outputs", *files], check=True, capture_output=True)
        answers.append([np.fromfile(file, np.uint8).tobytes() for file in files])
    assert answers[0] == answers[1]
    assert any(map(any, answers[0]))


def cmake(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["cmake", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH},
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [None, "gcc"])
@pytest.mark.parametrize("name", ["cortex-a7", "armv8.2-a+dotprod+i8mm"])
def test_all_headers_of_the_kernels_may_stand_in_one_file(
    optional_capability: Callable[[str, str], NoReturn], tmp_path: Path, name: str, command: str | None
) -> None:
    """A model may call any of them: no two define the same name differently, and no compiler of C99 warns."""
    target = find_target(name)
    if command is not None:
        command = f"{target.zig_target}-{command}"
        if not shutil.which(command):
            optional_capability("cross gcc", f"{command} is not installed")
    headers = {path.name: path for kernel in target.kernels for path in header_closure(kernel.header)}
    for path in headers.values():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "all.c"
    source.write_text("".join(f'#include "{kernel.header.name}"\n' for kernel in target.kernels))
    compiler = find_compiler(target, command)
    flags = (*compiler.flags_for(target), "-Wno-unused-function", "-c")
    compile_c(compiler, flags, [source], tmp_path / "all.o", warnings=True)


# What an instruction set is called by C and in a list of features; the others are parts of every Armv7 or Armv8.
EXTENSIONS = {
    "AES": "aes", "ATOMICS": "lse", "BF16": "bf16", "COMPLEX": "complxnum", "CRC32": "crc", "DOTPROD": "dotprod",
    "FP16_VECTOR_ARITHMETIC": "fullfp16", "FRINT": "fptoint", "JCVT": "jsconv", "MATMUL_INT8": "i8mm", "QRDMX": "rdm",
    "RCPC": "rcpc", "SHA2": "sha2", "SHA3": "sha3", "SVE": "sve", "SVE2": "sve2",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_compilers_may_use_no_more_than_is_demanded_of_the_processor(tmp_path: Path, name: str) -> None:
    """What clang announces with the target's flags stands in its features, or is no extension."""
    target = find_target(name)
    compiler = find_compiler(target)
    (tmp_path / "empty.c").write_text("")
    shown = subprocess.run(
        [*compiler.command, *compiler.flags_for(target), "-dM", "-E", tmp_path / "empty.c"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    used = {feature for macro, feature in EXTENSIONS.items() if f"#define __ARM_FEATURE_{macro} " in shown}
    if target.zig_target.startswith("arm-"):
        used |= {"vfp4"} if "__ARM_FEATURE_FMA " in shown else set()
        used |= {"hwdiv", "hwdiv-arm"} if "__ARM_FEATURE_IDIV " in shown else set()
    assert used <= target.features
    assert "__ARM_NEON " in shown
