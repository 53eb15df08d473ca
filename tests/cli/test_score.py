"""`subbyte score`: figures beside the answers they rest on, two models on the same samples, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import subbyte

Cli = Callable[..., Any]
MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """make_model(name, nodes, inputs, outputs, constants) writes a model; inputs and outputs are {name: shape}."""

    def make(
        name: str,
        nodes: list[onnx.NodeProto],
        inputs: dict[str, list[int | str]],
        outputs: dict[str, list[int | str]],
        **constants: Any,
    ) -> Path:
        values = [
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in each.items()]
            for each in (inputs, outputs)
        ]
        stored = [numpy_helper.from_array(np.asarray(value, np.float32), key) for key, value in constants.items()]
        graph = helper.make_graph(nodes, name, *values, stored)
        path = tmp_path / f"{name}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
        return path

    return make


@pytest.fixture
def identity(make_model: MakeModel) -> Path:
    """Answers what it is given: [1, 3]."""
    return make_model("identity", [helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}, {"y": [1, 3]})


def expected_right(model: Path, images: Path, first: int) -> int:
    with np.load(images) as archive:
        answers = [subbyte.evaluate(model, {"input": image})["logits"].argmax() for image in archive["input"][:first]]
        return int((np.array(answers) == archive["label"][:first]).sum())


@pytest.mark.parametrize("on", ["compiled", "interpreter", "onnxruntime"])
def test_top1_counts_what_the_model_answers(cli: Cli, mlp: Path, images: Path, on: str) -> None:
    report = cli("score", mlp, "--data", images, "--metric", "top1", "--first", 60, "--on", on, "--json").json()
    score = report["score"]
    assert (score["numerator"], score["count"]) == (expected_right(mlp, images, 60), 60)
    assert score["value"] == score["numerator"] / 60
    assert score["interval"]["low"] < score["value"] <= score["interval"]["high"]
    assert [row["class"] for row in score["classes"]] == list(range(10))
    assert sum(row["numerator"] for row in score["classes"]) == score["numerator"]
    assert sum(row["count"] for row in score["classes"]) == 60
    assert (report["against"], report["first_sample"]) == (None, 0)


def test_a_bundle_is_scored(cli: Cli, bundle: Path, mlp: Path, images: Path) -> None:
    score = cli("score", bundle, "--data", images, "--metric", "top1", "--first", 60, "--json").json()["score"]
    assert score["numerator"] == expected_right(mlp, images, 60)


def test_parts_of_the_file_add_up(cli: Cli, mlp: Path, images: Path) -> None:
    def right(*options: object) -> int:
        found = cli("score", mlp, "-d", images, "-m", "top1", "--on", "onnxruntime", "--json", *options).json()
        return int(found["score"]["numerator"])

    assert right("--first", 100) + right("--skip", 100, "--first", 60) + right("--skip", 160) == right()


def test_a_float_model_beside_its_quantized_one(cli: Cli, mlp: Path, digits: Path, images: Path) -> None:
    report = cli(
        *("score", mlp, "--data", images, "--metric", "top1", "--first", 80, "--against", digits / "digits_mlp.onnx"),
        *("--on", "interpreter", "--json"),
    ).json()
    paired = report["against"]["paired"]
    assert paired["both"] + paired["only_first"] == report["score"]["numerator"]
    assert paired["both"] + paired["only_second"] == report["against"]["score"]["numerator"]
    assert sum(paired[key] for key in ("both", "only_first", "only_second", "neither")) == 80
    assert 0 < paired["p_value"] <= 1


def test_agreement_with_the_float_model(cli: Cli, mlp: Path, digits: Path, images: Path) -> None:
    float_model = digits / "digits_mlp.onnx"
    options = ("--data", images, "--metric", "agreement", "--first", 80, "--on", "onnxruntime", "--json")
    with np.load(images) as archive:
        answers = [
            [subbyte.evaluate(model, {"input": image})["logits"].argmax() for image in archive["input"][:80]]
            for model in (mlp, float_model)
        ]
    same = sum(one == other for one, other in zip(*answers, strict=True))
    assert cli("score", mlp, "--against", float_model, *options).json()["score"]["numerator"] == same
    assert cli("score", mlp, "--against", mlp, *options).json()["score"]["numerator"] == 80


def test_agreement_with_recorded_answers(cli: Cli, identity: Path, tmp_path: Path) -> None:
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    np.savez(tmp_path / "data.npz", x=x, y=np.roll(x, 1, axis=0), other=x)
    options = ("score", identity, "-d", tmp_path / "data.npz", "-m", "agreement", "--on", "interpreter", "--json")
    assert cli(*options).json()["score"]["numerator"] == 1
    assert cli(*options, "--labels", "other").json()["score"]["numerator"] == 4


def test_the_keyword_network_of_codes_with_a_scale(cli: Cli, shared_models: Path) -> None:
    """An open batch, int8 samples with a scale, and a sample axis in place of the batch."""
    report = cli(
        *("score", shared_models / "kws_float.onnx", "--data", shared_models / "kws_float_labelled.npz"),
        *("--metric", "top1", "--first", 40, "--json"),
    ).json()
    assert (report["score"]["numerator"], report["score"]["count"]) == (38, 40)
    assert report["notes"] == ["the leading dimension 'batch' of kws_float.onnx is bound to 1: one sample a run"]


def test_codes_with_a_zero_point(cli: Cli, identity: Path, tmp_path: Path) -> None:
    codes = np.array([[130, 128, 128], [128, 128, 200], [255, 128, 128]], np.uint8)
    arrays = {"x": codes, "x_scale": np.float32(0.5), "x_zero_point": np.uint8(128), "label": np.zeros(3, int)}
    np.savez(tmp_path / "data.npz", reference=(codes - 128.0) / 2, **arrays)
    options = ("score", identity, "-d", tmp_path / "data.npz", "--on", "interpreter", "--json")
    assert cli(*options, "-m", "top1").json()["score"]["numerator"] == 2
    exact = cli(*options, "-m", "psnr", "--labels", "reference").json()["score"]
    assert (exact["value"], exact["details"]["exact"], exact["details"]["rmse"]) == (None, 3, 0.0)  # infinite


def test_psnr_of_two_models(cli: Cli, identity: Path, make_model: MakeModel, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.random((12, 1, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, label=x + np.float32(0.01))
    off = make_model("off", [helper.make_node("Add", ["x", "c"], ["y"])], {"x": [1, 3]}, {"y": [1, 3]}, c=[0.11])
    options = ("-d", tmp_path / "data.npz", "-m", "psnr", "--on", "interpreter", "--json")
    report = cli("score", identity, "--against", off, *options).json()
    assert report["score"]["value"] == pytest.approx(40, abs=1e-3)
    assert report["against"]["score"]["value"] == pytest.approx(20, abs=1e-3)
    assert report["against"]["paired"]["difference"] == pytest.approx(20, abs=2e-3)


def test_auc_of_a_score_of_two_classes_and_of_a_reconstruction(cli: Cli, make_model: MakeModel, tmp_path: Path) -> None:
    x = np.array([[[1.0, 0, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 3]], [[0, 2, 0, 0]]], np.float32)
    np.savez(tmp_path / "data.npz", x=x, label=np.array([0, 0, 1, 1]))
    options = ("-d", tmp_path / "data.npz", "-m", "auc", "--on", "interpreter", "--json")

    def area(name: str, operator: str, width: int, constant: Any) -> float:
        nodes = [helper.make_node(operator, ["x", "c"], ["y"])]
        path = make_model(name, nodes, {"x": [1, 4]}, {"y": [1, width]}, c=constant)
        return float(cli("score", path, *options).json()["score"]["value"])

    # scores 1, 0, 3, 2; less the first class' 0, 0, 3, 0; squared errors of 0.5 x
    assert area("scores", "MatMul", 1, np.ones((4, 1))) == 1.0
    assert area("classes", "MatMul", 2, np.array([[0, 1.0], [0, 1], [0, 1], [1, 1]])) == 0.625
    assert area("rebuilt", "Mul", 4, np.full(4, 0.5)) == 1.0


def test_map_of_boxes_scores_and_classes(cli: Cli, make_model: MakeModel, tmp_path: Path) -> None:
    shapes: dict[str, list[int | str]] = {"b": [1, 2, 4], "s": [1, 2], "c": [1, 2]}
    nodes = [helper.make_node("Relu", [name], [f"{name}_out"]) for name in shapes]
    path = make_model("detector", nodes, shapes, {f"{name}_out": shape for name, shape in shapes.items()})
    box, far = [0.0, 0, 10, 10], [50.0, 50, 60, 60]
    samples = {
        "b": np.array([[box, far], [far, box]], np.float32),
        "s": np.array([[0.9, 0.1], [0.8, 0.7]], np.float32),
        "c": np.array([[0, 1], [1, 1]], np.float32),
        "boxes": np.array([[box], [far]]),
        "classes": np.array([[0], [1]]),
    }
    np.savez(tmp_path / "data.npz", **samples)  # type: ignore[arg-type]
    options = ("-d", tmp_path / "data.npz", "-m", "mAP", "--on", "interpreter")
    report = cli("score", path, *options, "--json").json()["score"]
    assert (report["value"], report["count"], report["details"]["AP50"]) == (1.0, 2, 1.0)
    chosen = ("--output", "b_out", "--output", "s_out", "--output", "c_out")
    assert cli("score", path, *options, *chosen, "--json").json()["score"]["value"] == 1.0
    assert "'nothing'" in cli("score", path, *options, "--output", "nothing").error()
    assert "boxes [n, 4]" in cli("score", path, *options, "--output", "s_out").error()
    printed = cli("score", path, *options, "--against", path)
    assert "true boxes" in printed.out
    assert "difference 0.00 %" in printed.out


def test_people_read_counts_beside_percentages(cli: Cli, mlp: Path, images: Path) -> None:
    done = cli("score", mlp, "-d", images, "-m", "top1", "--on", "onnxruntime", "--against", mlp, "--first", 50)
    assert done.code == 0, done.err
    assert f"({expected_right(mlp, images, 50)} of 50), 95 % interval" in done.out
    assert "both right" in done.out
    assert "McNemar" in done.out


# What is refused


def error_of(cli: Cli, model: Path, folder: Path, *options: object, **arrays: Any) -> str:
    np.savez(folder / "bad.npz", **arrays)
    text: str = cli("score", model, "-d", folder / "bad.npz", "--on", "interpreter", "-m", "top1", *options).error()
    return text


X = np.eye(3, dtype=np.float32)[:, np.newaxis]


def test_labels_that_are_missing_or_wrong(cli: Cli, identity: Path, tmp_path: Path) -> None:
    assert "'label' or 'labels'" in error_of(cli, identity, tmp_path, x=X)
    assert "no array 'truth'" in error_of(cli, identity, tmp_path, "--labels", "truth", x=X, label=np.arange(3))
    assert "'label' or 'labels'" in error_of(cli, identity, tmp_path, x=X, label=np.arange(4))
    assert "label of sample 1 is 7" in error_of(cli, identity, tmp_path, x=X, label=np.array([0, 7, 1]))
    assert "whole numbers" in error_of(cli, identity, tmp_path, x=X, label=np.array([0, 0.5, 1]))


def test_samples_that_are_missing_or_wrong(cli: Cli, identity: Path, tmp_path: Path) -> None:
    label = np.arange(3)
    assert "no samples for the model's input 'x'" in error_of(cli, identity, tmp_path, y=X, label=label)
    assert "float32[3, 1, 4]" in error_of(cli, identity, tmp_path, x=np.zeros((3, 1, 4), np.float32), label=label)
    assert "float64" in error_of(cli, identity, tmp_path, x=X.astype(np.float64), label=label)
    assert "int8" in error_of(cli, identity, tmp_path, x=X.astype(np.int8), label=label)
    scaled = {"x": X.astype(np.int8), "label": label}
    assert "one scale above 0" in error_of(cli, identity, tmp_path, x_scale=np.float32(0), **scaled)
    assert "one scale above 0" in error_of(cli, identity, tmp_path, x_scale=np.ones(3, np.float32), **scaled)
    holed = X.copy()
    holed[1] = np.nan
    assert "NaN for 1 of 3 samples" in error_of(cli, identity, tmp_path, x=holed, label=label)
    assert "--skip 3 leaves none" in error_of(cli, identity, tmp_path, "--skip", 3, x=X, label=label)
    assert "--first 3 is more" in error_of(cli, identity, tmp_path, "--skip", 1, "--first", 3, x=X, label=label)
    assert "leaves none" in error_of(cli, identity, tmp_path, x=X[:0], label=label[:0])


def test_a_reference_that_is_missing(cli: Cli, identity: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X)
    done = cli("score", identity, "-d", tmp_path / "data.npz", "-m", "agreement", "--on", "interpreter")
    assert "nothing to agree with" in done.error()
    assert "--against OTHER.onnx" in done.error()


def test_one_of_several_outputs_must_be_named(cli: Cli, make_model: MakeModel, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])]
    path = make_model("two", nodes, {"x": [1, 3]}, {"y": [1, 3], "z": [1, 3]})
    np.savez(tmp_path / "data.npz", x=X, label=np.arange(3))
    options = ("score", path, "-d", tmp_path / "data.npz", "-m", "top1", "--on", "interpreter")
    assert "'y' [1, 3], 'z' [1, 3]; one must be chosen with --output" in cli(*options).error()
    assert cli(*options, "--output", "y", "--json").json()["score"]["numerator"] == 3
    assert "--output names 'w'" in cli(*options, "--output", "w").error()


def test_other_open_dimensions_must_be_bound(cli: Cli, make_model: MakeModel, tmp_path: Path) -> None:
    path = make_model("open", [helper.make_node("Relu", ["x"], ["y"])], {"x": ["n", "w"]}, {"y": ["n", "w"]})
    np.savez(tmp_path / "data.npz", x=X, label=np.arange(3))
    options = ("score", path, "-d", tmp_path / "data.npz", "-m", "top1", "--on", "interpreter")
    assert "--dim w=1" in cli(*options).error()
    assert cli(*options, "--dim", "w=3", "--json").json()["score"]["numerator"] == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-m", "top5"), "top1, mAP, auc, psnr, agreement"),
        (("-m", "top1", "--on", "paper"), "compiled, interpreter, onnxruntime"),
        (("-m", "top1", "--on", "interpreter", "--target", "portable"), "--on"),
        (("-m", "top1", "--level", "95"), "between 0 and 1"),
        (("-m", "top1", "--first", "0"), "--first"),
        (("-m", "top1", "--dim", "batch"), "NAME=N"),
    ],
)
def test_usage_errors(cli: Cli, mlp: Path, images: Path, options: tuple[str, ...], said: str) -> None:
    done = cli("score", mlp, "--data", images, *options)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())


def test_a_bundle_runs_compiled(cli: Cli, bundle: Path, images: Path) -> None:
    done = cli("score", bundle, "-d", images, "-m", "top1", "--on", "interpreter")
    assert (done.code, "is a bundle" in done.err) == (2, True)
