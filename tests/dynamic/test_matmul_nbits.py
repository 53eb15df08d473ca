"""MatMulNBits: weights of 2, 4 and 8 bits in blocks, with float activations (N11) or codes made at run time (N10)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

import subbyte
from subbyte.compiler.errors import ModelError, SubbyteError, UnsupportedError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.qops_blocks import QBlockGemm
from subbyte.compiler.numerics.float32 import tree_matmul
from tests.dynamic.conftest import as_bits, build_model, generator, meaning_of, onnxruntime_values, values_of

Array = NDArray[Any]
ROWS, COLUMNS = 3, 5


def packed(codes: Array, bits: int) -> Array:
    """[rows, n] -> [rows, bytes], the first code of a byte in its lowest bits."""
    per_byte = 8 // bits
    padded = np.zeros((codes.shape[0], -(-codes.shape[1] // per_byte) * per_byte), np.uint8)
    padded[:, : codes.shape[1]] = codes
    grouped = padded.reshape(codes.shape[0], -1, per_byte)
    return np.bitwise_or.reduce(grouped << (np.arange(per_byte) * bits).astype(np.uint8), axis=-1)


class Weights:
    """Random weights [COLUMNS, depth] as the operator wants them, and their codes, zero points and scales by block."""

    def __init__(self, bits: int, depth: int, block: int, zero_points: bool) -> None:
        random = generator(bits * depth + block)
        self.bits, self.depth, self.block = bits, depth, block
        blocks = -(-depth // block)
        self.codes = random.integers(0, 1 << bits, (COLUMNS, blocks * block), dtype=np.uint8)
        self.scales = random.uniform(0.01, 0.1, (COLUMNS, blocks)).astype(np.float32)
        self.zeros = np.full((COLUMNS, blocks), 1 << (bits - 1), np.uint8)
        self.constants: dict[str, Any] = {
            "b": packed(self.codes, bits).reshape(COLUMNS, blocks, -1),
            "scales": self.scales.reshape(-1),
        }
        if zero_points:
            self.zeros = random.integers(0, 1 << bits, (COLUMNS, blocks), dtype=np.uint8)
            self.constants["zeros"] = packed(self.zeros, bits).reshape(-1)

    def model(self, a: Array, *, bias: bool = False, **attributes: int) -> Any:
        zeros = "zeros" if "zeros" in self.constants else ""
        names = ["a", "b", "scales", zeros, "", "bias"] if bias else ["a", "b", "scales", zeros]
        if bias:
            self.constants["bias"] = generator(9).normal(size=COLUMNS).astype(np.float32)
        sizes = {"K": self.depth, "N": COLUMNS, "bits": self.bits, "block_size": self.block, **attributes}
        node = helper.make_node("MatMulNBits", names, ["y"], "product", domain="com.microsoft", **sizes)
        return build_model([node], {"a": a}, self.constants, ["y"])

    def centred(self) -> Array:
        """[depth, COLUMNS] codes less their zero points."""
        spread = np.repeat(self.zeros, self.block, axis=1)
        return (self.codes.astype(np.int64) - spread)[:, : self.depth].T

    def reals(self) -> Array:
        spread = np.repeat(self.scales, self.block, axis=1)[:, : self.depth].T
        return self.centred().astype(np.float32) * spread


def activations(depth: int, *leading: int) -> Array:
    return generator(depth).normal(size=(*leading, ROWS, depth)).astype(np.float32)


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize(("depth", "block"), [(32, 32), (64, 16), (100, 32)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_floats_times_dequantized_weights_in_the_tree_of_lanes(
    bits: int, depth: int, block: int, zero_points: bool
) -> None:
    weights, a = Weights(bits, depth, block, zero_points), activations(depth)
    found = values_of(weights.model(a), {"a": a})["y"]
    assert np.array_equal(as_bits(found), as_bits(tree_matmul(a, weights.reals())))


@pytest.mark.parametrize("zero_points", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
def test_onnxruntime_multiplies_by_the_same_weights(bits: int, zero_points: bool) -> None:
    weights, a = Weights(bits, 64, 32, zero_points), activations(64, 2)
    model = weights.model(a, bias=True, accuracy_level=1)
    np.testing.assert_allclose(values_of(model, {"a": a})["y"], onnxruntime_values(model, {"a": a})["y"], atol=2e-5)


def by_blocks(a: Array, weights: Weights) -> Array:
    """N10 in plain loops over codes that are quantized block by block."""
    y = np.zeros((ROWS, COLUMNS), np.float32)
    b = weights.centred()
    for row in range(ROWS):
        for block, first in enumerate(range(0, weights.depth, weights.block)):
            run = a[row, first : first + weights.block]
            scale = np.float32(np.abs(run).max() / np.float32(127)) or np.float32(1)
            codes = np.clip(np.rint(run / scale), -127, 127).astype(np.int64)
            for column in range(COLUMNS):
                total = np.float32(int(codes @ b[first : first + weights.block, column]))
                y[row, column] += total * np.float32(scale * weights.scales[column, block])
    return y


@pytest.mark.parametrize(("depth", "block"), [(32, 32), (64, 16), (100, 32)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_accuracy_level_4_sums_codes_block_by_block(bits: int, depth: int, block: int) -> None:
    weights, a = Weights(bits, depth, block, True), activations(depth)
    a[0, :block] = 0
    model = weights.model(a, accuracy_level=4)
    assert np.array_equal(values_of(model, {"a": a})["y"], by_blocks(a, weights))
    graph = meaning_of(model)
    assert [type(node) for node in graph.operations()][-1] is QBlockGemm
    account = explain(graph).as_dict()
    assert account["integer_macs"] == account["macs"] == ROWS * COLUMNS * depth


@pytest.mark.parametrize(("depth", "block", "zero_points"), [(100, 32, True), (512, 128, False)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_onnxruntime_sums_the_same_codes(bits: int, depth: int, block: int, zero_points: bool) -> None:
    """But for 2 bits in blocks of 16, where onnxruntime multiplies floats."""
    weights, a = Weights(bits, depth, block, zero_points), activations(depth)
    model = weights.model(a, accuracy_level=4)
    compiled = subbyte.compile(model, target="native").run({"a": a})["y"]
    (expected,) = evaluate(meaning_of(model), {"a": a}).values()
    assert np.array_equal(as_bits(compiled), as_bits(expected))
    np.testing.assert_allclose(compiled, onnxruntime_values(model, {"a": a})["y"], rtol=1e-5, atol=1e-5)


def test_float_activations_are_an_island_with_its_macs() -> None:
    a = activations(32)
    account = explain(meaning_of(Weights(4, 32, 32, False).model(a))).as_dict()
    assert (account["macs"], account["integer_macs"]) == (ROWS * COLUMNS * 32, 0)
    (island,) = account["float_islands"]
    assert "float input 'a'" in island["reason"]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_bundle_holds_weights_in_their_own_bits(bits: int, tmp_path: Path) -> None:
    depth = 4096
    weights, a = Weights(bits, depth, 128, False), activations(depth)
    subbyte.compile(weights.model(a), target="portable").save(tmp_path / "bundle")
    held = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["weights"]["bytes"]
    codes, scales = COLUMNS * depth * bits // 8, COLUMNS * (depth // 128) * 4
    assert codes + scales <= held <= codes + scales + 256


BROKEN: dict[str, tuple[dict[str, int], dict[str, Any], type[SubbyteError], str]] = {
    "bits": ({"bits": 3}, {}, UnsupportedError, "weights of 3 bits; 2, 4 and 8 are read"),
    "block": ({"block_size": 24}, {}, ModelError, "block_size 24; .* a power of two of at least 16"),
    "no columns": ({"N": 0}, {}, ModelError, "N 0"),
    "depth": ({"K": 65}, {}, ModelError, "its K, N, bits and block_size ask for [0-9]+ bytes"),
    "scales": ({}, {"scales": np.ones(7, np.float32)}, ModelError, "has scales .* with 10 entries is needed"),
    "scale": ({}, {"scales": np.full(10, np.nan, np.float32)}, ModelError, "has nan as a scale"),
    "infinite": ({}, {"scales": np.full(10, -np.inf, np.float32)}, ModelError, "has -inf as a scale"),
    "zero points": ({}, {"zeros": np.ones(3, np.uint8)}, ModelError, "has zero_points of type uint8.3."),
    "float zeros": ({}, {"zeros": np.ones(10, np.float32)}, UnsupportedError, "has zero_points of type float32"),
    "data": ({}, {"a": np.ones((3, 60), np.float32)}, ModelError, "multiplies float32.3, 60."),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_contradicts_itself_is_refused_by_name(name: str) -> None:
    attributes, changes, error, message = BROKEN[name]
    weights = Weights(4, 64, 32, True)
    a = changes.get("a", activations(64))
    weights.constants.update({key: value for key, value in changes.items() if key != "a"})
    with pytest.raises(error, match=rf"MatMulNBits 'product'.*{message}"):
        meaning_of(weights.model(a, **attributes))
