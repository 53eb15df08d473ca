"""From real numbers to codes (N2) and back (N1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Array, Codes, Floats
from subbyte.compiler.numerics.rounding import Rounding, apply_rounding


class Quantization(Protocol):
    """What the numerics need to know of a quantized tensor; `ir.types.QuantParams` and `Affine` both are one."""

    @property
    def qmin(self) -> int: ...

    @property
    def qmax(self) -> int: ...

    @property
    def axis(self) -> int | None: ...

    @property
    def block(self) -> int | None: ...

    @property
    def levels(self) -> tuple[float, ...] | None: ...

    def static(self) -> tuple[Floats, Codes]:
        """(scale, zero_point): [] per tensor, [C] along `axis`, of the tensor's rank where `block` is given."""


@dataclass(frozen=True, eq=False)
class Affine:
    """real = scale * (code - zero_point), for codes in [qmin, qmax]: a `Quantization` of plain numbers or arrays."""

    scale: Any
    zero_point: Any
    qmin: int
    qmax: int
    axis: int | None = None
    block: int | None = None
    levels: tuple[float, ...] | None = None

    def static(self) -> tuple[Floats, Codes]:
        return np.asarray(self.scale, np.float32), np.asarray(self.zero_point, np.int64)


def quantize(
    x: Any,
    scale: Any,
    zero_point: Any,
    qmin: int,
    qmax: int,
    *,
    rounding: Rounding = Rounding.HALF_EVEN,
    zero_point_first: bool = False,
) -> Codes:
    """Real numbers to codes: clamp(round(f32(x / scale)) + zero_point, qmin, qmax), rounding half to even by default.

    With `zero_point_first` (QONNX): clamp(round(f32(f32(x / scale) + zero_point)), qmin, qmax).
    NaN becomes qmin, infinities saturate, -0.0 is 0.  float16 x and scale widen to float32 before the division.
    With rounding BIPOLAR the sign of x itself decides: +1 where x >= 0, else -1; no division may make a small x zero.

    Args:
        x: float32 or float16, any shape.
        scale: float32 or float16, above zero, broadcast against x.
        zero_point: integers, broadcast against x.
    Returns: int64, the broadcast shape of x and scale.
    Source: design.md N2; ONNX QuantizeLinear.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        steps = np.asarray(x).astype(np.float32) / np.asarray(scale).astype(np.float32)
        if rounding is Rounding.BIPOLAR:
            steps = np.broadcast_to(np.asarray(x).astype(np.float32), steps.shape)
        if zero_point_first:
            codes = apply_rounding(steps + np.asarray(zero_point).astype(np.float32), rounding).astype(np.float64)
        else:
            codes = apply_rounding(steps, rounding).astype(np.float64) + np.asarray(zero_point, np.float64)
    return np.asarray(np.where(np.isnan(codes), qmin, np.clip(codes, qmin, qmax)), np.int64)


def dequantize(q: Any, scale: Any, zero_point: Any = 0) -> Array:
    """Codes to real numbers: f32(f32(q - zero_point) * scale); with a float16 scale rounded once more, to float16.

    The difference is exact, so its rounding to float32 shows only beyond 2**24 (int32 biases).

    Args:
        q: integers, any shape.
        scale: float32 or float16, broadcast against q.
        zero_point: integers, broadcast against q.
    Returns: of the type of scale, float32 or float16.
    Source: design.md N1; ONNX DequantizeLinear.
    """
    scale = np.asarray(scale)
    centred = np.asarray(q).astype(np.int64) - np.asarray(zero_point).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        real = centred.astype(np.float32) * scale.astype(np.float32)
        return np.asarray(real, np.float16 if scale.dtype == np.float16 else np.float32)


def spread(values: Any, shape: tuple[int, ...], axis: int | None, block: int | None = None) -> Array:
    """Scales or zero points, made to broadcast against a tensor of `shape`.

    Args:
        values: [] per tensor; [C] with C = shape[axis]; with `block`, of rank len(shape) and ceil(shape[axis] / block)
            entries along the axis, each of which serves `block` neighbours.
    Raises: NumericsError: the extents do not fit.
    """
    given: Array = np.asarray(values)
    if axis is None:
        return given
    if block is not None:
        blocks = tuple(-(-extent // block) if k == axis else extent for k, extent in enumerate(shape))
        if given.shape != blocks:
            raise NumericsError(
                f"scales or zero points of shape {given.shape} were given for blocks of {block} along "
                f"axis {axis} of shape {shape}; they have shape {blocks}"
            )
        return np.asarray(np.repeat(given, block, axis=axis).take(range(shape[axis]), axis=axis))
    if given.shape != (shape[axis],):
        raise NumericsError(
            f"scales or zero points of shape {given.shape} were given for axis {axis} of shape {shape}: "
            f"one for each of its {shape[axis]} entries is needed"
        )
    return given.reshape([-1 if k == axis else 1 for k in range(len(shape))])


def to_real(codes: Any, params: Quantization) -> Floats:
    """The real numbers that a tensor's codes stand for: `dequantize`, per tensor, axis or block, or levels[code]."""
    q: Codes = np.asarray(codes).astype(np.int64)
    scale, zero_point = (spread(values, q.shape, params.axis, params.block) for values in params.static())
    if params.levels is None:
        return dequantize(q, scale, zero_point)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.asarray(params.levels, np.float32)[q] * scale, np.float32)


def to_integers(codes: Any, params: Quantization) -> Codes:
    """The integers that a tensor's codes stand for, real = scale * integer: code - zero_point, or levels[code].

    Raises: NumericsError: a level is no whole number.
    """
    q: Codes = np.asarray(codes).astype(np.int64)
    if params.levels is None:
        zero_point = spread(params.static()[1], q.shape, params.axis, params.block)
        return np.asarray(q - zero_point.astype(np.int64), np.int64)
    levels = np.asarray(params.levels, np.float64)
    if (levels != np.rint(levels)).any():
        raise NumericsError(f"the levels {params.levels} are not all whole numbers, which exact sums are made of")
    return np.asarray(levels.astype(np.int64)[q], np.int64)


def to_codes(x: Any, params: Quantization) -> Codes:
    """`quantize` to the grid of a tensor, per tensor, axis or block.

    Raises: NumericsError: the grid is a codebook, to which there is no rounding rule.
    """
    if params.levels is not None:
        raise NumericsError("a result was to be rounded to a codebook; results are quantized to affine codes only")
    real: Array = np.asarray(x)
    scale, zero_point = (spread(values, real.shape, params.axis, params.block) for values in params.static())
    return quantize(real, scale, zero_point, params.qmin, params.qmax)
