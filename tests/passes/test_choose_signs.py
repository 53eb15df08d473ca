"""Activations of every width change their sign as a target asks, weights become signed, and no number changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, INT32, TERNARY, UINT2, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import find_target
from subbyte.passes.choose_signs import choose_signs
from tests.passes.builders import codes_input, graph_of, largest_step, only, quant, random_inputs

GENERATOR = np.random.default_rng(2)


@pytest.mark.parametrize(("target", "kind"), [("x86-64-v3", "int"), ("armv8-a", "int"), ("armv8-a", "uint")])
@pytest.mark.parametrize("bits", range(1, 9))
def test_activations_change_their_sign_and_weights_become_signed(target: str, kind: str, bits: int) -> None:
    signed, given = DType("int", bits), DType(kind, bits)
    wanted = signed if target == "armv8-a" and bits == 8 else DType("uint", bits)
    x = codes_input("x", (1, 3, 5, 5), 0.1, 0, given)
    weights = GENERATOR.integers(0, 1 << bits, (4, 3, 3, 3))
    unsigned = DType("uint", bits)
    w = Constant.of(weights, unsigned, quant=quant(0.1, 1, unsigned)).out
    r = Requantization(np.float32(2.0**-bits), None, given.min, given.min, given.max)
    conv = qops.QConv(
        x, w, None, r, given, quant(0.3, given.min, given), (1, 1), (1, 1, 1, 1), (1, 1), 1, tensor="conv"
    )
    table = GENERATOR.integers(given.min, given.max + 1, 1 << bits).astype(given.numpy)
    looked_up = qops.Lookup(conv.out, table, given, quant(0.2, 0, given)).out
    moved = ops.Transpose(looked_up, (0, 2, 3, 1)).out
    graph = graph_of(moved, stage=Stage.QUANTIZED)
    after = choose_signs(graph, find_target(target))
    made = only(after, qops.QConv)
    assert (made.x.type.dtype, made.w.type.dtype, made.dtype) == (wanted, signed, wanted)
    assert made.tensor == ("conv" if given == wanted else "")
    assert only(after, qops.Lookup).dtype == wanted
    assert after.outputs[0].value.type == graph.outputs[0].value.type
    for _ in range(4):
        assert largest_step(graph, after, random_inputs(graph, GENERATOR)) == 0


def signs(graph: Graph) -> dict[str, np.ndarray]:
    """Random inputs, of bipolar codes -1 and +1 alone."""
    given = random_inputs(graph, GENERATOR)
    return {
        node.name: np.where(given[node.name] < 0, -1, 1).astype(np.int8)
        if node.type.dtype == BIPOLAR
        else given[node.name]
        for node in graph.inputs
    }


def around_zero(dtype: DType) -> Value:
    """Codes -1 and +1, and 0 where `dtype` has it, [1, 8, 5, 4]."""
    return codes_input("x", (1, 8, 5, 4), 0.5, 0, dtype)


def convolution(x: Value, dtype: DType, *, pad: int) -> Value:
    """A convolution with weights -1 and +1, whose sums are odd or even: to signs without 0, else to all codes."""
    w = np.where(GENERATOR.random((6, x.type.shape[1], 3, 3)) < 0.5, -1, 1)
    weights = Constant.of(w, BIPOLAR, quant=quant(0.25, 0, BIPOLAR)).out
    bias = Constant.of(GENERATOR.integers(-9, 10, 6), INT32).out
    half = np.float32(1.0) if dtype == BIPOLAR else None  # 2 * sum + 1 is never 0
    r = Requantization(np.float32(2.0 if dtype == BIPOLAR else 0.05), half, 0, dtype.min, dtype.max)
    pads = (pad,) * 4
    return qops.QConv(x, weights, bias, r, dtype, quant(0.3, 0, dtype), (1, 1), pads, (1, 1), 1).out


def table(x: Value, dtype: DType) -> Value:
    codes = GENERATOR.choice([-1, 1], 3).astype(np.int8)
    return qops.Lookup(x, codes, dtype, quant(0.7, 0, dtype)).out


def real(x: Value) -> Value:
    return ops.DequantizeLinear(x, FLOAT32).out


def mean(x: Value) -> Value:
    return qops.QAveragePool(x, INT8, quant(0.01), (2, 2), (2, 1), (1, 0, 0, 1), (1, 1), False, True).out


def product(x: Value) -> Value:
    """Of two tensors of signs that are both known at run time alone."""
    a, b = (ops.Reshape(x, shape).out for shape in ((16, 10), (10, 16)))
    return qops.QGemm(a, b, None, None, INT32, None).out


def beside_constant(x: Value) -> Value:
    known = Constant.of(np.where(GENERATOR.random(x.type.shape) < 0.5, -1, 1), x.type.dtype, quant=x.type.quant).out
    return ops.Concat((x, known), 1).out


def padded(x: Value) -> Value:
    return ops.Pad(x, (0, 0, 1, 2, 0, 0, 0, 1), "constant", -1).out


def softmax(x: Value) -> Value:
    entries = np.array([1 << 31, 1 << 30, 1 << 29], np.uint32)
    return qops.QSoftmax(x, entries, INT8, quant(1 / 256, -128), 1).out


AROUND_ZERO: dict[str, Callable[[Value], Value]] = {
    "a convolution without pads": lambda x: convolution(x, x.type.dtype, pad=0),
    "a convolution with pads": lambda x: convolution(x, x.type.dtype, pad=1),
    "two convolutions": lambda x: convolution(convolution(x, x.type.dtype, pad=1), INT8, pad=1),
    "a table": lambda x: table(x, x.type.dtype),
    "a table before a convolution": lambda x: convolution(table(x, x.type.dtype), INT8, pad=1),
    "signs of floats": lambda x: convolution(quantized(real(x), x.type.dtype), INT8, pad=1),
    "an average": mean,
    "a real number": lambda x: real(convolution(x, x.type.dtype, pad=1)),
    "a product of two inputs": product,
    "a constant beside": lambda x: convolution(beside_constant(x), INT8, pad=1),
    "pads of a code": lambda x: convolution(padded(x), INT8, pad=0),
    "the largest of a window": lambda x: ops.MaxPool(x, (2, 2), (1, 1), (0, 1, 1, 0), (1, 1), False).out,
    "a clamp": lambda x: qops.Clamp(x, 1, 1).out,
    "a softmax": softmax,
    "a sum": lambda x: qops.QAdd(x, table(x, x.type.dtype), INT8, quant(0.1)).out,
}


def quantized(x: Value, dtype: DType) -> Value:
    rounding = "BIPOLAR" if dtype == BIPOLAR else "HALF_EVEN"
    return ops.QuantizeLinear(x, dtype, quant(0.5, 0, dtype), rounding).out


@pytest.mark.parametrize("dtype", [BIPOLAR, TERNARY], ids=str)
@pytest.mark.parametrize("what", AROUND_ZERO)
def test_codes_around_zero_become_unsigned_codes_of_two_bits(what: str, dtype: DType) -> None:
    graph = graph_of(AROUND_ZERO[what](around_zero(dtype)), stage=Stage.QUANTIZED)
    after = choose_signs(graph, find_target("x86-64-v3"))
    assert after.outputs[0].value.type == graph.outputs[0].value.type
    sums = [node for node in after.operations() if isinstance(node, (qops.QConv, qops.QGemm))]
    assert all((node.a if isinstance(node, qops.QGemm) else node.x).type.dtype == UINT2 for node in sums)
    for _ in range(8):
        assert largest_step(graph, after, signs(graph)) == 0
