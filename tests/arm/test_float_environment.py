"""The float environment that a runner enters: rounding and flush-to-zero of FPCR and FPSCR are lifted and put back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler, run_tool
from subbyte.compiler.toolchain.emulators import command_before

RUNTIME = Path(__file__).parents[2] / "runtime_cpp"


@pytest.mark.parametrize("name", ["cortex-a7", "cortex-a53"])
def test_float_environment(name: str, emulated: Callable[[str], str], tmp_path: Path) -> None:
    """runtime_cpp/tests/test_float_environment.cc, which needs the headers of a C++ library and nothing else of it."""
    target = find_target(emulated(name))
    compiler = find_compiler(target)
    baseline = compiler.flags_for(target, baseline=True)
    include = ("-I", str(RUNTIME / "include"))
    program, parts = tmp_path / "float_environment", [tmp_path / "test.o", tmp_path / "environment.o"]
    test = RUNTIME / "tests" / "test_float_environment.cc"
    flags = [flag for flag in compiler.flags_for(target) if flag != "-std=c99"]
    cpp = [*compiler.command[:-1], "c++"] if compiler.family == "zig" else ["c++"]
    run_tool([*cpp, *flags, "-std=c++17", "-frounding-math", *include, "-c", str(test), "-o", str(parts[0])], test.name)
    compile_c(compiler, (*baseline, *include, "-c"), [RUNTIME / "src" / "float_environment.c"], parts[1], warnings=True)
    compile_c(compiler, (*baseline, "-static", "-pthread", "-s"), parts, program)
    done = subprocess.run([*command_before(target, program), program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "float environment: ok\n")
