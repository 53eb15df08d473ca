"""Programs of tests that put numbers through functors of the kernels: one for all cases, numbers in, bits out."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

from subbyte.compiler.numerics.arrays import Codes

_HLS = Path(str(importlib.util.find_spec("subbyte.targets.hls").submodule_search_locations[0]))  # type: ignore[union-attr,index]


def include_folder(headers: str) -> Path:
    """Where ap_int.h is: "ours", or "vendor": the open headers that hls4ml ships."""
    if headers == "ours":
        return _HLS / "csim" / "include"
    found = importlib.util.find_spec("hls4ml")
    assert found is not None, "the test extra hls4ml is not installed"
    return Path(str(found.origin)).parent / "templates" / "vivado" / "ap_types"


def build(source: str, folder: Path, headers: str) -> Path:
    """`source` as a program, with all warnings as errors."""
    file, program = folder / "numbers.cpp", folder / "numbers"
    file.write_text(source, encoding="ascii")
    include = (f"-I{_HLS / 'kernels'}", f"-I{Path(__file__).parent}", "-isystem", str(include_folder(headers)))
    flags: tuple[str, ...] = ("-std=c++14", "-O1", "-Wall", "-Werror", "-Wno-unknown-pragmas")
    if headers == "vendor":  # its constructors touch bits that they have not set yet
        flags += ("-Wno-uninitialized", "-Wno-maybe-uninitialized")
    command = ("g++", *flags, *include, "-o", str(program), str(file))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return program


def given(program: Path, values: Codes) -> Iterator[str]:
    """The lines that `program` prints for these numbers."""
    text = "\n".join(map(str, values.tolist()))
    done = subprocess.run((str(program),), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return iter(done.stdout.splitlines())


def numbers(lines: Iterator[str], count: int) -> list[int]:
    return [int(line) for line in itertools.islice(lines, count)]
