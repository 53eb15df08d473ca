"""What --integer-only puts in place of float islands: which islands, how far from the floats, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, INT16, INT32, INT64, UINT8, UINT16, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, RMSNormalization
from subbyte.compiler.ir.qops_functions import QLayerNormalization, QPiecewise, QRMSNormalization, QWideSoftmax
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pipeline import Options, quantized
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.replace_islands import replace_islands
from tests.passes.builders import (
    bias,
    conv,
    floats,
    graph_of,
    largest_step,
    only,
    operations,
    quant,
    quantize,
    random_inputs,
    real_input,
    unary,
    weights,
)

WIDE = 8 / 32768
RANDOM = np.random.default_rng(7)
SCALE, BIAS = (RANDOM.normal(mean, 0.3, 12).astype(np.float32) for mean in (1, 0))


def normalized(kind: type, x: Value, axis: int = -1, epsilon: float = 1e-5) -> Value:
    axis = axis % x.type.rank
    row = x.type.shape[axis:]
    return kind(x, floats(np.resize(SCALE, row)), floats(np.resize(BIAS, row)), axis, epsilon, sources=("norm",)).out


def softmax(x: Value, axis: int = -1) -> Value:
    return ops.Softmax(x, axis % x.type.rank, sources=("softmax",)).out


def both(value: Value) -> tuple[Graph, Graph]:
    """A model with its islands, and without."""
    before = fold_qdq(graph_of(value))
    after = replace_islands(before)
    verify(after)
    return before, after


def gelu_of_exporters(x: Value) -> Value:
    """0.5 * x * (1 + erf(x / sqrt(2))), operator by operator."""
    bent = unary(ops.Div(x, floats(np.sqrt(2))).out, "Erf")
    return ops.Mul(ops.Mul(x, ops.Add(bent, floats(1.0)).out).out, floats([0.5])).out


@pytest.mark.parametrize("dtype", [INT8, UINT8, INT16, UINT16], ids=str)
@pytest.mark.parametrize(
    ("kind", "replaced"), [(LayerNormalization, QLayerNormalization), (RMSNormalization, QRMSNormalization)]
)
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12), (4, 1)], ids=str)
def test_a_normalization_of_codes(dtype: DType, kind: type, replaced: type, shape: tuple[int, ...]) -> None:
    x = real_input("x", shape, 10 / (dtype.max - dtype.min), (dtype.min + dtype.max) // 2 + 9, dtype)
    before, after = both(quantize(normalized(kind, x), 8 / (dtype.max - dtype.min), 3, dtype))
    assert operations(after) == [replaced.__name__]
    node = only(after, replaced)
    assert node.sources == ("norm", "quantize LayerNormalization 'norm'") or kind is RMSNormalization
    for _ in range(20):
        assert largest_step(before, after, random_inputs(before, RANDOM)) <= 1


def test_a_normalization_of_equal_codes_is_its_bias() -> None:
    """The mean in float32 is a rounded sum, so the floats see a variance where there is none."""
    x = real_input("x", (1, 12), 0.1, 3, INT16)
    _, after = both(quantize(normalized(LayerNormalization, x), 0.01, 0, INT16))
    found = evaluate(after, {"x": np.full((1, 12), 32767, np.int16)})["y"]
    assert found.tolist() == [np.rint(BIAS / np.float32(0.01)).astype(int).tolist()]


def test_clamps_and_quantized_parameters_come_along() -> None:
    x = real_input("x", (3, 12), 0.05, 3)
    gain = weights(RANDOM.integers(1, 127, 12), 0.01)
    shift = bias(RANDOM.integers(-3000, 3000, 12), 0.0005)
    node = LayerNormalization(x, gain, shift, 1, 1e-5).out
    before, after = both(quantize(unary(node, "Relu"), 0.02, -7))
    assert operations(after) == ["QLayerNormalization"]
    assert only(after, QLayerNormalization).quant.qmin == -7
    for _ in range(20):
        assert largest_step(before, after, random_inputs(before, RANDOM)) <= 1


@pytest.mark.parametrize("dtype", [INT16, UINT16, DType("int", 12)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_softmax_of_wide_codes(dtype: DType, axis: int) -> None:
    x = real_input("x", (3, 5, 20), 16 / (dtype.max - dtype.min), 11, dtype)
    before, after = both(quantize(softmax(x, axis), 1 / 65535, 0, UINT16))
    assert operations(after) == ["QWideSoftmax"]
    for _ in range(20):
        assert largest_step(before, after, random_inputs(before, RANDOM)) <= 1


FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    "Sigmoid": lambda x: unary(x, "Sigmoid"),
    "Tanh": lambda x: unary(x, "Tanh"),
    "Gelu": lambda x: unary(x, "Gelu"),
    "GeluTanh": lambda x: unary(x, "GeluTanh"),
    "Exp": lambda x: unary(x, "Exp"),
    "Log": lambda x: unary(x, "Log"),
    "Sqrt": lambda x: unary(x, "Sqrt"),
    "Erf": lambda x: unary(x, "Erf"),
    "HardSwish": lambda x: unary(x, "HardSwish"),
    "Mish": lambda x: unary(x, "Mish"),
    "Softplus": lambda x: unary(x, "Softplus"),
    "Selu": lambda x: unary(x, "Selu", 1.67326, 1.0507),
    "Reciprocal": lambda x: unary(x, "Reciprocal"),
    "gelu of exporters": gelu_of_exporters,
    "silu": lambda x: ops.Mul(x, unary(x, "Sigmoid")).out,
    "square": lambda x: ops.Pow(x, floats(2.0)).out,
    "prelu": lambda x: ops.PRelu(x, floats([0.1])).out,
    "relu of a root": lambda x: unary(unary(x, "Sqrt"), "Relu"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(("dtype", "result"), [(INT16, INT16), (UINT16, INT8), (INT16, UINT16)], ids=str)
def test_a_function_of_wide_codes_is_compared_for_every_code(name: str, dtype: DType, result: DType) -> None:
    x = real_input("x", (1 << dtype.bits,), 16 / 65536, (dtype.min + dtype.max) // 2 + 1, dtype)
    before, after = both(quantize(FUNCTIONS[name](x), 8 / (result.max - result.min), 5, result))
    every = {"x": np.arange(dtype.min, dtype.max + 1).astype(dtype.numpy)}
    wanted, found = (evaluate(graph, every)["y"].astype(np.int64) for graph in (before, after))
    difference = np.abs(found - wanted)
    (node,) = after.operations()
    if isinstance(node, QPiecewise):
        assert (node.steps, node.differing) == (difference.max(), np.count_nonzero(difference))
        assert node.steps <= 1
        assert node.pieces.bytes < (1 << dtype.bits) * result.numpy.itemsize
    else:
        assert isinstance(node, qops.Lookup | qops.QMul)
        assert not difference.any()


def test_a_function_that_jumps_everywhere_is_a_table() -> None:
    x = real_input("x", (9,), 0.3, 0, INT16)
    before, after = both(quantize(unary(x, "Floor"), 0.3, 0, INT16))
    assert operations(after) == ["Lookup"]
    assert largest_step(before, after, random_inputs(before, RANDOM)) == 0


def test_two_quantizations_of_one_function_are_two_functions() -> None:
    x = real_input("x", (9,), WIDE, 0, INT16)
    y = unary(x, "Tanh")
    before = fold_qdq(graph_of(quantize(y, 1 / 32768, 0, INT16), quantize(y, 1 / 128, 0, INT8)))
    after = replace_islands(before)
    assert operations(after) == ["QPiecewise", "QPiecewise"]
    assert largest_step(before, after, random_inputs(before, RANDOM)) <= 1


def test_codes_that_do_not_occur_do_not_count() -> None:
    narrow = quant(WIDE, 0, INT16).replace(qmin=100, qmax=3000)
    x = ops.DequantizeLinear(Input("x", TensorType(INT16, (2901,), narrow)).out).out
    before, after = both(quantize(unary(x, "Log"), WIDE, 0, INT16))
    codes = np.arange(100, 3001, dtype=np.int16)
    wanted, found = (evaluate(graph, {"x": codes})["y"].astype(int) for graph in (before, after))
    assert np.abs(wanted - found).max() <= 1


def mask_of(k: Value, far: float = -10000.0) -> Value:
    """(1 - k) * far, as exporters write attention masks."""
    off = ops.Sub(floats(1.0), ops.Cast(k, FLOAT32, sources=("cast",)).out).out
    return ops.Mul(off, floats([far])).out


@pytest.mark.parametrize("dtype", [INT8, UINT8, INT16, INT32, INT64], ids=str)
@pytest.mark.parametrize("scale", [1.0, 40000 / 255, 1e30], ids=str)
def test_a_mask_of_whole_numbers_is_a_table(dtype: DType, scale: float) -> None:
    k = Input("k", TensorType(dtype, (9,))).out
    before, after = both(quantize(mask_of(k), scale, 100, UINT8))
    narrowing = [] if dtype.bits == 8 else ["Maximum", "Minimum", "Cast"]
    assert operations(after) == [*narrowing, "Lookup"]
    ends = [dtype.min, dtype.max, 0, 1, 2, dtype.min // 2, dtype.max // 3, 127, 100]
    codes = {"k": np.resize(np.array(ends), 9).astype(dtype.numpy)}
    assert largest_step(before, after, codes) == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: unary(x, "Abs"),
        lambda x: ops.Mul(x, x).out,
        lambda x: ops.Mul(x, floats(0.0)).out,
        lambda x: ops.Div(floats(1.0), x).out,
        lambda x: ops.Add(x, floats(np.inf)).out,
        lambda x: ops.Mul(x, floats(1e-3)).out,
    ],
)
def test_a_function_of_whole_numbers_that_a_table_may_not_hold_stays(function: Callable[[Value], Value]) -> None:
    k = Input("k", TensorType(INT64, (9,))).out
    before = fold_qdq(graph_of(quantize(function(ops.Cast(k, FLOAT32).out), 0.1, 0, INT8)))
    assert operations(replace_islands(before)) == operations(before)


LEFT: dict[str, Callable[[], Value]] = {
    "two tensors": lambda: quantize(
        ops.Pow(real_input("x", (9,), WIDE, 0, INT16), real_input("z", (9,), WIDE, 0, INT16)).out, 0.1
    ),
    "a sum": lambda: quantize(
        unary(conv(real_input("x", (1, 3, 4, 4), 0.1, 3), weights(np.ones((3, 3, 1, 1)), 0.02)), "Tanh"), 0.1
    ),
    "a row for each function": lambda: quantize(
        ops.Mul(unary(real_input("x", (2, 12), WIDE, 0, INT16), "Tanh"), floats(SCALE)).out, 0.1
    ),
    "a float residual": lambda: quantize(
        normalized(LayerNormalization, ops.Add(*(real_input(n, (3, 12), 0.1) for n in "xz")).out), 0.1
    ),
    "a normalization read as floats": lambda: unary(
        normalized(LayerNormalization, real_input("x", (3, 12), 0.1)), "Tanh"
    ),
    "a scale per axis of the result": lambda: quantize(
        normalized(LayerNormalization, real_input("x", (3, 12), 0.1)), np.full(12, 0.1), axis=1
    ),
    "no epsilon": lambda: quantize(normalized(LayerNormalization, real_input("x", (3, 12), 0.1), epsilon=0.0), 0.1),
    "a sum normalized": lambda: quantize(normalized(LayerNormalization, real_input("x", (3, 12), 0.1, 0, INT32)), 0.1),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_stays_as_it_was(name: str) -> None:
    before = fold_qdq(graph_of(LEFT[name]()))
    assert operations(replace_islands(before)) == operations(before)


def test_integer_only_says_what_to_add_before_a_normalization() -> None:
    graph = graph_of(LEFT["a float residual"]())
    with pytest.raises(UnsupportedError, match=r"LayerNormalization 'norm': its operand is .* DequantizeLinear behind"):
        quantized(graph, Options(integer_only=True))


def test_integer_only_runs_it_and_others_do_not() -> None:
    graph = graph_of(quantize(unary(real_input("x", (9,), WIDE, 0, INT16), "Tanh"), WIDE, 0, INT16))
    assert "QPiecewise" in operations(quantized(graph, Options(integer_only=True)))
    assert "Unary" in operations(quantized(graph))


def real_normalization(row: list[int], scale: Any, gains: Any, biases: Any, epsilon: float) -> list[Any]:
    """The real layer normalization of codes less their zero point."""
    reals = [mpmath.mpf(float(scale)) * code for code in row]
    mean = mpmath.fsum(reals) / len(reals)
    variance = mpmath.fsum((x - mean) ** 2 for x in reals) / len(reals)
    root = mpmath.sqrt(variance + mpmath.mpf(float(np.float32(epsilon))))
    return [(x - mean) / root * float(g) + float(b) for x, g, b in zip(reals, gains, biases, strict=True)]


def test_where_floats_are_far_from_the_real_numbers_the_integers_are_not() -> None:
    """A row around 32000 that varies by one code: float32 loses the digits that the variance is made of."""
    x = real_input("x", (1, 12), 1e-3, 0, INT16)
    before, after = both(quantize(normalized(LayerNormalization, x, epsilon=1e-12), 1e-4, 0, INT16))
    row = 32000 + (np.arange(12) % 2)
    wanted, found = (evaluate(g, {"x": row[None].astype(np.int16)})["y"].astype(int)[0] for g in (before, after))
    with mpmath.workdps(50):
        exact = real_normalization(row.tolist(), np.float32(1e-3), SCALE, BIAS, 1e-12)
        steps = [min(max(int(mpmath.nint(v / float(np.float32(1e-4)))), -32768), 32767) for v in exact]
    assert np.abs(found - steps).max() <= 1
    assert np.abs(wanted - steps).max() > 1


def test_the_stage_is_kept() -> None:
    assert replace_islands(fold_qdq(graph_of(LEFT["a sum"]()))).stage is Stage.QUANTIZED


def test_a_wide_softmax_serves_rows_of_any_axis() -> None:
    x = real_input("x", (2, 3, 4), WIDE, 0, INT16)
    _, after = both(quantize(softmax(x, 1), 1 / 32768, 0, INT16))
    assert only(after, QWideSoftmax).axis == 1
