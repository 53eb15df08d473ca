"""Operators on codes, ONNX's and ONNX Runtime's: exact sums are equal, the others within one step of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant
from subbyte.compiler.ir.qops import QConv, QGemm

Array = npt.NDArray[Any]
MICROSOFT = "com.microsoft"
RANDOM = np.random.default_rng(17)


def scale(*numbers: float) -> Array:
    return np.array(numbers[0] if len(numbers) == 1 else numbers, np.float32)


def u8(*shape: int) -> Array:
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def s8(*shape: int) -> Array:
    return RANDOM.integers(-64, 64, shape).astype(np.int8)  # 7 bits: ONNX Runtime's AVX2 kernels saturate beyond


def zero(code: int, like: Array) -> Array:
    return np.array(code, like.dtype)


@pytest.fixture
def close(make_operator: Any, meaning: Any) -> Callable[..., None]:
    """close(op, operands, ...): the import is within `steps` of ONNX Runtime, and equal for nearly all outputs."""

    def check(op: str, operands: list[Array | None], constants: Any, /, steps: int = 1, **keywords: Any) -> None:
        model, feeds = make_operator(op, operands, 21, constants=constants, **keywords)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (expected,) = session.run(None, feeds)
        (found,) = meaning(model, feeds)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
            return
        difference = np.abs(found.astype(np.int64) - expected.astype(np.int64))
        assert difference.max() <= steps
        assert np.count_nonzero(difference) <= max(found.size // 10, 1) * (steps > 0)
        assert len(np.unique(expected)) > 3  # not all saturated

    return check


Close = Callable[..., None]
PARAMETERS = (1, 2, 3, 4, 5, 6, 7, 8)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(close: Close, per_channel: bool, bias: bool) -> None:
    x, w = u8(1, 3, 8, 8), s8(4, 3, 3, 3)
    w_scale = scale(0.01, 0.02, 0.005, 0.011) if per_channel else scale(0.01)
    w_zero = np.zeros(4, np.int8) if per_channel else zero(0, w)
    operands = [x, scale(0.03), zero(131, x), w, w_scale, w_zero, scale(0.11), zero(120, x)]
    if bias:
        operands.append(RANDOM.integers(-3000, 3000, 4).astype(np.int32))
    close("QLinearConv", operands, PARAMETERS, pads=[1, 1, 0, 1], strides=[2, 1])


def test_the_parts_of_qlinear_conv_carry_its_name(make_operator: Any, imported: Any) -> None:
    x, w = u8(1, 3, 8, 8), s8(4, 3, 3, 3)
    bias = np.arange(4, dtype=np.int32)
    operands = [x, scale(0.03), zero(131, x), w, scale(0.01), zero(0, w), scale(0.11), zero(120, x), bias]
    graph: Graph = imported(make_operator("QLinearConv", operands, 21, constants=PARAMETERS)[0])
    assert {node.sources for node in graph.operations()} == {("node",)}
    quantize = graph.operations()[-1]
    assert isinstance(quantize, ops.QuantizeLinear)
    assert quantize.tensor == "y0"
    assert [node.tensor for node in graph.operations()[:-1]] == [""] * (len(graph.operations()) - 1)
    assert graph.inputs[0].type.quant is not None
    assert graph.inputs[0].type.quant.scalar() == (float(np.float32(0.03)), 131)
    (codes,) = [node for node in graph.nodes() if isinstance(node, Constant) and node.type.dtype.name == "int32"]
    assert codes.type.quant is not None
    assert codes.type.quant.scalar()[0] == float(np.float32(0.03) * np.float32(0.01))


def test_qlinear_matmul(close: Close) -> None:
    a, b = u8(5, 16), u8(16, 6)
    operands = [a, scale(0.02), zero(120, a), b, scale(0.03), zero(131, b), scale(0.2), zero(128, a)]
    close("QLinearMatMul", operands, PARAMETERS)


def test_qlinear_matmul_with_a_scale_per_column(close: Close) -> None:
    a, b = u8(5, 16), s8(16, 3)
    columns = scale(0.03, 0.01, 0.02)
    operands = [a, scale(0.02), zero(120, a), b, columns, np.zeros(3, np.int8), scale(0.2), zero(128, a)]
    close("QLinearMatMul", operands, PARAMETERS)


# Exact sums -----------------------------------------------------------------------------------------------------------


def test_conv_integer_is_exact(make_operator: Any, imported: Any, equals_onnxruntime: Any) -> None:
    x, w = u8(1, 3, 6, 6), u8(4, 3, 3, 3)
    operands = [x, w, zero(130, x), zero(100, w)]
    equals_onnxruntime("ConvInteger", operands, 10, constants=(1, 2, 3), pads=[1, 1, 1, 1])
    equals_onnxruntime("ConvInteger", operands[:2], 10, constants=(1,))
    (node,) = imported(make_operator("ConvInteger", operands, 10, constants=(1, 2, 3))[0]).operations()
    assert isinstance(node, QConv)
    assert node.requantization is None


@pytest.mark.parametrize("shapes", [((5, 8), (8, 4)), ((8,), (8, 4)), ((5, 8), (8,)), ((2, 5, 8), (8, 4))])
def test_matmul_integer_is_exact(
    make_operator: Any, imported: Any, equals_reference: Any, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    a, b = u8(*shapes[0]), u8(*shapes[1])
    operands = [a, b, zero(130, a), zero(100, b)]
    equals_reference("MatMulInteger", operands, 10, constants=(1, 2, 3))
    graph = imported(make_operator("MatMulInteger", operands, 10, constants=(1, 2, 3))[0])
    assert [type(node) for node in graph.operations()].count(QGemm) == 1


def test_matmul_integer_with_a_zero_point_per_column(equals_onnxruntime: Any) -> None:
    a, b = u8(5, 8), u8(8, 4)
    operands = [a, b, zero(130, a), np.array([1, 100, 255, 0], np.uint8)]
    equals_onnxruntime("MatMulInteger", operands, 10, constants=(1, 2, 3))


def test_a_zero_point_per_row_is_refused(make_operator: Any, imported: Any) -> None:
    a, b = u8(5, 8), u8(8, 4)
    with pytest.raises(UnsupportedError, match="MatMulInteger 'node' has a scale or zero point of a with 5 entries"):
        imported(make_operator("MatMulInteger", [a, b, u8(5)], 10, constants=(1, 2))[0])


# ONNX Runtime's operators ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (3, 1), (4,)])
def test_qlinear_arithmetic(close: Close, op: str, shape: tuple[int, ...]) -> None:
    a, b = u8(2, 3, 4), u8(*shape)
    operands = [a, scale(0.021), zero(120, a), b, scale(0.034), zero(3, b), scale(0.05), zero(100, a)]
    close(op, operands, (1, 2, 4, 5, 6, 7), domain=MICROSOFT)


def test_missing_zero_points_are_0(make_operator: Any, meaning: Any) -> None:
    a, b = u8(2, 3, 4), u8(2, 3, 4)
    given = [a, scale(0.021), zero(0, a), b, scale(0.034), zero(0, b), scale(0.06), zero(0, a)]
    left_out = [a, scale(0.021), None, b, scale(0.034), None, scale(0.06)]
    found, expected = (
        meaning(*make_operator("QLinearAdd", operands, 21, constants=(1, 2, 4, 5, 6, 7), domain=MICROSOFT))
        for operands in (left_out, given)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("op", ["QLinearAveragePool", "QLinearGlobalAveragePool"])
def test_qlinear_average_pool(close: Close, op: str, channels_last: int) -> None:
    x = u8(1, 6, 6, 5)
    operands = [x, scale(0.023), zero(128, x), scale(0.0113), zero(110, x)]
    attributes: dict[str, Any] = {"channels_last": channels_last}
    if op == "QLinearAveragePool":
        attributes |= {"kernel_shape": [3, 2], "pads": [1, 0, 1, 0], "strides": [2, 2]}
    close(op, operands, (1, 2, 3, 4), domain=MICROSOFT, **attributes)


@pytest.mark.parametrize(("op", "attributes"), [("QLinearSigmoid", {}), ("QLinearLeakyRelu", {"alpha": 0.2})])
def test_qlinear_functions(close: Close, op: str, attributes: dict[str, float]) -> None:
    x = np.arange(256, dtype=np.uint8)
    y_scale = scale(1 / 256) if op == "QLinearSigmoid" else scale(0.03)
    close(op, [x, scale(0.04), zero(128, x), y_scale, zero(0, x)], (1, 2, 3, 4), domain=MICROSOFT, **attributes)


@pytest.mark.parametrize("meant", [11, 13])
def test_qlinear_softmax(close: Close, meant: int) -> None:
    x = u8(3, 4, 5)
    operands = [x, scale(0.01), zero(128, x), scale(1 / 256), zero(0, x)]
    close("QLinearSoftmax", operands, (1, 2, 3, 4), domain=MICROSOFT, axis=1, opset=meant)


def test_qlinear_concat(close: Close) -> None:
    a, b = u8(2, 3), u8(2, 4)
    operands = [scale(0.03), zero(99, a), a, scale(0.02), zero(120, a), b, scale(0.04), zero(3, b)]
    close("QLinearConcat", operands, (0, 1, 3, 4, 6, 7), domain=MICROSOFT, axis=1)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("to_float", [False, True])
def test_qgemm(close: Close, transposed: int, per_column: bool, to_float: bool) -> None:
    a, b = u8(5, 16), s8(3, 16) if transposed else s8(16, 3)
    b_scale = scale(0.01, 0.02, 0.015) if per_column else scale(0.01)
    b_zero = np.zeros(3, np.int8) if per_column else zero(0, b)
    bias = np.array([100, -2000, 30], np.int32)
    operands = [a, scale(0.02), zero(120, a), b, b_scale, b_zero, bias]
    if not to_float:
        operands += [scale(0.08), zero(128, a)]
    close("QGemm", operands, PARAMETERS, domain=MICROSOFT, transB=transposed, alpha=0.75)


def test_fused_convolution(close: Close) -> None:
    x, w = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((1, 3, 6, 6), (4, 3, 3, 3)))
    b, z = np.arange(4, dtype=np.float32), RANDOM.standard_normal((1, 4, 4, 4)).astype(np.float32)
    close("FusedConv", [x, w, b], (1, 2), domain=MICROSOFT, activation="Relu")
    close("FusedConv", [x, w, b, z], (1, 2), domain=MICROSOFT, activation="LeakyRelu", activation_params=[0.2])


def test_an_activation_that_is_not_read_is_refused(make_operator: Any, imported: Any) -> None:
    x = np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(UnsupportedError, match="FusedConv 'node' fuses the activation 'Swoosh'"):
        imported(make_operator("FusedConv", [x, x], 21, constants=(1,), domain=MICROSOFT, activation="Swoosh")[0])


def test_operators_with_too_few_operands_are_refused(make_operator: Any, imported: Any) -> None:
    x = u8(2, 3)
    for op, domain in (
        ("QLinearConv", ""),
        ("QLinearAdd", MICROSOFT),
        ("QGemm", MICROSOFT),
        ("QLinearConcat", MICROSOFT),
    ):
        with pytest.raises(ModelError, match=f"{op} 'node'"):
            imported(make_operator(op, [x, scale(0.1)], 21, constants=(1,), domain=domain)[0])


def test_a_bias_without_a_grid_is_refused(make_operator: Any, imported: Any) -> None:
    x, w = u8(1, 3, 8, 8), s8(4, 3, 3, 3)
    tiny = scale(1e-30)
    bias = np.arange(4, dtype=np.int32)
    operands = [x, tiny, zero(131, x), w, tiny, zero(0, w), scale(0.11), zero(120, x), bias]
    with pytest.raises(ModelError, match="QLinearConv 'node' has scales whose product is zero"):
        imported(make_operator("QLinearConv", operands, 21, constants=PARAMETERS)[0])
