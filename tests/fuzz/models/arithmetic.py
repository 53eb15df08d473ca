"""Float arithmetic and functions, element by element."""

from __future__ import annotations

import math

import numpy as np

from tests.fuzz.models.scene import Layer, Scene
from tests.fuzz.models.writer import Tensor


def binary(s: Scene, x: Tensor) -> Tensor | None:
    """Another tensor, or a constant that is broadcast, on either side."""
    op = s.c.pick(("Add", "Add", "Mul", "Sub", "Div", "Max", "Min"))
    if op != "Div" and s.c.happens(60):
        other = s.another(x)
        reach = x.reach * other.reach if op == "Mul" else x.reach + other.reach
        return s.w.apply(op, x, other.name, reach=reach)
    shape = s.c.pick(((), x.shape[-1:], (1,), (x.shape[1],) + (1,) * (x.rank - 2) if x.rank > 1 else ()))
    values = s.c.random().uniform(0.4, 2, shape).astype(np.float32)
    if s.c.happens(30):
        values *= np.float32(-1)
    quantized = s.c.happens(40)
    name = s.dialect.weights(s.w, s.c, values, None).name if quantized else s.w.constant(values)
    if op != "Div" and s.c.happens(30):
        (name,) = s.w.node(op, [name, x.name])
        return s.w.tensor(name, x.reach + 1)
    if op == "Div" and quantized:
        return None  # quantized divisors may be zero
    return s.w.apply(op, x, name, reach=x.reach + 1)


def unary(s: Scene, x: Tensor) -> Tensor | None:
    op = s.c.pick(("Relu", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh", "Elu", "Abs", "Neg", "HardSigmoid", "Softplus"))
    if op == "HardSwish" and s.w.opset < 14:
        op = "Relu"
    attributes = {"alpha": s.c.pick((0.1, 0.25, -0.5))} if op == "LeakyRelu" else {}
    return s.w.apply(op, x, reach=1.0 if op in ("Sigmoid", "Tanh", "HardSigmoid") else x.reach, **attributes)


def gelu(s: Scene, x: Tensor) -> Tensor | None:
    if s.w.opset >= 20 and s.c.happens(50):
        return s.w.apply("Gelu", x, approximate=s.c.pick(("none", "tanh")))
    half = s.w.apply("Mul", x, s.w.constant(np.float32(0.5)))
    inner = s.w.apply("Erf", s.w.apply("Div", x, s.w.constant(np.float32(math.sqrt(2)))))
    outer = s.w.apply("Add", inner, s.w.constant(np.float32(1)))
    return s.w.apply("Mul", half, outer.name, reach=x.reach)


def clip(s: Scene, x: Tensor) -> Tensor | None:
    low, high = s.c.pick(((0.0, 6.0), (-1.0, 1.0), (0.0, x.reach / 3), (-x.reach / 2, x.reach / 5)))
    bounds = [s.w.constant(np.float32(low)), s.w.constant(np.float32(high))]
    if s.c.happens(20):
        bounds = s.c.pick((bounds[:1], ["", bounds[1]]))
    return s.w.apply("Clip", x, *bounds)


def normalize(s: Scene, x: Tensor) -> Tensor | None:
    if x.rank < 2:
        return None
    random, channels = s.c.random(), x.shape[1]
    gamma = random.uniform(0.3, 1.5, channels) * random.choice([-1, 1, 1], channels)
    parts = (gamma, random.normal(0, 0.5, channels), random.normal(0, 0.5, channels), random.uniform(0.3, 2, channels))
    return s.w.apply("BatchNormalization", x, *map(s.w.constant, parts), reach=x.reach + 1)


def where(s: Scene, x: Tensor) -> Tensor | None:
    condition = s.w.constant(s.c.random().random(s.c.pick((x.shape, x.shape[-1:]))) < 0.6)
    other = s.another(x).name if s.c.happens(50) else s.w.constant(np.float32(s.c.pick((0.0, 1.0, -100.0))))
    operands = [condition, x.name, other] if s.c.happens(50) else [condition, other, x.name]
    return s.w.tensor(s.w.node("Where", operands)[0], x.reach)


def softmax(s: Scene, x: Tensor) -> Tensor | None:
    return s.w.apply("Softmax", x, reach=1.0, axis=s.c.pick((-1, x.rank - 1, s.c.number(0, x.rank - 1))))


ARITHMETIC: tuple[Layer, ...] = (binary, binary, binary, unary, unary, gelu, clip, normalize, where, softmax)
