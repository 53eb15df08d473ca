"""host/: the C of what stays on the processor builds, both sides in one program, and equals the parts of the model."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.hls.host import host_files
from subbyte.compiler.hls.partition import Partition, partition
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.samples import random_samples
from subbyte.targets.hls.support import reason_against
from subbyte.targets.hls.texts import identifier

FLAGS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic", "-ffp-contract=off")
SAMPLES = 3


def parts_of(path: Path) -> Partition:
    return partition(quantized(path), reason_against)


def outputs_of(graph: Graph) -> dict[str, Value]:
    return {output.name: output.value for output in graph.outputs}


def call_of(side: str, graph: Graph) -> str:
    """A function that reads the inputs of one sample from standard input, and writes its outputs."""
    tensors = [(node.name, node.type, True) for node in graph.inputs]
    tensors += [(name, value.type, False) for name, value in outputs_of(graph).items()]
    arrays = [f"static unsigned char {side}{n}[{_bytes(of_type)}];" for n, (_, of_type, _) in enumerate(tensors)]
    moves = []
    for n, (_, of_type, given) in enumerate(tensors):
        move, stream = ("fread", "stdin") if given else ("fwrite", "stdout")
        moves.append(f"    if ({move}({side}{n}, {_bytes(of_type)}, 1, {stream}) != 1) return 1;")
    reads = [move for move, (_, _, given) in zip(moves, tensors, strict=True) if given]
    writes = [move for move, (_, _, given) in zip(moves, tensors, strict=True) if not given]
    arguments = ", ".join(f"(void*){side}{n}" for n in range(len(tensors)))
    arena = f"static unsigned char arena_{side}[NET_{side.upper()}_ARENA_BYTES + 64];"
    aligned = f"arena_{side} + (64 - (uintptr_t)arena_{side} % 64) % 64"
    run = f"    if (net_{side}_run({arguments}, {aligned}) != 0) return 2;"
    return "\n".join([*arrays, arena, f"static int {side}(void) {{", *reads, run, *writes, "    return 0;", "}", ""])


def _bytes(of_type: TensorType) -> int:
    return of_type.elements * of_type.dtype.numpy.itemsize


def build(parts: Partition, folder: Path) -> Path:
    """A program of both sides: with the argument `before` or `behind`, it runs that side for all samples."""
    sides = [(side, graph) for side, graph in (("before", parts.before), ("behind", parts.behind)) if graph is not None]
    for path, content in host_files(parts, "net", Options()).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    includes = "".join(f'#include "{side}/model.h"\n' for side, _ in sides)
    runs = "".join(f'        if (!strcmp(arguments[1], "{side}") && {side}()) return 1;\n' for side, _ in sides)
    (folder / "main.c").write_text(
        "#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
        + includes
        + "".join(call_of(side, graph) for side, graph in sides)
        + "int main(int count, char** arguments) {\n    if (count != 2) return 3;\n"
        + f"    for (int sample = 0; sample < {SAMPLES}; ++sample) {{\n{runs}    }}\n    return 0;\n}}\n"
    )
    objects = []
    for side, _ in sides:
        objects.append(folder / f"{side}.o")
        gcc(folder, "-c", str(folder / "host" / side / "model.c"), "-o", str(objects[-1]))
    gcc(folder, "main.c", *map(str, objects), "-I", "host", "-o", "program", "-lm")
    return folder / "program"


def gcc(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["gcc", *FLAGS, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def assert_equal(program: Path, side: str, graph: Graph, samples: list[dict[str, Any]]) -> None:
    given = b"".join(np.asarray(sample[node.name]).tobytes() for sample in samples for node in graph.inputs)
    done = subprocess.run([program, side], input=given, capture_output=True, check=True)
    results = [evaluate(graph, {node.name: sample[node.name] for node in graph.inputs}) for sample in samples]
    assert done.stdout == b"".join(array.tobytes() for result in results for array in result.values())


def check(parts: Partition, folder: Path) -> None:
    program = build(parts, folder)
    inputs = list(random_samples({node.name: node.type for node in parts.whole.inputs}, SAMPLES))
    if parts.before is not None:
        assert_equal(program, "before", parts.before, inputs)
    if parts.behind is not None:
        known = [{**sample, **parts.core_inputs(sample)} for sample in inputs]
        reached = [{**sample, **evaluate(parts.core, parts.core_inputs(sample))} for sample in known]
        assert_equal(program, "behind", parts.behind, reached)


def test_both_sides_of_a_model_of_ours(digits: Path, tmp_path: Path) -> None:
    parts = parts_of(digits / "digits_mlp_w2a2.qonnx.onnx")
    assert parts.before is not None
    assert parts.behind is not None
    check(parts, tmp_path)


@pytest.mark.parametrize("name", ["qkeras_jettagging", "mcunet_detection_int8"])
def test_both_sides_of_a_shared_model(name: str, shared_model: Callable[[str], Any], tmp_path: Path) -> None:
    """Products in float in front of the core; three outputs of the core behind it."""
    check(parts_of(shared_model(name).path), tmp_path)


def test_a_model_of_integers_leaves_nothing_to_the_processor(shared_model: Callable[[str], Any]) -> None:
    assert host_files(parts_of(shared_model("hello_world_int8").path), "net", Options()) == {}


def test_functions_are_called_after_the_design_and_the_side(digits: Path) -> None:
    name = identifier("digits mlp", "model")
    files = host_files(parts_of(digits / "digits_mlp_int8.onnx"), name, Options())
    assert f"int {name}_before_run(".encode() in files["host/before/model.h"]
    assert f"int {name}_behind_run(".encode() in files["host/behind/model.h"]
