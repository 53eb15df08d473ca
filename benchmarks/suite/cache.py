"""Models and bundles that stay from run to run, under names that say what they were made from."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import subbyte
import subbyte.compiler
from benchmarks import gemv, topologies
from benchmarks.suite.rows import Network
from benchmarks.topologies.build import Built, build
from benchmarks.topologies.precision import PRECISIONS
from subbyte.compiler.runtime import Module
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import find_compiler

_REPOSITORY = Path(__file__).resolve().parents[2]
_PARTS = ("compiler", "passes", "targets", "runtime_cpp")
_KINDS = {".py", ".h", ".c", ".cc", ".so"}


class MissingModel(Exception):
    """A model that is not built by script is not where it should be."""


def default_folder() -> Path:
    """~/.cache/subbyte-benchmarks, or where XDG_CACHE_HOME says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "subbyte-benchmarks"


def model_file(network: Network, folder: Path) -> Path:
    """The ONNX file of `network`, built if need be, and two samples beside it.

    They are what it was calibrated on, and the mirror image of that.  Raises: MissingModel.
    """
    if network.topology == "shared":
        return _shared(network.precision)
    path = folder / f"{network.name}-{_digest_of_topologies()}.onnx"
    samples = path.with_suffix(".npz")
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        built = _built(network)
        pairs: dict[str, Any] = {name: np.stack([a, np.flip(a, axis=-1)]) for name, a in built.inputs.items()}
        np.savez(samples, **pairs)
        partial = path.with_suffix(".partial")
        onnx.save(built.model, partial)
        partial.replace(path)
    return path


def bundle(model: Path, target: str, compiler: str | None, folder: Path) -> Module:
    """`model` compiled for `target`, nothing left out of it; compiled again when subbyte's sources have changed."""
    goal = find_target(target)
    found = find_compiler(goal, compiler)
    made_of = _digest([model.read_bytes(), *(text.encode() for text in (goal.name, found.version)), _subbyte()])
    made = folder / f"{model.stem}-{goal.name}"
    mark = made.with_suffix(".made-of")
    if not (mark.is_file() and mark.read_text() == made_of):
        mark.unlink(missing_ok=True)
        shutil.rmtree(made, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            fresh = Path(temporary) / "bundle"
            subbyte.compile(model, target=target, compiler=compiler, remove_work=False, output=fresh)
            fresh.rename(made)
        mark.write_text(made_of)
    return Module(made)


def _built(network: Network) -> Built:
    if network.topology != "matrix_chain":
        return build(network.topology, network.precision, network.resolution)
    bits = PRECISIONS[network.precision].weight_bits
    if bits is None:
        raise ValueError(f"{network.name} has weights of no width")
    return gemv.matrix_chain(bits)


def _shared(name: str) -> Path:
    folder = Path(os.environ.get("SUBBYTE_SHARED_MODELS") or _REPOSITORY.parent / "shared" / "models")
    path = folder / f"{name}.onnx"
    if not path.is_file():
        raise MissingModel(f"there is no '{path}'; SUBBYTE_SHARED_MODELS may name another folder")
    return path


@cache
def _digest_of_topologies() -> str:
    """Of what writes the models: the scripts, and the quantizer's version."""
    scripts = [*sorted(Path(topologies.__file__).parent.glob("*.py")), Path(gemv.__file__)]
    return _digest([*(script.read_bytes() for script in scripts), onnxruntime.__version__.encode()])[:10]


@cache
def _subbyte() -> bytes:
    """A digest of subbyte itself."""
    root = Path(subbyte.compiler.__file__).parent.parent
    files = sorted(path for part in _PARTS for path in (root / part).rglob("*") if path.suffix in _KINDS)
    return _digest(path.read_bytes() for path in files).encode()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()
