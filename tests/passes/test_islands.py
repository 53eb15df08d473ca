"""What stays float says why, in words that name the operand or the reader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT16, FLOAT32, INT8, INT16
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pipeline import Options, quantized
from subbyte.passes.fold_qdq import fold_qdq
from subbyte.passes.quantization.islands import float_islands
from tests.passes.builders import (
    conv,
    dequantize,
    floats,
    graph_of,
    quant,
    quantize,
    real_input,
    unary,
    weights,
)


def float_input(shape: tuple[int, ...]) -> Value:
    return Input("f", TensorType(FLOAT32, shape)).out


def per_axis() -> Value:
    return dequantize(Input("c", TensorType(INT8, (1, 3, 4, 4), quant([0.1, 0.2, 0.3], 3, axis=1))).out)


def normalization(scale: Value) -> Value:
    return LayerNormalization(X, scale, None, 3, 1e-5, sources=("norm",)).out


X = real_input("x", (1, 3, 4, 4), 0.1, 3)
W = weights(np.ones((3, 3, 1, 1)), 0.02)

CASES: dict[str, tuple[Callable[[], Value], str]] = {
    "a float input": (lambda: ops.Add(*[float_input((4,))] * 2).out, "float input 'f', which the model"),
    "a moved float input": (
        lambda: ops.Add(ops.Reshape(float_input((4,)), (2, 2)).out, floats(1.0)).out,
        "the float operation Input",
    ),
    "a scale per axis": (lambda: quantize(conv(per_axis(), W), 0.1), "a scale for each entry of axis 1; activations"),
    "float weights": (lambda: quantize(conv(X, floats(np.ones((3, 3, 1, 1)))), 0.1), "its weights are floats"),
    "weights on another axis": (
        lambda: quantize(conv(X, weights(np.ones((3, 3, 1, 1)), [0.1, 0.2, 0.3], axis=1)), 0.1),
        "scales along axis 1, which is not that of the output channels",
    ),
    "weights of the run": (
        lambda: quantize(conv(X, real_input("w", (3, 3, 1, 1), 0.1)), 0.1),
        "its weights are computed at run time",
    ),
    "a sum": (lambda: quantize(unary(conv(X, W), "Tanh"), 0.01), "the sum of QConv 'conv', which the model does not"),
    "a wide function": (
        lambda: quantize(unary(real_input("x", (9,), 0.001, 0, INT16), "Tanh"), 0.001, 0, INT16),
        "a function of int16 codes",
    ),
    "a wide softmax": (
        lambda: quantize(ops.Softmax(real_input("x", (1, 9), 0.001, 0, INT16), 1).out, 0.001, 0, INT16),
        "a softmax of int16 codes",
    ),
    "no quantization after": (
        lambda: unary(ops.Add(X, real_input("z", (1, 3, 4, 4), 0.2)).out, "Tanh"),
        "read by Unary 'tanh' before it is quantized",
    ),
    "a float output": (lambda: ops.Add(X, real_input("z", (1, 3, 4, 4), 0.2)).out, "the float output 'y'"),
    "a quantization per axis": (
        lambda: quantize(ops.Add(X, real_input("z", (1, 3, 4, 4), 0.2)).out, [0.1, 0.2, 0.3], axis=1),
        "quantizes its result per axis; integer forms",
    ),
    "a table": (
        lambda: quantize(ops.Mul(X, unary(real_input("z", (1, 3, 4, 4), 0.2), "Sigmoid")).out, 0.1),
        "the result of Lookup 'sigmoid', which the model does not quantize",
    ),
    "a bias of the run": (lambda: quantize(conv(X, W, float_input((3,))), 0.1), "the float input 'f'"),
    "another float type": (
        lambda: ops.Add(*[Input(name, TensorType(FLOAT16, (4,))).out for name in "ab"]).out,
        "computes in float16",
    ),
    "a normalization": (
        lambda: quantize(normalization(floats(np.ones(4))), 0.1),
        "it is a LayerNormalization of codes, which is integer only where integers alone are asked for",
    ),
    "a normalization of the run": (
        lambda: quantize(normalization(float_input((4,))), 0.1),
        "the float input 'f', which the model does not quantize",
    ),
    "a normalization with codes of the run": (
        lambda: quantize(normalization(real_input("s", (4,), 0.1)), 0.1),
        "its scale or bias is computed at run time",
    ),
    "a normalization that is read": (
        lambda: unary(normalization(floats(np.ones(4))), "Tanh"),
        "its result is read by Unary 'tanh' before it is quantized",
    ),
    "a normalization that is shown": (lambda: normalization(floats(np.ones(4))), "its result is the float output 'y'"),
    "a normalization of large numbers": (
        lambda: quantize(normalization(floats(np.full(4, 1e12))), 0.1),
        "a normalization with scales up to 1e+13 steps of its output",
    ),
    "no integer form": (
        lambda: quantize(ops.Pow(X, real_input("z", (1, 3, 4, 4), 0.2)).out, 0.1),
        "Pow has no integer",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reason_of_an_island(case: str) -> None:
    build, reason = CASES[case]
    islands = float_islands(fold_qdq(graph_of(build())))
    assert reason in islands[0].reason, [island.reason for island in islands]


def test_explain_counts_every_multiply_accumulate() -> None:
    integer = dequantize(quantize(conv(X, W, pad=0), 0.1))
    graph = fold_qdq(graph_of(quantize(conv(integer, floats(np.ones((5, 3, 1, 1)))), 0.1)))
    content = explain(graph).as_dict()
    assert content["integer_macs"] == 3 * 3 * 16
    assert content["macs"] == 3 * 3 * 16 + 5 * 3 * 16
    assert [(island["op"], island["macs"]) for island in content["float_islands"]] == [("Conv", 5 * 3 * 16)]
    assert content["layers"][0]["bits"] == "s8 bipolar -> s8"  # int8 weights, all of them 1
    assert content["layers"][0]["accumulator"] == "s32"


def test_an_integer_model_has_no_island() -> None:
    assert (
        float_islands(fold_qdq(graph_of(quantize(conv(X, W), 0.1), dequantize(quantize(unary(X, "Tanh"), 0.1))))) == []
    )


def test_integer_only_refuses_islands_and_names_them() -> None:
    graph = graph_of(quantize(unary(conv(X, W), "Tanh"), 0.01))
    with pytest.raises(UnsupportedError, match=r"1 operations compute in float: Unary 'tanh': its operand is the sum"):
        quantized(graph, Options(integer_only=True))
