"""N4 is what ONNX Runtime's integer kernels compute: accumulators at its steps, where look-alikes differ.

Operands are int8 * int8 or uint8 * uint8: without VNNI, ONNX Runtime's uint8 * int8 kernels saturate pairs of products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from subbyte.compiler.dtype import UINT8
from subbyte.compiler.numerics.affine import Affine
from subbyte.compiler.numerics.elementwise import add, average, multiply
from subbyte.compiler.numerics.lut import table
from subbyte.compiler.numerics.requantize import Requantization, multiplier, requantize
from subbyte.compiler.numerics.thresholds import thresholds

TYPES = {"int8": (TensorProto.INT8, np.int8, -128, 127), "uint8": (TensorProto.UINT8, np.uint8, 0, 255)}


def run(nodes: list[Any], constants: dict[str, Any], inputs: dict[str, Any], output: int, optimize: bool = True) -> Any:
    """The one output 'y' of a graph of these nodes."""
    graph = helper.make_graph(
        nodes,
        "oracle",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in inputs.items()
        ],
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    domains = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def scales_of(rng: np.random.Generator, kind: str, count: int) -> Any:
    """(input scale, weight scales, output scale) for accumulators up to about 2**8 .. 2**29."""
    x, y = np.float32(rng.uniform(0.001, 0.1)), np.float32(rng.uniform(0.001, 0.1))
    w = (np.exp2(rng.uniform(-22, -2, count)) * y / x).astype(np.float32)
    if kind == "powers of two":
        x, y, w = (np.exp2(np.rint(np.log2(s))).astype(np.float32) for s in (x, y, w))
    return x, w, y


def at_the_steps(r: Requantization, channel: int) -> Any:
    """t - 2 .. t + 1 for every step of a channel over int32."""
    steps = thresholds(r, channel, -(2**31) + 4, 2**31 - 4)
    return np.concatenate([steps - 2, steps - 1, steps, steps + 1])


@pytest.mark.parametrize("kind", ["random", "powers of two"])
@pytest.mark.parametrize("result", ["int8", "uint8"])
@pytest.mark.parametrize("operator", ["QLinearConv", "QGemm"])
def test_n4_at_every_step(operator: str, result: str, kind: str) -> None:
    """The input holds its zero point, so that the bias is the accumulator; each step sits in a channel of its own."""
    rng = np.random.default_rng(0)
    onnx_type, container, qmin, qmax = TYPES[result]
    zero_point = int(rng.integers(qmin, qmax)) | 1
    alpha = np.float32(1) if operator == "QLinearConv" else np.float32(0.37)
    x_scale, w_scale, y_scale = scales_of(rng, kind, 24)
    r = Requantization(multiplier(x_scale, w_scale, y_scale, alpha), None, zero_point, qmin, qmax)
    acc = np.stack([at_the_steps(r, channel) for channel in range(24)])
    each = np.repeat(w_scale, acc.shape[1])
    scales = {"xs": x_scale, "ws": each, "ys": y_scale, "yz": container(zero_point)}
    constants = {"xz": container(5), "wz": np.zeros(acc.size, container), "c": acc.ravel().astype(np.int32), **scales}
    names = ["x", "xs", "xz", "w", "ws", "wz"]
    if operator == "QLinearConv":
        x, constants["w"] = np.full((1, 1, 1, 1), 5, container), np.full((acc.size, 1, 1, 1), 3, container)
        node = helper.make_node("QLinearConv", [*names, "ys", "yz", "c"], ["y"])
    else:
        x, constants["w"] = np.full((1, 4), 5, container), np.full((4, acc.size), 3, container)
        node = helper.make_node("QGemm", [*names, "c", "ys", "yz"], ["y"], domain="com.microsoft", alpha=float(alpha))
    got = run([node], constants, {"x": x}, onnx_type).reshape(acc.shape)
    assert (got == requantize(acc, r, axis=0)).all()


@pytest.mark.parametrize("kind", ["random", "powers of two"])
def test_n4_at_every_step_of_qlinearmatmul(kind: str) -> None:
    """No bias here: each row of uint8 codes spells an accumulator, as 127s, 1s, -127s and -1s of the weights."""
    rng = np.random.default_rng(1)
    x_scale, w_scale, y_scale = scales_of(rng, kind, 1)
    w_scale = np.float32(
        np.exp2(np.round(-13.3)) * 1.37 * y_scale / x_scale if kind == "random" else 2.0**-13 * y_scale / x_scale
    )
    r = Requantization(multiplier(x_scale, w_scale, y_scale), None, 77, 0, 255)
    acc = at_the_steps(r, 0)
    tall = int(np.abs(acc).max()) // (127 * 255) + 1
    assert 20 < tall < 1000
    rows = np.zeros((acc.size, 2, tall + 2), np.uint8)  # for each sign: codes of weight 127, then two of weight 1
    for row, value in zip(rows, acc.tolist(), strict=True):
        part = row[0 if value > 0 else 1]
        whole, rest = divmod(abs(value), 127)
        part[: whole // 255] = 255
        part[whole // 255] = whole % 255
        part[-1] = rest
    weights = (
        np.repeat(np.array([[127] * (tall + 1) + [1], [-127] * (tall + 1) + [-1]]).reshape(-1, 1), 3, axis=1) + 128
    )
    assert (rows.reshape(acc.size, -1).astype(np.int64) @ (weights[:, 0] - 128) == acc).all()
    constants = {"w": weights.astype(np.uint8), "xs": x_scale, "xz": np.uint8(0), "ws": w_scale, "wz": np.uint8(128),
                 "ys": y_scale, "yz": np.uint8(77)}  # fmt: skip
    node = helper.make_node("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"])
    got = run([node], constants, {"x": rows.reshape(acc.size, -1)}, TensorProto.UINT8)
    assert (got == requantize(acc, r)[:, None]).all()


def test_look_alikes_of_n4_differ_at_the_steps() -> None:
    """What these tests tell apart: M in another order, a product that is not rounded, the zero point added first."""
    rng = np.random.default_rng(2)
    x_scale, w_scale, y_scale = scales_of(rng, "random", 50)
    r = Requantization(multiplier(x_scale, w_scale, y_scale), None, 77, 0, 255)
    acc = np.stack([at_the_steps(r, channel) for channel in range(50)])
    want = requantize(acc, r, axis=0)
    other = Requantization(x_scale * (w_scale / y_scale), None, 77, 0, 255)
    exact = np.rint(acc * r.multiplier.astype(np.float64)[:, None]) + 77
    first = np.rint(acc.astype(np.float32) * r.multiplier[:, None] + np.float32(77))
    for look_alike in (requantize(acc, other, axis=0), np.clip(exact, 0, 255), np.clip(first, 0, 255)):
        assert (look_alike != want).mean() > 0.01


def quantize_node(x: str, name: str) -> Any:
    return helper.make_node("QuantizeLinear", [x, name + "s", name + "z"], ["y"])


def dequantize_node(x: str) -> Any:
    return helper.make_node("DequantizeLinear", [x, x + "s", x + "z"], [x + "_real"])


@pytest.mark.parametrize("operator", ["Add", "Mul"])
@pytest.mark.parametrize("scales", [(0.0371, 0.0123, 0.0551), (0.5, 0.25, 1.0), (0.1, 0.1, 0.1)])
def test_n6_equals_the_unfused_graph_for_every_pair(operator: str, scales: tuple[float, float, float]) -> None:
    a, b = (grid.astype(np.uint8).ravel() for grid in np.meshgrid(np.arange(256), np.arange(256)))
    s_a, s_b, s_y = np.float32(scales)
    constants = {"as": s_a, "az": np.uint8(3), "bs": s_b, "bz": np.uint8(128), "ys": s_y, "yz": np.uint8(7)}
    nodes = [dequantize_node("a"), dequantize_node("b"), helper.make_node(operator, ["a_real", "b_real"], ["r"]),
             quantize_node("r", "y")]  # fmt: skip
    got = run(nodes, constants, {"a": a, "b": b}, TensorProto.UINT8, optimize=False)
    function = {"Add": add, "Mul": multiply}[operator]
    assert (got == function(a, Affine(s_a, 3, 0, 255), b, Affine(s_b, 128, 0, 255), Affine(s_y, 7, 0, 255))).all()


@pytest.mark.parametrize("scales", [(0.0371, 0.0211), (0.5, 0.25), (0.1, 0.1)])
def test_n6_average_differs_from_the_unfused_graph_at_ties_alone(scales: tuple[float, float]) -> None:
    """ONNX Runtime adds up rounded reals, N6 exact codes: a tie may come out as one or as its neighbour."""
    x = np.random.default_rng(3).integers(0, 256, (1, 64, 12, 12), dtype=np.uint8)
    s_x, s_y = np.float32(scales)
    constants = {"xs": s_x, "xz": np.uint8(3), "ys": s_y, "yz": np.uint8(7)}
    pool = helper.make_node("AveragePool", ["x_real"], ["r"], kernel_shape=[2, 2], strides=[2, 2])
    got = run(
        [dequantize_node("x"), pool, quantize_node("r", "y")], constants, {"x": x}, TensorProto.UINT8, optimize=False
    )
    total = (x.astype(np.int64) - 3).reshape(1, 64, 6, 2, 6, 2).sum(axis=(3, 5))
    want = average(total, 4, s_x, Affine(s_y, 7, 0, 255))
    steps = total * np.float64(s_x) / 4 / np.float64(s_y)
    tie = np.abs(steps - np.floor(steps) - 0.5) < 1e-4
    assert (got == want)[~tie].all()
    assert np.abs(got - want).max() <= 1


@pytest.mark.parametrize(("function", "attributes"), [("Sigmoid", {}), ("LeakyRelu", {"alpha": 0.1})])
def test_n7_tables_equal_the_fused_kernels(function: str, attributes: dict[str, float]) -> None:
    rng = np.random.default_rng(4)
    x = np.arange(256, dtype=np.uint8)
    for s_x, s_y in rng.uniform(0.003, 0.1, (20, 2)).astype(np.float32):
        constants = {"xs": s_x, "xz": np.uint8(100), "ys": s_y, "yz": np.uint8(31)}
        names = ["x", "xs", "xz", "ys", "yz"]
        node = helper.make_node("QLinear" + function, names, ["y"], domain="com.microsoft", **attributes)
        got = run([node], constants, {"x": x}, TensorProto.UINT8)
        steps = [(function, tuple(attributes.values()))]
        assert (got == table(steps, UINT8, Affine(s_x, 100, 0, 255), Affine(s_y, 31, 0, 255))).all()
