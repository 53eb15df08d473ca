"""Chains of products with weights in blocks keep the magnitude of what goes through them, and compute what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from typer import Typer
from typer.testing import CliRunner

import subbyte
from benchmarks.gemv import main, matrix_chain


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_chain_is_what_onnxruntime_computes(bits: int, zero_points: bool) -> None:
    built = matrix_chain(bits, layers=2, size=256, block=64, rows=3, zero_points=zero_points)
    session = onnxruntime.InferenceSession(built.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, built.inputs)
    found = subbyte.evaluate(built.model, built.inputs)["y"]
    assert 0.3 < expected.std() < 30
    np.testing.assert_allclose(found, expected, atol=0.05 * expected.std())  # a code that is a tie moves what follows


def test_every_layer_has_weights_of_its_own() -> None:
    weights = matrix_chain(2, layers=3, size=64, block=16).model.graph.initializer
    assert len({tensor.raw_data for tensor in weights if tensor.name.startswith("b")}) == 3


def test_the_command_writes_a_model_and_its_input(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    options = ["--bits", "4", "--layers", "2", "--size", "64", "--block", "32"]
    done = CliRunner().invoke(app, [str(tmp_path / "chain.onnx"), *options])
    assert done.exit_code == 0, done.output
    assert len(onnx.load(tmp_path / "chain.onnx").graph.node) == 2
    assert np.load(tmp_path / "chain.npz")["x"].shape == (1, 1, 64)
    refused = CliRunner().invoke(app, [str(tmp_path / "other.onnx"), "--size", "100", "--block", "64"])
    assert refused.exit_code == 2
    assert not (tmp_path / "other.onnx").exists()
