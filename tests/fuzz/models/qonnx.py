"""QONNX: Quant, IntQuant and BipolarQuant."""

from __future__ import annotations

import numpy as np

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.dialect import Floats, Scales, Weights
from tests.fuzz.models.qdq import along
from tests.fuzz.models.writer import Tensor, Writer

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
ROUNDINGS = ("ROUND", "ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


def bounds(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """The smallest and the largest integer."""
    if signed:
        return -(1 << (bits - 1)) + int(narrow), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - int(narrow)


class Qonnx:
    def __init__(self, c: Choices) -> None:
        self._scales = Scales(c)
        self._domain = c.pick(DOMAINS)
        self._rounding = c.pick(ROUNDINGS)

    def activation(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        if c.happens(10):
            scale = w.constant(self._scales.near(c, x.reach), "scale")
            name = w.custom("BipolarQuant", self._domain, [x.name, scale], x.shape)
            return w.tensor(name, x.reach)
        bits, signed, narrow = c.pick((8, 4, 4, 3, 2, 5, 6, 7, 1)), c.happens(60), c.happens(30)
        narrow = narrow and bits > 1
        low, high = bounds(bits, signed, narrow)
        zero_point = c.number(low, high) if c.happens(30) and not (signed and bits == 1) else 0
        steps = max(high - zero_point, zero_point - low, 1)
        scale_of_x = np.float32(self._scales.near(c, x.reach * c.pick((1.0, 0.5)) / steps))
        shape = c.pick(((), (1,), (1,) * x.rank))
        name = self._quant(w, c, x.name, scale_of_x.reshape(shape), zero_point, bits, signed, narrow, x.shape)
        return w.tensor(name, min(float(scale_of_x) * steps, 2 * x.reach))

    def weights(self, w: Writer, c: Choices, values: Floats, axis: int | None) -> Weights:
        reach = float(np.abs(values).max(initial=1e-3))
        if c.happens(15):
            scale = w.constant(self._scales.near(c, reach), "scale")
            return Weights(w.custom("BipolarQuant", self._domain, [w.constant(values, "w"), scale], values.shape))
        bits = c.pick((4, 8, 2, 3, 1, 5))
        narrow = bits > 1 and c.happens(50)
        _, high = bounds(bits, True, narrow)
        scale_of_w: Floats = np.asarray(self._scales.near(c, reach / max(high, 1)))
        if axis is not None and c.happens(50):
            scale_of_w = along(self._scales.several(c, reach / max(high, 1), values.shape[axis]), axis, values.ndim)
        name = self._quant(w, c, w.constant(values, "w"), scale_of_w, 0, bits, True, narrow, values.shape)
        return Weights(name)

    def _quant(
        self, w: Writer, c: Choices, x: str, scale: Floats, zero_point: int, bits: int, signed: bool, narrow: bool,
        shape: tuple[int, ...],
    ) -> str:  # fmt: skip
        operands = [x, *(w.constant(np.asarray(v, np.float32)) for v in (scale, zero_point, bits))]
        attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": self._rounding}
        return w.custom(c.pick(("Quant", "Quant", "IntQuant")), self._domain, operands, shape, **attributes)
