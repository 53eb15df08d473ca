"""QuantizeLinear and DequantizeLinear in all the forms that exporters write, and QCDQ: with a Clip between both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tests.fuzz.models.choices import Choices
from tests.fuzz.models.dialect import Floats, Scales, Weights
from tests.fuzz.models.writer import RANGES, Codes, Tensor, Writer

_NARROW = (TensorProto.INT8, TensorProto.UINT8)
_SINCE_21 = (TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16, TensorProto.UINT16)
_SINCE_25 = (TensorProto.INT2, TensorProto.UINT2)


def code_types(opset: int) -> tuple[int, ...]:
    """The types of codes that a version has, the common ones more often."""
    return (*_NARROW * 3, *(_SINCE_21 if opset >= 21 else ()), *(_SINCE_25 * 2 if opset >= 25 else ()))


def grid(c: Choices, scales: Scales, reach: float, low: int, high: int) -> tuple[np.float32, int]:
    """(scale, zero point) of codes from low to high for reals of about +-reach."""
    centre = (low + high + 1) // 2
    zero_point = c.pick((0 if low < 0 else centre, centre, low, c.number(low, high)))
    steps = max(high - zero_point, zero_point - low)
    return scales.near(c, reach * c.pick((1.0, 0.5, 1.7)) / steps), zero_point


def codes_of(values: Floats, scale: Any, zero_point: Any, low: int, high: int) -> NDArray[np.int64]:
    """The nearest codes."""
    return np.clip(np.rint(values / scale) + zero_point, low, high).astype(np.int64)


def along(scale: Floats, axis: int, rank: int) -> Floats:
    """[C] as it broadcasts along `axis`."""
    return scale.reshape([-1 if k == axis else 1 for k in range(rank)])


class Qdq:
    """shaped: whether a scale for the whole tensor is written as [1]."""

    def __init__(self, c: Choices) -> None:
        self._scales = Scales(c)
        self._shaped = c.happens(30)
        self._clips = False

    # Activations ------------------------------------------------------------------------------------------------------

    def activation(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        dtype = c.pick(_NARROW if self._clips else code_types(w.opset))
        if dtype in (TensorProto.INT16, TensorProto.UINT16):
            w.floats.add("activations of 16 bits")
        low, high = self._limits(c, dtype)
        scale, zero_point = grid(c, self._scales, x.reach, low, high)
        written = self._zero_points(w, c, scale, zero_point, dtype)
        (name,) = w.node("QuantizeLinear", [x.name, *written])
        if self._clips:
            (name,) = w.node("Clip", [name, w.codes(low, dtype), w.codes(high, dtype)])
        codes = Codes(name, dtype, scale, zero_point)
        (real,) = w.node("DequantizeLinear", [name, *written])
        reach = float(scale) * max(high - zero_point, zero_point - low)
        return Tensor(real, x.shape, min(reach, 2 * x.reach), codes)

    def again(self, w: Writer, c: Choices, x: Tensor) -> Tensor:
        """The same codes through a DequantizeLinear of their own."""
        assert x.codes is not None
        written = self._zero_points(w, c, x.codes.scale, x.codes.zero_point, x.codes.dtype)
        (real,) = w.node("DequantizeLinear", [x.codes.name, *written])
        return Tensor(real, x.shape, x.reach, x.codes)

    def _limits(self, c: Choices, dtype: int) -> tuple[int, int]:
        if not self._clips:
            return RANGES[dtype]
        bits = c.number(2, 7)
        return (0, (1 << bits) - 1) if dtype == TensorProto.UINT8 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    def _zero_points(self, w: Writer, c: Choices, scale: Any, zero_point: Any, dtype: int) -> list[str]:
        """The operands scale and zero point, which is left out where it may be."""
        scale, zero_point = np.asarray(scale, np.float32), np.asarray(zero_point, np.int64)
        zero_point = np.broadcast_to(zero_point, scale.shape)
        if scale.ndim == 0 and self._shaped:
            scale, zero_point = scale.reshape(1), zero_point.reshape(1)
        may_leave_out = dtype == TensorProto.UINT8 and not zero_point.any()
        operands = [w.constant(scale, "scale")]
        return operands if may_leave_out and c.happens(50) else [*operands, w.codes(zero_point, dtype, "zero")]

    # Weights ----------------------------------------------------------------------------------------------------------

    def weights(self, w: Writer, c: Choices, values: Floats, axis: int | None) -> Weights:
        dtype = c.pick(_NARROW if self._clips else [t for t in code_types(w.opset) if RANGES[t][1] < 1 << 15])
        low, high = self._limits(c, dtype)
        centre = 0 if low < 0 else (low + high + 1) // 2
        zero_point = c.pick((centre, centre, c.number(low, high)))
        reach = float(np.abs(values).max(initial=1e-3))
        steps = max(high - zero_point, zero_point - low)
        attributes = {}
        scale: Floats = np.asarray(self._scales.near(c, reach / steps))
        if axis is not None and c.happens(50):
            scale = self._scales.several(c, reach / steps, values.shape[axis])
            attributes = {"axis": axis}
        spread = along(scale, axis, values.ndim) if axis is not None and scale.ndim else scale
        written = self._zero_points(w, c, scale, zero_point, dtype)
        if c.happens(30):
            (name,) = w.node("QuantizeLinear", [w.constant(values, "w"), *written], **attributes)
        else:
            name = w.codes(codes_of(values, spread, zero_point, low, high), dtype, "w")
        if self._clips:
            (name,) = w.node("Clip", [name, w.codes(low, dtype), w.codes(high, dtype)])
        (real,) = w.node("DequantizeLinear", [name, *written], **attributes)
        return Weights(real, scale)

    def blocks(self, w: Writer, c: Choices, values: Floats, axis: int) -> Weights:
        """Weights with a scale for each block along `axis`."""
        dtype = c.pick((TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.UINT8))
        low, high = RANGES[dtype]
        block = c.pick([n for n in range(1, values.shape[axis] + 1) if values.shape[axis] % n == 0])
        shape = tuple(extent // block if k == axis else extent for k, extent in enumerate(values.shape))
        random = c.random()
        scale = (random.uniform(0.5, 2, shape) / (high - low)).astype(np.float32)
        zero_point = random.integers(low, high + 1, shape) if c.happens(50) else np.zeros(shape, np.int64)
        each = [np.repeat(part, block, axis) for part in (scale, zero_point)]
        name = w.codes(codes_of(values, each[0], each[1], low, high), dtype, "w")
        written = [w.constant(scale, "scale"), w.codes(zero_point, dtype, "zero")]
        (real,) = w.node("DequantizeLinear", [name, *written], axis=axis, block_size=block)
        return Weights(real, None, integer=False)


class Qcdq(Qdq):
    """As Brevitas exports: codes of 8 bits, clipped to fewer."""

    def __init__(self, c: Choices) -> None:
        super().__init__(c)
        self._clips = True
