"""From exact sums of products to narrow codes (N4): the epilogue of every integer convolution and matrix product."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.numerics.arrays import Array, Codes, Floats
from subbyte.compiler.numerics.staircase import Staircase


@dataclass(frozen=True, eq=False)
class Requantization:
    """The parameters of N4: code = clamp(rne(f32(f32(acc) * multiplier) [+ shift, rounded]) + zero_point, qmin, qmax).

    What a table behind it makes of the codes may be part of it: result = table[code - qmin].

    multiplier: float32 [] or [C], finite and nonzero, of either sign.
    shift: float32 [] or [C], finite; a bias that is not on the grid of the accumulator, already in units of the output
        scale (N4's B); None, and not zeros, where there is none: no addition is made then.
    zero_point, qmin, qmax: of the codes; qmin and qmax may be narrower than their dtype (a fused activation).
    table: int64 [qmax - qmin + 1] or [C, qmax - qmin + 1]; None where the codes are the result.
    staircase: the same by thresholds, proved equal over the accumulators that the sum reaches; a kernel may use it in
        place of all the rest. None where nobody asked for it or it has too many steps.
    """

    multiplier: Floats
    shift: Floats | None
    zero_point: int
    qmin: int
    qmax: int
    table: Codes | None = None
    staircase: Staircase | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiplier", _per_channel("multiplier", self.multiplier))
        if (self.multiplier == 0).any():
            raise NumericsError(
                "a requantization multiplier is zero; multipliers are finite and nonzero "
                "(a channel whose result is constant is folded to a constant instead)"
            )
        if self.shift is not None:
            object.__setattr__(self, "shift", _per_channel("shift", self.shift))
        if self.qmin > self.qmax:
            raise NumericsError(f"a requantization has the empty code range {self.qmin}..{self.qmax}")
        if self.table is not None:
            object.__setattr__(self, "table", _per_code(self.table, self.qmax - self.qmin + 1))

    def channel(self, index: int) -> Requantization:
        """The same for one channel, with scalars and without a staircase."""
        shift = None if self.shift is None else _entry(self.shift, index)
        table = self.table if self.table is None or self.table.ndim == 1 else self.table[index]
        return Requantization(_entry(self.multiplier, index), shift, self.zero_point, self.qmin, self.qmax, table)

    def of_channels(self, kept: Any) -> Requantization:
        """The same for the channels that `kept` picks, without a staircase."""
        multiplier = self.multiplier[kept] if self.multiplier.ndim else self.multiplier
        shift = self.shift[kept] if self.shift is not None and self.shift.ndim else self.shift
        table = self.table[kept] if self.table is not None and self.table.ndim == 2 else self.table
        return Requantization(multiplier, shift, self.zero_point, self.qmin, self.qmax, table)

    def clamped(self, low: int, high: int) -> Requantization:
        """The same with its results clamped to low..high, without a staircase."""
        if self.table is not None:
            return replace(self, table=np.clip(self.table, low, high), staircase=None)
        qmin, qmax = (min(max(code, low), high) for code in (self.qmin, self.qmax))
        return replace(self, qmin=qmin, qmax=qmax, staircase=None)

    def moved(self, offset: int) -> Requantization:
        """The same with `offset` added to every result, without a staircase."""
        if self.table is not None:
            return replace(self, table=self.table + offset, staircase=None)
        zero_point, qmin, qmax = (code + offset for code in (self.zero_point, self.qmin, self.qmax))
        return replace(self, zero_point=zero_point, qmin=qmin, qmax=qmax, staircase=None)

    def results(self) -> tuple[int, int]:
        """The smallest and largest result."""
        return (self.qmin, self.qmax) if self.table is None else (int(self.table.min()), int(self.table.max()))

    @property
    def channels(self) -> int | None:
        """How many channels it is for; None where it is the same for all."""
        parts = ((self.multiplier, 1), (self.shift, 1), (self.table, 2))
        return next((part.shape[0] for part, rank in parts if part is not None and part.ndim == rank), None)


def _per_code(table: Any, codes: int) -> Codes:
    """A read-only int64 copy; an error unless it is [codes] or [C, codes]."""
    values: Codes = np.array(table, np.int64)
    if values.ndim not in (1, 2) or values.shape[-1] != codes:
        raise NumericsError(
            f"the table of a requantization to {codes} codes has shape {values.shape}; "
            f"[{codes}] or [C, {codes}] is needed"
        )
    values.setflags(write=False)
    return values


def _per_channel(what: str, values: Any) -> Floats:
    """A read-only float32 copy; an error unless it is finite and [] or [C]."""
    given: Array = np.array(values)
    if given.dtype != np.float32 or given.ndim > 1:
        raise NumericsError(
            f"a requantization {what} is {given.dtype} of shape {given.shape}; it is float32, [] or [C]"
        )
    if not np.isfinite(given).all():
        raise NumericsError(f"a requantization {what} is infinite or NaN; the scales it was made of are out of range")
    given.setflags(write=False)
    return given


def _entry(values: Floats, index: int) -> Floats:
    return values if values.ndim == 0 else np.asarray(values[index])


def requantize(accumulator: Any, r: Requantization, axis: int = -1) -> Codes:
    """Scale sums to narrow codes: clamp(rne(f32(f32(f32(acc) * M) + B)) + zero_point, qmin, qmax); then the table.

    Each f32() is one rounding, half to even; nothing is contracted to an FMA; without B there is no addition.

    Args:
        accumulator: [..., C, ...] integers up to int64, in units of input_scale * weight_scale; the bias is in it.
        r: multiplier and shift are [] or [C]; C runs along `axis`.
    Returns: int64, the shape of accumulator.
    Raises: NumericsError: the number of channels differs.
    Source: design.md N4; without B the arithmetic of ONNX Runtime's QLinearConv, QLinearMatMul and QGemm.
    """
    acc: Codes = np.asarray(accumulator).astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        steps = acc.astype(np.float32) * _along(r.multiplier, acc.shape, axis)
        if r.shift is not None:
            steps = steps + _along(r.shift, acc.shape, axis)
    codes = np.rint(steps).astype(np.float64) + r.zero_point
    result = np.asarray(np.clip(codes, r.qmin, r.qmax), np.int64)
    return result if r.table is None else _looked_up(result - r.qmin, r.table, axis)


def _looked_up(indices: Codes, table: Codes, axis: int) -> Codes:
    """table[index], or that of the channel along `axis`."""
    if table.ndim == 1:
        return np.asarray(table[indices], np.int64)
    if indices.shape[axis : axis + 1 or None] != table.shape[:1]:
        raise NumericsError(
            f"tables for {table.shape[0]} channels were given for axis {axis} of sums of shape {indices.shape}: "
            "one for each channel is needed"
        )
    channel = np.arange(table.shape[0]).reshape([-1 if k == axis % indices.ndim else 1 for k in range(indices.ndim)])
    return np.asarray(table[channel, indices], np.int64)


def _along(values: Floats, shape: tuple[int, ...], axis: int) -> Floats:
    if values.ndim == 0:
        return values
    if not -len(shape) <= axis < len(shape) or values.shape != (shape[axis],):
        raise NumericsError(
            f"{values.shape[0]} requantization multipliers were given for axis {axis} of sums of shape "
            f"{shape}: one for each channel is needed"
        )
    return values.reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))])


def multiplier(input_scale: Any, weight_scale: Any, output_scale: Any, alpha: Any = 1) -> Floats:
    """N4's M = f32(f32(f32(alpha * s_x) * s_w) / s_y), in this order of roundings (another order is another number).

    Args: scales: float32, [] or [C], broadcast; alpha: Gemm's factor, 1 for none.
    Returns: float32, [] or [C].
    Raises: NumericsError: M is zero or not finite, so the scales are out of range.
    Source: design.md N4; ONNX Runtime, QLinearConv and QGemm.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        scaled = np.asarray(alpha, np.float32) * np.asarray(input_scale, np.float32)
        product = scaled * np.asarray(weight_scale, np.float32)
        result = np.asarray(product / np.asarray(output_scale, np.float32), np.float32)
    if not np.isfinite(result).all() or (result == 0).any():
        raise NumericsError(
            "input scale * weight scale / output scale is zero or infinite in float32; "
            "quantize the model with scales of ordinary size"
        )
    return result
