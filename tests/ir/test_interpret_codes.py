"""Operations on codes: exact sums, ONNX's quantized operators bit for bit, narrow arithmetic op by op."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT8, INT32, INT64, TERNARY, UINT8, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.requantize import Requantization, multiplier, requantize
from subbyte.compiler.numerics.softmax import softmax_table

Array = NDArray[Any]
Variable = Callable[..., Value]
Grid = Callable[..., QuantParams]
f32 = np.float32


def channels(scale: Array, zero_point: Array, axis: int) -> QuantParams:
    return QuantParams(scale, zero_point, -128, 127, axis=axis)


# Sums of products -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 2, 6])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_convolution_sums_centred_codes_and_pads_with_the_zero_point(
    group: int, bits: int, variable: Variable, rng: np.random.Generator
) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
    dtype = DType("int", bits)
    x = rng.integers(low, high, (2, 6, 5, 4)).astype(dtype.numpy)
    w = rng.integers(-128, 128, (6, 6 // group, 3, 2)).astype(np.int8)
    zeros = rng.integers(-10, 10, 6)
    bias = rng.integers(-1000, 1000, 6).astype(np.int32)
    x_quant = QuantParams(f32(0.1), np.int64(-7), low, high - 1)
    w_quant = channels(np.ones(6, np.float32), zeros, 0)
    node = qops.QConv(
        variable(x.shape, str(dtype), x_quant),
        variable(w.shape, "int8", w_quant),
        variable(bias.shape, "int32"),
        None,
        INT64,
        None,
        (2, 1),
        (1, 1, 0, 1),
        (1, 2),
        group,
    )
    (found,) = evaluate_node(node, [x, w, bias])
    for n, o, i, j in np.ndindex(*node.type.shape):
        total = int(bias[o])
        for p, q, c in itertools.product(range(3), range(2), range(6 // group)):
            row, column, channel = 2 * i - 1 + p, j - 1 + 2 * q, o // (6 // group) * (6 // group) + c
            code = int(x[n, channel, row, column]) if 0 <= row < 5 and 0 <= column < 4 else -7
            total += (code + 7) * (int(w[o, c, p, q]) - int(zeros[o]))
        assert found[n, o, i, j] == total


@pytest.mark.parametrize("group", [1, 2])
def test_a_transposed_convolution_sums_what_the_float_one_does(
    group: int, variable: Variable, grid: Grid, rng: np.random.Generator
) -> None:
    x = rng.integers(-128, 128, (2, 4, 3, 4)).astype(np.int8)
    w = rng.integers(-8, 8, (4, 3, 2, 3)).astype(np.int8)
    bias = rng.integers(-1000, 1000, 3 * group).astype(np.int32)
    geometry = ((2, 3), (1, 0, 0, 2), (2, 1), group, (1, 2))
    codes, weights = variable(x.shape, "int8", grid(zero_point=5)), variable(w.shape, "int8", grid(zero_point=-2))
    node = qops.QConvTranspose(codes, weights, variable(bias.shape, "int32"), None, INT32, None, *geometry)
    floats = ops.ConvTranspose(variable(x.shape), variable(w.shape), variable(bias.shape), *geometry)
    operands = [x.astype(np.float32) - 5, w.astype(np.float32) + 2, bias.astype(np.float32)]
    np.testing.assert_array_equal(evaluate_node(node, [x, w, bias])[0], evaluate_node(floats, operands)[0])


def test_batches_of_matrices_are_multiplied_as_in_numpy(
    variable: Variable, grid: Grid, rng: np.random.Generator
) -> None:
    a = rng.integers(-128, 128, (3, 1, 4, 9)).astype(np.int8)
    b = rng.integers(0, 256, (2, 9, 5)).astype(np.uint8)
    left = variable(a.shape, "int8", grid(zero_point=3))
    right = variable(b.shape, "uint8", grid(zero_point=100, qmin=0, qmax=255))
    (found,) = evaluate_node(qops.QGemm(left, right, None, None, INT32, None), [a, b])
    np.testing.assert_array_equal(found, np.matmul(a.astype(np.int64) - 3, b.astype(np.int64) - 100))


def test_a_sum_beyond_float64_is_exact(variable: Variable) -> None:
    a = np.array([[2**30 - 1, 1, 2**30 - 1]], np.int32)
    b = np.array([[2**30 - 1], [1], [2**30]], np.int32)
    node = qops.QGemm(variable(a.shape, "int32"), variable(b.shape, "int32"), None, None, INT64, None)
    assert int(evaluate_node(node, [a, b])[0][0, 0]) == (2**30 - 1) ** 2 + 1 + (2**30 - 1) * 2**30


def test_a_sum_beyond_int64_is_an_error_that_names_the_node(variable: Variable) -> None:
    a = np.full((1, 2), -(2**62), np.int64)
    left, right = variable(a.shape, "int64"), variable((2, 1), "int64")
    node = qops.QGemm(left, right, None, None, INT64, None, sources=("/fc",))
    with pytest.raises(NumericsError, match="QGemm '/fc': a sum of 2 products"):
        evaluate_node(node, [a, a.T])


def test_an_int32_sum_wraps(variable: Variable) -> None:
    a = np.full((1, 3), 2**15, np.int32)
    node = qops.QGemm(variable(a.shape, "int32"), variable((3, 1), "int32"), None, None, INT32, None)
    assert int(evaluate_node(node, [a, a.T])[0][0, 0]) == 3 * 2**30 - 2**32


@pytest.mark.parametrize("dtype", [BIPOLAR, TERNARY])
def test_bipolar_and_ternary_weights_are_what_they_are(dtype: DType, variable: Variable) -> None:
    w = np.array([[1], [-1], [1]], np.int8)
    node = qops.QGemm(variable((1, 3), "int8"), Constant.of(w, dtype).out, None, None, INT32, None)
    assert evaluate_node(node, [np.array([[5, 7, 11]], np.int8), w])[0].tolist() == [[9]]


def test_each_channel_is_requantized_by_its_own_multiplier(variable: Variable, rng: np.random.Generator) -> None:
    x = rng.integers(-128, 128, (1, 3, 4, 4)).astype(np.int8)
    w = rng.integers(-128, 128, (5, 3, 1, 1)).astype(np.int8)
    r = Requantization(rng.uniform(1e-3, 1e-2, 5).astype(f32), rng.normal(0, 9, 5).astype(f32), 3, -100, 90)
    out = QuantParams(f32(0.5), np.int64(3), -100, 90)
    arguments = (variable(x.shape, "int8"), variable(w.shape, "int8"), None)
    geometry = ((1, 1), (0, 0, 0, 0), (1, 1), 1)
    (sums,) = evaluate_node(qops.QConv(*arguments, None, INT32, None, *geometry), [x, w])
    (found,) = evaluate_node(qops.QConv(*arguments, r, INT8, out, *geometry), [x, w])
    assert found.dtype == np.int8
    for channel in range(5):
        np.testing.assert_array_equal(found[:, channel], requantize(sums[:, channel], r.channel(channel)))


def run_onnxruntime(operator: str, operands: dict[str, Array], **attributes: Any) -> Array:
    """What onnxruntime computes without its optimizations; u8u8 and s8s8 are exact on every x86 processor."""
    inputs = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in operands.items()
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UNDEFINED, None)
    node = onnx.helper.make_node(operator, list(operands), ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "oracle", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    onnx_model = onnx.shape_inference.infer_shapes(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(onnx_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, operands)[0]
    return found


def test_qconv_is_onnxruntimes_qlinearconv(variable: Variable, grid: Grid, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (2, 8, 12, 11)).astype(np.uint8)
    w = rng.integers(0, 256, (12, 4, 3, 3)).astype(np.uint8)
    bias = rng.integers(-40000, 40000, 12).astype(np.int32)
    x_scale, w_scale, y_scale = f32(0.0173), f32(0.0031), f32(0.057)
    operands = {
        "x": x, "x_scale": x_scale, "x_zero": np.uint8(113),
        "w": w, "w_scale": w_scale, "w_zero": np.uint8(131),
        "y_scale": y_scale, "y_zero": np.uint8(101), "bias": bias,
    }  # fmt: skip
    expected = run_onnxruntime(
        "QLinearConv", {k: np.asarray(v) for k, v in operands.items()},
        strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2], group=2,
    )  # fmt: skip
    node = qops.QConv(
        variable(x.shape, "uint8", grid(float(x_scale), 113, 0, 255)),
        variable(w.shape, "uint8", grid(float(w_scale), 131, 0, 255)),
        variable(bias.shape, "int32"),
        Requantization(multiplier(x_scale, w_scale, y_scale), None, 101, 0, 255),
        UINT8,
        grid(float(y_scale), 101, 0, 255),
        (2, 1),
        (1, 0, 2, 1),
        (1, 2),
        2,
    )
    (found,) = evaluate_node(node, [x, w, bias])
    assert len(np.unique(found)) > 100
    np.testing.assert_array_equal(found, expected)


def test_qgemm_is_onnxruntimes_qlinearmatmul(variable: Variable, rng: np.random.Generator) -> None:
    a, b = rng.integers(-128, 128, (7, 64)).astype(np.int8), rng.integers(-128, 128, (64, 33)).astype(np.int8)
    scales, zeros = rng.uniform(0.001, 0.01, 33).astype(f32), rng.integers(-20, 20, 33)
    a_scale, y_scale = f32(0.02), f32(0.11)
    operands = {
        "a": a, "a_scale": a_scale, "a_zero": np.int8(-9),
        "b": b, "b_scale": scales, "b_zero": zeros.astype(np.int8),
        "y_scale": y_scale, "y_zero": np.int8(5),
    }  # fmt: skip
    expected = run_onnxruntime("QLinearMatMul", {k: np.asarray(v) for k, v in operands.items()})
    node = qops.QGemm(
        variable(a.shape, "int8", QuantParams(a_scale, np.int64(-9), -128, 127)),
        variable(b.shape, "int8", channels(scales, zeros, 1)),
        None,
        Requantization(multiplier(a_scale, scales, y_scale), None, 5, -128, 127),
        INT8,
        QuantParams(y_scale, np.int64(5), -128, 127),
    )
    np.testing.assert_array_equal(evaluate_node(node, [a, b])[0], expected)


def test_a_convolution_without_requantization_is_onnxs_convinteger(
    variable: Variable, grid: Grid, onnx_reference: Callable[..., list[Array]], rng: np.random.Generator
) -> None:
    x = rng.integers(0, 256, (1, 2, 5, 5)).astype(np.uint8)
    w = rng.integers(0, 256, (3, 2, 3, 3)).astype(np.uint8)
    node = qops.QConv(
        variable(x.shape, "uint8", grid(1.0, 7, 0, 255)), variable(w.shape, "uint8", grid(1.0, 9, 0, 255)),
        None, None, INT32, None, (1, 1), (1, 1, 1, 1), (1, 1), 1,
    )  # fmt: skip
    zeros = [np.array(7, np.uint8), np.array(9, np.uint8)]
    expected = onnx_reference("ConvInteger", [x, w, *zeros], pads=[1, 1, 1, 1])[0]
    np.testing.assert_array_equal(evaluate_node(node, [x, w])[0], expected)


# Quantization and narrow arithmetic -----------------------------------------------------------------------------------


def test_quantize_is_onnxs_also_for_what_is_no_ordinary_number(
    variable: Variable, onnx_reference: Callable[..., list[Array]]
) -> None:
    x = np.array([0.25, 0.75, -0.25, 1e6, -1e6, -0.0, 63.3], np.float32)
    quant = QuantParams(f32(0.5), np.int64(3), -128, 127)
    (expected,) = onnx_reference("QuantizeLinear", [x, f32(0.5), np.int8(3)])
    (found,) = evaluate_node(ops.QuantizeLinear(variable(x.shape), INT8, quant), [x])
    np.testing.assert_array_equal(found, expected)
    odd = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
    (found,) = evaluate_node(ops.QuantizeLinear(variable(odd.shape), INT8, quant), [odd])
    assert found.tolist() == [-128, 127, -128, 127]


def test_rounding_and_the_order_of_the_zero_point_are_the_operations(variable: Variable) -> None:
    x = np.array([0.5, 1.5, -0.5], np.float32)
    quant = QuantParams(f32(1), np.int64(1), -8, 7)

    def codes(**keywords: Any) -> list[int]:
        (found,) = evaluate_node(ops.QuantizeLinear(variable(x.shape), INT8, quant, **keywords), [x])
        return found.tolist()  # type: ignore[no-any-return]

    assert codes() == [1, 3, 1]
    assert codes(zero_point_first=True) == [2, 2, 0]
    assert codes(rounding="FLOOR") == [1, 2, 0]
    assert codes(rounding="HALF_UP") == [2, 3, 0]


def test_quantize_and_dequantize_by_channel(
    variable: Variable, onnx_reference: Callable[..., list[Array]], rng: np.random.Generator
) -> None:
    x = rng.normal(0, 20, (2, 3, 4)).astype(np.float32)
    scale, zero_point = np.array([0.1, 0.2, 0.7], np.float32), np.array([0, -5, 9])
    quant = channels(scale, zero_point, 1)
    quantize = ops.QuantizeLinear(variable(x.shape), INT8, quant)
    (codes,) = evaluate_node(quantize, [x])
    parameters = [scale, zero_point.astype(np.int8)]
    np.testing.assert_array_equal(codes, onnx_reference("QuantizeLinear", [x, *parameters], axis=1)[0])
    (real,) = evaluate_node(ops.DequantizeLinear(quantize.out), [codes])
    np.testing.assert_array_equal(real, onnx_reference("DequantizeLinear", [codes, *parameters], axis=1)[0])
    assert real.dtype == np.float32


@pytest.mark.parametrize(
    ("operation", "operator"), [(qops.QAdd, "Add"), (qops.QSub, "Sub"), (qops.QMul, "Mul"), (qops.QDiv, "Div")]
)
def test_narrow_arithmetic_is_onnxs_op_by_op(
    operation: type[qops.QBinary],
    operator: str,
    variable: Variable,
    grid: Grid,
    onnx_reference: Callable[..., list[Array]],
) -> None:
    a, b = np.arange(-128, 128).astype(np.int8)[:, None], np.arange(256).astype(np.uint8)[None, :]
    left, right = variable(a.shape, "int8", grid(0.25, 3)), variable(b.shape, "uint8", grid(0.5, 127, 0, 255))
    node = operation(left, right, INT8, grid(0.25, 1, -100, 100))
    (found,) = evaluate_node(node, [a, b])
    reals = [
        onnx_reference("DequantizeLinear", [a, f32(0.25), np.int8(3)])[0],
        onnx_reference("DequantizeLinear", [b, f32(0.5), np.uint8(127)])[0],
    ]
    with np.errstate(all="ignore"):
        (real,) = onnx_reference(operator, reals)
    real = np.where(np.isnan(real), -np.inf, real)  # N2 makes NaN the smallest code
    expected = np.clip(np.rint(real / f32(0.25)) + 1, -100, 100)
    np.testing.assert_array_equal(found, expected)


def test_an_operand_may_be_a_float(variable: Variable, grid: Grid) -> None:
    node = qops.QMul(variable((3,), "int8", grid(0.5)), variable((1,)), INT8, grid(0.25))
    assert evaluate_node(node, [np.array([1, 2, 3], np.int8), np.array([1.5], np.float32)])[0].tolist() == [3, 6, 9]


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
def test_an_average_of_codes_is_exact_until_it_is_scaled(
    include: bool, ceil: bool, variable: Variable, grid: Grid, rng: np.random.Generator
) -> None:
    x = rng.integers(-128, 128, (1, 2, 5, 6)).astype(np.int8)
    source, out = grid(0.1, 7), grid(0.07, -3)
    node = qops.QAveragePool(
        variable(x.shape, "int8", source), INT8, out, (4, 3), (3, 2), (1, 0, 0, 1), (1, 1), ceil, include
    )
    (found,) = evaluate_node(node, [x])
    for n, c, i, j in np.ndindex(*node.type.shape):
        at = [(3 * i - 1 + p, 2 * j + q) for p in range(4) for q in range(3)]
        inside = [int(x[n, c, r, s]) - 7 for r, s in at if 0 <= r < 5 and 0 <= s < 6]
        count = sum(-1 <= r < 5 and 0 <= s < 7 for r, s in at) if include else len(inside)
        real = f32(f32(f32(sum(inside)) * f32(0.1)) / f32(count))
        assert found[n, c, i, j] == np.clip(np.rint(f32(real / f32(0.07))) - 3, -128, 127)


def test_sums_and_means_of_codes(variable: Variable, grid: Grid, rng: np.random.Generator) -> None:
    x = rng.integers(-128, 128, (2, 3, 50)).astype(np.int8)
    codes, out = variable(x.shape, "int8", grid(0.1, 7)), grid(0.3, -3)
    total = (x.astype(np.int64) - 7).sum(axis=(0, 2)).astype(np.float32) * f32(0.1)
    (sums,) = evaluate_node(qops.QReduceSum(codes, INT8, out, (0, 2), False), [x])
    (means,) = evaluate_node(qops.QReduceMean(codes, INT8, out, (0, 2), True), [x])
    np.testing.assert_array_equal(sums, np.clip(np.rint(total / f32(0.3)) - 3, -128, 127))
    expected = np.clip(np.rint(total / f32(100) / f32(0.3)) - 3, -128, 127)
    np.testing.assert_array_equal(means, expected.reshape(1, 3, 1))


def test_codes_are_resized_as_the_reals_they_stand_for(
    variable: Variable, grid: Grid, rng: np.random.Generator
) -> None:
    x = rng.integers(-128, 128, (1, 2, 4, 5)).astype(np.int8)
    arguments = ((1, 2, 7, 10), (1.0, 1.0, 1.75, 2.0), "half_pixel")
    node = qops.QResizeLinear(variable(x.shape, "int8", grid(0.1, 7)), INT8, grid(0.1, 7), *arguments)
    (found,) = evaluate_node(node, [x])
    real = (x.astype(np.float32) - 7) * f32(0.1)
    (resized,) = evaluate_node(ops.ResizeLinear(variable(x.shape), *arguments), [real])
    np.testing.assert_array_equal(found, np.clip(np.rint(resized / f32(0.1)) + 7, -128, 127))


# Tables and ranges ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "codes"), [(INT8, [-128, 0, 127]), (DType("uint", 3), [0, 7]), (BIPOLAR, [-1, 1])])
def test_a_table_begins_at_the_smallest_code(dtype: DType, codes: list[int], variable: Variable) -> None:
    table = np.arange(dtype.max - dtype.min + 1, dtype=np.float32)
    node = qops.Lookup(variable((len(codes),), str(dtype)), table, FLOAT32, None)
    (found,) = evaluate_node(node, [np.array(codes, dtype.numpy)])
    assert found.tolist() == [code - dtype.min for code in codes]


def test_each_channel_may_have_its_table(variable: Variable) -> None:
    tables = np.stack([np.arange(256), np.arange(256)[::-1]]).astype(np.uint8)
    node = qops.Lookup(variable((2, 2), "uint8"), tables, UINT8, None, axis=1)
    assert evaluate_node(node, [np.array([[1, 2], [3, 4]], np.uint8)])[0].tolist() == [[1, 253], [3, 251]]


def test_the_softmax_of_codes_is_the_softmax_of_reals_within_a_step(
    variable: Variable, grid: Grid, rng: np.random.Generator
) -> None:
    x = rng.integers(-128, 128, (4, 10, 3)).astype(np.int8)
    out = grid(1 / 256, -128)
    node = qops.QSoftmax(variable(x.shape, "int8", grid(0.05, 20)), softmax_table(0.05), INT8, out, 1)
    (found,) = evaluate_node(node, [x])
    e = np.exp(x * 0.05 - (x * 0.05).max(axis=1, keepdims=True))
    assert np.abs(found - np.clip(e / e.sum(axis=1, keepdims=True) * 256 - 128, -128, 127)).max() <= 0.5001


def test_clamp_and_offset_move_codes(variable: Variable, grid: Grid) -> None:
    x = np.array([-128, -3, 0, 5, 127], np.int8)
    clamp = qops.Clamp(variable(x.shape, "int8", grid()), -3, 4)
    assert evaluate_node(clamp, [x])[0].tolist() == [-3, -3, 0, 4, 4]
    offset = qops.OffsetCodes(variable(x.shape, "int8", grid()))
    (moved,) = evaluate_node(offset, [x])
    assert (moved.dtype, moved.tolist()) == (np.uint8, [0, 125, 128, 133, 255])
    np.testing.assert_array_equal(evaluate_node(qops.OffsetCodes(offset.out), [moved])[0], x)
