"""`subbyte verify`: compiled code beside the interpreter, onnxruntime, recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import subbyte

Cli = Callable[..., Any]
COMPARED = {"count", "different", "max_steps", "max_abs", "top1_agreement"}


@pytest.fixture
def few_images(images: Path, tmp_path: Path) -> Path:
    with np.load(images) as archive:
        np.savez(tmp_path / "few.npz", input=archive["input"][:8])
    return tmp_path / "few.npz"


def recorded(mlp: Path, few_images: Path, path: Path, offset: float = 0.0) -> Path:
    """What the interpreter answers, moved by `offset`, as an .npz file."""
    with np.load(few_images) as archive:
        answers = [subbyte.evaluate(mlp, {"input": image})["logits"] for image in archive["input"]]
    np.savez(path, logits=np.stack(answers) + np.float32(offset))
    return path


def test_the_interpreter_is_equalled(cli: Cli, mlp: Path, few_images: Path) -> None:
    report = cli("verify", mlp, "--inputs", few_images, "--json").json()
    assert set(report) == {"target", "ok", "outputs"}
    assert report["ok"] is True
    logits = report["outputs"]["logits"]
    assert set(logits) == COMPARED
    assert (logits["count"], logits["different"], logits["max_steps"], logits["top1_agreement"]) == (80, 0, 0, 1)


def test_random_samples_stand_in_for_inputs(cli: Cli, mlp: Path) -> None:
    report = cli("verify", mlp, "--target", "portable", "--samples", 5, "--json").json()
    assert (report["target"], report["ok"], report["outputs"]["logits"]["count"]) == ("portable", True, 50)


def test_onnxruntime_is_close_end_to_end(cli: Cli, mlp: Path, few_images: Path) -> None:
    report = cli("verify", mlp, "--inputs", few_images, "--against", "onnxruntime", "--json").json()
    assert report["ok"] is True
    assert report["outputs"]["logits"]["max_steps"] <= 2


def test_each_node_is_within_a_step_of_onnxruntime(cli: Cli, mlp: Path, few_images: Path) -> None:
    report = cli("verify", mlp, "--inputs", few_images, "--per-node", "--json").json()
    assert report["ok"] is True
    assert set(report) == {"target", "ok", "nodes"}
    assert "/hidden1/relu_output_QuantizeLinear_Output" in report["nodes"]
    assert all(node["max_steps"] <= 1 for node in report["nodes"].values())


def test_nothing_to_compare_per_node_is_an_error(cli: Cli, tmp_path: Path) -> None:
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", info[:1], info[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "identity.onnx")
    result = cli("verify", tmp_path / "identity.onnx", "--per-node")
    assert result.code == 1
    assert "none can be compared by itself" in result.err


def test_recorded_answers_are_met(cli: Cli, mlp: Path, few_images: Path, tmp_path: Path) -> None:
    out = recorded(mlp, few_images, tmp_path / "out.npz")
    report = cli("verify", mlp, "--inputs", few_images, "--against", out, "--max-steps", 0, "--json").json()
    assert report["outputs"]["logits"]["different"] == 0


def test_a_difference_beyond_max_steps_fails(cli: Cli, mlp: Path, few_images: Path, tmp_path: Path) -> None:
    """The step of the logits is 0.0532: they are moved by two of it."""
    out = recorded(mlp, few_images, tmp_path / "out.npz", offset=2 * 0.05324024)
    close = cli("verify", mlp, "--inputs", few_images, "--against", out, "--max-steps", 2, "--json")
    assert (close.code, close.json()["outputs"]["logits"]["max_steps"]) == (0, 2)
    far = cli("verify", mlp, "--inputs", few_images, "--against", out, "--max-steps", 1)
    assert far.code == 1
    assert "DIFFERS" in far.out


def test_a_reference_without_the_output_is_refused(cli: Cli, mlp: Path, few_images: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", scores=np.zeros((8, 1, 10), np.float32))
    error = cli("verify", mlp, "--inputs", few_images, "--against", tmp_path / "other.npz").error()
    assert "'logits'" in error
    assert "'scores'" in error


def test_a_reference_of_another_shape_is_refused(cli: Cli, mlp: Path, few_images: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "short.npz", logits=np.zeros((7, 1, 10), np.float32))
    error = cli("verify", mlp, "--inputs", few_images, "--against", tmp_path / "short.npz").error()
    assert "[7, 1, 10]" in error
    assert "[8, 1, 10]" in error
