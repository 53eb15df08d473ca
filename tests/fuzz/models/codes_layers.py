"""Operators on codes, ONNX's own and ONNX Runtime's: they take codes and make codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import TensorProto

from tests.fuzz.models.dialect import Scales
from tests.fuzz.models.qdq import along, codes_of, grid
from tests.fuzz.models.scene import Layer, Scene, random_weights
from tests.fuzz.models.writer import RANGES, Codes, Shape, Tensor

MICROSOFT = "com.microsoft"
OUTPUT_TYPES = (TensorProto.INT8, TensorProto.UINT8)


def _is_code(x: Tensor) -> bool:
    return x.codes is not None and x.codes.dtype in OUTPUT_TYPES


def _triple(s: Scene, codes: Codes) -> list[str]:
    """Codes, their scale and their zero point."""
    written = s.w.codes(np.int64(codes.zero_point), codes.dtype, "zero")
    return [codes.name, s.w.constant(codes.scale, "scale"), written]


def _result(s: Scene, x: Tensor, reach: float) -> tuple[list[str], Codes]:
    """The grid of the codes that are to come: its operands, and what it is."""
    assert x.codes is not None
    low, high = RANGES[x.codes.dtype]
    scale, zero_point = grid(s.c, Scales(s.c), max(reach, 1e-3), low, high)
    meaning = Codes("", x.codes.dtype, scale, zero_point)
    return _triple(s, meaning)[1:], meaning


def _tensor(s: Scene, name: str, meaning: Codes, shape: Shape) -> Tensor:
    """Codes that were made, and the reals that they stand for."""
    codes = Codes(name, meaning.dtype, meaning.scale, meaning.zero_point)
    (real,) = s.w.node("DequantizeLinear", _triple(s, codes))
    low, high = RANGES[codes.dtype]
    reach = float(codes.scale) * max(high - codes.zero_point, codes.zero_point - low)
    return Tensor(real, shape, reach, codes)


def _weights(s: Scene, shape: Shape, fan_in: int, axis: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """(codes, scale, zero point) of constant weights; the scale."""
    dtype = s.c.pick(OUTPUT_TYPES)
    low, high = RANGES[dtype]
    values = random_weights(s.c, shape, fan_in)
    scales = Scales(s.c)
    target = float(np.abs(values).max(initial=1e-3)) / 127
    scale = np.asarray(scales.near(s.c, target))
    zero_point = np.int64(s.c.pick((0 if low < 0 else 128, s.c.number(low, high))))
    spread = scale
    if s.c.happens(40):
        scale = scales.several(s.c, target, shape[axis])
        zero_point = np.broadcast_to(zero_point, scale.shape)
        spread = along(scale, axis, len(shape))
    codes = codes_of(values, spread, zero_point.flat[0], low, high)
    names = [s.w.codes(codes, dtype, "w"), s.w.constant(scale, "scale"), s.w.codes(zero_point, dtype, "zero")]
    return names, scale


def _bias(s: Scene, x: Tensor, scale: np.ndarray[Any, Any], size: int) -> list[str]:
    if s.c.happens(40):
        return []
    assert x.codes is not None
    codes = s.c.random().normal(0, x.reach / 2, size) / (float(x.codes.scale) * scale)
    return [s.w.codes(np.clip(codes, -1e9, 1e9).astype(np.int64), TensorProto.INT32, "bias")]


def qlinear_conv(s: Scene, x: Tensor) -> Tensor | None:
    if not _is_code(x) or x.rank not in (3, 4) or x.codes is None:
        return None
    c, channels, extents = s.c, x.shape[1], x.shape[2:]
    group = c.pick((1, channels))
    outputs = group * c.number(1, max(1, 5 // group))
    kernel = [c.number(1, min(3, n)) for n in extents]
    shape = (outputs, channels // group, *kernel)
    fan_in = channels // group * math.prod(kernel)
    weights, scale = _weights(s, shape, fan_in, 0)
    after, meaning = _result(s, x, x.reach)
    attributes = {"group": group, "pads": [c.number(0, 1) for _ in range(2 * len(extents))]}
    operands = [*_triple(s, x.codes), *weights, *after, *_bias(s, x, scale, outputs)]
    (name,) = s.w.node("QLinearConv", operands, strides=[c.number(1, 2) for _ in extents], **attributes)
    return _tensor(s, name, meaning, s.w.shape(name))


def qlinear_matmul(s: Scene, x: Tensor) -> Tensor | None:
    if not _is_code(x) or x.rank < 2 or x.codes is None:
        return None
    columns = s.c.number(1, 6)
    weights, _ = _weights(s, (x.shape[-1], columns), x.shape[-1], 1)
    after, meaning = _result(s, x, x.reach)
    (name,) = s.w.node("QLinearMatMul", [*_triple(s, x.codes), *weights, *after])
    return _tensor(s, name, meaning, (*x.shape[:-1], columns))


def qgemm(s: Scene, x: Tensor) -> Tensor | None:
    """With codes or floats as its result."""
    if not _is_code(x) or x.rank != 2 or x.codes is None:
        return None
    columns, transposed = s.c.number(1, 6), s.c.happens(50)
    shape = (columns, x.shape[1]) if transposed else (x.shape[1], columns)
    weights, scale = _weights(s, shape, x.shape[1], 0 if transposed else 1)
    alpha = s.c.pick((1.0, 0.5))
    bias = _bias(s, x, alpha * scale, columns)
    made = (x.shape[0], columns)
    operands = [*_triple(s, x.codes), *weights, *(bias or [""])]
    attributes = {"transB": int(transposed), "alpha": alpha}
    if s.c.happens(20):
        name = s.w.custom("QGemm", MICROSOFT, operands if bias else operands[:-1], made, **attributes)
        return s.w.tensor(name, x.reach)
    after, meaning = _result(s, x, x.reach)
    name = s.w.custom("QGemm", MICROSOFT, [*operands, *after], made, dtype=meaning.dtype, **attributes)
    return _tensor(s, name, meaning, made)


def qlinear_binary(s: Scene, x: Tensor) -> Tensor | None:
    fits = [t for t in s.tensors if t.shape == x.shape and t.codes is not None and x.codes is not None]
    fits = [t for t in fits if t.codes is not None and x.codes is not None and t.codes.dtype == x.codes.dtype]
    if not _is_code(x) or x.codes is None or not fits:
        return None
    other = s.c.pick(fits)
    assert other.codes is not None
    op = s.c.pick(("QLinearAdd", "QLinearMul"))
    after, meaning = _result(s, x, x.reach + other.reach if op == "QLinearAdd" else x.reach * other.reach)
    operands = [*_triple(s, x.codes), *_triple(s, other.codes), *after]
    return _tensor(s, s.w.custom(op, MICROSOFT, operands, x.shape, dtype=meaning.dtype), meaning, x.shape)


def qlinear_pool(s: Scene, x: Tensor) -> Tensor | None:
    """An average, or the largest codes."""
    if not _is_code(x) or x.rank != 4 or x.codes is None:
        return None
    kernel = [s.c.number(1, min(3, n)) for n in x.shape[2:]]
    window: dict[str, Any] = {"kernel_shape": kernel, "strides": [s.c.number(1, 2)] * 2}
    window["pads"] = [s.c.number(0, k - 1) for k in kernel * 2]
    if s.w.opset > 11 and s.c.happens(30):
        (name,) = s.w.node("MaxPool", [x.codes.name], **window)
        return _tensor(s, name, x.codes, s.w.shape(name))
    if s.c.happens(30):
        after, meaning = _result(s, x, x.reach)
        made = (*x.shape[:2], 1, 1)
        operands = [*_triple(s, x.codes), *after]
        name = s.w.custom("QLinearGlobalAveragePool", MICROSOFT, operands, made, dtype=meaning.dtype)
        return _tensor(s, name, meaning, made)
    window["count_include_pad"] = s.c.number(0, 1)
    (like,) = s.w.node("AveragePool", [x.name], **window)  # nobody reads it: it says the shape
    after, meaning = _result(s, x, x.reach)
    operands = [*_triple(s, x.codes), *after]
    name = s.w.custom("QLinearAveragePool", MICROSOFT, operands, s.w.shape(like), dtype=meaning.dtype, **window)
    return _tensor(s, name, meaning, s.w.shape(like))


def qlinear_unary(s: Scene, x: Tensor) -> Tensor | None:
    if not _is_code(x) or x.codes is None:
        return None
    op = s.c.pick(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"))
    after, meaning = _result(s, x, x.reach if op == "QLinearLeakyRelu" else 1.0)
    if op == "QLinearSoftmax":  # the scale that onnxruntime's quantizer gives it
        meaning = Codes("", x.codes.dtype, np.float32(1 / 256), RANGES[x.codes.dtype][0])
        after = _triple(s, meaning)[1:]
    attributes: dict[str, Any] = {"QLinearLeakyRelu": {"alpha": 0.1}, "QLinearSoftmax": {"axis": -1, "opset": 13}}.get(
        op, {}
    )
    operands = [*_triple(s, x.codes), *after]
    return _tensor(s, s.w.custom(op, MICROSOFT, operands, x.shape, dtype=meaning.dtype, **attributes), meaning, x.shape)


def qlinear_concat(s: Scene, x: Tensor) -> Tensor | None:
    if not _is_code(x) or x.rank < 2 or x.codes is None:
        return None
    fits = [t for t in s.tensors if t.codes is not None and t.codes.dtype == x.codes.dtype]
    fits = [t for t in fits if t.rank == x.rank and (t.shape[0], *t.shape[2:]) == (x.shape[0], *x.shape[2:])]
    other = s.c.pick([x, *fits])
    assert other.codes is not None
    after, meaning = _result(s, x, max(x.reach, other.reach))
    made = (x.shape[0], x.shape[1] + other.shape[1], *x.shape[2:])
    operands = [*after, *_triple(s, x.codes), *_triple(s, other.codes)]
    name = s.w.custom("QLinearConcat", MICROSOFT, operands, made, dtype=meaning.dtype, axis=1)
    return _tensor(s, name, meaning, made)


def moved_codes(s: Scene, x: Tensor) -> Tensor | None:
    """Movement of the codes themselves."""
    if not _is_code(x) or x.codes is None:
        return None
    if s.c.happens(50):
        (name,) = s.w.node("Transpose", [x.codes.name], perm=list(reversed(range(x.rank))))
    else:
        (name,) = s.w.node("Reshape", [x.codes.name, s.w.integers([x.shape[0], -1])])
    return _tensor(s, name, x.codes, s.w.shape(name))


CODES_LAYERS: tuple[Layer, ...] = (
    qlinear_conv, qlinear_conv, qlinear_matmul, qgemm, qlinear_binary, qlinear_binary, qlinear_pool, qlinear_pool,
    qlinear_unary, qlinear_concat, moved_codes,
)  # fmt: skip
