"""Sums of products of codes that wait for the quantization of their result, and the affine steps that follow them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32, INT32, INT64, TERNARY, DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.accumulators import accumulator_of, accumulator_range_of
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization, multiplier
from subbyte.passes.quantization.demands import Demand, Origin

Doubles = NDArray[np.float64]

SAME_SCALE = 2.0**-20  # how far, relatively, a bias scale may be from s_x * s_w: a few float32 roundings
ON_GRID = 2.0**-22  # how far, relatively, a float32 bias may be from a whole number of accumulator units
LARGEST_BIAS = 1 << 30  # in accumulator units; what is larger is added after the multiplication


@dataclass(frozen=True, eq=False)
class Term:
    """A constant that is added to a sum: real numbers [] or [C], and where it was quantized its codes and scale."""

    real: Doubles
    codes: NDArray[np.int64] | None = None
    scale: Doubles | None = None


@dataclass(frozen=True, eq=False)
class Sum:
    """real = gain * unit * (acc + bias) + shift, with acc = sum (x - x_zero) * (w - w_zero) and unit = s_x * s_w.

    make(w, bias, requantization, dtype, quant, sources, tensor) builds the integer operation.
    type: of the float result; axis: of its channels; weight_axis: where w has them, None where they are not apart.
    tail: Reshapes and Transposes that follow and keep the channels apart; type and axis are those after them, made_axis
        is the channels' axis before.
    bias: int64 [C] in units of gain * unit; gain, shift: float64 [] or [C]; None for 0, 1 and 0.
    """

    make: Callable[..., Node]
    type: TensorType
    axis: int
    made_axis: int
    input_scale: NDArray[np.float32]
    weight_scale: NDArray[np.float32]
    w: Value
    weight_axis: int | None
    sources: tuple[str, ...]
    gain: Doubles | None = None
    bias: NDArray[np.int64] | None = None
    shift: Doubles | None = None
    tail: tuple[ops.Reshape | ops.Transpose, ...] = ()

    @property
    def channels(self) -> int:
        return self.type.shape[self.axis]

    def plus(self, term: Term, sources: tuple[str, ...]) -> Sum | None:
        """The sum with a constant added: to the accumulator where it lies on its grid, else after the multiplication.

        The codes of a quantized bias are taken as they are only where its scale is gain * unit within float32 rounding,
        channel by channel and relatively (research: shared biases, absolute tolerances). None where it is not finite.
        """
        if not np.isfinite(term.real).all():
            return None
        result = replace(self, sources=self.sources + sources)
        units = self._on_grid(term)
        if units is not None and self.shift is None:
            units = np.broadcast_to(units, (self.channels,)) + (0 if self.bias is None else self.bias)
            return replace(result, bias=units if units.any() else None)
        return replace(result, shift=term.real if self.shift is None else self.shift + term.real)

    def times(self, factor: Doubles, sources: tuple[str, ...]) -> Sum | None:
        """The sum multiplied by constants of either sign; None where one is not finite, or zero and not separable.

        A channel times zero is its shift: its weights become their zero point, which adds up to nothing (0 is no
        bipolar code: such weights become ternary).
        """
        if not np.isfinite(factor).all():
            return None
        scaled = replace(
            self,
            gain=factor if self.gain is None else self.gain * factor,
            shift=None if self.shift is None else self.shift * factor,
            sources=self.sources + sources,
        )
        silent = np.broadcast_to(factor == 0, (self.channels,))
        return scaled._silenced(silent) if silent.any() else scaled

    def moved(self, node: Node) -> Sum | None:
        """The sum behind a Reshape or Transpose; None where that does not keep the channels on an axis of their own."""
        match node:
            case ops.Transpose(perm=perm):
                axis = perm.index(self.axis)
            case ops.Reshape(shape=shape):
                before, extent = math.prod(self.type.shape[: self.axis]), self.type.shape[self.axis]
                axes = [i for i, n in enumerate(shape) if n == extent and math.prod(shape[:i]) == before]
                if not axes:
                    return None
                axis = axes[-1]
            case _:
                return None
        return replace(self, type=node.type, axis=axis, tail=(*self.tail, node), sources=self.sources)

    def part(self, channels: Sequence[int]) -> Sum | None:
        """The sum of some of its channels alone; None where the weights of a channel are not apart, or not known."""
        weights, quant = self.w.constant, self.w.type.quant
        if self.tail or self.weight_axis is None or weights is None or quant is None or self._is_grouped():
            return None
        picked = list(channels)
        if quant.axis is not None:
            scale, zero_point = (values[picked] for values in quant.static())
            quant = quant.replace(scale=scale, zero_point=zero_point)
        held = np.ascontiguousarray(weights.take(picked, axis=self.weight_axis))
        w = Constant(held, TensorType(self.w.type.dtype, held.shape, quant), sources=self.w.node.sources)
        shape = (*self.type.shape[: self.axis], len(picked), *self.type.shape[self.axis + 1 :])
        return replace(
            self,
            type=TensorType(FLOAT32, shape),
            w=w.out,
            weight_scale=self.weight_scale[picked] if self.weight_scale.ndim else self.weight_scale,
            gain=_picked(self.gain, picked),
            shift=_picked(self.shift, picked),
            bias=None if self.bias is None else self.bias[picked],
        )

    def _is_grouped(self) -> bool:
        """Whether a channel sums over some channels of the operand only, which its place says."""
        return getattr(self.make(self.w, None, None, INT32, None, (), ""), "group", 1) != 1

    def quantized(self, demand: Demand, origin: Origin) -> Value | None:
        """The integer operation that ends in N4; None where the demand is neither N2 with one scale nor a sign."""
        if demand.is_sign:
            return self._sign(demand, origin)
        if not demand.is_plain:
            return None
        scale, zero_point = demand.quant.scalar()
        sources = tuple(dict.fromkeys(self.sources + origin.sources))
        silent = self._vanishing(scale)
        if silent.any():
            quiet = self._silenced(silent)
            return None if quiet is None else quiet.quantized(demand, origin)
        gain = 1 if self.gain is None else self.gain
        try:
            factor = multiplier(self.input_scale, self.weight_scale, np.float32(scale), gain)
            shift = None if self.shift is None else np.asarray(self.shift / np.float64(scale), np.float32)
            requantization = Requantization(factor, shift, zero_point, demand.quant.qmin, demand.quant.qmax)
        except NumericsError as error:
            raise NumericsError(f"'{' + '.join(sources)}': {error}") from error
        tensor = "" if self.tail else origin.tensor
        return self._moved(self._make(requantization, demand.dtype, demand.quant, sources, tensor).out, origin.tensor)

    def _sign(self, demand: Demand, origin: Origin) -> Value:
        """+1 where gain * unit * (acc + bias) + shift >= 0, else -1, as N4: clamp(2 * (acc + bias - t) + 1, -1, 1).

        t is the smallest sum whose real is not negative, in exact rational arithmetic; 2 * n + 1 is odd, and positive
        from n = 0 on. Where the gain is negative, t is the largest such sum, and the factor is -2.
        """
        sources = tuple(dict.fromkeys(self.sources + origin.sources))
        unit = np.broadcast_to(np.float64(self.input_scale) * self.weight_scale, (self.channels,))
        gain = np.broadcast_to(np.ones(()) if self.gain is None else self.gain, (self.channels,))
        shift = np.broadcast_to(np.zeros(()) if self.shift is None else self.shift, (self.channels,))
        zeros = (Fraction(-float(b)) / (Fraction(float(u)) * Fraction(float(g)))
                 for b, u, g in zip(shift, unit, gain, strict=True))  # fmt: skip
        steps = [math.ceil(zero) if g > 0 else math.floor(zero) for zero, g in zip(zeros, gain, strict=True)]
        biases = np.zeros(self.channels, np.int64) if self.bias is None else self.bias
        low, high = accumulator_range_of(self.make(self.w, None, None, INT32, None, (), ""))
        lowest, highest = int(low.min()) - 1, int(high.max()) + 1  # beyond these all sums are on one side
        offsets = [min(max(int(b) - t, -highest), -lowest) for b, t in zip(biases, steps, strict=True)]
        rising = gain > 0
        factor = np.where(rising, 2, -2).astype(np.float32)
        requantization = Requantization(
            factor if rising.any() and not rising.all() else factor[0], np.ones((), np.float32), 0,
            demand.quant.qmin, demand.quant.qmax,
        )  # fmt: skip
        total = replace(self, bias=np.array(offsets, np.int64) if any(offsets) else None)
        tensor = "" if self.tail else origin.tensor
        return total._moved(total._make(requantization, demand.dtype, demand.quant, sources, tensor).out, origin.tensor)

    def real(self) -> Value:
        """The float value: the exact sum, dequantized; gain and shift that are no scale follow in float."""
        positive = self.gain is None or bool((self.gain > 0).all())
        gain = np.float32(1) if self.gain is None or not positive else self.gain
        with np.errstate(under="ignore"):
            scale = np.asarray(np.asarray(gain, np.float32) * self.input_scale * self.weight_scale, np.float32)
        quiet = self._silenced(np.broadcast_to(scale == 0, (self.channels,))) if (scale == 0).any() else None
        if quiet is not None:
            return quiet.real()
        total = self._make(None, INT32, self._sum_quant(scale, INT32), self.sources, "")
        if accumulator_of(total) != INT32:
            total = self._make(None, INT64, self._sum_quant(scale, INT64), self.sources, "")
        value = ops.DequantizeLinear(self._moved(total.out, ""), FLOAT32).out
        if not positive and self.gain is not None:
            value = ops.Mul(value, self._along(self.gain), sources=self.sources).out
        if self.shift is not None:
            value = ops.Add(value, self._along(self.shift), sources=self.sources).out
        return value

    def _make(
        self,
        requantization: Requantization | None,
        dtype: DType,
        quant: QuantParams,
        sources: tuple[str, ...],
        tensor: str,
    ) -> Node:
        bias = None
        if self.bias is not None:
            fits = int(self.bias.min()) >= INT32.min and int(self.bias.max()) <= INT32.max
            bias = Constant.of(self.bias, INT32 if fits else INT64).out
        return self.make(self.w, bias, requantization, dtype, quant, sources, tensor)

    def _moved(self, value: Value, tensor: str) -> Value:
        """The codes or sums after the tail."""
        for node in self.tail:
            value = node.replace(x=value, tensor=tensor if node is self.tail[-1] else "").out
        return value

    def _vanishing(self, output_scale: float) -> NDArray[np.bool_]:
        """[C]: channels whose multiplier is 0 in float32 while no sum of them would reach a quarter of a step."""
        gain = 1.0 if self.gain is None else self.gain
        with np.errstate(under="ignore"):
            rounded = np.asarray(gain, np.float32) * self.input_scale * self.weight_scale / np.float32(output_scale)
            exact = gain * np.float64(self.input_scale) * self.weight_scale.astype(np.float64) / output_scale
        vanishes = (rounded == 0) & (np.abs(exact) < 2.0**-33)
        return np.broadcast_to(vanishes, (self.channels,))

    def _silenced(self, silent: NDArray[np.bool_]) -> Sum | None:
        """The sum with some channels reduced to their shift: weights of the zero point add up to nothing.

        None where the weights of a channel are not apart, or not known.
        """
        weights, quant = self.w.constant, self.w.type.quant
        if self.weight_axis is None or weights is None or quant is None:
            return None
        weights = weights.copy()
        by_channel = np.moveaxis(weights, self.weight_axis, 0)
        zero_point = np.broadcast_to(quant.static()[1], (self.channels,))[silent]
        by_channel[silent] = zero_point.reshape([-1] + [1] * (by_channel.ndim - 1))
        dtype = TERNARY if self.w.type.dtype.kind == "bipolar" else self.w.type.dtype  # zeros beside -1 and +1
        of_type = TensorType(dtype, self.w.type.shape, quant)
        return replace(
            self,
            w=Constant(weights, of_type, sources=self.w.node.sources).out,
            bias=None if self.bias is None else np.where(silent, 0, self.bias),
            gain=None if self.gain is None else np.where(silent, 1.0, self.gain),
            weight_scale=np.where(silent, np.float32(1), self.weight_scale),
        )

    def _sum_quant(self, scale: NDArray[np.float32], dtype: DType) -> QuantParams:
        zero_point = np.zeros(scale.shape, np.int64)
        return QuantParams(scale, zero_point, dtype.min, dtype.max, self.made_axis if scale.ndim else None)

    def _along(self, values: Doubles) -> Value:
        """A float constant that broadcasts along the channels."""
        shape = [1] * self.type.rank
        shape[self.axis] = values.size
        return Constant.of(np.asarray(values, np.float32).reshape(shape), FLOAT32).out

    def _on_grid(self, term: Term) -> NDArray[np.int64] | None:
        """The term in whole units of gain * unit, or None."""
        unit = np.float64(self.input_scale) * np.float64(self.weight_scale) * (1.0 if self.gain is None else self.gain)
        if term.codes is not None and term.scale is not None:
            same = np.abs(term.scale - unit) <= SAME_SCALE * np.abs(unit)
            if same.all():
                return term.codes
        units = np.rint(term.real / unit)
        exact = np.abs(units * unit - term.real) <= ON_GRID * np.abs(term.real)
        return np.asarray(units, np.int64) if exact.all() and (np.abs(units) < LARGEST_BIAS).all() else None


def _picked(values: Doubles | None, channels: list[int]) -> Doubles | None:
    """Some of [C]; [] is for all channels."""
    return values if values is None or values.ndim == 0 else values[channels]


def channelwise(values: NDArray[Any], shape: tuple[int, ...], axis: int) -> NDArray[Any] | None:
    """Constants that differ along `axis` of `shape` only, as [] or [C]; None where they do not broadcast so."""
    extents = (1,) * (len(shape) - values.ndim) + values.shape
    if len(extents) != len(shape) or any(n != 1 for i, n in enumerate(extents) if i != axis):
        return None
    if extents[axis] not in (1, shape[axis]):
        return None
    return values.reshape(-1) if extents[axis] > 1 else values.reshape(())
