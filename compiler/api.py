"""What users call: compile a model, evaluate it by its written meaning."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subbyte.compiler.codegen.bundle import Bundle, make_bundle, write_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.runtime import Module
from subbyte.compiler.target import Target, find_target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.tuning import TuningRecord, read_tuning
from subbyte.compiler.version import VERSION

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto


def compile_bundle(model: Model | Graph, target: Target, options: Options) -> Bundle:
    """All of compilation but the C compiler: the bundle's files in memory."""
    graph = lowered(model, target, options)
    name = options.name or graph.name
    return make_bundle(build_program(graph, target), name, options.weights, options.recorded(), VERSION)


def compile(
    model: Model,
    *,
    target: str = "native",
    name: str | None = None,
    threads: int = 1,
    dims: Mapping[str, int] | None = None,
    strict: bool = False,
    weights: str | None = None,
    compiler: str | None = None,
    output: str | os.PathLike[str] | None = None,
    remove_work: bool = True,
    activation_bits: int | None = None,
    integer_only: bool = False,
    tuning: str | os.PathLike[str] | Sequence[TuningRecord] = (),
) -> Module:
    """Compile an ONNX model ahead of time and build its library.

    Args:
        model: a path, the bytes of a file, or an onnx.ModelProto.
        target: `native`, or a name such as `x86-64-v3+avxvnni` (`subbyte list targets`).
        name: of the C functions; the graph's name where it is not given.
        threads: how many the returned module runs on; the compiled code does not depend on it.
        dims: values for symbolic dimensions, {"batch": 1}.
        strict: fail where a kernel of `portable` would stand in for a missing one of the target.
        weights: "inline" in model.c, "file" beside it, None: inline up to 16 MiB.
        compiler: the C compiler's command; found where it is not given.
        output: the folder of the bundle; a temporary one that lives as long as the module where it is not given.
        remove_work: leave out what range analysis proves constant or unused; the numbers are the same either way.
        activation_bits: 8: float activations of weight-only matrix products become 8-bit codes while the model runs.
        integer_only: float islands become integer functions at most one step from the real ones; fail where one cannot.
        tuning: records of kernels and their knobs by ONNX node, or the file of them (compiler/tuning.py).
    Returns: the module; it runs where its target is this machine, and can be saved everywhere.
    Raises: ModelError, UnsupportedError, NumericsError, ToolchainError.
    """
    goal = find_target(target)
    options = Options(
        dims=dict(dims or {}),
        strict=strict,
        weights=weights,
        name=name,
        remove_work=remove_work,
        activation_bits=activation_bits,
        integer_only=integer_only,
        tuning=read_tuning(tuning) if isinstance(tuning, (str, os.PathLike)) else tuple(tuning),
    )
    bundle = compile_bundle(model, goal, options)
    built = build_bundle(bundle, goal, find_compiler(goal, compiler), (SHARED,))
    if output is not None:
        write_bundle(bundle, Path(output), built)
        return Module(output, threads)
    keep = tempfile.TemporaryDirectory(prefix="subbyte-")
    folder = Path(keep.name) / bundle.name
    write_bundle(bundle, folder, built)
    return Module(folder, threads, keep=keep)


def evaluate(
    model: Model,
    inputs: Mapping[str, NDArray[Any]],
    *,
    dims: Mapping[str, int] | None = None,
    activation_bits: int | None = None,
    integer_only: bool = False,
) -> dict[str, NDArray[np.generic]]:
    """The outputs of `model` by its written meaning, which every target equals bit for bit.

    dims, activation_bits, integer_only: as in `compile`.
    """
    from subbyte.compiler.ir import interpret

    options = Options(dims=dict(dims or {}), activation_bits=activation_bits, integer_only=integer_only)
    return interpret.evaluate(quantized(model, options), inputs)
