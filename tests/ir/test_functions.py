"""Functions of codes in integers alone: what is ill-typed raises where it is built, the rest reads back from text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, INT8, INT16, INT32, UINT16, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.qops_functions import QLayerNormalization, QPiecewise, QRMSNormalization, QWideSoftmax
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.integer_softmax import exponential_tables
from subbyte.compiler.numerics.piecewise import fit


def quant(dtype: DType, scale: Any = 0.01, axis: int | None = None) -> QuantParams:
    scales = np.asarray(scale, np.float32)
    return QuantParams(scales, np.zeros(scales.shape, np.int64), dtype.min, dtype.max, axis)


def codes(dtype: DType = INT16, shape: tuple[int, ...] = (3, 4), of: QuantParams | None = None) -> Value:
    return Input("x", TensorType(dtype, shape, of or quant(dtype))).out


ROW = np.float32([1, 2, -1, 0.5])
TABLES = exponential_tables(0.01)
PIECES = fit(np.arange(65536) / 4.0, 0, 32767)
OUT = quant(INT16)


def pieces(x: Value, segments: Any = PIECES.segments, coefficients: Any = PIECES.coefficients, of: Any = OUT) -> Node:
    return QPiecewise(x, segments, coefficients, INT16, of, 0, 0)


RIGHT: dict[str, Callable[[], Node]] = {
    "LayerNormalization": lambda: QLayerNormalization(codes(), ROW, ROW, 1, 1e-5, INT16, OUT),
    "of two axes": lambda: QLayerNormalization(codes(), None, None, 0, 1e-5, INT8, quant(INT8, 0.1)),
    "RMSNormalization": lambda: QRMSNormalization(codes(INT8), ROW, None, 1, 1e-5, INT16, OUT),
    "Softmax": lambda: QWideSoftmax(codes(), TABLES, UINT16, quant(UINT16, 1 / 65536), 1),
    "Piecewise": lambda: pieces(codes()),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_graph_of_it_reads_back_and_means_the_same(name: str) -> None:
    node = RIGHT[name]()
    (x,) = (operand.node for operand in node.operands)
    assert isinstance(x, Input)
    graph = Graph("g", (x,), (Output("y", node.out),), Stage.QUANTIZED)
    text = print_graph(graph)
    parsed = parse_graph(text)
    assert print_graph(parsed) == text
    inputs = {"x": np.random.default_rng(0).integers(x.type.dtype.min, x.type.dtype.max, x.type.shape)}
    inputs = {name: array.astype(x.type.dtype.numpy) for name, array in inputs.items()}
    assert (evaluate(graph, inputs)["y"] == evaluate(parsed, inputs)["y"]).all()


WRONG: dict[str, tuple[Callable[[], Node], str]] = {
    "floats": (
        lambda: QWideSoftmax(Input("x", TensorType(FLOAT32, (3, 4))).out, TABLES, UINT16, OUT, 1),
        r"x is float32\[3, 4\]; codes of at most 16 bits with one scale for the tensor are needed",
    ),
    "wide codes": (lambda: pieces(codes(INT32)), "codes of at most 16 bits"),
    "scales of an axis": (
        lambda: QLayerNormalization(codes(of=quant(INT16, [0.1] * 3, 0)), None, None, 1, 1e-5, INT16, OUT),
        "one scale for the tensor",
    ),
    "a result with scales of an axis": (
        lambda: QLayerNormalization(codes(), None, None, 1, 1e-5, INT16, quant(INT16, [0.1] * 3, 0)),
        "the result needs one scale",
    ),
    "a row of another length": (
        lambda: QLayerNormalization(codes(), ROW[:3], None, 1, 1e-5, INT16, OUT),
        r"gamma is float32\[3\]; float32\[4\] is needed",
    ),
    "no such axis": (lambda: QRMSNormalization(codes(), None, None, 2, 1e-5, INT16, OUT), r"axis 2 of int16\[3, 4\]"),
    "no epsilon": (
        lambda: QLayerNormalization(codes(), None, None, 1, 0.0, INT16, OUT),
        "integers need one above zero",
    ),
    "an axis of a softmax": (lambda: QWideSoftmax(codes(), TABLES, INT16, OUT, 2), "axis 2 of"),
    "tables of another scale": (
        lambda: QWideSoftmax(codes(), TABLES + np.uint32(1), INT16, OUT, 1),
        r"each with 2\^31 in front",
    ),
    "a scale that no probability has": (
        lambda: QWideSoftmax(codes(), TABLES, INT16, quant(INT16, 2.0**-31), 1),
        "probabilities need one between",
    ),
    "a row too long for its scale": (
        lambda: QWideSoftmax(codes(shape=(1, 30000)), TABLES, UINT16, quant(UINT16, 1 / 65536), 1),
        "rows of 30000 elements are 1.37 steps off",
    ),
    "narrow codes": (lambda: pieces(codes(INT8)), "have a table, which is a Lookup"),
    "other segments": (lambda: pieces(codes(), PIECES.segments[:9]), r"int32\[9\]; int32\[256\] is needed"),
    "too few pieces": (
        lambda: pieces(codes(), coefficients=PIECES.coefficients[:-1]),
        "the segments name pieces beyond the 255",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_ill_typed_raises_where_it_is_built(name: str) -> None:
    build, message = WRONG[name]
    with pytest.raises(GraphError, match=message):
        build()
