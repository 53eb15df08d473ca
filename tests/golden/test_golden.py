"""The C that is generated for one small model, kept as files, so that a change in it is seen and reviewed.

pytest tests/golden --update-golden      writes the files anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.api import compile_bundle
from subbyte.compiler.codegen.bundle import Bundle
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target

FOLDER = Path(__file__).parent
# Changes with every comment in a kernel header, not with what is generated.
LEFT_OUT = {"kernel_version", "subbyte_version"}


def small_model() -> onnx.ModelProto:
    """QDQ int8: Conv [1,2,4,4] to 3 channels with Relu, added to itself, Gemm to 2 floats."""
    generator = np.random.default_rng(7)

    def constant(name: str, array: Any) -> TensorProto:
        return numpy_helper.from_array(np.asarray(array), name)

    def linear(kind: str, x: str, scale: str, zero_point: str, y: str, axis: int = 1) -> onnx.NodeProto:
        return helper.make_node(f"{kind}Linear", [x, scale, zero_point], [y], name=f"{y}_{kind.lower()}", axis=axis)

    initializers = [
        constant("s_x", np.float32(0.05)),
        constant("z_x", np.int8(-3)),
        constant("s_w", np.array([0.01, 0.02, 0.015], np.float32)),
        constant("z_w", np.zeros(3, np.int8)),
        constant("s_b", np.array([0.05 * 0.01, 0.05 * 0.02, 0.05 * 0.015], np.float32)),
        constant("z_b", np.zeros(3, np.int32)),
        constant("s_y", np.float32(0.04)),
        constant("z_y", np.int8(-128)),
        constant("s_sum", np.float32(0.09)),
        constant("s_f", np.float32(0.03)),
        constant("z_f", np.int8(0)),
        constant("w", generator.integers(-128, 128, (3, 2, 3, 3), dtype=np.int8)),
        constant("b", generator.integers(-500, 500, 3, dtype=np.int32)),
        constant("f", generator.integers(-128, 128, (48, 2), dtype=np.int8)),
        constant("flat", np.array([1, 48], np.int64)),
    ]
    nodes = [
        linear("Quantize", "x", "s_x", "z_x", "x_q"),
        linear("Dequantize", "x_q", "s_x", "z_x", "x_d"),
        linear("Dequantize", "w", "s_w", "z_w", "w_d", axis=0),
        linear("Dequantize", "b", "s_b", "z_b", "b_d", axis=0),
        helper.make_node("Conv", ["x_d", "w_d", "b_d"], ["conv"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        linear("Quantize", "relu", "s_y", "z_y", "y_q"),
        linear("Dequantize", "y_q", "s_y", "z_y", "y_d"),
        helper.make_node("Add", ["y_d", "y_d"], ["sum"], name="add"),
        linear("Quantize", "sum", "s_sum", "z_y", "sum_q"),
        linear("Dequantize", "sum_q", "s_sum", "z_y", "sum_d"),
        helper.make_node("Reshape", ["sum_d", "flat"], ["sum_flat"], name="flatten"),
        linear("Dequantize", "f", "s_f", "z_f", "f_d"),
        helper.make_node("MatMul", ["sum_flat", "f_d"], ["product"], name="product"),
        linear("Quantize", "product", "s_f", "z_f", "product_q"),
        linear("Dequantize", "product_q", "s_f", "z_f", "out"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return compile_bundle(small_model(), find_target("portable"), Options(name="small"))


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without(value) for key, value in content.items() if key not in LEFT_OUT}
    return [_without(item) for item in content] if isinstance(content, list) else content


@pytest.mark.parametrize("name", ["model.h", "model.c", "manifest.json"])
def test_generated_files_are_as_reviewed(name: str, bundle: Bundle, request: pytest.FixtureRequest) -> None:
    if name == "manifest.json":
        found = json.dumps(_without(bundle.manifest), indent=1, sort_keys=True) + "\n"
    else:
        found = bundle.files[name].decode()
    snapshot = FOLDER / "small" / name
    if request.config.getoption("--update-golden"):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(found)
    assert found == snapshot.read_text(), f"{name} differs from {snapshot}; review it and run with --update-golden"
