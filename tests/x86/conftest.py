"""Builds single kernels into one library and compares each with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.codegen.bundle import make_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Kernel, Target, find_target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler


@dataclass(frozen=True, eq=False)
class Case:
    """An operation, the arrays of those operands that are graph inputs (in logical order), and what to call it."""

    name: str
    op: Node
    arrays: dict[str, NDArray[Any]]


def stored(array: NDArray[Any], of_type: TensorType) -> NDArray[Any]:
    """The bytes of `array` as `of_type` stores it, under the logical shape: how an input with a layout is given."""
    return np.ascontiguousarray(array.transpose(of_type.order)).reshape(of_type.shape)


def logical(array: NDArray[Any], of_type: TensorType) -> NDArray[Any]:
    """The inverse of `stored`."""
    return array.reshape(of_type.stored_shape).transpose(np.argsort(of_type.order))


def first_kernel(target: Target, op: Node) -> Kernel:
    """The kernel that lowering would choose among those of the family x86."""
    found = [kernel for kernel in target.kernels_for(type(op)) if kernel.symbol.startswith("subbyte_x86_")]
    fitting = [kernel for kernel in found if kernel.accepts(op)]
    assert fitting, f"{target.name} has no kernel of its own for {op!r}"
    return min(fitting, key=lambda kernel: kernel.cost(op, target.facts))


def check(
    target: Target,
    cases: Sequence[Case],
    folder: Path,
    choose: Callable[[Target, Node], Kernel] = first_kernel,
    threads: int = 1,
) -> None:
    """Every case equals the interpreter, code for code; one library for all."""
    kernels = [choose(target, case.op) for case in cases]
    calls = [KernelCall(case.op, kernel.symbol, target.name) for case, kernel in zip(cases, kernels, strict=True)]
    inputs = list(dict.fromkeys(v.node for case in cases for v in case.op.operands if isinstance(v.node, Input)))
    outputs = tuple(Output(case.name, Value(call, 0)) for case, call in zip(cases, calls, strict=True))
    graph = Graph("cases", tuple(inputs), outputs, Stage.LOWERED)
    bundle = make_bundle(build_program(graph, target), "cases", None, {}, "0")
    compiler = find_compiler(target)
    library = folder / "libmodel.so"
    library.write_bytes(build_bundle(bundle, target, compiler, (SHARED,))[SHARED])
    arrays = {name: array for case in cases for name, array in case.arrays.items()}
    model = LoadedModel(str(library), threads=threads)
    results = model.run([stored(arrays[node.name], node.type) for node in inputs])
    for case, kernel, result in zip(cases, kernels, results, strict=True):
        operands = [v.node.value if isinstance(v.node, Constant) else arrays[v.node.name] for v in case.op.operands]
        expected = evaluate_node(case.op, operands)[0]
        found = logical(result, case.op.type)
        different = np.flatnonzero(found.reshape(-1) != expected.reshape(-1))
        assert not len(different), (
            f"{case.name} by {kernel.symbol}: {len(different)} of {expected.size} differ, the first at "
            f"{np.unravel_index(different[0], expected.shape)}: {found.reshape(-1)[different[0]]} instead of "
            f"{expected.reshape(-1)[different[0]]}"
        )


def level(name: str) -> Target:
    """The target, or a skip where this processor cannot run it."""
    target = find_target(name)
    if not target.runs_here:
        pytest.skip(f"this processor does not have all of {name}")
    return target
