"""`--integer-only` on the command line: a model that it makes integer, and one that it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.conftest import Cli

WIDTH = 12


@pytest.fixture
def block(tmp_path: Path) -> Path:
    """int16 in QDQ: y = Softmax(Gelu(LayerNormalization(x))), each quantized."""
    random = np.random.default_rng(0)
    constants = {
        "gain": random.uniform(0.5, 1.5, WIDTH).astype(np.float32),
        "shift": random.normal(0, 0.3, WIDTH).astype(np.float32),
        "zero": np.int16(0),
        **{
            f"{name}_step": np.float32(2.0**-exponent) for name, exponent in (("x", 9), ("n", 12), ("g", 13), ("s", 15))
        },
    }
    nodes, read = [], "x"
    for name, op, more, attributes in (
        ("x", None, (), {}),
        ("n", "LayerNormalization", ("gain", "shift"), {"axis": -1}),
        ("g", "Gelu", (), {}),
        ("s", "Softmax", (), {"axis": -1}),
    ):
        if op is not None:
            nodes.append(helper.make_node(op, [read, *more], [name], f"/{op}", **attributes))
        codes, real = f"{name}_codes", f"{name}_real"
        nodes.append(helper.make_node("QuantizeLinear", [name, f"{name}_step", "zero"], [codes]))
        nodes.append(helper.make_node("DequantizeLinear", [codes, f"{name}_step", "zero"], [real]))
        read = real
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (3, WIDTH))],
        [helper.make_tensor_value_info(read, TensorProto.FLOAT, (3, WIDTH))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    path = tmp_path / "block.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def test_explain_prints_the_distance_of_each_layer(cli: Cli, block: Path) -> None:
    content = cli("explain", block, "--integer-only", "--target", "portable", "--json").json()
    assert content["float_islands"] == []
    proofs = {layer["op"]: layer["proof"] for layer in content["layers"]}
    assert proofs["QLayerNormalization"].startswith("integer LayerNormalization, at most 1 step from the real one")
    assert proofs["QWideSoftmax"].startswith("integer Softmax, at most 1 step from the real one")
    assert proofs["QPiecewise"].endswith("differ")
    islands = cli("explain", block, "--json").json()["float_islands"]
    assert [island["op"] for island in islands] == ["LayerNormalization", "Unary", "Softmax"]
    assert all("--integer-only" in island["remedy"] for island in islands)


def test_a_bundle_of_integers_runs_and_says_so(cli: Cli, block: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert cli("compile", block, "--integer-only", "--target", "portable", "-o", bundle).code == 0
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["options"]["integer_only"] is True
    proofs = [step["proof"] for step in manifest["steps"] if step.get("proof")]
    assert sum("at most" in proof for proof in proofs) == 3
    x = np.random.default_rng(1).normal(0, 8, (3, WIDTH)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=x)
    assert cli("run", bundle, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz").code == 0
    with np.load(tmp_path / "out.npz") as out:
        (chances,) = out.values()
    assert np.abs(chances.sum(axis=-1) - 1).max() < 1e-3


def test_verify_compares_the_model_of_integers(cli: Cli, block: Path) -> None:
    found = cli("verify", block, "--integer-only", "--target", "portable", "--json").json()
    assert found["ok"] is True
    assert all(output["different"] == 0 for output in found["outputs"].values())


def test_what_stays_float_is_named_with_its_remedy(cli: Cli, digits: Path, tmp_path: Path) -> None:
    for command in (("compile", "--no-build", "-o", tmp_path / "bundle"), ("explain",), ("verify",)):
        error = cli(command[0], digits / "digits_mlp.onnx", "--integer-only", *command[1:]).error()
        assert "shall be integers only" in error
        assert "DequantizeLinear behind that operation)" in error
