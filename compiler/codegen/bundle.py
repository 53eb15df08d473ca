"""The bundle: the folder that a compiled model is. Written beside its place, then renamed: it is whole or absent."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from subbyte.compiler.codegen.c_names import c_identifier
from subbyte.compiler.codegen.c_source import CPrinter
from subbyte.compiler.codegen.constants import ConstantPool
from subbyte.compiler.codegen.program import Program, Step
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import ConstantArray, Target, header_closure

FORMAT = 1
MANIFEST = "manifest.json"
_PACKAGE = Path(__file__).parents[2]
_COMMON = _PACKAGE / "targets" / "common" / "kernels"
_ABI_HEADER = _PACKAGE / "runtime_cpp" / "include" / "subbyte" / "subbyte_model.h"
_INLINE_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Bundle:
    """The files of a compiled model by path inside its folder, and what the manifest says of them."""

    name: str
    files: dict[str, bytes] = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)

    @property
    def weight_bytes(self) -> int:
        return int(self.manifest["weights"]["bytes"])


def make_bundle(program: Program, name: str, weights: str | None, options: dict[str, Any], version: str) -> Bundle:
    """Print `program` and collect all that its C needs.

    weights: "inline", "file", or None: inline up to 16 MiB. The digest in model.c and manifest.json is SHA-256 over the
    printed program and the weights file, so that a library and a manifest of different builds do not go together.
    """
    identifier = c_identifier(name, "model")
    pool = ConstantPool(program, weights == "file", identifier)
    if weights is None and pool.data_bytes > _INLINE_LIMIT:
        pool = ConstantPool(program, True, identifier)
    printer = CPrinter(program, pool, identifier)
    weights_file = pool.file()
    digest = hashlib.sha256(printer.program_text().encode() + b"\0" + weights_file)
    files: dict[str, bytes] = {
        "model.h": printer.header().encode(),
        "model.c": printer.source(digest.hexdigest()).encode(),
        "subbyte_model.h": _ABI_HEADER.read_bytes(),
        "CMakeLists.txt": _cmake(program, identifier).encode(),
    }
    if "-linux-gnu" in program.target.zig_target:
        files[f"toolchain-{program.target.zig_target}.cmake"] = _cmake_toolchain(program.target.zig_target).encode()
    files |= {f"kernels/{path.name}": path.read_bytes() for path in _kernel_headers(program)}
    if pool.in_file:
        files["weights.bin"] = weights_file
    manifest = _manifest(program, pool, identifier, digest.hexdigest(), weights_file, options, version)
    return Bundle(identifier, files, manifest)


def _kernel_headers(program: Program) -> list[Path]:
    headers = dict.fromkeys(header_closure(_COMMON / "subbyte_environment.h"))
    for step in program.steps:
        if step.kernel is not None:
            headers |= dict.fromkeys(header_closure(step.kernel.header))
    by_name: dict[str, Path] = {}
    for path in headers:
        if by_name.setdefault(path.name, path) != path:
            raise ModelError(f"two kernel headers are called {path.name}: {path} and {by_name[path.name]}")
    return [by_name[name] for name in sorted(by_name)]


def _manifest(
    program: Program,
    pool: ConstantPool,
    name: str,
    digest: str,
    weights_file: bytes,
    options: dict[str, Any],
    version: str,
) -> dict[str, Any]:
    graph = program.graph
    return {
        "format": FORMAT,
        "name": name,
        "model": graph.name,
        "subbyte_version": version,
        "abi_version": _abi_version(),
        "target": program.target.name,
        "features": list(program.features),
        "digest": digest,
        "inputs": [tensor_entry(node.name, node.type) for node in graph.inputs],
        "outputs": [tensor_entry(output.name, output.value.type) for output in graph.outputs],
        "steps": [_step(step, program.target) for step in program.steps],
        "memory": {
            "arena_bytes": program.arena.bytes,
            "arena_lower_bound_bytes": program.arena.lower_bound_bytes,
            "buffers_in_place": program.arena.shared,
            "scratch_bytes": program.scratch_bytes,
        },
        "weights": {
            "bytes": pool.data_bytes,
            "file": "weights.bin" if pool.in_file else None,
            "file_bytes": len(weights_file),
            "sha256": hashlib.sha256(weights_file).hexdigest() if pool.in_file else None,
            "arrays": [
                {
                    "name": placed.name,
                    "layout": placed.array.layout,
                    "bytes": placed.array.data.nbytes,
                    "offset": placed.offset,
                }
                for placed in pool.arrays()
            ],
        },
        "options": options,
    }


def _abi_version() -> int:
    text = _ABI_HEADER.read_text()
    return int(text.split("#define SUBBYTE_ABI_VERSION", 1)[1].split()[0])


def tensor_entry(name: str, of_type: TensorType) -> dict[str, Any]:
    """An input or output, as the manifest lists it."""
    entry: dict[str, Any] = {
        "name": name,
        "code": of_type.dtype.name,
        "dtype": of_type.dtype.numpy.name,
        "shape": list(of_type.shape),
        "scale": None,
        "zero_point": None,
        "axis": None,
        "qmin": None,
        "qmax": None,
    }
    if of_type.quant is not None and of_type.quant.block is None:  # scales of blocks are not described
        scale, zero_point = of_type.quant.static()
        entry |= {
            "scale": [float(s) for s in np.atleast_1d(scale)],
            "zero_point": [int(z) for z in np.atleast_1d(zero_point)],
            "axis": of_type.quant.axis,
            "qmin": of_type.quant.qmin,
            "qmax": of_type.quant.qmax,
        }
    return entry


def _step(step: Step, target: Target) -> dict[str, Any]:
    layouts = sorted(
        {a.layout for a in step.call.arguments if isinstance(a, ConstantArray) and a.layout != "row_major"}
    )
    return {
        "name": step.name,
        "kernel": step.call.symbol,
        "fallback": step.kernel is not None and step.kernel.family != target.family,
        "kernel_version": step.kernel.version if step.kernel is not None else None,
        "knobs": dict(step.setting),
        "layouts": layouts,
        "sources": list(step.sources),
        "macs": step.macs,
        "bytes": step.bytes,
        "tiles": step.call.tiles,
        "proof": step.call.proof,
    }


def _cmake(program: Program, name: str) -> str:
    flags = ";".join((*program.target.compiler_flags, "-ffp-contract=off"))
    return (
        "cmake_minimum_required(VERSION 3.15)\n"
        f"project({name} C)\n"
        "if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)\n"
        "  set(CMAKE_BUILD_TYPE Release)\n"
        "endif()\n"
        "add_library(model model.c)  # static, or shared with -DBUILD_SHARED_LIBS=ON\n"
        "set_target_properties(model PROPERTIES C_STANDARD 99 POSITION_INDEPENDENT_CODE ON)\n"
        "target_include_directories(model PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
        f'target_compile_options(model PRIVATE "{flags}")\n'
    )


def _cmake_toolchain(triple: str) -> str:
    """For a compiler of another machine: `triple` is what GCC's and Debian's cross compilers are called by."""
    return (
        f"# For building on another machine than the target's, with GCC for {triple}\n"
        f"# (Debian: apt-get install gcc-{triple.replace('_', '-')}):\n"
        "#\n"
        f"#   cmake -S . -B build -DCMAKE_TOOLCHAIN_FILE=toolchain-{triple}.cmake && cmake --build build\n"
        "#\n"
        "# -DCMAKE_C_COMPILER=... names another compiler.\n"
        "set(CMAKE_SYSTEM_NAME Linux)\n"
        f"set(CMAKE_SYSTEM_PROCESSOR {triple.partition('-')[0]})\n"
        "if(NOT CMAKE_C_COMPILER)\n"
        f"  set(CMAKE_C_COMPILER {triple}-gcc)\n"
        "endif()\n"
        "set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)  # programs are the building machine's, all else the target's\n"
        "set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)\n"
        "set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)\n"
    )


def bundle_files(bundle: Bundle, built: dict[str, bytes]) -> dict[str, bytes]:
    """Every file of the bundle by path, what was `built` of it and the manifest, with the SHA-256 of the rest, too."""
    files = {**bundle.files, **built}
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    manifest = json.dumps({**bundle.manifest, "files": hashes}, indent=1, sort_keys=True) + "\n"
    return {**files, MANIFEST: manifest.encode()}


def write_bundle(bundle: Bundle, folder: Path, built: dict[str, bytes]) -> None:
    """Write the bundle and what was `built` of it; an older bundle is replaced, any other folder refused."""
    if folder.exists() and not _may_replace(folder):
        raise ModelError(f"'{folder}' exists and is not a bundle of subbyte; nothing was written. Name another folder.")
    files = bundle_files(bundle, built)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for path, content in files.items():
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_bytes(content)
                if path.endswith(".so") or path == "runner":
                    (beside / path).chmod(0o755)
            beside.chmod(0o755)
            if folder.exists():
                retired = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
                os.replace(folder, retired / "bundle")
                os.replace(beside, folder)
                shutil.rmtree(retired)
            else:
                os.replace(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"the bundle cannot be written to '{folder}': {error.strerror or error}") from error


def _may_replace(folder: Path) -> bool:
    if not folder.is_dir() or folder.is_symlink():
        return False
    entries = {entry.name for entry in folder.iterdir()}
    return not entries or (MANIFEST in entries and bool(entries & {"model.c", "csim"}))
