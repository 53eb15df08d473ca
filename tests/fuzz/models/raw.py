"""Fake quantization written in plain operators, as training code exports it: Div, Round, Clip, Mul and their kin."""

from __future__ import annotations

import numpy as np

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.dialect import Floats, Scales, Weights
from tests.fuzz.models.qdq import along
from tests.fuzz.models.writer import Tensor, Writer

Steps = list[tuple[str, tuple[float, ...]]]


class Raw:
    """form: the order of the steps, one for the whole model."""

    def __init__(self, c: Choices) -> None:
        self._scales = Scales(c)
        self._form = c.pick(("clip last", "clip first", "zero point after", "zero point first", "levels", "floor"))

    def activation(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        bits, signed = c.pick((8, 4, 3, 2, 7)), c.happens(60)
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        scale = float(self._scales.near(c, x.reach / high))
        name = x.name
        for op, numbers in self._steps(c, scale, low, high):
            (name,) = w.node(op, [name, *(w.constant(np.float32(number)) for number in numbers)])
        return w.tensor(name, min(scale * high, 2 * x.reach))

    def _steps(self, c: Choices, s: float, low: int, high: int) -> Steps:
        middle = float(c.number(low, high))
        whole = (float(low), float(high))
        match self._form:
            case "clip first":
                return [("Div", (s,)), ("Clip", whole), ("Round", ()), ("Mul", (s,))]
            case "zero point after":
                moved = [("Round", ()), ("Add", (middle,)), ("Clip", whole), ("Sub", (middle,))]
                return [("Div", (s,)), *moved, ("Mul", (s,))]
            case "zero point first":
                moved = [("Add", (middle,)), ("Round", ()), ("Clip", whole), ("Sub", (middle,))]
                return [("Div", (s,)), *moved, ("Mul", (s,))]
            case "levels":
                levels = float(high - low)
                return [("Clip", (0.0, 1.0)), ("Mul", (levels,)), ("Round", ()), ("Div", (levels,))]
            case "floor":
                return [("Div", (s,)), ("Floor", ()), ("Clip", whole), ("Mul", (s,))]
        return [("Div", (s,)), ("Round", ()), ("Clip", whole), ("Mul", (s,))]

    def weights(self, w: Writer, c: Choices, values: Floats, axis: int | None) -> Weights:
        """The numbers as they are after training, or the chain itself on a constant."""
        bits = c.pick((4, 8, 2, 3))
        high = (1 << (bits - 1)) - 1
        scale: Floats = np.asarray(self._scales.near(c, float(np.abs(values).max(initial=1e-3)) / high))
        if axis is not None and c.happens(40):
            scale = along(self._scales.several(c, float(scale.max()), values.shape[axis]), axis, values.ndim)
        if c.happens(50):
            return Weights(w.constant((np.clip(np.rint(values / scale), -high, high) * scale).astype(np.float32), "w"))
        (name,) = w.node("Div", [w.constant(values, "w"), w.constant(scale)])
        (name,) = w.node("Round", [name])
        (name,) = w.node("Clip", [name, w.constant(np.float32(-high - 1)), w.constant(np.float32(high))])
        (name,) = w.node("Mul", [name, w.constant(scale)])
        return Weights(name)
