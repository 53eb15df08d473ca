"""The C twin, compiled in several ways and for several processors, and called with NumPy arrays."""

from __future__ import annotations

import ctypes
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.toolchain.emulators import command_before, find_emulator, needs_emulator

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


class EmulatedTwin(Twin):
    """The harness as a program for another processor, which makes one call after the other."""

    def __init__(self, command: Sequence[str], build: str) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.build = build

    def call(self, name: str, result: Any, *arguments: tuple[Any, Any]) -> Any:
        arrays = np.broadcast_arrays(*[np.asarray(values, dtype) for values, dtype in arguments])
        out = np.zeros(arrays[0].shape, result)
        self.raw(name, out.size, *(np.ascontiguousarray(array) for array in arrays), out)
        return out

    def raw(self, name: str, *arguments: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(struct.pack("<32sq", name.encode(), len(arguments)))
        for value in arguments:
            is_array = isinstance(value, np.ndarray)
            sent = struct.pack("<q", value.nbytes) + value.tobytes() if is_array else struct.pack("<2q", -1, value)
            self.process.stdin.write(sent)
        self.process.stdin.flush()
        for array in (value for value in arguments if isinstance(value, np.ndarray)):
            content = self.process.stdout.read(array.nbytes)
            assert len(content) == array.nbytes, f"{self.build}: {name} ended the process"
            np.copyto(array, np.frombuffer(content, array.dtype).reshape(array.shape))

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0, f"{self.build}: the process ended with {self.process.returncode}"


def prototypes(source: str) -> str:
    """For each function of preprocessed C, the line of PROTOTYPES in run_twin.c."""
    lines = []
    for name, parameters in re.findall(r"\bvoid (\w+)\(([^()]*)\);", source):
        kinds = ["ARRAY" if "*" in parameter else "NUMBER" for parameter in parameters.split(",")]
        lines.append(f"CALL({name}, {', '.join(f'{kind}({i})' for i, kind in enumerate(kinds))})")
    return "\n".join(lines) + "\n"


def emulated_command(name: str, folder: Path, lack: Callable[[str, str], NoReturn]) -> list[str]:
    """What runs the harness for the Arm processor `name`, compiled with contraction to FMAs allowed."""
    target = find_target(name)
    if needs_emulator(target):
        try:
            find_emulator(target)
        except ToolchainError as error:
            lack("emulator", str(error))
    compiler = find_compiler(target)
    shown = subprocess.run(
        ["cc", "-E", "-P", f"-I{KERNELS}", str(HERE / "harness.c")], capture_output=True, text=True, check=True
    )
    (folder / "prototypes.h").write_text(prototypes(shown.stdout))
    flags = (*compiler.flags_for(target), "-ffp-contract=fast", "-Wno-psabi", f"-I{KERNELS}", f"-I{HERE}")
    part, program = folder / "run_twin.o", folder / "run_twin"
    compile_c(
        compiler, (*flags, f'-DPROTOTYPES="{folder}/prototypes.h"', "-c"), [HERE / "run_twin.c"], part, warnings=True
    )
    compile_c(compiler, (*compiler.flags_for(target, baseline=True), "-static", "-pthread", "-s"), [part], program)
    return [*command_before(target, program), str(program)]


EMULATED = ("cortex-a7", "cortex-a53")  # of 32 and of 64 bits, both with FMAs


@pytest.fixture(scope="session", params=[*AVAILABLE, *EMULATED])
def twin(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    optional_capability: Callable[[str, str], NoReturn],
) -> Iterator[Twin]:
    """harness.c under each compiler that is installed and each set of flags, and for other processors."""
    if request.param in EMULATED:
        command = emulated_command(request.param, tmp_path_factory.mktemp("twin"), optional_capability)
        emulated = EmulatedTwin(command, request.param)
        yield emulated
        emulated.end()
        return
    command, flags = AVAILABLE[request.param]
    library = tmp_path_factory.mktemp("twin") / f"{request.param}.so"
    source = HERE / "harness.c"
    build = [*command, *WARNINGS, *flags, "-fPIC", "-shared", f"-I{KERNELS}", str(source), "-o", str(library)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(build)}\n{done.stderr}"
    yield Twin(library, request.param)
