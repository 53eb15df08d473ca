"""A bundle outside subbyte: it builds strictly under every C compiler, a C program calls it, the runner runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import find_compiler

Cli = Callable[..., Any]
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
COMPILERS = {"gcc": ["gcc"], "clang": ["clang"], "zig": [sys.executable, "-m", "ziglang", "cc"]}
OPTIMIZATIONS = ("-O0", "-O2", "-O3 -march=native -ffp-contract=fast")

CALLER = """
#include "model.h"
#include <stdio.h>

static _Alignas(SUBJECT_ARENA_ALIGN) unsigned char arena[SUBJECT_ARENA_BYTES];

int main(int count, char** arguments) {
    static float input[64], logits[10];
    FILE* in = fopen(arguments[1], "rb");
    FILE* out = count == 3 ? fopen(arguments[2], "wb") : 0;
    if (!in || !out || fread(input, sizeof input, 1, in) != 1) {
        return 100;
    }
    int error = subject_run(input, logits, arena);
    return error || fwrite(logits, sizeof logits, 1, out) != 1 || fclose(out) ? 101 : 0;
}
"""


def compiler(name: str) -> list[str]:
    """The command; every machine that builds subbyte has gcc or clang, and zig comes from PyPI."""
    command = COMPILERS[name]
    if name == "clang" and shutil.which("clang") is None:
        return COMPILERS["zig"]  # clang, too
    return command


def build(command: list[str], flags: str, folder: Path, sources: list[Path], program: Path) -> None:
    done = subprocess.run(
        [*command, *flags.split(), "-I", str(folder), "-o", str(program), *map(str, sources)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def image(images: Path) -> NDArray[np.float32]:
    with np.load(images) as archive:
        first: NDArray[np.float32] = archive["input"][0]
        return first


@pytest.fixture(scope="module", params=["portable", "native"])
def sources(request: pytest.FixtureRequest, mlp: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(target, a bundle's folder)."""
    folder = tmp_path_factory.mktemp("sources") / request.param
    subbyte.compile(mlp, target=request.param, name="subject", output=folder)
    return request.param, folder


@pytest.mark.parametrize("name", list(COMPILERS))
def test_the_c_builds_without_a_warning(name: str, sources: tuple[str, Path], tmp_path: Path) -> None:
    target, folder = sources
    found = find_compiler(find_target(target), " ".join(compiler(name)))
    for optimization in ("", "-O0", "-O2"):  # the last -O counts
        flags = [*found.flags_for(find_target(target)), *STRICT, optimization, "-c"]
        build(list(found.command), " ".join(flags), folder, [folder / "model.c"], tmp_path / "model.o")


def flags_of(target: str) -> str:
    """The flags for the target's instruction sets."""
    return " ".join(find_target(target).compiler_flags)


@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_a_c_program_gets_the_interpreters_logits(
    optimization: str, sources: tuple[str, Path], mlp: Path, image: NDArray[np.float32], tmp_path: Path
) -> None:
    target, folder = sources
    (tmp_path / "main.c").write_text(CALLER)
    (tmp_path / "image").write_bytes(image.tobytes())
    flags = f"-std=c11 {optimization} {flags_of(target)}"
    build(["cc"], flags, folder, [tmp_path / "main.c", folder / "model.c"], tmp_path / "program")
    subprocess.run([tmp_path / "program", tmp_path / "image", tmp_path / "logits"], check=True, timeout=60)
    expected = subbyte.evaluate(mlp, {"input": image})["logits"]
    assert (tmp_path / "logits").read_bytes() == expected.tobytes()


def test_the_c_needs_no_allocator_and_no_math_library(sources: tuple[str, Path], tmp_path: Path) -> None:
    """What the object leaves undefined: nothing but the four functions that every C compiler may call by itself."""
    target, folder = sources
    build(["cc"], f"-std=c99 -O2 {flags_of(target)} -c", folder, [folder / "model.c"], tmp_path / "model.o")
    done = subprocess.run(["nm", "-u", tmp_path / "model.o"], capture_output=True, text=True, check=True)
    undefined = {line.split()[-1] for line in done.stdout.splitlines()} - {"_GLOBAL_OFFSET_TABLE_"}
    assert undefined <= {"memcpy", "memset", "memmove", "memcmp"}


def test_the_header_serves_cpp(sources: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = sources
    (tmp_path / "main.cc").write_text('#include "model.h"\nint main() { return subject_model() == nullptr; }\n')
    build(["c++"], "-std=c++17 -Wall -Wextra -Werror -pedantic -c", folder, [tmp_path / "main.cc"], tmp_path / "main.o")


def test_the_runner_is_a_program_for_the_board(cli: Cli, mlp: Path, image: NDArray[np.float32], tmp_path: Path) -> None:
    done = cli("compile", mlp, "--name", "subject", "-o", tmp_path / "bundle", "--emit", "runner")
    assert done.code == 0, done.err
    runner = tmp_path / "bundle" / "runner"
    assert runner.stat().st_mode & 0o111
    (tmp_path / "input").write_bytes(image.tobytes())
    command: list[str | Path] = [
        runner,
        "--inputs",
        tmp_path / "input",
        "--outputs",
        tmp_path / "logits",
        "--threads",
        "2",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout)["samples"] == 1
    expected = subbyte.evaluate(mlp, {"input": image})["logits"]
    assert (tmp_path / "logits").read_bytes() == expected.tobytes()
