"""Float sums of products: convolutions and matrix products, of constant weights and of two activations."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.models.dialect import Weights
from tests.fuzz.models.qdq import Qdq
from tests.fuzz.models.scene import MOST_ELEMENTS, Layer, Scene, bias_of, random_weights
from tests.fuzz.models.writer import Tensor


def conv(s: Scene, x: Tensor) -> Tensor | None:
    """Convolution over one or two axes: plain, depthwise or grouped, with any pads, strides and dilations."""
    if x.rank not in (3, 4):
        return None
    c, channels, extents = s.c, x.shape[1], x.shape[2:]
    group = c.pick([1, 1, channels, *(n for n in (2, 3) if channels % n == 0)])
    outputs = group * c.number(1, max(1, 6 // group))
    kernel = tuple(c.number(1, min(3, extent)) for extent in extents)
    attributes: dict[str, object] = {"group": group, "strides": [c.pick((1, 1, 2, 3)) for _ in extents]}
    if c.happens(80):
        attributes["kernel_shape"] = kernel
    if c.happens(20):
        attributes["dilations"] = [
            c.number(1, 2) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, extents, strict=True)
        ]
    if c.happens(25):
        attributes["auto_pad"] = c.pick(("SAME_UPPER", "SAME_LOWER", "VALID"))
        if attributes["auto_pad"] != "VALID":
            attributes.pop("dilations", None)  # ONNX and its runtimes disagree on both together
    elif c.happens(60):
        attributes["pads"] = [c.number(0, 2) for _ in range(2 * len(extents))]
    fan_in = channels // group * math.prod(kernel)
    weights = s.dialect.weights(s.w, c, random_weights(c, (outputs, channels // group, *kernel), fan_in), 0)
    return _product(s, x, weights, "Conv", [weights.name, *bias_of(s, x, weights, outputs)], attributes)


def conv_transpose(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank != 4 or math.prod(x.shape) > MOST_ELEMENTS // 8:
        return None
    c, channels = s.c, x.shape[1]
    group = channels if c.happens(20) else 1
    outputs = 1 if group > 1 else c.number(1, 4)
    kernel = (c.number(1, 3), c.number(1, 3))
    strides = [c.number(1, 2), c.number(1, 2)]
    attributes: dict[str, object] = {"group": group, "strides": strides, "kernel_shape": kernel}
    if c.happens(40):
        attributes["pads"] = [c.number(0, min(k - 1, 1)) for k in kernel * 2]
    if c.happens(20):
        attributes["output_padding"] = [c.number(0, stride - 1) for stride in strides]
    values = random_weights(c, (channels, outputs, *kernel), channels // group)
    weights = s.dialect.weights(s.w, c, values, 1 if group == 1 else None)
    bias = bias_of(s, x, weights, outputs * group)
    return _product(s, x, weights, "ConvTranspose", [weights.name, *bias], attributes)


def matmul(s: Scene, x: Tensor) -> Tensor | None:
    """x @ W over the last axis, with an addition after it or none."""
    if x.rank < 2:
        return None
    depth, outputs = x.shape[-1], s.c.number(1, 6)
    values = random_weights(s.c, (depth, outputs), depth)
    if isinstance(s.dialect, Qdq) and s.w.opset >= 21 and s.c.happens(15):
        weights = s.dialect.blocks(s.w, s.c, values, 0)
    else:
        weights = s.dialect.weights(s.w, s.c, values, 1)
    product = _product(s, x, weights, "MatMul", [weights.name], {})
    if product is not None and s.c.happens(30):
        return s.w.apply("Add", product, s.w.constant(s.c.random().normal(0, 1, outputs)))
    return product


def gemm(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank != 2:
        return None
    c, outputs = s.c, s.c.number(1, 6)
    attributes: dict[str, object] = {"transB": int(c.happens(60))}
    if c.happens(20):
        attributes["alpha"] = c.pick((0.5, -1.0, 0.3))
    if c.happens(20):
        attributes["beta"] = c.pick((0.5, -1.0, 1.7))
    values = random_weights(c, (outputs, x.shape[1]), x.shape[1])
    values = values if attributes["transB"] else np.ascontiguousarray(values.T)
    weights = s.dialect.weights(s.w, c, values, 0 if attributes["transB"] else 1)
    return _product(s, x, weights, "Gemm", [weights.name, *bias_of(s, x, weights, outputs)], attributes)


def _product(
    s: Scene, x: Tensor, weights: Weights, op: str, operands: list[str], attributes: dict[str, object]
) -> Tensor | None:
    if not weights.integer:
        s.w.floats.add("weights without one scale a channel")
    return s.w.apply(op, x, *operands, reach=x.reach, **attributes)


def matmul_of_activations(s: Scene, x: Tensor) -> Tensor | None:
    """x @ its own or another's transpose, as attention does."""
    if x.rank < 2 or x.shape[-2] > 12:
        return None
    other = s.another(x)
    axes = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    turned = s.w.apply("Transpose", other, perm=axes)
    return s.w.apply("MatMul", x, turned.name, reach=x.reach * other.reach * math.sqrt(x.shape[-1]))


PRODUCTS: tuple[Layer, ...] = (conv, conv, conv, conv_transpose, matmul, gemm, matmul_of_activations)
