"""`subbyte quantize`: from a float model and samples to a model that compiles, with a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import onnx
import pytest

from subbyte.compiler.quantize.report import report_page
from tests.cli.conftest import Cli

MODELS = Path(__file__).parents[2] / "models"
MODEL, SAMPLES = MODELS / "digits_cnn.onnx", MODELS / "digits_calibration.npz"
FAST = ("--samples", "48", "--recipe", "nearest")


def quantized(cli: Cli, folder: Path, *options: str) -> dict[str, Any]:
    arguments = (
        "quantize",
        str(MODEL),
        "--data",
        str(SAMPLES),
        "-o",
        str(folder / "q.onnx"),
        *FAST,
        *options,
        "--json",
    )
    content: dict[str, Any] = cli(*arguments).json()
    return content


def test_a_quantized_model_is_written_and_compiles(cli: Cli, tmp_path: Path) -> None:
    content = quantized(cli, tmp_path, "--weight-bits", "4")
    assert {layer["weight_bits"] for layer in content["layers"]} == {4}
    assert content["average_weight_bits"] == 4
    assert content["samples"] == 48
    explained = cli("explain", tmp_path / "q.onnx", "--json").json()
    assert explained["integer_macs"] == explained["macs"]
    assert explained["float_islands"] == []


def test_a_budget_chooses_bits_and_the_report_shows_what_else_could_be_had(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    content = quantized(cli, tmp_path, "--average-bits", "3.5", "--choose-weights", "2,4,8", "--report", str(page))
    assert content["costs"]["average_bits"]["value"] <= 3.5 == content["costs"]["average_bits"]["limit"]
    assert {layer["weight_bits"] for layer in content["layers"]} <= {2, 4, 8}
    text = page.read_text()
    for layer in content["layers"]:
        assert layer["name"] in text
    pictures = [part.split("</svg>")[0] + "</svg>" for part in text.split("<svg")[1:]]
    assert len(pictures) == 2
    for picture in pictures:
        minidom.parseString("<svg" + picture)
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_same_command_writes_the_same_bytes(cli: Cli, tmp_path: Path) -> None:
    quantized(cli, tmp_path)
    first = (tmp_path / "q.onnx").read_bytes()
    quantized(cli, tmp_path)
    assert (tmp_path / "q.onnx").read_bytes() == first


def test_choices_of_the_recipe_are_set_one_by_one_or_from_a_file(cli: Cli, tmp_path: Path) -> None:
    content = quantized(cli, tmp_path, "--set", "calibration=percentile", "--set", "percentile=99.5")
    assert (content["recipe"]["calibration"], content["recipe"]["percentile"]) == ("percentile", 99.5)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({**content["recipe"], "weight_bits": 5}))
    again = quantized(cli, tmp_path, "--recipe", str(recipe))
    assert again["recipe"] == {**content["recipe"], "weight_bits": 5}


def test_a_search_tries_recipes_and_goes_on_where_it_was(cli: Cli, tmp_path: Path) -> None:
    study = tmp_path / "study.db"
    first = quantized(cli, tmp_path, "--search", "2", "--study", str(study), "--weight-bits", "3")
    assert study.stat().st_size > 0
    again = quantized(cli, tmp_path, "--search", "2", "--study", str(study), "--weight-bits", "3")
    assert again["recipe"] == first["recipe"]


def test_samples_are_made_up_where_none_are_given(cli: Cli, tmp_path: Path) -> None:
    output = tmp_path / "q.onnx"
    content = cli("quantize", MODEL, "-o", output, "--samples", 16, "--recipe", "nearest", "--json").json()
    assert content["samples"] == 16
    assert output.exists()


def test_images_of_a_folder_are_samples(cli: Cli, tmp_path: Path) -> None:
    """The digits have 16 grey levels; as images of 255 times that, they are the same samples."""
    image = pytest.importorskip("PIL.Image", reason="Pillow reads images")
    folder = tmp_path / "images"
    folder.mkdir()
    for index, pixels in enumerate(np.load(SAMPLES)["input"][:48, 0, 0]):
        image.fromarray(np.uint8(pixels * 16)).save(folder / f"{index:03}.png")
    from_images = ("quantize", MODEL, "--data", folder, "-o", tmp_path / "a.onnx", *FAST, "--json")
    content = cli(*from_images, "--image", "scale=0.0625").json()
    assert content["layers"] == quantized(cli, tmp_path)["layers"]
    read = [onnx.load(tmp_path / name) for name in ("a.onnx", "q.onnx")]
    assert read[0].graph == read[1].graph


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--data", "nowhere.npz"), 1, "there is no 'nowhere.npz'"),
        (("--data", str(SAMPLES), "--recipe", "best"), 1, "there is no recipe 'best': it is none of default, learned"),
        (("--data", str(SAMPLES), "--set", "rounding"), 2, "'rounding' is not NAME=VALUE"),
        (("--data", str(SAMPLES), "--weight-bits", "9"), 1, "a recipe has weight_bits 9"),
        (("--data", str(SAMPLES), "--size", "20 potatoes"), 1, "'20 potatoes' is not a size; write it as 20KB"),
        (("--data", str(SAMPLES), "--size", "100B"), 1, "weight_bytes"),
        (("--data", str(SAMPLES), "--choose-weights", "2,4"), 2, "there is none; give"),
        (("--data", str(SAMPLES), "--image", "zoom=2"), 2, "one of scale, mean, std, layout, bgr, resize"),
        (("--data", str(SAMPLES), "--image", "resize=big"), 2, "'big' cannot be the resize of images"),
        (("--data", str(SAMPLES), "--style", "tflite", *FAST), 1, "there is no style 'tflite'"),
        (("--data", str(SAMPLES), "--average-bits", "3", "--sensitivity", "guess", *FAST), 1, "no sensitivity 'guess'"),
        (("--data", str(SAMPLES), "-o", "/nowhere/at/all.onnx", *FAST), 1, "'/nowhere/at/all.onnx' cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(
    cli: Cli, tmp_path: Path, options: tuple[str, ...], code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("quantize", str(MODEL), *options)
    assert result.code == code
    assert sentence in " ".join(result.err.replace("│", " ").split())
    assert "Traceback" not in result.err
    assert not list(tmp_path.iterdir())


def test_names_in_the_report_are_escaped(digits_of_hostile_names: Any) -> None:
    page = report_page("<script>alert(1)</script>", *digits_of_hostile_names)
    assert "<script>" not in page


@pytest.fixture
def digits_of_hostile_names() -> Any:
    from subbyte.compiler.calibration.data import Data
    from subbyte.compiler.quantize.quantize import Goal, quantize
    from subbyte.compiler.quantize.recipe import NEAREST

    model = onnx.load(MODEL)
    for node in model.graph.node:
        node.name = f"<script>{node.name}"
    goal = Goal({"average_bits": 4.0}, (2, 8))
    samples = Data({"input": np.load(SAMPLES)["input"][:4]})
    return quantize(model, samples, NEAREST, goal), goal
