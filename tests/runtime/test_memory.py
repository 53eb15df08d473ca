"""Memory over an idle process is the arena and the weights, within a tenth: nothing is held twice, nothing is spare.

A model of 10 MiB of weights in two matrix products, in the bundle's runner and in Python, its weights in the library or
in a file of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.api import compile_bundle
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.manifest import read_manifest
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.build import RUNNER, SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler

TENTH = 1.1
KILOBYTE = 1024
STACK_BYTES = 256 * KILOBYTE  # runtime_cpp/src/pool.c
MakeOnce = Callable[[str, Callable[[Path], None]], Path]


def products(depth: int, width: int) -> onnx.ModelProto:
    """codes uint8 [8, depth] -> [8, width] -> [8, depth]."""
    random = np.random.default_rng(7)
    constants = {
        "one": np.float32(0.5),
        "zero": np.uint8(128),
        "weight_zero": np.int8(0),
        "a": random.integers(-127, 128, (depth, width)).astype(np.int8),
        "b": random.integers(-127, 128, (width, depth)).astype(np.int8),
    }
    scales = ["one", "zero"]
    nodes = [
        helper.make_node("QLinearMatMul", ["x", *scales, "a", "one", "weight_zero", *scales], ["y"], "first"),
        helper.make_node("QLinearMatMul", ["y", *scales, "b", "one", "weight_zero", *scales], ["z"], "second"),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.UINT8, [8, depth]) for name in ("x", "z")]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "products", tensors[:1], tensors[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def build(folder: Path, model: onnx.ModelProto, weights: str) -> None:
    target = find_target("native")
    bundle = compile_bundle(model, target, Options(weights=weights))
    write_bundle(bundle, folder, build_bundle(bundle, target, find_compiler(target), (SHARED, RUNNER)))


@pytest.fixture(scope="module", params=["inline", "file"])
def large(request: pytest.FixtureRequest, make_once: MakeOnce) -> Path:
    """The bundle of the large model."""
    return make_once(f"memory-{request.param}", lambda path: build(path, products(1024, 5120), request.param))


@pytest.fixture(scope="module")
def small(make_once: MakeOnce) -> Path:
    """The same in small: what a process has beside its model."""
    return make_once("memory-small", lambda path: build(path, products(16, 16), "inline"))


def needed(bundle: Path, threads: int) -> int:
    """Bytes of arena, scratch and weights."""
    content = read_manifest(bundle).content
    memory, weights = content["memory"], content["weights"]["bytes"]
    assert weights >= 10_000_000
    return int(memory["arena_bytes"] + threads * memory["scratch_bytes"] + weights)


def status(process: int | str) -> dict[str, int]:
    """VmSize (mapped) and VmRSS (resident) of a process, in bytes."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {key: int(lines[key].split()[0]) * KILOBYTE for key in ("VmSize", "VmRSS")}


def of_runner(bundle: Path, threads: int) -> dict[str, int]:
    """The memory of a runner that has run its model and waits for somebody to read its report."""
    arguments = ["--repeats", "3", "--threads", str(threads)]
    if (bundle / "weights.bin").is_file():
        arguments += ["--weights", str(bundle / "weights.bin")]
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while os.write(writer, b" " * KILOBYTE):
            pass
    os.set_blocking(writer, True)
    runner = subprocess.Popen([bundle / "runner", *arguments], stdout=writer)
    os.close(writer)
    try:
        waiting_since = time.monotonic()
        while time.monotonic() - waiting_since < 0.2:  # asleep, and no page more
            before = status(runner.pid)
            time.sleep(0.01)
            asleep = "State:\tS" in Path(f"/proc/{runner.pid}/status").read_text()
            if not asleep or status(runner.pid) != before:
                waiting_since = time.monotonic()
            assert runner.poll() is None, f"the runner ended with {runner.returncode}"
        return status(runner.pid)
    finally:
        runner.kill()
        runner.wait()
        os.close(reader)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_runner_holds_arena_and_weights(large: Path, small: Path, threads: int) -> None:
    idle, loaded = of_runner(small, threads), of_runner(large, threads)
    for key, bytes_idle in idle.items():
        assert loaded[key] - bytes_idle <= TENTH * needed(large, threads), key
    assert loaded["VmRSS"] - idle["VmRSS"] >= 0.9 * needed(large, threads)  # it was used


IN_PYTHON = """
import sys
from pathlib import Path
import subbyte

def memory():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return [int(lines[key].split()[0]) * 1024 for key in ("VmSize", "VmRSS")]

def use(path):
    module = subbyte.load(path, threads=int(sys.argv[3]))
    module.benchmark(repeats=3)
    module.profile(repeats=3)
    return module

small = use(sys.argv[1])
before = memory()
large = use(sys.argv[2])
print(*(after - then for after, then in zip(memory(), before)))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_module_holds_arena_and_weights(large: Path, small: Path, threads: int) -> None:
    command = [sys.executable, "-c", IN_PYTHON, small, large, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    mapped, resident = map(int, done.stdout.split())
    stacks = (threads - 1) * STACK_BYTES  # of the further threads: mapped, hardly used
    assert mapped - stacks <= TENTH * needed(large, threads)
    assert resident <= TENTH * needed(large, threads)
    assert resident >= 0.9 * needed(large, threads)
