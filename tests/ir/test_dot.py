"""Pictures of graphs."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.dot import to_dot
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.types import TensorType


def test_a_box_an_operation_an_arrow_a_value() -> None:
    x = Input('the "x"', TensorType(FLOAT32, (2,)))
    add = ops.Add(x.out, Constant.of(np.ones(2, np.float32)).out, sources=("/add", "/bias"))
    graph = Graph("net", (x,), (Output("y", add.out),))
    assert to_dot(graph) == (
        'digraph "net" {\n'
        "  node [shape=box, fontname=monospace]\n"
        "  edge [fontname=monospace]\n"
        '  n0 [label="the \\"x\\"", shape=ellipse]\n'
        '  n2 [label="Add\\n/add\\n/bias"]\n'
        '  n0 -> n2 [label="float32[2]"]\n'
        '  o0 [label="y", shape=ellipse]\n'
        '  n2 -> o0 [label="float32[2]"]\n'
        "}\n"
    )


def test_kernels_and_views_say_what_they_carry_out() -> None:
    x = Input("x", TensorType(FLOAT32, (2,)))
    call = KernelCall(ops.Unary(x.out, "Relu"), kernel="relu_f32", target="portable")
    graph = Graph("net", (x,), (Output("y", View(ops.Reshape(call.out, (1, 2))).out),), Stage.LOWERED)
    text = to_dot(graph)
    assert '[label="Unary: relu_f32"]' in text
    assert '[label="Reshape (view)"]' in text
