"""Many models in one shared library: their C one after the other in one file, compiled at once."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.target import Target, find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.version import VERSION

Array = NDArray[Any]
PORTABLE = find_target("portable")
_ALIGN = 64


def printed(name: str, graph: Graph, target: Target = PORTABLE) -> Mapping[str, bytes]:
    """The files of a graph lowered for `target` whose C functions are called `name`."""
    return make_bundle(build_program(graph, target), name, "inline", {}, VERSION).files


def build_library(
    models: Mapping[str, Mapping[str, bytes]], library: Path, folder: Path, target: Target = PORTABLE
) -> None:
    """Compile printed graphs, by the names of their C functions, to `library`; the sources stay in `folder`."""
    lines = []
    for name, files in models.items():
        for path, content in files.items():
            place = folder / (f"{name}/{path}" if path in ("model.c", "model.h") else path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        lines += [f'#include "{name}/model.c"', f"const long long {name}_arena = {name.upper()}_ARENA_BYTES;"]
    source = folder / "models.c"
    source.write_text("\n".join(lines) + "\n")
    compiler = find_compiler(target)
    flags = [flag for flag in compiler.flags_for(target) if flag != "-O3"]  # time to compile counts here, not to run
    compile_c(compiler, (*flags, "-O0", "-fPIC", "-shared", "-I", str(folder)), [source], library, warnings=False)


def run_compiled(library: ctypes.CDLL, name: str, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What NAME_run writes for `inputs`, which it must not refuse."""
    status, outputs = call_compiled(library, name, graph, inputs)
    assert status == 0, f"{name}_run returned {status}"
    return outputs


def call_compiled(
    library: ctypes.CDLL, name: str, graph: Graph, inputs: Mapping[str, Array]
) -> tuple[int, dict[str, Array]]:
    """What NAME_run returns, and what it writes."""
    arena_bytes = ctypes.c_longlong.in_dll(library, f"{name}_arena").value
    memory = np.full(arena_bytes + _ALIGN, 0xA5, np.uint8)
    given = [np.ascontiguousarray(inputs[node.name]) for node in graph.inputs]
    outputs = {
        output.name: np.full(output.value.type.shape, 0, output.value.type.dtype.numpy) for output in graph.outputs
    }
    pointers = [array.ctypes.data for array in (*given, *outputs.values())]
    pointers.append(memory.ctypes.data + -memory.ctypes.data % _ALIGN)
    status = getattr(library, f"{name}_run")(*map(ctypes.c_void_p, pointers))
    return int(status), outputs
