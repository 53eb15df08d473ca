"""DequantizeLinear with block_size in front of matrix products: of floats (N11), of codes (N10)."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

import subbyte
from subbyte.compiler.dtype import FLOAT32, INT8, UINT8, DType
from subbyte.compiler.errors import GraphError, ModelError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops_blocks import QBlockGemm, WeightOnlyMatMul
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.dynamic import block_products, dynamic_range
from subbyte.compiler.numerics.float32 import tree_matmul
from subbyte.compiler.pipeline import lowered
from subbyte.compiler.target import find_target
from tests.dynamic.conftest import as_bits, build_model, generator, meaning_of, onnxruntime_values, values_of

Array = NDArray[Any]
DEPTH, COLUMNS = 40, 6
SPELLINGS = ("MatMul", "Transpose", "Gemm", "Gemm transposed")


class Weights:
    """int4 weights [DEPTH, COLUMNS] in blocks of 16 (the last of 8), and a matrix product of some spelling."""

    def __init__(self, block: int = 16) -> None:
        random, blocks = generator(20), -(-DEPTH // block)
        self.block = block
        self.codes = random.integers(-8, 8, (DEPTH, COLUMNS))
        self.scales = random.uniform(0.01, 0.1, (blocks, COLUMNS)).astype(np.float32)
        self.zeros = random.integers(-8, 8, (blocks, COLUMNS))
        self.bias = random.normal(size=COLUMNS).astype(np.float32)

    def nodes(self, spelling: str) -> tuple[list[Any], dict[str, Any]]:
        """The nodes from `x` to `y`, and their constants."""
        turned = spelling in ("Transpose", "Gemm transposed")
        parts = (self.codes, self.scales, self.zeros)
        codes, scales, zeros = (part.T if turned else part for part in parts)
        constants: dict[str, Any] = {
            "w": np.ascontiguousarray(codes).astype(ml_dtypes.int4),
            "s": np.ascontiguousarray(scales),
            "z": np.ascontiguousarray(zeros).astype(ml_dtypes.int4),
        }
        axis = 1 if turned else 0
        dequantize = helper.make_node(
            "DequantizeLinear", ["w", "s", "z"], ["weights"], "weights", axis=axis, block_size=self.block
        )
        if spelling == "MatMul":
            return [dequantize, helper.make_node("MatMul", ["x", "weights"], ["y"])], constants
        if spelling == "Transpose":
            turn = helper.make_node("Transpose", ["weights"], ["turned"], perm=[1, 0])
            return [dequantize, turn, helper.make_node("MatMul", ["x", "turned"], ["y"])], constants
        constants["c"] = self.bias
        gemm = helper.make_node("Gemm", ["x", "weights", "c"], ["y"], alpha=0.5, beta=3.0, transB=int(turned))
        return [dequantize, gemm], constants

    def finished(self, product: Array, spelling: str) -> Array:
        """What alpha, beta and c make of the product."""
        if "Gemm" not in spelling:
            return product
        return product * np.float32(0.5) + self.bias * np.float32(3)

    def centred(self) -> Array:
        return self.codes - np.repeat(self.zeros, self.block, axis=0)[:DEPTH]

    def reals(self) -> Array:
        return self.centred().astype(np.float32) * np.repeat(self.scales, self.block, axis=0)[:DEPTH]


def operations(model: Any, kind: type) -> int:
    """How many kernel calls of the lowered model compute an operation of this kind."""
    graph = lowered(model, find_target("portable"))
    return sum(isinstance(node, KernelCall) and isinstance(node.op, kind) for node in graph.nodes())


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_floats_times_blocks_keep_the_weights_packed(spelling: str) -> None:
    weights, x = Weights(), generator(21).normal(size=(3, DEPTH)).astype(np.float32)
    nodes, constants = weights.nodes(spelling)
    model = build_model(nodes, {"x": x}, constants, ["y"])
    expected = weights.finished(tree_matmul(x, weights.reals()), spelling)
    assert np.array_equal(as_bits(values_of(model, {"x": x})["y"]), as_bits(expected))
    assert operations(model, WeightOnlyMatMul) == 1


def quantized_model(weights: Weights, spelling: str, x: Array) -> Any:
    """uint8 QDQ activations times weights in blocks, quantized again."""
    nodes, constants = weights.nodes(spelling)
    for name, scale in (("x", 0.02), ("y", 0.11)):
        constants |= {f"{name}_scale": np.float32(scale), f"{name}_zero": np.uint8(117)}
    front = [
        helper.make_node("QuantizeLinear", ["data", "x_scale", "x_zero"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "x_scale", "x_zero"], ["x"]),
    ]
    back = [
        helper.make_node("QuantizeLinear", ["y", "y_scale", "y_zero"], ["y_codes"]),
        helper.make_node("DequantizeLinear", ["y_codes", "y_scale", "y_zero"], ["result"]),
    ]
    return build_model([*front, *nodes, *back], {"data": x}, constants, ["result"])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_codes_times_blocks_are_integer_sums_of_blocks(spelling: str) -> None:
    weights, x = Weights(), generator(22).normal(size=(3, DEPTH)).astype(np.float32)
    model = quantized_model(weights, spelling, x)
    codes = np.clip(np.rint(x / np.float32(0.02)) + 117, 0, 255).astype(np.int64)
    products = block_products(codes - 117, np.float32(0.02), weights.centred(), weights.scales, weights.block)
    steps = np.rint(weights.finished(products, spelling) / np.float32(0.11)) + 117
    expected = (np.clip(steps, 0, 255) - 117).astype(np.float32) * np.float32(0.11)
    assert np.array_equal(values_of(model, {"data": x})["result"], expected)
    graph = meaning_of(model)
    assert sum(isinstance(node, QBlockGemm) for node in graph.operations()) == 1
    account = explain(graph).as_dict()
    assert account["integer_macs"] == account["macs"] == 3 * DEPTH * COLUMNS
    printed = print_graph(graph)
    assert print_graph(parse_graph(printed)) == printed


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_target_computes_the_same(spelling: str) -> None:
    weights, x = Weights(), generator(23).normal(size=(3, DEPTH)).astype(np.float32)
    model = quantized_model(weights, spelling, x)
    (expected,) = evaluate(meaning_of(model), {"data": x}).values()
    found = subbyte.compile(model, target="native").run({"data": x})["result"]
    assert np.array_equal(as_bits(found), as_bits(expected))


@pytest.mark.parametrize("spelling", ["MatMul", "Gemm transposed"])
def test_codes_with_a_scale_at_run_time_are_integer_sums_of_blocks(spelling: str) -> None:
    weights, x = Weights(), generator(28).normal(size=(3, DEPTH)).astype(np.float32)
    nodes, constants = weights.nodes(spelling)
    front = [
        helper.make_node("DynamicQuantizeLinear", ["data"], ["codes", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["x"]),
    ]
    model = build_model([*front, *nodes], {"data": x}, constants, ["y"])
    scale, zero = dynamic_range(x)
    codes = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64)
    products = block_products(codes - zero, scale, weights.centred(), weights.scales, weights.block)
    expected = weights.finished(products, spelling)
    assert np.array_equal(as_bits(values_of(model, {"data": x})["y"]), as_bits(expected))
    for target in ("portable", "native"):
        found = subbyte.compile(model, target=target).run({"data": x})["y"]
        assert np.array_equal(as_bits(found), as_bits(expected)), target
    np.testing.assert_allclose(expected, onnxruntime_values(model, {"data": x})["y"], atol=1e-5)


def test_blocks_along_the_columns_are_dequantized_while_compiling() -> None:
    x, w = generator(24).normal(size=(3, DEPTH)).astype(np.float32), Weights()
    scales = generator(25).uniform(0.01, 0.1, (DEPTH, 3)).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["weights"], axis=1, block_size=2),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    model = build_model(nodes, {"x": x}, {"w": w.codes.astype(np.int8), "s": scales}, ["y"])
    expected = tree_matmul(x, w.codes.astype(np.float32) * np.repeat(scales, 2, axis=1))
    assert np.array_equal(as_bits(values_of(model, {"x": x})["y"]), as_bits(expected))
    assert operations(model, WeightOnlyMatMul) == 0


def test_weights_with_a_scale_for_each_column_are_kept_packed_too() -> None:
    x, w = generator(26).normal(size=(3, DEPTH)).astype(np.float32), Weights()
    scales = generator(27).uniform(0.01, 0.1, COLUMNS).astype(np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["weights"], axis=1),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    model = build_model(nodes, {"x": x}, {"w": w.codes.astype(np.int8), "s": scales}, ["y"])
    expected = tree_matmul(x, w.codes.astype(np.float32) * scales)
    assert np.array_equal(as_bits(values_of(model, {"x": x})["y"]), as_bits(expected))
    assert operations(model, WeightOnlyMatMul) == 1


BROKEN = {
    "blocks that do not fit": ({"block_size": 20}, {}, r"has a scale of shape \[3, 6\] .* \[2, 6\] is needed"),
    "negative blocks": ({"block_size": -4}, {}, "has block_size -4; 1 or more is needed"),
    "another axis": ({"axis": 1}, {}, r"has a scale of shape \[3, 6\] .* along axis 1; \[40, 1\] is needed"),
    "no such axis": ({"axis": 2}, {}, "has axis 2"),
    "zero points": ({}, {"z": np.zeros((2, 6), ml_dtypes.int4)}, r"has a zero point of shape \[2, 6\]"),
    "type": ({}, {"z": np.zeros((3, 6), np.int8)}, "has a zero point of type int8 for codes of type int4"),
    "scale": ({}, {"s": np.full((3, 6), np.nan, np.float32)}, "has nan as a scale"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_contradicts_itself_is_refused_by_name(name: str) -> None:
    attributes, changes, message = BROKEN[name]
    nodes, constants = Weights().nodes("MatMul")
    settings = {"axis": 0, "block_size": 16, **attributes}
    nodes[0] = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["weights"], "weights", **settings)
    model = build_model(nodes, {"x": np.zeros((3, DEPTH), np.float32)}, constants | changes, ["y"])
    with pytest.raises(ModelError, match=f"DequantizeLinear 'weights' {message}"):
        meaning_of(model)


PLAIN = TensorType(UINT8, (3, DEPTH))
WRONG_OPERANDS = {
    "a with a scale": (
        {"a": TensorType(UINT8, (3, DEPTH), QuantParams(np.float32(1), np.int64(0), 0, 255))},
        "plain codes",
    ),
    "no scale": ({"a_scale": None}, "plain codes of 8 bits and a_scale"),
    "scales of other blocks": ({"a_scale": TensorType(FLOAT32, (3, 2))}, r"a_scale is float32\[3, 2\]"),
    "a zero point of another type": ({"a_zero": TensorType(INT8, ())}, r"a_zero is int8\[\]"),
    "many zero points": ({"a_zero": TensorType(UINT8, (3,))}, r"a_zero is uint8\[3\]"),
}


@pytest.mark.parametrize("name", WRONG_OPERANDS)
def test_products_at_run_time_refuse_operands_by_name(name: str) -> None:
    changes, message = WRONG_OPERANDS[name]
    weights = Weights()
    quant = QuantParams(weights.scales, weights.zeros, -8, 7, axis=0, block=weights.block)
    b = Constant(weights.codes.astype(np.int8), TensorType(DType("int", 4), weights.codes.shape, quant)).out
    types = {"a": PLAIN, "a_scale": TensorType(FLOAT32, ()), "a_zero": TensorType(UINT8, ()), **changes}
    a, scale, zero = (None if of_type is None else Input(key, of_type).out for key, of_type in types.items())
    with pytest.raises(GraphError, match=message):
        QBlockGemm(a, scale, b, zero)
