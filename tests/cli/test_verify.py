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


def halves() -> onnx.ModelProto:
    """QuantizeLinear(x / 2) of whole x, scale 1: every odd x is a tie."""
    constants = {"one": np.float32(1), "half": np.float32(0.5), "zero": np.int8(0)}
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["codes"]),
        onnx.helper.make_node("DequantizeLinear", ["codes", "one", "zero"], ["reals"]),
        onnx.helper.make_node("Mul", ["reals", "half"], ["halves"]),
        onnx.helper.make_node("QuantizeLinear", ["halves", "one", "zero"], ["rounded"]),
        onnx.helper.make_node("DequantizeLinear", ["rounded", "one", "zero"], ["y"]),
    ]
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    initializers = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = onnx.helper.make_graph(nodes, "halves", info[:1], info[1:], initializers)
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


def test_each_node_says_which_differences_are_ties(cli: Cli, tmp_path: Path) -> None:
    onnx.save(halves(), tmp_path / "halves.onnx")
    nodes = cli("verify", tmp_path / "halves.onnx", "--per-node", "--json").json()["nodes"]
    assert set(nodes["rounded"]) == COMPARED | {"at_ties", "tie_distance", "tie_bound"}
    assert (nodes["rounded"]["count"], nodes["rounded"]["different"], nodes["rounded"]["at_ties"]) == (64, 0, 0)
    printed = cli("verify", tmp_path / "halves.onnx", "--per-node").out
    assert "at ties" in printed
    assert "tie bound" in printed


def test_qonnx_is_compared_with_onnxruntime_too(cli: Cli, tmp_path: Path) -> None:
    """onnxruntime does not know Quant; it runs the operators that Quant stands for."""
    constants = {"scale": np.float32(0.25), "zero": np.float32(0), "bits": np.float32(4)}
    node = onnx.helper.make_node(
        "Quant", ["x", *constants], ["y"], domain="qonnx.custom_op.general", signed=1, narrow=1, rounding_mode="ROUND"
    )
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    initializers = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = onnx.helper.make_graph([node], "quant", info[:1], info[1:], initializers)
    opsets = [onnx.helper.make_opsetid("", 9), onnx.helper.make_opsetid("qonnx.custom_op.general", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "quant.onnx")
    np.savez(tmp_path / "in.npz", x=np.linspace(-2, 2, 33, dtype=np.float32)[:32].reshape(4, 1, 8))
    arguments = ("verify", tmp_path / "quant.onnx", "--inputs", tmp_path / "in.npz", "--json")
    whole = cli(*arguments, "--against", "onnxruntime", "--max-steps", 0).json()
    assert whole["outputs"]["y"]["different"] == 0
    assert cli(*arguments, "--per-node").json()["nodes"]["y"]["at_ties"] == 0


def test_codes_of_4_bits_are_compared_after_they_are_dequantized(cli: Cli, tmp_path: Path) -> None:
    """onnxruntime gives NumPy no codes of less than 8 bits."""
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"]),
        onnx.helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["y"]),
    ]
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(np.float32(0.25)), "scale"),
        onnx.helper.make_tensor("zero", onnx.TensorProto.INT4, [], [1]),
    ]
    graph = onnx.helper.make_graph(nodes, "short", info[:1], info[1:], initializers)
    opset = [onnx.helper.make_opsetid("", 21)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "short.onnx")
    compared = cli("verify", tmp_path / "short.onnx", "--per-node", "--json").json()["nodes"]
    assert list(compared) == ["y"]
    assert compared["y"]["different"] == 0


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
