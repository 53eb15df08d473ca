"""Attention weights on a grid of logarithms: what they become, their two parts, and what the compiler makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from benchmarks.float_transformers import deit
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.exporter import export_model
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pass_manager import Pass
from subbyte.compiler.pipeline import lowered, quantized
from subbyte.compiler.target import find_target
from subbyte.passes.logarithms.codes import find_logarithm, on_grid, split_by_parity, write_logarithm
from subbyte.passes.quantization.islands import float_islands
from subbyte.passes.quantize_softmax import best_scale, quantize_softmax, quantize_softmax_by
from subbyte.passes.split_logarithms_by_parity import split_logarithms_by_parity
from tests.passes.builders import dequantize, floats, graph_of, only, operations, quantize, random_inputs, real_input

Array = NDArray[Any]
WEIGHTS = np.concatenate([[0.0, 1.0, 1e-30], np.random.default_rng(0).uniform(0, 1, 500) ** 4]).astype(np.float32)


def data_of(**inputs: Array) -> Data:
    return Data({name: array[np.newaxis] for name, array in inputs.items()}, executor="interpreter")


def real(name: str, *shape: int) -> Value:
    return Input(name, TensorType(FLOAT32, shape)).out


# The grid -------------------------------------------------------------------------------------------------------------


def test_the_grid_is_the_papers() -> None:
    """q = clamp(rne(-2 log2(a / s)), 0, 15), 2^-ceil(q / 2) * (sqrt(2) where q is odd) * s, and 0 beyond."""
    scale = 0.75
    with np.errstate(divide="ignore"):
        rounded = np.rint(-2 * np.log2(WEIGHTS.astype(np.float64) / scale))
    q = np.clip(rounded, 0, 15)
    expected = 2.0 ** -np.ceil(q / 2) * np.where(q % 2 == 1, np.sqrt(2), 1) * scale * (rounded < 16)
    np.testing.assert_allclose(on_grid(WEIGHTS, scale, 4), expected, rtol=1e-12)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_it_is_written_in_operations_that_both_executors_take(bits: int, scale: float) -> None:
    graph = graph_of(write_logarithm(real("a", WEIGHTS.size), scale, bits, ()))
    (found,) = evaluate(graph, {"a": WEIGHTS}).values()
    session = ort.InferenceSession(export_model(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    (other,) = session.run(None, {"a": WEIGHTS})
    for result in (found, other):
        np.testing.assert_allclose(result, on_grid(WEIGHTS, np.float32(scale), bits), rtol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_parts_are_powers_of_two_and_their_sum_is_the_value(bits: int) -> None:
    value = write_logarithm(real("a", WEIGHTS.size), 0.8, bits, ())
    found = find_logarithm(value)
    assert found is not None
    assert (found.bits, found.scale) == (bits, float(np.float32(0.8)))
    even, odd = split_by_parity(found, ())
    results = evaluate(graph_of(value, even.node.operands[0], odd.node.operands[0], even, odd), {"a": WEIGHTS})
    whole, even_codes, odd_codes, even_reals, odd_reals = results.values()
    np.testing.assert_allclose(even_reals + odd_reals, whole, rtol=1e-6)
    assert not ((even_codes > 0) & (odd_codes > 0)).any()
    powers = {0, *(1 << k for k in range(1 << (bits - 1)))}
    for codes in (even_codes, odd_codes):
        assert codes.dtype == np.uint8
        assert set(codes.tolist()) == powers


def test_other_products_are_no_logarithms() -> None:
    x = real("a", 4)
    value = write_logarithm(x, 1.0, 4, ())
    assert isinstance(value.node, ops.Mul)
    other = value.node.replace(b=ops.Add(ops.Mul(x, floats(0.5)).out, floats(1.0)).out)
    assert find_logarithm(other.out) is None
    assert find_logarithm(x) is None


@pytest.mark.parametrize("bits", [0, 5])
def test_powers_fit_8_bits(bits: int) -> None:
    with pytest.raises(NumericsError, match=f"logarithms of {bits} bits"):
        quantize_softmax_by(bits)


def test_the_scale_follows_the_weights() -> None:
    seen = np.full(1000, 0.3, np.float32)
    seen[:2] = 0.9
    assert best_scale(seen, 4) == float(np.float32(0.9))
    assert best_scale(np.full(100, 0.25, np.float32), 4) == 0.25
    assert best_scale(np.zeros(10, np.float32), 4) == 1.0


# The passes -----------------------------------------------------------------------------------------------------------

S, V = (np.random.default_rng(1).normal(0, 2, shape).astype(np.float32) for shape in ((1, 2, 9, 9), (1, 2, 9, 4)))


def attention(s: Value, v: Value) -> Value:
    return ops.MatMul(ops.Softmax(s, 3, sources=("softmax",)).out, v, sources=("mix",), tensor="mix").out


def distance(a: Array, b: Array) -> float:
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max())


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_two_shifted_products_are_the_product(bits: int, coded: bool) -> None:
    graph = graph_of(attention(real("s", *S.shape), real("v", *V.shape)))
    rounded = quantize_softmax_by(bits, coded=coded)(graph, None, data_of(s=S, v=V))
    split = split_logarithms_by_parity(rounded)
    before, after = (evaluate(g, {"s": S, "v": V})["y"] for g in (rounded, split))
    assert operations(split).count("MatMul") == 2
    assert distance(after, before) <= 1e-5


def test_a_whole_network_is_split_within_1e_5() -> None:
    made = deit(width=48, heads=2, blocks=2)
    rounded = quantize_softmax(made.graph, None, data_of(**made.calibration))
    split = split_logarithms_by_parity(rounded)
    assert operations(split).count("MatMul") == operations(made.graph).count("MatMul") + 2
    (before,), (after,) = (evaluate(graph, made.judging).values() for graph in (rounded, split))
    assert distance(after, before) <= 1e-5


@pytest.mark.parametrize("reader", ["an output", "a layer", "the second operand"])
def test_softmax_that_is_read_otherwise_stays(reader: str) -> None:
    s = real("s", *S.shape)
    shares = ops.Softmax(s, 3).out
    match reader:
        case "an output":
            made: tuple[Value, ...] = (ops.MatMul(shares, real("v", *V.shape)).out, shares)
        case "a layer":
            made = (ops.MatMul(shares, floats(np.ones((9, 3)))).out,)
        case _:
            made = (ops.MatMul(s, shares).out,)
    graph = graph_of(*made)
    assert quantize_softmax(graph, None, data_of(s=S, v=V) if reader == "an output" else data_of(s=S)) is graph


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_less_is_lost_with_many_tokens_than_with_a_uniform_grid(sharpness: float) -> None:
    """4 bits, 197 tokens, one weight in some hundred large: uniform codes are 0 for nearly all (RepQ-ViT, figure 4).

    The uniform grid has the best of 40 scales.
    """
    random = np.random.default_rng(1)
    shares = np.exp(sharpness * random.normal(size=(2, 197, 197)))
    shares /= shares.sum(axis=-1, keepdims=True)
    values = random.normal(size=(2, 197, 16))
    scale = best_scale(shares.astype(np.float32), 4)

    def error(rounded: Array) -> float:
        return float(np.square((rounded - shares) @ values).mean())

    steps = shares.max() / 15 * np.linspace(0.025, 1, 40)
    uniform = min(error(np.clip(np.rint(shares / step), 0, 15) * step) for step in steps)
    base_2, base_root = error(on_grid(shares, scale, 4, 1)), error(on_grid(shares, scale, 4))
    assert base_root < 0.4 * base_2
    assert base_root < 0.4 * uniform


def test_codes_that_softmax_has_already_are_kept() -> None:
    """Behind insert_quantizers: no second rounding, and the same two products."""
    shares = ops.Softmax(real("s", *S.shape), 3, sources=("softmax",)).out
    coded = dequantize(quantize(shares, 1 / 200, 0, UINT8))
    graph = graph_of(ops.MatMul(coded, real("v", *V.shape)).out)
    rounded = quantize_softmax(graph, None, data_of(s=S, v=V))
    assert operations(rounded).count("QuantizeLinear") == 1
    split = split_logarithms_by_parity(rounded)
    before, after = (evaluate(g, {"s": S, "v": V})["y"] for g in (rounded, split))
    assert operations(split).count("MatMul") == 2
    assert distance(after, before) <= 1e-5
    assert distance(before, evaluate(graph, {"s": S, "v": V})["y"]) < 0.3


# The compiler ---------------------------------------------------------------------------------------------------------


def compiled(one: Pass | None) -> tuple[Graph, Graph]:
    """(the float graph with quantizers, what the compiler makes of it)."""
    graph = graph_of(quantize(attention(real_input("s", S.shape, 0.05), real_input("v", V.shape, 0.02)), 0.02))
    generator = np.random.default_rng(0)
    made = quantize_softmax(graph, None, data_of(**random_inputs(graph, generator)))
    made = made if one is None else one(made)
    return made, quantized(made)


def test_the_split_products_are_integer_and_only_their_sum_is_float() -> None:
    split, meaning = compiled(split_logarithms_by_parity)
    product = ["Lookup", "QGemm", "DequantizeLinear"]
    assert operations(meaning) == ["QSoftmax", *product, *product, "Add", "QuantizeLinear"]
    (island,) = float_islands(meaning)
    assert (type(island.node), island.macs) == (ops.Add, 0)
    inputs = random_inputs(split, np.random.default_rng(2))
    kernels = lowered(split, find_target("portable"))
    (expected,), (found,), (run,) = (evaluate(graph, inputs).values() for graph in (split, meaning, kernels))
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (run == found).all()


def test_without_the_split_the_product_is_float() -> None:
    """Square roots of two lie on no grid of 8 bits."""
    _, meaning = compiled(None)
    (island,) = float_islands(meaning)
    assert (type(island.node), island.macs) == (ops.MatMul, 2 * 9 * 9 * 4)
    assert only(meaning, qops.Lookup).type.dtype == FLOAT32
    assert only(meaning, qops.QSoftmax).type.dtype == UINT8
