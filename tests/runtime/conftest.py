"""Bundles of a model written by hand (runtime_cpp/tests/small_model.c), for the tests of the runtime.

y[r][c] = 2 * x[r][c] + (q[c] - 3), x float32 [4, 8], q uint4 [8]; codes = q; tiny = [4] of half the smallest normal
float32, computed at run time; half = float16 [1.5, -2]. Step 01_Double refuses where q[0] is 15.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler import _runtime
from subbyte.compiler.manifest import file_sha256

RUNTIME = Path(__file__).resolve().parents[2] / "runtime_cpp"
SMALL_MODEL = RUNTIME / "tests" / "small_model.c"
DIGEST = "0123456789abcdef" * 4

# make(define=value, ...) writes a bundle; manifest fields are replaced by `manifest`; files get the given contents.
MakeBundle = Callable[..., Path]


def quantized(name: str, shape: list[int]) -> dict[str, Any]:
    return {
        "name": name,
        "code": "uint4",
        "dtype": "uint8",
        "shape": shape,
        "scale": [0.5],
        "zero_point": [3],
        "axis": None,
    }


def plain(name: str, code: str, shape: list[int]) -> dict[str, Any]:
    unquantized = {"scale": None, "zero_point": None, "axis": None}
    return {"name": name, "code": code, "dtype": code, "shape": shape, **unquantized}


def small_manifest() -> dict[str, Any]:
    """The manifest of the small model, its `files` still empty."""
    return {
        "format": 1,
        "name": "small",
        "abi_version": _runtime.ABI_VERSION,
        "target": "portable",
        "features": [],
        "digest": DIGEST,
        "inputs": [plain("x", "float32", [4, 8]), quantized("q", [8])],
        "outputs": [
            plain("y", "float32", [4, 8]),
            quantized("codes", [8]),
            plain("tiny", "float32", [4]),
            plain("half", "float16", [2]),
        ],
        "weights": {"bytes": 0, "file": None},
        "files": {},
    }


def compile_c(output: Path, *arguments: str | Path) -> None:
    command = [
        "cc",
        "-std=c99",
        "-O1",
        "-ffp-contract=off",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-I",
        RUNTIME / "include",
        *arguments,
    ]
    subprocess.run([*command, "-o", output], check=True)


@pytest.fixture(scope="session")
def small_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """small_library(SMALL_ABI_VERSION=9) is libmodel.so of the small model with these definitions."""

    @cache
    def build(**defines: str | int) -> bytes:
        library = tmp_path_factory.mktemp("library") / "libmodel.so"
        flags = [f"-D{name}={value}" for name, value in defines.items()]
        compile_c(library, *flags, "-shared", "-fPIC", SMALL_MODEL)
        return library.read_bytes()

    return build


@pytest.fixture
def make_bundle(tmp_path: Path, small_library: Callable[..., bytes]) -> MakeBundle:
    def make(
        name: str = "bundle",
        *,
        manifest: dict[str, Any] | None = None,
        files: dict[str, bytes] | None = None,
        **defines: str | int,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for path, data in {"libmodel.so": small_library(**defines), **(files or {})}.items():
            beside = folder / f"{path}.new"
            beside.write_bytes(data)
            beside.replace(folder / path)  # never in place: a process may have the old library loaded
        hashes = {path.name: file_sha256(path) for path in folder.iterdir() if path.name != "manifest.json"}
        content = small_manifest() | {"files": hashes} | (manifest or {})
        (folder / "manifest.json").write_text(json.dumps(content))
        return folder

    return make
