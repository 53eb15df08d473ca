"""The softmax of bytes rounds in float32 where both bounds round alike, and divides in integers at ties: always N7."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import subbyte
from subbyte.compiler.ir.qops import QSoftmax
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.target import find_target

LEVELS = ("x86-64-v3", "x86-64-v4", "x86-64-v4+avx512vnni", "x86-64-v4+avx512vnni+avx512vbmi")
ROWS = 48
EXTENTS = (1, 2, 3, 31, 64, 65, 128, 300)
SCALES = (1 / 256, 1 / 255, 0.01, 0.5, 2.0**-20)
"""Of the results: with 1/256 a row of 2^n equal codes lies at a tie for n above 8; with 2^-20 all results saturate."""


def network() -> ModelProto:
    """A softmax for each extent and scale, each of codes of its own; input scales from flat to steep."""
    nodes, constants, inputs, outputs = [], [], [], []
    for number, (extent, scale) in enumerate((e, s) for e in EXTENTS for s in SCALES):
        x, y = f"x{number}", f"y{number}"
        steep = (0.001, 0.02, 0.1, 1.0)[number % 4]
        grids = {f"s{number}": np.float32(steep), f"t{number}": np.float32(scale)}
        constants += [numpy_helper.from_array(np.asarray(value), name) for name, value in grids.items()]
        zero = (0, 3)[number % 2]
        constants.append(numpy_helper.from_array(np.asarray(zero, np.uint8), f"z{number}"))
        nodes += [
            helper.make_node("DequantizeLinear", [x, f"s{number}", f"z{number}"], [f"a{number}"], f"read{number}"),
            helper.make_node("Softmax", [f"a{number}"], [f"p{number}"], f"softmax{number}", axis=-1),
            helper.make_node("QuantizeLinear", [f"p{number}", f"t{number}", f"z{number}"], [y], f"write{number}"),
        ]
        inputs.append(helper.make_tensor_value_info(x, TensorProto.UINT8, (ROWS, extent)))
        outputs.append(helper.make_tensor_value_info(y, TensorProto.UINT8, (ROWS, extent)))
    graph = helper.make_graph(nodes, "softmaxes", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def rows(random: np.random.Generator, extent: int) -> np.ndarray:
    """Rows of one code (ties), of two codes, of a few, and of all."""
    spreads = random.choice([1, 2, 5, 40, 256], (ROWS, 1))
    return np.asarray(random.integers(0, 256, (ROWS, extent)) % spreads, np.uint8)


@pytest.mark.parametrize("level", LEVELS)
def test_softmax_equals_the_interpreter(level: str, optional_capability: Callable[[str, str], None]) -> None:
    if not find_target(level).runs_here:
        optional_capability("instruction set", f"this processor cannot run {level}")
    model = network()
    softmaxes = [node for node in quantized(model).operations() if isinstance(node, QSoftmax)]
    assert len(softmaxes) == len(EXTENTS) * len(SCALES)
    module = subbyte.compile(model, target=level)
    assert {step["kernel"].rpartition("_")[0] for step in module.manifest["steps"]} == {"subbyte_x86_softmax_u8"}
    random = np.random.default_rng(0)
    for _ in range(6):
        feeds = {x.name: rows(random, x.type.tensor_type.shape.dim[1].dim_value) for x in model.graph.input}
        expected, found = subbyte.evaluate(model, feeds), module.run(feeds)
        for name, codes in expected.items():
            np.testing.assert_array_equal(found[name], codes, err_msg=name)
