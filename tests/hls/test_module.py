"""A project that runs: compiled, loaded from its folder, told damaged, and asked for what a simulation cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import subbyte
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.hls.border import border_from
from subbyte.compiler.hls.module import load_hls
from tests.conftest import MODELS

MODEL = MODELS / "digits_mlp_w2a2.qonnx.onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hls") / "digits"
    subbyte.compile(MODEL, target="hls", output=place)
    return place


def test_a_loaded_project_answers_as_the_interpreter(folder: Path) -> None:
    with np.load(MODELS / "digits_test.npz") as archive:
        images = archive["input"][:8]
    module = load_hls(folder)
    found = module.run_all([{"input": image} for image in images])
    for image, outputs in zip(images, found, strict=True):
        np.testing.assert_array_equal(outputs["logits"], subbyte.evaluate(MODEL, {"input": image})["logits"])
    assert module.run_all([]) == []


def test_a_simulation_is_not_timed(folder: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"says nothing of the hardware; report/estimate\.json has cycles"):
        load_hls(folder).benchmark()


@pytest.mark.parametrize(
    ("field", "content"),
    [("codes", [3, 1, False]), ("frame", [1, 1, 1 << 40, 8, 1]), ("order", "AAAA"), ("shape", [1, 3]), ("dtype", "x")],
)
def test_a_damaged_border_is_told(folder: Path, field: str, content: object) -> None:
    entry = json.loads((folder / "manifest.json").read_text())["core"]["inputs"][0]
    assert border_from(entry).type.elements == 64
    with pytest.raises(ModelError, match="the manifest of the project is damaged: a stream at the border"):
        border_from({**entry, field: content})
