"""What a call costs beside the model's work: no allocation, and the same results whatever the number of threads."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import subbyte
from subbyte.compiler.api import compile_bundle
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.build import SHARED, STATIC, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from tests.runtime.conftest import RUNTIME, compile_c

MakeOnce = Callable[[str, Callable[[Path], None]], Path]
ALLOCATORS = ("malloc", "calloc", "realloc", "posix_memalign")


@pytest.fixture(scope="module", params=["native", "portable"])
def bundle(request: pytest.FixtureRequest, make_once: MakeOnce, digits: Path) -> Path:
    """A convolutional network, as a shared and as a static library."""

    def make(path: Path) -> None:
        target = find_target(request.param)
        made = compile_bundle(digits / "digits_resnet_int8.onnx", target, Options(weights="inline"))
        write_bundle(made, path, build_bundle(made, target, find_compiler(target), (SHARED, STATIC)))

    return make_once(f"calls-{request.param}", make)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_allocates_nothing(bundle: Path, threads: int, tmp_path: Path) -> None:
    program = tmp_path / "count_allocations"
    wraps = [f"-Wl,--wrap={name}" for name in ALLOCATORS]
    sources = [Path(__file__).with_name("count_allocations.c"), *sorted((RUNTIME / "src").glob("*.c"))]
    compile_c(program, *wraps, *sources, bundle / STATIC, "-pthread")
    done = subprocess.run([program, str(threads)], capture_output=True, text=True, timeout=120, check=True)
    before, _, found, *_ = done.stdout.split()
    assert int(before) > 3  # the counter counts
    assert found == "0"


def test_the_model_itself_knows_no_allocator(bundle: Path) -> None:
    symbols = subprocess.run(["nm", "-u", bundle / STATIC], capture_output=True, text=True, check=True).stdout
    assert not {*ALLOCATORS, "free", "aligned_alloc"} & set(symbols.split())


def test_every_number_of_threads_computes_the_same(bundle: Path) -> None:
    """As many inferences as it takes for threads to help each other in every order."""
    alone = subbyte.load(bundle)
    random = np.random.default_rng(3)
    (signature,) = alone.inputs
    samples = [{signature.name: random.uniform(0, 1, signature.shape).astype(signature.container)} for _ in range(8)]
    expected = [alone.run(sample) for sample in samples]
    for threads in (2, 3, 5):
        several = subbyte.load(bundle, threads=threads)
        for repeat in range(40):
            for sample, wanted in zip(samples, expected, strict=True):
                for name, found in several.run(sample).items():
                    assert (found == wanted[name]).all(), f"{threads} threads, round {repeat}: {name} differs"
