"""Pools, reductions and resizing."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.models.scene import MOST_ELEMENTS, Layer, Scene
from tests.fuzz.models.writer import Tensor


def pool(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank not in (3, 4):
        return None
    c, extents = s.c, x.shape[2:]
    op = c.pick(("MaxPool", "AveragePool"))
    kernel = [c.number(1, min(3, extent)) for extent in extents]
    strides = [c.number(1, 3) for _ in extents]
    begins = [0, 0]
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": strides}
    if c.happens(20):
        attributes["auto_pad"] = c.pick(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif c.happens(50):
        begins = [c.number(0, k - 1) for k in kernel * 2]
        attributes["pads"] = begins
    if c.happens(25) and "auto_pad" not in attributes:  # ONNX's text and its inference disagree on both together
        attributes["ceil_mode"] = 1
    if op == "AveragePool" and c.happens(40):
        attributes["count_include_pad"] = 1
    y = s.w.apply(op, x, **attributes)
    steps = zip(y.shape[2:], strides, extents, begins, strict=False)
    if any((count - 1) * stride >= extent + begin for count, stride, extent, begin in steps):
        return None  # ONNX's inference before opset 22 counts a window that begins behind the image
    return y


def global_pool(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank < 3:
        return None
    return s.w.apply(s.c.pick(("GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool")), x)


def reduce(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank < 2:
        return None
    op = s.c.pick(("ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"))
    axes = sorted({s.c.number(1, x.rank - 1) for _ in range(2)})
    keep = {"keepdims": int(s.c.happens(60))}
    since = {"ReduceSum": 13}.get(op, 18)
    reach = x.reach * (3 if op == "ReduceSum" else 1)
    if s.w.opset >= since:
        return s.w.apply(op, x, s.w.integers(axes), reach=reach, **keep)
    return s.w.apply(op, x, reach=reach, axes=axes, **keep)


def resize(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank != 4 or math.prod(x.shape) > MOST_ELEMENTS // 4:
        return None
    c = s.c
    mode = c.pick(("nearest", "linear"))
    attributes: dict[str, object] = {"mode": mode}
    attributes["coordinate_transformation_mode"] = c.pick(("half_pixel", "asymmetric", "pytorch_half_pixel"))
    if mode == "nearest":
        attributes["nearest_mode"] = c.pick(("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
    if c.happens(50):
        factors = np.array([1, 1, c.pick((2.0, 1.0, 1.5)), c.pick((2.0, 1.0, 0.5))], np.float32)
        if math.floor(x.shape[3] * factors[3]) < 1:
            return None
        return s.w.apply("Resize", x, "", s.w.constant(factors), **attributes)
    sizes = [*x.shape[:2], c.number(1, 2 * x.shape[2]), c.number(1, 2 * x.shape[3])]
    return s.w.apply("Resize", x, "", "", s.w.integers(sizes), **attributes)


WINDOWS: tuple[Layer, ...] = (pool, pool, global_pool, reduce, resize)
