"""The C twin, compiled in several ways and called with NumPy arrays."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "targets" / "common" / "kernels"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
ZIG = [sys.executable, "-m", "ziglang", "cc"]

BUILDS = {
    "gcc-O0": (["gcc"], ["-O0"]),
    "gcc-O2-plain-c": (["gcc"], ["-O2", "-DSUBBYTE_NUMERICS_PLAIN_C"]),
    "gcc-O3-native-contract": (["gcc"], ["-O3", "-march=native", "-ffp-contract=fast"]),
    "clang-O3-native-contract": (["clang"], ["-O3", "-march=native", "-ffp-contract=fast"]),
    "zig-O2-native-contract": (ZIG, ["-O2", "-march=native", "-ffp-contract=fast", "-fno-sanitize=undefined"]),
}


def command_of(compiler: list[str]) -> list[str] | None:
    """The command to run a compiler, or None where it is not installed."""
    if compiler is ZIG:
        return ZIG if find_spec("ziglang") else None
    return next(([name] for name in (*compiler, f"{compiler[0]}-19") if shutil.which(name)), None)


AVAILABLE = {name: (command, flags) for name, (compiler, flags) in BUILDS.items() if (command := command_of(compiler))}
assert AVAILABLE, "no C compiler: neither gcc nor clang is on PATH, and the package ziglang is not installed"


class Twin:
    """The harness, built and loaded; `call` runs one of its loops over arrays that broadcast against each other."""

    def __init__(self, library: Path, build: str) -> None:
        self.library = ctypes.CDLL(str(library))
        self.build = build

    def call(self, name: str, result: Any, *arguments: tuple[Any, Any]) -> Any:
        """`name(count, operand pointers..., out pointer)`; each argument is (values, NumPy type)."""
        arrays = np.broadcast_arrays(*[np.asarray(values, dtype) for values, dtype in arguments])
        operands = [np.ascontiguousarray(array) for array in arrays]
        out = np.empty(operands[0].shape, result)
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in [*operands, out]]
        getattr(self.library, name)(ctypes.c_int64(out.size), *pointers)
        return out

    def raw(self, name: str, *arguments: Any) -> None:
        """Any other function of the harness: arrays go as pointers, whole numbers as int64."""
        passed: Sequence[Any] = [
            value.ctypes.data_as(ctypes.c_void_p) if isinstance(value, np.ndarray) else ctypes.c_int64(value)
            for value in arguments
        ]
        getattr(self.library, name)(*passed)


@pytest.fixture(scope="session", params=list(AVAILABLE))
def twin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """harness.c under each compiler that is installed and each set of flags, warnings as errors, C99 pedantic."""
    command, flags = AVAILABLE[request.param]
    library = tmp_path_factory.mktemp("twin") / f"{request.param}.so"
    source = HERE / "harness.c"
    build = [*command, *WARNINGS, *flags, "-fPIC", "-shared", f"-I{KERNELS}", str(source), "-o", str(library)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(build)}\n{done.stderr}"
    return Twin(library, request.param)
