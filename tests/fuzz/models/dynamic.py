"""Quantization at run time: activations stay float, and each product quantizes its operand for itself."""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.dialect import Floats, Weights
from tests.fuzz.models.scene import Layer, Scene
from tests.fuzz.models.writer import RANGES, Tensor, Writer

MICROSOFT = "com.microsoft"


class Dynamic:
    """Weights of other layers stay float."""

    def __init__(self, c: Choices) -> None:
        del c

    def activation(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        """Most stay float; some are quantized by a DynamicQuantizeLinear, and dequantized at once."""
        w.floats.add("run-time scales")
        if c.happens(70):
            return x
        codes, scale, zero_point = w.node("DynamicQuantizeLinear", [x.name], outputs=3)
        return w.tensor(w.node("DequantizeLinear", [codes, scale, zero_point])[0], x.reach)

    def weights(self, w: Writer, c: Choices, values: Floats, axis: int | None) -> Weights:
        w.floats.add("float weights")
        return Weights(w.constant(values, "w"))


def _codes(s: Scene, shape: tuple[int, ...]) -> tuple[str, int]:
    """Constant codes of 8 bits, and their type."""
    dtype = s.c.pick((TensorProto.INT8, TensorProto.UINT8))
    low, high = RANGES[dtype]
    return s.w.codes(s.c.random().integers(low, high + 1, shape), dtype, "w"), dtype


def _zero(s: Scene, dtype: int, columns: int) -> list[str]:
    """No zero point, one, or one a column."""
    shape = s.c.pick((None, (), (columns,)))
    if shape is None:
        return []
    return [s.w.codes(s.c.random().integers(RANGES[dtype][0] // 2, 100, shape), dtype, "zero")]


def dynamic_matmul(s: Scene, x: Tensor) -> Tensor | None:
    """DynamicQuantizeLinear, MatMulInteger, Cast, Mul: as onnxruntime's dynamic quantizer writes it."""
    s.w.floats.add("run-time scales")
    columns = s.c.number(1, 6)
    codes, scale, zero_point = s.w.node("DynamicQuantizeLinear", [x.name], outputs=3)
    weights, dtype = _codes(s, (x.shape[-1], columns))
    (total,) = s.w.node("MatMulInteger", [codes, weights, zero_point, *_zero(s, dtype, columns)])
    return _scaled(s, x, total, scale, (columns,) if s.c.happens(50) else (), x.shape[-1])


def dynamic_conv(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank != 4:
        return None
    s.w.floats.add("run-time scales")
    c, channels = s.c, x.shape[1]
    group = c.pick((1, channels))
    outputs = group * c.number(1, max(1, 4 // group))
    kernel = [c.number(1, min(3, n)) for n in x.shape[2:]]
    codes, scale, zero_point = s.w.node("DynamicQuantizeLinear", [x.name], outputs=3)
    weights, dtype = _codes(s, (outputs, channels // group, *kernel))
    zero = _zero(s, dtype, outputs) if c.happens(50) else []
    attributes = {"group": group, "pads": [c.number(0, 1) for _ in range(4)], "strides": [c.number(1, 2)] * 2}
    (total,) = s.w.node("ConvInteger", [codes, weights, zero_point, *zero], **attributes)
    return _scaled(s, x, total, scale, (), channels // group * math.prod(kernel))


def _scaled(s: Scene, x: Tensor, total: str, scale: str, shape: tuple[int, ...], depth: int) -> Tensor:
    """The sum times both scales."""
    of_weights = (s.c.random().uniform(0.5, 1.5, shape) / 100 / math.sqrt(depth)).astype(np.float32)
    (real,) = s.w.node("Cast", [total], to=TensorProto.FLOAT)
    (both,) = s.w.node("Mul", [scale, s.w.constant(of_weights, "scale")])
    return s.w.tensor(s.w.node("Mul", [real, both])[0], x.reach)


def fused_matmul(s: Scene, x: Tensor) -> Tensor | None:
    """DynamicQuantizeMatMul or MatMulIntegerToFloat."""
    s.w.floats.add("run-time scales")
    if x.rank < 2:
        return None
    columns, depth = s.c.number(1, 6), x.shape[-1]
    weights, dtype = _codes(s, (depth, columns))
    per_column = s.c.happens(50)
    shape = (columns,) if per_column else ()
    scale = s.w.constant((s.c.random().uniform(0.5, 1.5, shape) / 100).astype(np.float32), "scale")
    zero = s.w.codes(s.c.random().integers(RANGES[dtype][0] // 2, 100, shape), dtype) if s.c.happens(50) else ""
    bias = s.w.constant(s.c.random().normal(0, 1, columns), "bias") if s.c.happens(50) else ""
    made = (*x.shape[:-1], columns)
    if s.c.happens(50):
        name = s.w.custom("DynamicQuantizeMatMul", MICROSOFT, [x.name, weights, scale, zero, bias], made)
    else:
        codes, of_x, zero_of_x = s.w.node("DynamicQuantizeLinear", [x.name], outputs=3)
        operands = [codes, weights, of_x, scale, zero_of_x, zero, bias]
        name = s.w.custom("MatMulIntegerToFloat", MICROSOFT, operands, made)
    return s.w.tensor(name, x.reach)


def matmul_nbits(s: Scene, x: Tensor) -> Tensor | None:
    """Weights of 2, 4 or 8 bits in blocks along K; activations float, or quantized in blocks (accuracy_level 4)."""
    if x.rank < 2:
        return None
    s.w.floats.add("weights in blocks")
    c, depth, columns, block = s.c, x.shape[-1], s.c.number(1, 5), s.c.pick((16, 32))
    bits = c.pick((4, 8, 2))
    blocks, random = -(-depth // block), c.random()
    packed = random.integers(0, 256, (columns, blocks, block * bits // 8)).astype(np.uint8)
    scales = (random.uniform(-1, 1, columns * blocks) / (1 << bits)).astype(np.float32)
    operands = [x.name, s.w.constant(packed, "w"), s.w.constant(scales, "scale")]
    if c.happens(50):
        operands.append(
            s.w.constant(random.integers(0, 256, columns * -(-blocks * bits // 8)).astype(np.uint8), "zero")
        )
    attributes = {"K": depth, "N": columns, "bits": bits, "block_size": block}
    if c.happens(40):
        attributes["accuracy_level"] = 4
        s.w.peculiar = True  # onnxruntime quantizes in another way where it may
    name = s.w.custom("MatMulNBits", MICROSOFT, operands, (*x.shape[:-1], columns), **attributes)
    return s.w.tensor(name, x.reach)


DYNAMIC_LAYERS: tuple[Layer, ...] = (dynamic_matmul, dynamic_conv, fused_matmul, matmul_nbits)
