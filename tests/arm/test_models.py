"""Whole models compiled for Arm answer byte by byte what they answer on this machine, and what the interpreter says.

`make test` runs each model of CHOICE at two levels; `pytest --sweep tests/arm` runs every model of models/ and of
../shared/models at every level of LEVELS. What the models are and who answered first, their READMEs say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.api import compile_bundle, load_runner
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.runtime import Module
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.build import RUNNER, SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from tests.conftest import MODELS, shared_models_folder
from tests.dynamic.test_matmul_nbits import Weights, activations
from tests.transformers.encoder import samples as words
from tests.transformers.test_encoder import quantized_encoder

Arrays = dict[str, NDArray[Any]]

LEVELS = ("cortex-a7", "cortex-a9", "cortex-a53", "cortex-a72", "cortex-a76", "armv8.2-a+dotprod+i8mm")
"""Both execution states, every set of instructions, and every pipeline by whose costs other kernels are chosen."""
V7, V8, DOTPROD, I8MM = "cortex-a7", "cortex-a53", "cortex-a76", "armv8.2-a+dotprod+i8mm"

CHOICE = (
    ("resnet8_int8", V7, I8MM),  # int8, QDQ
    ("coral_mobilenet_v1_025_128_uint8", V8, DOTPROD),  # depthwise, uint8 with zero points of weights
    ("kws_qoperator_u8s8", V8),  # QLinearConv, QGemm
    ("kws_dynamic_u8", V7, V8),  # scales at run time
    ("resnet8_large_qdq_w4a8", V7, DOTPROD),
    ("qkeras_mnist_cnn", V8),  # W6A6
    ("digits_resnet_w1a1.qonnx", V7, V8),
    ("digits_resnet_w2a2.qonnx", V7, V8, DOTPROD),
    ("digits_resnet_w3a3_qcdq", V8, I8MM),
    ("digits_resnet_w4a4_qcdq", V7, V8),
    ("digits_mlp_ternary.qonnx", V7, I8MM),
    ("digits_resnet", V7, V8),  # float
    ("blocks", V7, DOTPROD),  # MatMulNBits: weights of 4 bits in blocks
    ("encoder", V7, V8, I8MM),  # attention: run-time matrices on both sides
)
"""What `make test` runs: (model, levels)."""

FEW, ALL = 3, 16  # samples
SAMPLES = {"branched_w4a4": 1, "espcn_nn_resize": 1}  # of large images


def _digits() -> list[str]:
    return sorted(path.name.removesuffix(".onnx") for path in MODELS.glob("*.onnx"))


def _shared() -> list[str]:
    folder = shared_models_folder()
    with_samples = [] if folder is None else [path for path in folder.glob("*.npz") if ".side" not in path.name]
    return sorted(path.stem for path in with_samples if path.stem != "kws_float_labelled")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "level" in metafunc.fixturenames:
        pairs = [(model, level) for model, *levels in CHOICE for level in levels]
        if metafunc.config.getoption("--sweep"):
            pairs = [(model, level) for model in [*_digits(), *_shared(), "blocks", "encoder"] for level in LEVELS]
        metafunc.parametrize(("model", "level"), pairs)


@dataclass(frozen=True)
class Subject:
    """A model to run: its QUANTIZED graph, and samples."""

    graph: Graph
    samples: list[Arrays]


@cache
def _graph(path: Path) -> Graph:
    return quantized(path)


@pytest.fixture
def subject(model: str, request: pytest.FixtureRequest) -> Subject:
    count = ALL if request.config.getoption("--sweep") else FEW
    if model == "encoder":
        return Subject(quantized(quantized_encoder("s8s8")), words(count))
    if model == "blocks":
        a = activations(100)
        return Subject(quantized(Weights(4, 100, 32, True).model(a)), [{"a": a * np.float32(n)} for n in range(count)])
    path = MODELS / f"{model}.onnx"
    if path.is_file():
        with np.load(MODELS / "digits_test.npz") as archive:
            return Subject(_graph(path), [{"input": image} for image in archive["input"][:count]])
    shared = request.getfixturevalue("shared_model")(model)
    graph = _graph(shared.path)
    held = {node.name: shared.samples[node.name][: SAMPLES.get(model, count)] for node in graph.inputs}
    return Subject(graph, [dict(zip(held, each, strict=True)) for each in zip(*held.values(), strict=True)])


@pytest.fixture
def answers(model: str, subject: Subject, make_once: Callable[..., Path]) -> list[Arrays]:
    """What this machine answers, the first sample as the interpreter does."""

    def make(result: Path) -> None:
        module = built(subject.graph, "native", result.with_suffix(".bundle"), SHARED)
        outputs = module.run_all(subject.samples)
        assert_equal(outputs[:1], [evaluate(subject.graph, subject.samples[0])])
        with result.open("wb") as file:
            np.savez(file, **{f"{n} {name}": array for n, each in enumerate(outputs) for name, array in each.items()})  # type: ignore[arg-type]

    found: list[Arrays] = [{} for _ in subject.samples]
    with np.load(make_once(f"{model}.here.npz", make)) as archive:
        for key in archive.files:
            number, _, name = key.partition(" ")
            found[int(number)][name] = archive[key]
    return found


def built(graph: Graph, target_name: str, folder: Path, product: str) -> Module:
    """The model with its library or its runner, whichever its target needs here."""
    target = find_target(target_name)
    bundle = compile_bundle(graph, target, Options())
    write_bundle(bundle, folder, build_bundle(bundle, target, find_compiler(target), (product,), warnings=True))
    return load_runner(folder) if product == RUNNER else Module(folder)


def assert_equal(found: list[Arrays], expected: list[Arrays]) -> None:
    """Every byte."""
    assert len(found) == len(expected) > 0
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            wanted = np.ascontiguousarray(theirs[name])
            assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
            differ = np.frombuffer(array.tobytes(), np.uint8) != np.frombuffer(wanted.tobytes(), np.uint8)
            assert not differ.any(), (
                f"{differ.sum()} bytes of {differ.size} differ in output '{name}' of sample {number}"
            )


def test_a_model_answers_as_on_this_machine(
    model: str, level: str, emulated: Callable[[str], str], subject: Subject, answers: list[Arrays], tmp_path: Path
) -> None:
    module = built(subject.graph, emulated(level), tmp_path / "bundle", RUNNER)
    assert_equal(module.run_all(subject.samples), answers)
