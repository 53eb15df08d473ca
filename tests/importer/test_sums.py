"""Convolutions and matrix products mean what ONNX says, in every opset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, UnsupportedError

Check = Callable[..., None]
CONV_OPSETS = (10, 11, 21, 22, 28)


def reals(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype(np.float32)


CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 7, 6), (4, 3, 3, 3), {}),
    "strided and padded": ((2, 3, 7, 6), (4, 3, 3, 2), {"strides": [2, 1], "pads": [1, 0, 2, 1]}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"dilations": [2, 3], "pads": [2, 3, 2, 3]}),
    "grouped": ((1, 4, 5, 5), (6, 2, 3, 3), {"group": 2}),
    "depthwise": ((1, 4, 6, 6), (8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "same upper": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((1, 2, 7, 8), (3, 2, 4, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
    "one dimension": ((2, 3, 11), (4, 3, 4), {"strides": [2], "pads": [1, 2]}),
    "same upper in one dimension": ((1, 2, 9), (2, 2, 4), {"auto_pad": "SAME_UPPER"}),
}


@pytest.mark.parametrize("opset", CONV_OPSETS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", CONVS)
def test_conv(equals_reference: Check, name: str, bias: bool, opset: int) -> None:
    x, w, attributes = CONVS[name]
    operands = [reals(*x), reals(*w), reals(w[0])] if bias else [reals(*x), reals(*w)]
    equals_reference("Conv", operands, opset, constants=(1, 2), **attributes)


def test_conv_with_weights_computed_at_run_time(equals_reference: Check) -> None:
    equals_reference("Conv", [reals(1, 2, 5, 5), reals(3, 2, 3, 3)], 21, kernel_shape=[3, 3])


TRANSPOSED: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "plain": ((1, 3, 4, 5), (3, 2, 3, 3), {}),
    "strided and padded": ((1, 2, 4, 5), (2, 3, 3, 3), {"strides": [2, 3], "pads": [1, 0, 0, 1]}),
    "output padding": ((1, 2, 4, 4), (2, 3, 3, 3), {"strides": [2, 2], "output_padding": [1, 1], "pads": [1, 1, 1, 1]}),
    "grouped": ((1, 4, 4, 4), (4, 2, 3, 3), {"group": 2, "strides": [2, 2]}),
    "dilated": ((1, 2, 4, 4), (2, 3, 2, 2), {"dilations": [2, 2]}),
    "output shape": ((1, 2, 4, 4), (2, 3, 3, 3), {"strides": [2, 2], "output_shape": [8, 8]}),
    "odd output shape": ((1, 2, 4, 4), (2, 3, 4, 4), {"strides": [3, 3], "output_shape": [10, 12]}),
    "same upper": ((1, 2, 4, 4), (2, 3, 4, 4), {"strides": [3, 3], "auto_pad": "SAME_UPPER"}),
    "same lower": ((1, 2, 4, 4), (2, 3, 4, 4), {"strides": [3, 3], "auto_pad": "SAME_LOWER"}),
    "one dimension": ((1, 2, 5), (2, 3, 3), {"strides": [2]}),
}


@pytest.mark.parametrize("opset", [11, 21])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose(equals_onnxruntime: Check, name: str, opset: int) -> None:
    x, w, attributes = TRANSPOSED[name]
    operands = [reals(*x), reals(*w), reals(w[1] * attributes.get("group", 1))]
    equals_onnxruntime("ConvTranspose", operands, opset, constants=(1, 2), **attributes)


@pytest.mark.parametrize("opset", [10, 11, 13, 28])
@pytest.mark.parametrize("c", [(3, 5), (5,), (1, 5), (3, 1), ()])
@pytest.mark.parametrize("transposed", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_gemm(equals_reference: Check, transposed: tuple[int, int], c: tuple[int, ...], opset: int) -> None:
    a = reals(4, 3) if transposed[0] else reals(3, 4)
    b = reals(5, 4) if transposed[1] else reals(4, 5)
    operands = [a, b, reals(*c)]
    attributes = {"transA": transposed[0], "transB": transposed[1], "alpha": 0.5, "beta": 2.0}
    equals_reference("Gemm", operands, opset, constants=(1, 2), **attributes)


@pytest.mark.parametrize("opset", [11, 13, 21])
def test_gemm_without_c(equals_reference: Check, opset: int) -> None:
    equals_reference("Gemm", [reals(3, 4), reals(4, 5)], opset)


@pytest.mark.parametrize("opset", [10, 13, 28])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (5, 4, 6)),
        ((4,), (2, 4, 5)),
        ((2, 3, 4), (4,)),
    ],
)
def test_matmul(equals_reference: Check, a: tuple[int, ...], b: tuple[int, ...], opset: int) -> None:
    equals_reference("MatMul", [reals(*a), reals(*b)], opset)


@pytest.mark.parametrize(
    ("x", "w", "attributes", "text"),
    [
        ((1, 3, 7, 6), (4, 3, 3, 3), {"kernel_shape": [5, 5]}, "kernel_shape"),
        ((1, 3, 7, 6), (4, 2, 3, 3), {}, "group"),
        ((1, 3, 7, 6), (4, 3, 3), {}, "rank"),
        ((1, 3, 7, 6), (4, 3, 9, 9), {}, "does not fit"),
        ((1, 3, 7, 6), (4, 3, 3, 3), {"strides": [0, 1]}, "strides"),
        ((1, 3, 7, 6), (4, 3, 3, 3), {"pads": [1, 1]}, "pads"),
        ((1, 3, 7, 6), (4, 3, 3, 3), {"auto_pad": "SAME"}, "auto_pad"),
    ],
)
def test_a_conv_that_does_not_fit_is_refused(
    make_operator: Any, imported: Any, x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any], text: str
) -> None:
    with pytest.raises(ModelError, match=f"Conv 'node'.*{text}"):
        imported(make_operator("Conv", [reals(*x), reals(*w)], 21, constants=(1,), **attributes)[0])


def test_a_conv_in_three_dimensions_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match="3 spatial axes"):
        imported(make_operator("Conv", [reals(1, 2, 3, 3, 3), reals(2, 2, 1, 1, 1)], 21)[0])
