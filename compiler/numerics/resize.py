"""Resizing (N6): where each element of the result looks in the input, and how interpolation weighs what it finds.

The positions and weights are computed by the compiler, one axis at a time, each operation in float32; kernels get them
as tables. Linear interpolation goes one axis after the other, in ascending order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Array, Codes, Floats

COORDINATES = (
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "half_pixel_symmetric",
    "tf_half_pixel_for_nn",
)
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def positions(coordinates: str, extent: int, input_extent: int, scale: float) -> Floats:
    """The real position in the input of each of `extent` outputs i, along one axis, each operation rounded to float32.

    half_pixel (i + 0.5) / scale - 0.5;  pytorch_half_pixel: the same, 0 where extent is 1;  asymmetric i / scale;
    tf_half_pixel_for_nn (i + 0.5) / scale;  align_corners i * (input_extent - 1) / (extent - 1), 0 where extent is 1;
    half_pixel_symmetric input_extent / 2 * (1 - extent / (input_extent * scale)) + (i + 0.5) / scale - 0.5, where all
    after the first + is computed in float64 and rounded once, as in ONNX Runtime.

    Args: scale: float32, output over input.
    Returns: float32 [extent].
    Raises: NumericsError: there is no such rule.
    Source: ONNX Resize, coordinate_transformation_mode.
    """
    f = np.float32
    i, s, half = np.arange(extent, dtype=np.float32), f(scale), f(0.5)
    match coordinates:
        case "half_pixel":
            return np.asarray((i + half) / s - half)
        case "pytorch_half_pixel":
            return np.asarray((i + half) / s - half) if extent > 1 else np.zeros(extent, np.float32)
        case "asymmetric":
            return np.asarray(i / s)
        case "tf_half_pixel_for_nn":
            return np.asarray((i + half) / s)
        case "align_corners":
            return np.asarray(i * f(input_extent - 1) / f(max(extent - 1, 1)))
        case "half_pixel_symmetric":
            offset = f(input_extent) * half * (f(1) - f(extent) / (f(input_extent) * s))
            return np.asarray(np.float64(offset) + (i.astype(np.float64) + 0.5) / np.float64(s) - 0.5, np.float32)
    raise NumericsError(f"there is no coordinate rule '{coordinates}'; there are {', '.join(COORDINATES)}")


def nearest_indices(coordinates: str, rounding: str, extent: int, input_extent: int, scale: float) -> Codes:
    """Which input element each output takes along one axis: its position rounded, then clipped to the input.

    round_prefer_floor and round_prefer_ceil round to nearest with ties down and up.

    Returns: int64 [extent].
    Raises: NumericsError: there is no such coordinate rule or rounding.
    Source: ONNX Resize, nearest_mode.
    """
    x = positions(coordinates, extent, input_extent, scale).astype(np.float64)
    match rounding:
        case "round_prefer_floor":
            rounded = np.ceil(x - 0.5)
        case "round_prefer_ceil":
            rounded = np.floor(x + 0.5)
        case "floor":
            rounded = np.floor(x)
        case "ceil":
            rounded = np.ceil(x)
        case _:
            raise NumericsError(f"there is no nearest mode '{rounding}'; there are {', '.join(NEAREST_MODES)}")
    return np.asarray(np.clip(rounded, 0, input_extent - 1), np.int64)


def linear_taps(coordinates: str, extent: int, input_extent: int, scale: float) -> tuple[Codes, Codes, Floats]:
    """The two input elements between which each output lies along one axis, and the weight of the upper one.

    The position p is clipped to 0 .. input_extent - 1; lower = floor(p), upper = min(lower + 1, input_extent - 1),
    weight = f32(p - lower); the lower one weighs f32(1 - weight).

    Returns: lower, upper: int64 [extent]; weight: float32 [extent].
    Source: ONNX Resize, mode linear.
    """
    p = np.clip(positions(coordinates, extent, input_extent, scale), np.float32(0), np.float32(input_extent - 1))
    lower = np.floor(p)
    index = lower.astype(np.int64)
    return index, np.minimum(index + 1, input_extent - 1), np.asarray(p - lower, np.float32)


def resize_nearest(x: Any, sizes: tuple[int, ...], scales: tuple[float, ...], coordinates: str, rounding: str) -> Array:
    """Each element of the result, of shape `sizes`, is the nearest of x, codes or reals; an axis of scale 1 is copied.

    Args: scales: float32, output over input, one for each axis.
    Source: design.md N6; ONNX Resize, mode nearest.
    """
    y: Array = np.asarray(x)
    for axis, (extent, scale) in enumerate(zip(sizes, scales, strict=True)):
        if (extent, scale) != (y.shape[axis], 1.0):
            y = np.take(y, nearest_indices(coordinates, rounding, extent, y.shape[axis], scale), axis=axis)
    return y


def resize_linear(x: Any, sizes: tuple[int, ...], scales: tuple[float, ...], coordinates: str) -> Floats:
    """Linear interpolation, axis after axis: f32(f32(f32(1 - w) * x[lower]) + f32(w * x[upper])); scale 1 is copied.

    Args: x: float32; scales: float32, output over input, one for each axis.
    Returns: float32, of shape `sizes`.
    Source: design.md N6; ONNX Resize, mode linear.
    """
    y = np.asarray(x, np.float32)
    for axis, (extent, scale) in enumerate(zip(sizes, scales, strict=True)):
        if (extent, scale) == (y.shape[axis], 1.0):
            continue
        lower, upper, weight = linear_taps(coordinates, extent, y.shape[axis], scale)
        weight = weight.reshape([-1 if k == axis else 1 for k in range(y.ndim)])
        with np.errstate(all="ignore"):
            y = (np.float32(1) - weight) * np.take(y, lower, axis=axis) + weight * np.take(y, upper, axis=axis)
    return np.asarray(y, np.float32)
