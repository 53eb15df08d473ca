"""N6's resizing: positions, nearest indices and linear weights by ONNX's rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.resize import (
    COORDINATES,
    linear_taps,
    nearest_indices,
    positions,
    resize_linear,
    resize_nearest,
)


@pytest.mark.parametrize(
    ("coordinates", "want"),
    [
        ("half_pixel", [-0.25, 0.25, 0.75, 1.25]),
        ("pytorch_half_pixel", [-0.25, 0.25, 0.75, 1.25]),
        ("half_pixel_symmetric", [-0.25, 0.25, 0.75, 1.25]),
        ("asymmetric", [0, 0.5, 1, 1.5]),
        ("tf_half_pixel_for_nn", [0.25, 0.75, 1.25, 1.75]),
        ("align_corners", [0, np.float32(1) / 3, np.float32(2) / 3, 1]),
    ],
)
def test_positions_when_doubling_two(coordinates: str, want: list[float]) -> None:
    assert positions(coordinates, 4, 2, 2.0).tolist() == np.float32(want).tolist()


def test_positions_of_a_single_output() -> None:
    assert positions("pytorch_half_pixel", 1, 4, 0.25).tolist() == [0]
    assert positions("half_pixel", 1, 4, 0.25).tolist() == [1.5]
    assert positions("align_corners", 1, 4, 0.25).tolist() == [0]


def test_symmetric_positions_stay_centred_when_the_scale_is_not_a_ratio_of_extents() -> None:
    p = positions("half_pixel_symmetric", 3, 4, 0.8)  # 4 * 0.8 = 3.2 outputs, of which 3 are made
    np.testing.assert_allclose(p + p[::-1], 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("rounding", "want"),
    [
        ("round_prefer_floor", [0, 0, 1, 1]),
        ("round_prefer_ceil", [0, 1, 1, 1]),
        ("floor", [0, 0, 1, 1]),
        ("ceil", [0, 1, 1, 1]),
    ],
)
def test_nearest_indices_of_half_positions(rounding: str, want: list[int]) -> None:
    assert nearest_indices("asymmetric", rounding, 4, 2, 2.0).tolist() == want


def test_linear_taps_stay_inside() -> None:
    lower, upper, weight = linear_taps("half_pixel", 4, 2, 2.0)
    assert (lower.tolist(), upper.tolist(), weight.tolist()) == ([0, 0, 0, 1], [1, 1, 1, 1], [0, 0.25, 0.75, 0])


def test_linear_goes_axis_after_axis_with_three_roundings_each() -> None:
    x = np.random.default_rng(0).normal(0, 1, (1, 2, 5, 7)).astype(np.float32)
    got = resize_linear(x, (1, 2, 8, 9), (1.0, 1.0, 1.6, 9 / 7), "half_pixel")
    y = x
    for axis, (extent, scale) in ((2, (8, 1.6)), (3, (9, 9 / 7))):
        lower, upper, weight = linear_taps("half_pixel", extent, y.shape[axis], scale)
        w = weight[:, None] if axis == 2 else weight
        y = (np.float32(1) - w) * y.take(lower, axis) + w * y.take(upper, axis)
    assert got.dtype == np.float32
    assert (got == y).all()


def test_copied_axes_keep_every_bit() -> None:
    x = np.float32([[1e-45, -0.0, np.inf]])
    assert (resize_linear(x, (1, 3), (1.0, 1.0), "half_pixel").view(np.uint32) == x.view(np.uint32)).all()


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0, 2.7])
def test_equals_onnxruntime(coordinates: str, scale: float) -> None:
    x = np.random.default_rng(1).normal(0, 1, (1, 1, 5, 6)).astype(np.float32)
    scales = np.float32([1, 1, scale, scale])
    sizes = tuple(int(np.floor(np.float64(e) * np.float64(s))) for e, s in zip(x.shape, scales, strict=True))
    for mode, nearest in [
        ("linear", "floor"),
        *(("nearest", n) for n in ("round_prefer_floor", "round_prefer_ceil", "floor")),
    ]:
        node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode=mode, nearest_mode=nearest,
                                coordinate_transformation_mode=coordinates)  # fmt: skip
        graph = helper.make_graph(
            [node],
            "resize",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("x", "scales")],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (want,) = session.run(None, {"x": x, "scales": scales})
        got: Any
        if mode == "linear":
            got = resize_linear(x, sizes, tuple(scales.tolist()), coordinates)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        else:
            got = resize_nearest(x, sizes, tuple(scales.tolist()), coordinates, nearest)
            np.testing.assert_array_equal(got, want)


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(NumericsError, match="no coordinate rule"):
        positions("corners", 1, 1, 1.0)
    with pytest.raises(NumericsError, match="no nearest mode"):
        nearest_indices("asymmetric", "round", 1, 1, 1.0)


def test_c_interpolation_equals(twin: Any) -> None:
    rng = np.random.default_rng(2)
    low, high = rng.normal(0, 1, (2, 20000)).astype(np.float32)
    weight = rng.uniform(0, 1, 20000).astype(np.float32)
    want = (np.float32(1) - weight) * low + weight * high
    got = twin.call("lerp", np.float32, (low, np.float32), (high, np.float32), (weight, np.float32))
    assert (got.view(np.uint32) == want.view(np.uint32)).all()
