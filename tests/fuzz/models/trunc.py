"""QONNX's Trunc behind an average pool, which it was made for: a sum of 8 + 2 bits loses its low ones."""

from __future__ import annotations

import numpy as np

from tests.fuzz.models.qonnx import DOMAINS
from tests.fuzz.models.scene import Layer, Scene
from tests.fuzz.models.writer import Tensor


def truncated_pool(s: Scene, x: Tensor) -> Tensor | None:
    """Quant to unsigned codes, AveragePool over four, Mul by four, Trunc of version 1."""
    if x.rank != 4 or min(x.shape[2:]) < 2:
        return None
    c, domain = s.c, s.c.pick(DOMAINS)
    bits, scale = c.pick((8, 4, 6)), np.float32(c.pick((0.5, 0.1, 0.25)))
    numbers = [s.w.constant(np.float32(number)) for number in (scale, 0, bits, bits + 2)]
    quant = s.w.custom("Quant", domain, [x.name, *numbers[:3]], x.shape, signed=0, narrow=0, rounding_mode="ROUND")
    pooled = s.w.apply("AveragePool", s.w.tensor(quant, x.reach), kernel_shape=[2, 2], strides=[2, 2])
    total = s.w.apply("Mul", pooled, s.w.constant(np.float32(4)))
    operands = [total.name, *numbers[:2], numbers[3], numbers[2]]
    rounding = c.pick(("FLOOR", "ROUND", "CEIL"))
    return s.w.tensor(s.w.custom("Trunc", domain, operands, total.shape, rounding_mode=rounding), x.reach)


TRUNCATIONS: tuple[Layer, ...] = (truncated_pool,)
