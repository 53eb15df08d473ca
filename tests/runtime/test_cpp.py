"""The C++ tests of the runtime, built with the host's compiler; runtime_cpp/CMakeLists.txt has them with sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.runtime.conftest import RUNTIME, SMALL_MODEL, compile_c


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The runtime and the small model, compiled."""
    folder = tmp_path_factory.mktemp("objects")
    found = []
    for source in [*sorted(RUNTIME.glob("src/*.c")), SMALL_MODEL]:
        found.append(folder / f"{source.stem}.c.o")
        compile_c(found[-1], "-c", source)
    for source in sorted(RUNTIME.glob("src/*.cc")):
        found.append(folder / f"{source.stem}.cc.o")
        compile_cpp(found[-1], "-c", source)
    return found


def compile_cpp(output: Path, *arguments: str | Path) -> None:
    flags = ["-std=c++17", "-O1", "-frounding-math", "-Wall", "-Wextra", "-Werror", "-I", RUNTIME / "include"]
    subprocess.run(["c++", *map(str, (*flags, *arguments)), "-o", output], check=True)


@pytest.mark.parametrize("name", ["pool", "shares", "float_environment", "model"])
def test_cpp(name: str, objects: list[Path], tmp_path: Path) -> None:
    program = tmp_path / name
    compile_cpp(program, RUNTIME / "tests" / f"test_{name}.cc", *objects, "-pthread", "-ldl")
    library = tmp_path / "libmodel.so"
    compile_c(library, "-shared", "-fPIC", SMALL_MODEL)
    arguments: list[Path] = [library] if name == "model" else []
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": ok\n")
