"""The conformance vectors: their file, and the C twin on other processors, where an emulator of them is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.numerics.unary import FUNCTIONS
from subbyte.compiler.numerics.vectors import MAGIC, c_name, conformance_vectors, to_bytes

HERE = Path(__file__).resolve().parent
HEADER = HERE.parents[1] / "targets" / "common" / "kernels" / "subbyte_numerics.h"
ZIG = [sys.executable, "-m", "ziglang", "cc"]

# zig's target to compile for, options, the emulator and its options. 32-bit Arm calls the compiler's own library for
# 64-bit division; the others link with nothing.
PROCESSORS: dict[str, tuple[str, list[str], list[str], list[str]]] = {
    "x86-64": ("x86_64-linux-musl", ["-mcpu=x86_64"], ["-nostdlib"], []),
    "x86-64-v3": ("x86_64-linux-musl", ["-mcpu=x86_64_v3"], ["-nostdlib"], []),
    "armv8-a": ("aarch64-linux-musl", ["-mcpu=generic"], ["-nostdlib"], ["qemu-aarch64", "-cpu", "cortex-a53"]),
    "cortex-a7": ("arm-linux-musleabihf", ["-mcpu=cortex_a7"], [], ["qemu-arm", "-cpu", "cortex-a7"]),
    "rv64gc": ("riscv64-linux-musl", ["-mcpu=baseline_rv64"], ["-nostdlib"], ["qemu-riscv64"]),
}


@pytest.fixture(scope="module")
def vector_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "conformance.bin"
    path.write_bytes(to_bytes(conformance_vectors()))
    return path


def test_file_has_one_format_and_is_the_same_each_time(vector_file: Path) -> None:
    content = vector_file.read_bytes()
    assert content[:8] == MAGIC
    assert content == to_bytes(conformance_vectors())
    assert len(content) < 2_000_000
    assert b"requantize_s32\0" in content


def test_every_function_of_the_twin_has_vectors() -> None:
    named = {vector.function for vector in conformance_vectors()}
    assert {c_name(function) for function in FUNCTIONS} <= named
    assert {"quantize_f32", "dequantize", "requantize_shift_s64", "requantize_half_even_s32", "softmax_code"} <= named
    checked = (HERE / "check_vectors.c").read_text()
    assert all(f"({name}" in checked for name in named)


def build(processor: str, vectors: Path, folder: Path, *options: str) -> Path:
    """check_vectors.c with the vectors in it, as a program for the processor."""
    target, cpu, link, _ = PROCESSORS[processor]
    warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
    flags = [
        "-std=c99",
        *warnings,
        "-O2",
        "-g0",
        "-ffp-contract=fast",
        "-fno-stack-protector",
        "-fno-sanitize=undefined",
    ]
    flags += [f'-DVECTORS="{vectors}"', f"-I{HEADER.parent}"]
    program, part = folder / processor, folder / f"{processor}.o"
    freestanding = target.replace("linux-musl", "freestanding-")
    for command in (
        [*ZIG, "-target", target, *cpu, *flags, *options, "-c", str(HERE / "check_vectors.c"), "-o", str(part)],
        [*ZIG, "-target", target if link else freestanding, *cpu, *link, "-static", str(part), "-o", str(program)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return program


@pytest.mark.parametrize("processor", list(PROCESSORS))
def test_twin_gives_the_vectors_on(processor: str, vector_file: Path, tmp_path: Path, optional_capability: Any) -> None:
    emulator = PROCESSORS[processor][3]
    if emulator and not shutil.which(emulator[0]):
        optional_capability("emulator", f"{processor} needs {emulator[0]}")
    if processor == "x86-64-v3" and not {"avx2", "fma"} <= set(Path("/proc/cpuinfo").read_text().split()):
        optional_capability("instruction set", "x86-64-v3 needs a processor with AVX2 and FMA")
    program = build(processor, vector_file, tmp_path)
    status = subprocess.run([*emulator, str(program)], check=False).returncode
    assert status == 0, f"case {status}: {conformance_vectors()[status - 1].function}"


def test_a_wrong_vector_is_found(vector_file: Path, tmp_path: Path) -> None:
    content = bytearray(vector_file.read_bytes())
    content[-8] ^= 1  # in the last result of the last case
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(content)
    program = build("x86-64", wrong, tmp_path)
    assert subprocess.run([str(program)], check=False).returncode == len(conformance_vectors())


FAST_MATH = [
    (command, flag)
    for command in (["gcc"], ["clang"], ["clang-19"], ZIG)
    for flag in ("-ffast-math", "-ffinite-math-only", "-funsafe-math-optimizations", "-mfpmath=387")
    if shutil.which(command[0]) and (command == ["gcc"] or flag in ("-ffast-math", "-ffinite-math-only"))
]


@pytest.mark.parametrize(("command", "flag"), FAST_MATH)
def test_flags_that_change_arithmetic_are_refused(command: list[str], flag: str, tmp_path: Path) -> None:
    """clang does not announce -funsafe-math-optimizations: there the header turns it off (test below)."""
    source = tmp_path / "include.c"
    source.write_text(f'#include "{HEADER}"\n')
    arguments = [*command, "-std=c99", flag, "-w", "-c", str(source), "-o", str(tmp_path / "include.o")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "subbyte_numerics.h: " in done.stderr


def test_unsafe_optimizations_of_clang_do_not_reach_the_header(vector_file: Path, tmp_path: Path) -> None:
    program = build("x86-64", vector_file, tmp_path, "-funsafe-math-optimizations", "-O3")
    assert subprocess.run([str(program)], check=False).returncode == 0
