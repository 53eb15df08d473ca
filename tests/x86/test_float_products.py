"""Attention in floats: products of run-time matrices read their operands where transposes leave them, bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import subbyte
from subbyte.compiler.target import find_target

LEVELS = ("x86-64-v3", "x86-64-v4")
SHAPES = ((9, 4, 16), (33, 2, 19), (1, 3, 8))  # tokens, heads, width


def attention(tokens: int, heads: int, width: int) -> ModelProto:
    shape = (1, tokens, heads, width)
    nodes = [
        helper.make_node("Transpose", ["q"], ["q_heads"], perm=[0, 2, 1, 3]),
        helper.make_node("Transpose", ["k"], ["k_heads"], perm=[0, 2, 3, 1]),
        helper.make_node("Transpose", ["v"], ["v_heads"], perm=[0, 2, 1, 3]),
        helper.make_node("MatMul", ["q_heads", "k_heads"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "v_heads"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["y"], perm=[0, 2, 1, 3]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "qkv"]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "attention", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_attention_in_floats_equals_the_interpreter(
    level: str, shape: tuple[int, int, int], optional_capability: Callable[[str, str], None]
) -> None:
    if not find_target(level).runs_here:
        optional_capability("instruction set", f"this processor cannot run {level}")
    model = attention(*shape)
    module = subbyte.compile(model, target=level)
    kernels = [step["kernel"].rpartition("_")[0] for step in module.manifest["steps"]]
    assert kernels.count("subbyte_x86_float_product") == 2
    random = np.random.default_rng(sum(shape))
    feeds = {name: random.normal(0, 1, (1, *shape)).astype(np.float32) for name in "qkv"}
    expected, found = subbyte.evaluate(model, feeds)["y"], module.run(feeds)["y"]
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
