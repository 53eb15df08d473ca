"""`activation_bits=8`: products of float activations and quantized weights sum integers, because the user asks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, helper

import subbyte
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.explain import explain
from subbyte.compiler.pipeline import Options, quantized
from tests.dynamic.conftest import as_bits, build_model, generator

DEPTH, COLUMNS, BLOCK = 70, 9, 16
A = generator(50).normal(size=(3, DEPTH)).astype(np.float32)
CODES = generator(51).integers(-8, 8, (DEPTH, COLUMNS)).astype(np.int8)


def weight_only(kind: str) -> ModelProto:
    """x [3, 70] times dequantized codes: a scale for the tensor, for each column or for each block; or as a Gemm."""
    shape = {"tensor": (), "column": (COLUMNS,), "block": (-(-DEPTH // BLOCK), COLUMNS), "gemm": (COLUMNS,)}[kind]
    constants: dict[str, Any] = {
        "w": CODES.T.copy() if kind == "gemm" else CODES,
        "scale": generator(52).uniform(0.01, 0.2, shape).astype(np.float32),
        "bias": generator(53).normal(size=COLUMNS).astype(np.float32),
    }
    attributes = {"tensor": {}, "column": {"axis": 1}, "block": {"axis": 0, "block_size": BLOCK}, "gemm": {"axis": 0}}
    product = (
        helper.make_node("Gemm", ["x", "real", "bias"], ["y"], "product", transB=1, alpha=0.5, beta=2.0)
        if kind == "gemm"
        else helper.make_node("MatMul", ["x", "real"], ["y"], "product")
    )
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale"], ["real"], "weights", **attributes[kind]), product]
    return build_model(nodes, {"x": A}, constants, ["y"])


@pytest.mark.parametrize("kind", ["tensor", "column", "block", "gemm"])
def test_every_multiply_accumulate_becomes_integer_and_stays_near(kind: str) -> None:
    model = weight_only(kind)
    before, after = (explain(quantized(model, Options(activation_bits=bits))).as_dict() for bits in (None, 8))
    assert (before["integer_macs"], after["integer_macs"]) == (0, 3 * DEPTH * COLUMNS)
    assert not after["float_islands"] or all(island["macs"] == 0 for island in after["float_islands"])
    real = subbyte.evaluate(model, {"x": A})["y"]
    found = subbyte.evaluate(model, {"x": A}, activation_bits=8)["y"]
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    scale = np.frombuffer(constants["scale"].raw_data, np.float32).reshape(constants["scale"].dims)
    rows = np.repeat(scale, BLOCK, axis=0)[:DEPTH] if kind == "block" else np.broadcast_to(scale, (DEPTH, COLUMNS))
    block = BLOCK if kind == "block" else DEPTH
    starts = np.arange(0, DEPTH, block)
    steps = np.repeat(np.maximum.reduceat(np.abs(A), starts, axis=1) / 127, block, axis=1)[:, :DEPTH]
    bound = steps / 2 @ np.abs(CODES * rows) * (0.5 if kind == "gemm" else 1)
    assert (np.abs(found - real) <= bound * (1 + 1e-5) + 1e-5).all()
    assert (found != real).any()


@pytest.mark.parametrize("kind", ["tensor", "column", "block", "gemm"])
def test_compiled_code_equals_the_interpreter(kind: str) -> None:
    model = weight_only(kind)
    found = subbyte.compile(model, target="portable", activation_bits=8).run({"x": A})["y"]
    expected = subbyte.evaluate(model, {"x": A}, activation_bits=8)["y"]
    np.testing.assert_array_equal(as_bits(found), as_bits(expected))


def test_explain_says_that_it_can_be_asked_for() -> None:
    (island,) = explain(quantized(weight_only("block"))).as_dict()["float_islands"]
    assert "compile with --activation-bits 8" in island["remedy"]


def test_no_other_width_is_taken() -> None:
    with pytest.raises(UnsupportedError, match="activation_bits is 4; 8 is the width"):
        Options(activation_bits=4)
