"""From a lowered graph to a bundle that builds everywhere, runs, and is written whole or not at all."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.codegen.bundle import make_bundle, write_bundle
from subbyte.compiler.codegen.program import build_program
from subbyte.compiler.dtype import INT8, INT16
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Input, Node
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.runtime import load
from subbyte.compiler.target import Call, Kernel, Storage, Target, TargetFacts
from subbyte.compiler.toolchain.build import SHARED, STATIC, build_bundle
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler

X = np.linspace(-128, 127, 10).astype(np.int8).reshape(2, 5)
COMPILERS = ("cc", f"{sys.executable} -m ziglang cc")


ToyGraph = Callable[..., Graph]


@pytest.mark.parametrize("weights", ["inline", "file"])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_bundle_builds_without_warnings_and_runs(
    target: Target, toy_graph: ToyGraph, tmp_path: Path, weights: str, compiler: str
) -> None:
    bundle = make_bundle(build_program(toy_graph(), target), "toy", weights, {}, "0")
    built = build_bundle(bundle, target, find_compiler(target, compiler), (SHARED, STATIC), warnings=True)
    write_bundle(bundle, tmp_path / "bundle", built)
    outputs = load(tmp_path / "bundle").run({"x": X})
    assert (outputs["y"] == X.clip(-98, 98)).all()
    assert (outputs["flat"] == X.clip(-98, 98).reshape(-1)).all()
    assert (outputs["same"] == X).all()
    assert outputs["constant"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_one_file_may_include_several_models(
    target: Target, toy_graph: ToyGraph, tmp_path: Path, compiler: str
) -> None:
    """Equal graphs under two names, so that every name of a step, a constant and an operand stands in both."""
    for name in ("first", "second"):
        write_bundle(make_bundle(build_program(toy_graph(), target), name, "inline", {}, "0"), tmp_path / name, {})
    (tmp_path / "both.c").write_text('#include "first/model.c"\n#include "second/model.c"\n')
    kind = find_compiler(target, compiler)
    flags = (*kind.flags_for(target), "-fPIC", "-shared", "-I", str(tmp_path / "first"))
    compile_c(kind, flags, [tmp_path / "both.c"], tmp_path / "both.so", warnings=True)
    both = ctypes.CDLL(str(tmp_path / "both.so"))
    for function in ("first_model", "second_model", "subbyte_model_get"):
        getattr(both, function).restype = ctypes.c_void_p
    assert both.first_model() == both.subbyte_model_get() != both.second_model()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_tiles_cover_the_work_for_any_number_of_threads(
    target: Target, toy_graph: ToyGraph, tmp_path: Path, threads: int
) -> None:
    bundle = make_bundle(build_program(toy_graph(shape=(7, 9)), target), "toy", None, {}, "0")
    write_bundle(bundle, tmp_path / "bundle", build_bundle(bundle, target, find_compiler(target), (SHARED,)))
    x = np.arange(63, dtype=np.int8).reshape(7, 9)
    assert (load(tmp_path / "bundle", threads).run({"x": x})["y"] == x).all()


def test_the_same_program_gives_the_same_bytes(target: Target, toy_graph: ToyGraph) -> None:
    one, two = (make_bundle(build_program(toy_graph(), target), "toy", None, {}, "0") for _ in range(2))
    assert one.files == two.files
    assert one.manifest == two.manifest


def test_in_place_steps_share_one_buffer(target: Target, toy_graph: ToyGraph) -> None:
    program = build_program(toy_graph(), target)
    assert program.arena.bytes == program.arena.lower_bound_bytes == 64
    assert program.arena.shared == 1  # the third result is an output of its own


@pytest.mark.parametrize("name", ["*/ int main", "\\", "x\ny", 'a"b', "Grüße", "int", "arena", "??/"])
def test_names_from_the_model_cannot_break_the_source(
    target: Target, toy_graph: ToyGraph, tmp_path: Path, name: str
) -> None:
    bundle = make_bundle(build_program(toy_graph(name, name + "2"), target), name, None, {}, "0")
    write_bundle(bundle, tmp_path / "bundle", build_bundle(bundle, target, find_compiler(target), (SHARED,)))
    assert (load(tmp_path / "bundle").run({name: X})[name + "2"] == X.clip(-98, 98)).all()


CALLER = """#include "model.h"
#include <stdio.h>
static unsigned char arena[TOY_ARENA_BYTES + TOY_ARENA_ALIGN];
int main(void) {
  int8_t x[TOY_X_ELEMENTS], y[TOY_Y_ELEMENTS], flat[TOY_FLAT_ELEMENTS], same[TOY_SAME_ELEMENTS], constant[3];
  unsigned char *aligned = arena;
  int i;
  while ((uintptr_t)aligned % TOY_ARENA_ALIGN) ++aligned;
  for (i = 0; i < TOY_X_ELEMENTS; ++i) x[i] = (int8_t)(i * 28 - 128);
  if (toy_run(x, y, flat, same, constant, aligned + 1) != SUBBYTE_ERROR_ALIGNMENT) return 2;
  if (toy_run(x, 0, flat, same, constant, aligned) != SUBBYTE_ERROR_NULL) return 3;
  if (toy_run(x, y, flat, same, constant, aligned) != SUBBYTE_OK) return 4;
  for (i = 0; i < TOY_Y_ELEMENTS; ++i) printf("%d ", y[i]);
  return TOY_X_SCALE != 0.5f || TOY_X_ZERO_POINT != 1;
}
"""


def test_a_c_program_calls_the_model_without_the_runtime(target: Target, toy_graph: ToyGraph, tmp_path: Path) -> None:
    bundle = make_bundle(build_program(toy_graph(), target), "toy", None, {}, "0")
    write_bundle(bundle, tmp_path / "bundle", {})
    (tmp_path / "main.c").write_text(CALLER)
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{tmp_path / 'bundle'}"]
    command += ["-o", str(tmp_path / "main"), str(tmp_path / "main.c"), str(tmp_path / "bundle" / "model.c")]
    subprocess.run(command, check=True)
    shown = subprocess.run([str(tmp_path / "main")], check=True, capture_output=True, text=True).stdout
    assert list(map(int, shown.split())) == np.clip(np.arange(10) * 28 - 128, -98, 98).tolist()


def test_a_folder_that_is_no_bundle_is_not_replaced(target: Target, toy_graph: ToyGraph, tmp_path: Path) -> None:
    bundle = make_bundle(build_program(toy_graph(), target), "toy", None, {}, "0")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match="not a bundle"):
        write_bundle(bundle, tmp_path / "mine", {})
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["thesis.tex"]


def test_an_older_bundle_is_replaced_whole(target: Target, toy_graph: ToyGraph, tmp_path: Path) -> None:
    bundle = make_bundle(build_program(toy_graph(), target), "toy", "file", {}, "0")
    write_bundle(bundle, tmp_path / "bundle", {})
    assert (tmp_path / "bundle" / "weights.bin").exists()
    write_bundle(make_bundle(build_program(toy_graph(), target), "toy", "inline", {}, "0"), tmp_path / "bundle", {})
    assert not (tmp_path / "bundle" / "weights.bin").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_place_that_cannot_be_written_is_an_error_in_a_sentence(
    target: Target, toy_graph: ToyGraph, tmp_path: Path
) -> None:
    bundle = make_bundle(build_program(toy_graph(), target), "toy", None, {}, "0")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        write_bundle(bundle, tmp_path / "file" / "bundle", {})


def test_a_compiler_that_fails_is_quoted(target: Target, toy_graph: ToyGraph, tmp_path: Path) -> None:
    program = build_program(toy_graph(), target)
    program.steps[0].kernel.header.write_text("#error broken header\n")  # type: ignore[union-attr]
    bundle = make_bundle(program, "toy", None, {}, "0")
    with pytest.raises(ToolchainError, match="broken header"):
        build_bundle(bundle, target, find_compiler(target), (SHARED,))


def test_a_missing_compiler_names_the_way_on(target: Target) -> None:
    with pytest.raises(ToolchainError, match="cannot be run"):
        find_compiler(target, "no-such-compiler")


def test_the_manifest_says_what_lies_where(target: Target, toy_graph: ToyGraph) -> None:
    manifest = make_bundle(build_program(toy_graph(), target), "toy", None, {"strict": False}, "0").manifest
    assert manifest["memory"]["arena_bytes"] == 64
    assert [step["kernel"] for step in manifest["steps"]] == ["toy_clamp"] * 3 + ["memcpy"] * 3
    assert json.loads(json.dumps(manifest)) == manifest


@pytest.mark.parametrize(("shape", "shared"), [((2, 8), 2), ((1, 8), 1)])
def test_a_broadcast_operand_of_as_many_bytes_keeps_its_memory(
    tmp_path: Path, shape: tuple[int, ...], shared: int
) -> None:
    """int16 [1, 8] takes the bytes of int8 [2, 8], but its first elements are read again for the second row."""
    wide = INT16 if shape == (1, 8) else INT8
    quant = QuantParams(np.ones((), np.float32), np.zeros((), np.int64), -100, 100)
    x, other = Input("x", TensorType(wide, shape, quant)), Input("other", TensorType(INT8, (2, 8), quant))

    def kernel(op: type[Node], in_place: tuple[int, ...]) -> Kernel:
        return Kernel(
            op, f"toy_{op.__name__}", tmp_path, Storage.ANY, lambda node: Call("toy", ()), lambda node, facts: 1.0,
            in_place=in_place,
        )  # fmt: skip

    kernels = (kernel(qops.Clamp, (0,)), kernel(qops.QAdd, (0, 1)))
    target = Target("toy", "toy", frozenset(), TargetFacts(), (), "", "", kernels)
    clamped = KernelCall(qops.Clamp(x.out, -50, 50), "toy_Clamp", "toy").out
    added = KernelCall(qops.QAdd(clamped, other.out, INT8, quant), "toy_QAdd", "toy").out
    shown = KernelCall(qops.Clamp(added, -5, 5), "toy_Clamp", "toy").out
    last = KernelCall(qops.Clamp(shown, -4, 4), "toy_Clamp", "toy").out
    program = build_program(Graph("g", (x, other), (Output("y", last),), Stage.LOWERED), target)
    assert program.arena.shared == shared
    assert (program.steps[0].results == program.steps[1].results) == (shape == (2, 8))
