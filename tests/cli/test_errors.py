"""What goes wrong is told in one paragraph, exit code 1: the thing, what was found, what was expected, the way on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.dialects.sound_operators import OPERATORS

Cli = Callable[..., Any]


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that may be spoilt."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


def edit_manifest(bundle: Path, **fields: object) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, **fields}))


# Models


def test_a_model_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    assert "absent.onnx" in cli("compile", tmp_path / "absent.onnx").error()


@pytest.mark.parametrize("command", ["compile", "explain", "opt", "verify"])
def test_a_file_that_is_no_model(cli: Cli, tmp_path: Path, command: str) -> None:
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(np.random.default_rng(1).bytes(5000))
    assert "garbage.onnx" in cli(command, garbage).error()


@pytest.mark.parametrize("kept", [0, 1, 100, 5000, 15000])
def test_a_truncated_model(cli: Cli, mlp: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.onnx").write_bytes(mlp.read_bytes()[:kept])
    assert cli("compile", tmp_path / "cut.onnx", "--no-build").error().startswith("ModelError: ")


@pytest.mark.parametrize("command", ["compile", "explain", "verify"])
@pytest.mark.parametrize(
    ("label", "operand", "value", "expected"),
    [
        ("QuantizeLinear", "scale", np.float32(0), "QuantizeLinear 'the node' has 0.0 as a scale"),
        ("DequantizeLinear, blocks", "scale", np.ones((3, 3), np.float32), "[2, 3] is needed"),
        ("QLinearConv", "w_scale", np.float32(np.nan), "QLinearConv 'the node' has nan as a scale of w"),
        ("QGemm", "y_scale", np.float32(-1), "QGemm 'the node' has -1.0 as a scale of result"),
        ("MatMulInteger", "w_zero", np.int8(3), "MatMulInteger 'the node' has a zero point of b of type int8"),
        ("MatMulNBits", "scale", np.ones(5, np.float32), "'the node' has scales float32[5] for 3 columns"),
        ("Quant", "bits", np.float32(40), "Quant 'the node' has the bit width 40; a whole number from 1 to 16"),
        ("BipolarQuant", "scale", np.float32(np.inf), "BipolarQuant 'the node' has inf as a scale"),
    ],
)
def test_a_malformed_quantization(
    cli: Cli, tmp_path: Path, command: str, label: str, operand: str, value: Any, expected: str
) -> None:
    onnx.save(OPERATORS[label].with_operand(operand, np.asarray(value)).model(), tmp_path / "malformed.onnx")
    assert expected in cli(command, tmp_path / "malformed.onnx").error()


def test_an_operator_that_nobody_knows(cli: Cli, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph(
        [
            helper.make_node("Telepathy", ["x"], ["a"], name="guess", domain="com.example"),
            helper.make_node("Clairvoyance", ["a"], ["y"], name="see", domain="com.example"),
        ],
        "strange",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports), tmp_path / "strange.onnx")
    error = cli("compile", tmp_path / "strange.onnx").error()
    assert error.startswith("UnsupportedError: ")
    assert all(word in error for word in ("Telepathy", "guess", "Clairvoyance", "see")), "all refusals come at once"


def test_an_unbound_dimension_is_named_with_the_option_that_binds_it(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    model = onnx.load(mlp)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "open.onnx")
    error = cli("compile", tmp_path / "open.onnx", "--no-build", "-o", tmp_path / "bundle").error()
    assert "--dim batch=" in error
    done = cli("compile", tmp_path / "open.onnx", "--no-build", "-o", tmp_path / "bundle", "--dim", "batch=1")
    assert done.code == 0, done.err


def test_a_graph_text_that_does_not_parse(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.sb").write_text("graph { what is this\n")
    assert "bad.sb" in cli("opt", tmp_path / "bad.sb", "--print").error()


# Targets and compilers


def test_a_wrong_target_is_answered_with_the_nearest(cli: Cli, mlp: Path) -> None:
    assert "'portable'" in cli("compile", mlp, "--target", "portabel").error()
    assert "'x86-64-v3'" in cli("compile", mlp, "--target", "x86_64-v3").error()


def test_a_wrong_feature_is_answered_with_those_there_are(cli: Cli, mlp: Path) -> None:
    error = cli("compile", mlp, "--target", "x86-64-v3+avxvni").error()
    assert "'avxvni'" in error
    assert "avxvnni" in error


def test_a_compiler_that_is_not_there(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    error = cli("compile", mlp, "-o", tmp_path / "bundle", "--compiler", "no-such-cc").error()
    assert "no-such-cc" in error
    assert not (tmp_path / "bundle").exists()


def test_a_compiler_that_fails(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    command = tmp_path / "broken-cc"
    command.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "gcc (broken) 1" && exit 0\necho "it hurts" >&2; exit 3\n'
    )
    command.chmod(0o755)
    error = cli("compile", mlp, "-o", tmp_path / "bundle", "--compiler", command).error()
    assert "it hurts" in error
    assert not (tmp_path / "bundle").exists()


def test_integer_only_refuses_a_float_model(cli: Cli, digits: Path, tmp_path: Path) -> None:
    error = cli(
        "compile", digits / "digits_mlp.onnx", "--integer-only", "--no-build", "-o", tmp_path / "bundle"
    ).error()
    assert error.startswith("UnsupportedError: ")
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_that_cannot_be_written(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in cli("compile", mlp, "--no-build", "-o", tmp_path / "file" / "bundle").error()


# Samples


def run_error(cli: Cli, bundle: Path, folder: Path, **arrays: Any) -> str:
    np.savez(folder / "in.npz", **arrays)
    error: str = cli("run", bundle, "-i", folder / "in.npz", "-o", folder / "out.npz").error()
    assert not (folder / "out.npz").exists()
    return error


def test_samples_without_the_input(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    error = run_error(cli, bundle, tmp_path, picture=np.zeros((1, 1, 8, 8), np.float32))
    assert "'input'" in error
    assert "'picture'" in error


def test_samples_of_another_shape(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    error = run_error(cli, bundle, tmp_path, input=np.zeros((5, 1, 1, 8, 9), np.float32))
    assert "[5, 1, 1, 8, 9]" in error
    assert "[1, 1, 8, 8]" in error


def test_samples_of_another_dtype(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    error = run_error(cli, bundle, tmp_path, input=np.zeros((1, 1, 8, 8)))
    assert "float64" in error
    assert "float32" in error


def test_no_samples(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    assert "no sample" in run_error(cli, bundle, tmp_path, input=np.zeros((0, 1, 1, 8, 8), np.float32))


def test_samples_that_hold_python_objects(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    assert "in.npz" in run_error(cli, bundle, tmp_path, input=np.array([{"import": "os"}], object))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"hello"])
def test_samples_that_are_no_npz(cli: Cli, bundle: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.npz").write_bytes(content)
    assert "in.npz" in cli("run", bundle, "-i", tmp_path / "in.npz", "-o", tmp_path / "out.npz").error()


def test_samples_that_are_not_there(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    assert "none.npz" in cli("run", bundle, "-i", tmp_path / "none.npz", "-o", tmp_path / "out.npz").error()


def test_outputs_that_cannot_be_written(cli: Cli, bundle: Path, images: Path, tmp_path: Path) -> None:
    assert "out.npz" in cli("run", bundle, "-i", images, "-o", tmp_path / "no" / "such" / "out.npz").error()


# Bundles


def bundle_error(cli: Cli, bundle: Path, images: Path) -> str:
    error: str = cli("run", bundle, "-i", images, "-o", bundle.parent / "out.npz").error()
    return error


def test_a_folder_that_is_no_bundle(cli: Cli, images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "not a bundle" in bundle_error(cli, tmp_path / "empty", images)


@pytest.mark.parametrize("name", ["libmodel.so", "model.c", "kernels/subbyte_numerics.h"])
def test_an_edited_file(cli: Cli, copied: Path, images: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copied / name).write_bytes(data)
    assert "was changed" in bundle_error(cli, copied, images)


def test_an_edited_manifest(cli: Cli, copied: Path, images: Path) -> None:
    edit_manifest(copied, digest="0" * 64)
    assert str(copied) in bundle_error(cli, copied, images)


def test_a_manifest_that_is_no_json(cli: Cli, copied: Path, images: Path) -> None:
    (copied / "manifest.json").write_text("{")
    assert "not JSON" in bundle_error(cli, copied, images)


def test_an_out_of_date_abi(cli: Cli, copied: Path, images: Path) -> None:
    edit_manifest(copied, abi_version=0)
    error = bundle_error(cli, copied, images)
    assert "version 0" in error
    assert "Compile the model again" in error


def test_a_processor_that_lacks_a_feature(cli: Cli, copied: Path, images: Path) -> None:
    edit_manifest(copied, features=["tensor-cores-of-the-future"])
    assert "tensor-cores-of-the-future" in bundle_error(cli, copied, images)


def test_a_bundle_that_was_not_built(cli: Cli, copied: Path, images: Path) -> None:
    (copied / "libmodel.so").unlink()
    error = bundle_error(cli, copied, images)
    assert "not built" in error
    assert "cmake" in error


def test_a_library_of_another_model(cli: Cli, copied: Path, images: Path, digits: Path, tmp_path: Path) -> None:
    done = cli("compile", digits / "digits_resnet_int8.onnx", "-o", tmp_path / "other")
    assert done.code == 0, done.err
    shutil.copy(tmp_path / "other" / "libmodel.so", copied / "libmodel.so")
    manifest = json.loads((copied / "manifest.json").read_text())
    other = json.loads((tmp_path / "other" / "manifest.json").read_text())
    manifest["files"]["libmodel.so"] = other["files"]["libmodel.so"]
    (copied / "manifest.json").write_text(json.dumps(manifest))
    assert str(copied) in bundle_error(cli, copied, images)
