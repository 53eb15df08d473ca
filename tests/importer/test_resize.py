"""Resize means what ONNX Runtime and ONNX say, in every opset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import ModelError, UnsupportedError

Check = Callable[..., None]
X = np.random.default_rng(8).standard_normal((1, 2, 4, 5)).astype(np.float32)
NOTHING = np.array([], np.float32)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def longs(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("opset", [11, 13, 18, 19])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_nearest(equals_onnxruntime: Check, nearest: str, coordinates: str, opset: int) -> None:
    attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
    equals_onnxruntime("Resize", [X, NOTHING, floats(1, 1, 2, 3)], opset, constants=(1, 2), **attributes)
    operands = [X, NOTHING, NOTHING, longs(1, 2, 7, 3)]
    equals_onnxruntime("Resize", operands, opset, constants=(1, 2, 3), **attributes)


@pytest.mark.parametrize("opset", [11, 13, 18, 19])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("sizes", [(8, 10), (7, 3), (2, 2), (4, 9)])
def test_linear(equals_onnxruntime: Check, sizes: tuple[int, int], coordinates: str, opset: int) -> None:
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    operands = [X, NOTHING, NOTHING, longs(1, 2, *sizes)]
    equals_onnxruntime("Resize", operands, opset, constants=(1, 2, 3), tolerance=5e-6, **attributes)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.5, 3.0), (0.6, 0.6), (0.5, 1.0)])
def test_opset_10(equals_onnxruntime: Check, scales: tuple[float, float], mode: str) -> None:
    equals_onnxruntime("Resize", [X, floats(1, 1, *scales)], 10, constants=(1,), mode=mode, tolerance=5e-6)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(equals_onnxruntime: Check, mode: str) -> None:
    equals_onnxruntime("Upsample", [X, floats(1, 1, 2, 3)], 9, constants=(1,), mode=mode, tolerance=5e-6)


def test_opset_10_that_enlarges_and_shrinks_is_refused(make_operator: Any, imported: Any) -> None:
    with pytest.raises(UnsupportedError, match="enlarges one axis and shrinks another"):
        imported(make_operator("Resize", [X, floats(1, 1, 2, 0.5)], 10, constants=(1,))[0])


def test_roi_and_scales_may_be_left_out(equals_onnxruntime: Check) -> None:
    equals_onnxruntime("Resize", [X, None, floats(1, 1, 2, 2)], 13, constants=(2,), mode="nearest")
    equals_onnxruntime("Resize", [X, None, None, longs(1, 2, 8, 10)], 13, constants=(3,), mode="nearest")


def test_the_extent_is_the_floor_of_a_product_in_float32(equals_onnxruntime: Check) -> None:
    x = np.arange(10, dtype=np.float32).reshape(1, 1, 1, 10)
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    equals_onnxruntime("Resize", [x, NOTHING, floats(1, 1, 1, 0.7)], 13, constants=(1, 2), **attributes)


def test_named_axes(equals_onnxruntime: Check) -> None:
    equals_onnxruntime("Resize", [X, None, floats(3, 2)], 18, constants=(2,), axes=[3, 2], mode="nearest")


@pytest.mark.parametrize("policy", ["stretch", "not_larger", "not_smaller"])
def test_keep_aspect_ratio(equals_onnxruntime: Check, policy: str) -> None:
    attributes = {"mode": "nearest", "keep_aspect_ratio_policy": policy, "axes": [2, 3]}
    equals_onnxruntime("Resize", [X, None, None, longs(9, 8)], 18, constants=(3,), **attributes)


def test_symmetric_half_pixels(equals_reference: Check) -> None:
    attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"}
    equals_reference("Resize", [X, None, floats(1, 1, 1.3, 1.7)], 19, constants=(2,), tolerance=1e-5, **attributes)


def test_half_pixels_of_tensorflow(equals_onnxruntime: Check) -> None:
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn"}
    equals_onnxruntime("Resize", [X, NOTHING, floats(1, 1, 2, 3)], 11, constants=(1, 2), **attributes)


def test_codes_are_resized_to_the_nearest(equals_onnxruntime: Check) -> None:
    codes = np.arange(40, dtype=np.uint8).reshape(1, 2, 4, 5)
    equals_onnxruntime("Resize", [codes, None, floats(1, 1, 2, 2)], 13, constants=(2,), mode="nearest")


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"mode": "cubic"}, "mode 'cubic'"),
        ({"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}, "tf_crop_and_resize"),
        ({"mode": "linear", "exclude_outside": 1}, "exclude_outside"),
    ],
)
def test_what_is_not_read_is_refused(make_operator: Any, imported: Any, attributes: Any, text: str) -> None:
    with pytest.raises(UnsupportedError, match=f"Resize 'node'.*{text}"):
        imported(make_operator("Resize", [X, NOTHING, floats(1, 1, 2, 2)], 13, constants=(1, 2), **attributes)[0])


@pytest.mark.parametrize("scales", [(1, 1, 0, 1), (1, 1, -1, 1), (1, 1, np.nan, 1), (1, 1, 2), (1, 1, 0.1, 1)])
def test_scales_that_make_no_sense_are_refused(make_operator: Any, imported: Any, scales: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="Resize 'node'"):
        imported(make_operator("Resize", [X, NOTHING, floats(*scales)], 13, constants=(1, 2))[0])


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_corners_are_not_aligned_where_onnx_and_its_runtimes_disagree(
    make_operator: Any, imported: Any, mode: str
) -> None:
    attributes = {"mode": mode, "coordinate_transformation_mode": "align_corners"}
    operands = [X, NOTHING, floats(1, 1, 0.6, 0.6)]
    with pytest.raises(UnsupportedError, match=r"scales 4 elements by 0\.6.* Give sizes instead"):
        imported(make_operator("Resize", operands, 18, constants=(1, 2), **attributes)[0])
