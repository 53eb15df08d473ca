"""C simulation of real models' projects: every stream between processes equals the interpreter, word for word.

`make test` runs each model of CHOICE on a few samples; `pytest --sweep tests/hls` runs every integer model of models/
and those of ../shared/models that the target builds, on all samples, under sanitizers too and with Xilinx' ap_int.h.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.hls.compile import design_of, project_of
from subbyte.compiler.hls.csim import find_ap_types, simulate
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.ir.grids import parse_grid
from subbyte.compiler.pipeline import Options, quantized
from subbyte.targets.hls.project import golden
from tests.conftest import MODELS

CHOICE = (
    "TFC_2W2A",
    "qkeras_jettagging",
    "qkeras_mnist_cnn",
    "bnn_fc_1layer",
    "kws_int8",
    "digits_resnet_w1a1.qonnx",
    "digits_resnet_int8",
)
SHARED = (
    "TFC_2W2A",
    "TFC_2W2A_qcdq",
    "bnn_fc_1layer",
    "coral_mobilenet_v1_025_128_uint8",
    "espcn_nn_resize",
    "hello_world_int8",
    "kws_int8",
    "kws_qoperator_u8s8",
    "lenet300_mnist_int8",
    "mcunet_detection_int8",
    "micro_speech_int8",
    "mltk_image_example1_int8",
    "qkeras_jettagging",
    "qkeras_jettagging_qcdq",
    "qkeras_mnist_cnn",
    "resnet8_int8",
    "resnet8_large_qdq_w4a8",
    "tinymaix_cifar10_int8",
    "tinymaix_mbnet96_025_int8",
    "tinymaix_mnist_int8",
)
FLOAT = ("digits_cnn", "digits_mlp", "digits_resnet")
FEW, MANY = 2, 64
LARGE = {
    "coral_mobilenet_v1_025_128_uint8": 8,
    "espcn_nn_resize": 64,
    "mcunet_detection_int8": 4,
    "resnet8_large_qdq_w4a8": 4,
    "tinymaix_mbnet96_025_int8": 8,
}
"""Samples of the largest, which sanitizers take minutes to compile, and are not asked for."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model" in metafunc.fixturenames:
        models = list(CHOICE)
        if metafunc.config.getoption("--sweep"):
            own = sorted(path.name.removesuffix(".onnx") for path in MODELS.glob("*.onnx"))
            models = [*SHARED, *(name for name in own if name not in FLOAT)]
        metafunc.parametrize("model", models)


def _samples(model: str, request: pytest.FixtureRequest) -> tuple[Path, list[dict[str, Any]]]:
    """The file of a model, and samples of it: as many as the run asks for."""
    count = LARGE.get(model, MANY) if request.config.getoption("--sweep") else FEW
    path = MODELS / f"{model}.onnx"
    if path.is_file():
        with np.load(MODELS / "digits_test.npz") as archive:
            return path, [{"input": image} for image in archive["input"][:count]]
    shared = request.getfixturevalue("shared_model")(model)
    names = [node.name for node in quantized(shared.path).inputs]
    held = [shared.samples[name][:count] for name in names]
    return shared.path, [dict(zip(names, each, strict=True)) for each in zip(*held, strict=True)]


@pytest.fixture(autouse=True)
def _every_frame(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Golden vectors of all samples for streams inside, however large, where all are asked for."""
    if request.config.getoption("--sweep"):
        monkeypatch.setattr(golden, "STREAM_BYTES", 1 << 40)


def _ap_types() -> Path:
    """The ap_int.h of others, which the extra [test] brings."""
    found = find_ap_types()
    assert found is not None, "the package hls4ml is not installed"
    return found


def _project(path: Path, samples: list[dict[str, Any]], folder: Path, options: Options | None = None) -> Path:
    made = design_of(path, options or Options(), HlsOptions(part="xczu7ev"))
    write_bundle(project_of(made, samples), folder, {})
    return folder


def test_every_stream_of_a_model(model: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path, samples = _samples(model, request)
    folder = _project(path, samples, tmp_path / "project")
    found = simulate(folder)
    assert found.passed, found.mismatch
    assert len(found.words) >= 2
    if request.config.getoption("--sweep"):
        others: list[dict[str, Any]] = [{"ap_types": _ap_types()}]
        for further in others + ([] if model in LARGE else [{"sanitize": True}]):
            found = simulate(folder, samples=1, **further)
            assert found.passed, found.mismatch


@pytest.mark.parametrize("name", ["qkeras_jettagging", "qkeras_mnist_cnn"])
def test_a_float_input_on_a_grid_leaves_all_products_to_the_hardware(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    grids = {"global_in": parse_grid("fixed<16,6>" if name == "qkeras_jettagging" else "ufixed<8,0>")}
    path, samples = _samples(name, request)
    made = design_of(path, Options(input_grids=grids), HlsOptions())
    assert made.parts.macs[0] == made.parts.macs[2] == 0
    write_bundle(project_of(made, samples), tmp_path / "project", {})
    found = simulate(tmp_path / "project")
    assert found.passed, found.mismatch


def test_under_sanitizers(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path, samples = _samples("digits_resnet_w2a2_qcdq", request)
    found = simulate(_project(path, samples, tmp_path / "project"), sanitize=True, samples=1)
    assert found.passed, found.mismatch


def test_with_the_ap_int_of_xilinx(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path, samples = _samples("digits_mlp_w1a1.qonnx", request)
    found = simulate(_project(path, samples, tmp_path / "project"), ap_types=_ap_types())
    assert found.passed, found.mismatch
