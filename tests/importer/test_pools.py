"""Pools, reductions, batch normalisation and softmax mean what ONNX says, in every opset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, UnsupportedError

Check = Callable[..., None]
IMAGE = np.random.default_rng(5).standard_normal((2, 3, 9, 8)).astype(np.float32)
LINE = IMAGE[:, :, :, 0].copy()

POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [3, 2]},
    "strided": {"kernel_shape": [3, 3], "strides": [2, 3]},
    "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 2, 1]},
    "ceil": {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1},
    "ceil and padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    "same upper": {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "same lower": {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    "valid": {"kernel_shape": [3, 4], "strides": [2, 2], "auto_pad": "VALID"},
}


@pytest.mark.parametrize("opset", [10, 11, 12, 21])
@pytest.mark.parametrize("name", POOLS)
def test_max_pool(equals_onnxruntime: Check, name: str, opset: int) -> None:
    equals_onnxruntime("MaxPool", [IMAGE], opset, **POOLS[name])


@pytest.mark.parametrize("opset", [10, 12, 22])
def test_max_pool_dilated_and_in_one_dimension(equals_onnxruntime: Check, opset: int) -> None:
    equals_onnxruntime("MaxPool", [IMAGE], min(opset, 21), kernel_shape=[2, 3], dilations=[3, 2], pads=[1, 1, 1, 1])
    equals_onnxruntime("MaxPool", [LINE], min(opset, 21), kernel_shape=[3], strides=[2])


def test_max_pool_of_codes(equals_onnxruntime: Check) -> None:
    x = np.random.default_rng(3).integers(-128, 128, (1, 2, 6, 6)).astype(np.int8)
    equals_onnxruntime("MaxPool", [x], 12, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def test_the_indices_of_max_pool_are_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"MaxPool 'node' gives its output 1 \('y1'\) to others"):
        imported(make_operator("MaxPool", [IMAGE], 13, outputs=2, kernel_shape=[2, 2])[0])


@pytest.mark.parametrize("opset", [10, 11, 21])
@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("name", POOLS)
def test_average_pool(equals_onnxruntime: Check, name: str, include: int, opset: int) -> None:
    equals_onnxruntime("AveragePool", [IMAGE], opset, count_include_pad=include, **POOLS[name])


@pytest.mark.parametrize("opset", [19, 22])
def test_average_pool_dilated(equals_reference: Check, opset: int) -> None:
    equals_reference("AveragePool", [IMAGE], opset, kernel_shape=[2, 2], dilations=[2, 3])


@pytest.mark.parametrize("opset", [10, 22])
@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(equals_onnxruntime: Check, op: str, opset: int) -> None:
    equals_onnxruntime(op, [IMAGE], opset)
    equals_onnxruntime(op, [LINE], opset)


@pytest.mark.parametrize("pads", [[3, 0, 0, 0], [0, 0, 0, 2], [9, 9, 9, 9]])
def test_a_window_of_padding_alone_is_refused(make_operator: Any, imported: Any, pads: list[int]) -> None:
    with pytest.raises(ModelError, match="each window must see the image"):
        imported(make_operator("AveragePool", [IMAGE], 13, kernel_shape=[3, 2], pads=pads)[0])


@pytest.mark.parametrize("opset", [10, 11, 13, 18, 28])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [[2, 3], [-1], [0, -2], None])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
def test_reductions(equals_reference: Check, op: str, axes: list[int] | None, keepdims: int, opset: int) -> None:
    as_operand = opset >= (13 if op == "ReduceSum" else 18)
    if as_operand:
        operands = [IMAGE] if axes is None else [IMAGE, np.array(axes, np.int64)]
        equals_reference(op, operands, opset, constants=(1,), keepdims=keepdims)
    elif opset < 11 and axes is not None and min(axes) < 0:
        positive = [axis % IMAGE.ndim for axis in axes]
        equals_reference(op, [IMAGE], opset, axes=positive, keepdims=keepdims)
    else:
        equals_reference(op, [IMAGE], opset, keepdims=keepdims, **({} if axes is None else {"axes": axes}))


def test_a_reduction_over_no_axes_can_be_nothing(equals_reference: Check) -> None:
    operands = [IMAGE, np.array([], np.int64)]
    equals_reference("ReduceSum", operands, 13, constants=(1,), noop_with_empty_axes=1)
    equals_reference("ReduceSum", operands, 13, constants=(1,), noop_with_empty_axes=0, tolerance=1e-5)


@pytest.mark.parametrize("axes", [[4], [1, 1], [-5]])
def test_axes_that_do_not_exist_are_refused(make_operator: Any, imported: Any, axes: list[int]) -> None:
    with pytest.raises(ModelError, match=r"ReduceMean 'node'.*axis"):
        imported(make_operator("ReduceMean", [IMAGE], 13, axes=axes)[0])


@pytest.mark.parametrize("opset", [10, 14, 15, 21])
def test_batch_normalization(equals_onnxruntime: Check, opset: int) -> None:
    statistics = [np.array([1, -0.5, 2], np.float32), np.array([0.1, 0.2, 0.3], np.float32)]
    statistics += [np.array([0.5, -1, 0], np.float32), np.array([1, 0.5, 2], np.float32)]
    equals_onnxruntime("BatchNormalization", [IMAGE, *statistics], opset, constants=(1, 2, 3, 4), epsilon=1e-3)


def test_batch_normalization_in_training_is_refused(make_operator: Any, imported: Any) -> None:
    model, _ = make_operator("BatchNormalization", [IMAGE, *[np.ones(3, np.float32)] * 4], 15, training_mode=1)
    with pytest.raises(UnsupportedError, match="training mode"):
        imported(model)


@pytest.mark.parametrize("opset", [10, 11, 13, 21])
@pytest.mark.parametrize("axis", [0, 1, 2, 3, None])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_over_one_axis_or_flattened(equals_onnxruntime: Check, op: str, axis: int | None, opset: int) -> None:
    attributes = {} if axis is None else {"axis": axis}
    equals_onnxruntime(op, [IMAGE], opset, tolerance=5e-6, **attributes)
    equals_onnxruntime(op, [IMAGE[:, :, :1, :1].copy()], opset, tolerance=5e-6, **attributes)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_logarithm_of_a_sum_of_exponentials_of_infinities(make_operator: Any, meaning: Any, keepdims: int) -> None:
    """An infinite largest element is not subtracted: that would leave a NaN."""
    x = np.array([[-np.inf, -np.inf], [np.inf, 1], [1, 2]], np.float32)
    operands = [x, np.array([1], np.int64)]
    (found,) = meaning(*make_operator("ReduceLogSumExp", operands, 18, constants=(1,), keepdims=keepdims))
    np.testing.assert_allclose(found.reshape(-1), [-np.inf, np.inf, np.logaddexp(1, 2)], rtol=1e-6)


def test_the_logarithm_of_a_sum_of_large_exponentials_is_finite(make_operator: Any, meaning: Any) -> None:
    x = np.array([[500, 500]], np.float32)
    (found,) = meaning(*make_operator("ReduceLogSumExp", [x, np.array([1], np.int64)], 18, constants=(1,)))
    np.testing.assert_allclose(found, [[500 + np.log(2)]], rtol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 0, 1, 1]])
def test_pools_of_norms(equals_onnxruntime: Check, p: int, pads: list[int]) -> None:
    x = np.linspace(-2, 3, 60, dtype=np.float32).reshape(1, 2, 5, 6)
    equals_onnxruntime("LpPool", [x], 18, tolerance=1e-5, kernel_shape=[3, 2], strides=[2, 1], pads=pads, p=p)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("pads", [[0] * 6, [1, 0, 1, 0, 1, 1]])
def test_pools_over_a_volume(equals_onnxruntime: Check, op: str, pads: list[int]) -> None:
    x = np.random.default_rng(5).standard_normal((2, 3, 5, 6, 7)).astype(np.float32)
    attributes = {"kernel_shape": [2, 3, 2], "strides": [2, 1, 2], "pads": pads}
    equals_onnxruntime(op, [x], 18, tolerance=1e-5, **attributes)
    if op == "AveragePool":
        equals_onnxruntime(op, [x], 18, tolerance=1e-5, count_include_pad=1, **attributes)
    if op == "MaxPool":
        equals_onnxruntime(op, [x], 18, ceil_mode=1, dilations=[1, 2, 1], **attributes)
