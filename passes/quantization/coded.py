"""Float values that are functions of codes: the codes themselves under N1, or a table of one real for each code."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from subbyte.compiler.dtype import FLOAT32, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import quantize, to_real
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.rounding import Rounding
from subbyte.passes.quantization.demands import Demand, Origin

TABLE_BITS = 8  # wider codes have no tables: 2^16 entries cost more than the arithmetic they save


@dataclass(frozen=True, eq=False)
class Coded:
    """real = N1(code), or table[code - dtype.min].

    codes: integers of the new graph, their type says the scale.
    table: float32 [2^bits] or, one for each channel, [C, 2^bits]; None where the value is the codes' own meaning.
    axis: of the channels; None with a table for the whole tensor.
    sources: the operations that the table has absorbed.
    given: the float itself, where the new graph has it without the codes.
    """

    codes: Value
    table: Floats | None = None
    axis: int | None = None
    sources: tuple[str, ...] = ()
    given: Value | None = None

    @property
    def quant(self) -> QuantParams:
        """The meaning of the codes."""
        quant = self.codes.type.quant
        assert quant is not None, "a Coded value is made of codes with a scale"
        return quant

    @property
    def is_affine(self) -> bool:
        """True where the value is N1 of the codes with one scale: what integer arithmetic takes as an operand."""
        return self.table is None and self.quant.is_per_tensor and self.quant.levels is None

    @property
    def has_table(self) -> bool:
        """True where one real for each code can be written down."""
        return self.codes.type.dtype.bits <= TABLE_BITS

    def values(self) -> tuple[Floats, int | None]:
        """(table, axis): the real for each code, [2^bits] or [C, 2^bits] along `axis`; only where `has_table`."""
        if self.table is not None:
            return self.table, self.axis
        codes, quant = all_codes(self.codes.type.dtype), self.quant
        if quant.axis is None:
            return to_real(codes, quant), None
        by_channel = replace(quant, axis=0)
        channels = self.codes.type.shape[quant.axis]
        return to_real(np.broadcast_to(codes, (channels, codes.size)), by_channel), quant.axis

    def real(self) -> Value:
        """The float32 value itself: a DequantizeLinear, or a Lookup of floats."""
        if self.given is not None:
            return self.given
        if self.table is None:
            return ops.DequantizeLinear(self.codes, FLOAT32).out
        return qops.Lookup(self.codes, self.table, FLOAT32, None, self.axis, sources=self.sources).out

    def clamp(self, low: float, high: float, sources: tuple[str, ...]) -> Coded | None:
        """min(max(real, low), high) as a clamp of the codes; None where a bound in reach is no code's real number."""
        if not self.is_affine or low > high:
            return None
        lowest, highest = self.codes.type.code_range()
        if self._real(lowest) < low:
            code = self.code_of(low)
            if code is None:
                return None
            lowest = code
        if self._real(highest) > high:
            code = self.code_of(high)
            if code is None:
                return None
            highest = code
        if lowest > highest:  # the bounds lie beyond all codes: one value is left
            return None
        return Coded(clamped(self.codes, lowest, highest, sources), sources=self.sources)

    def code_of(self, real: float) -> int | None:
        """The code that stands for exactly `real` as a float32, in use or not; None where none does."""
        scale, zero_point = self.quant.static()
        dtype = self.codes.type.dtype
        code = int(quantize(np.float32(real), scale, zero_point, dtype.min, dtype.max))
        exists = code != 0 or dtype.kind != "bipolar"
        return code if exists and self._real(code) == float(np.float32(real)) else None

    def _real(self, code: int) -> float:
        return float(to_real(np.int64(code), self.quant))

    def requantized(self, demand: Demand, origin: Origin) -> Value | None:
        """The codes that `demand` asks for: the same ones, clamped ones, a Lookup, or a product with 1.

        None where there is no integer operation for it: wide codes along an axis or with another rounding.
        """
        sources = self.sources + origin.sources
        if self.table is None and self._quantizes_back(demand):
            low, high = demand.quant.qmin, demand.quant.qmax
            return clamped(self.codes, low, high, sources, origin.tensor)
        if self.has_table:
            return self._looked_up(demand, Origin(sources, origin.tensor))
        if self.is_affine and demand.is_plain:
            one = Constant.of(np.float32(1), FLOAT32).out  # x * 1.0 is exact, so this is N2 of N1
            return qops.QMul(self.codes, one, demand.dtype, demand.quant, sources=sources, tensor=origin.tensor).out
        return None

    def _quantizes_back(self, demand: Demand) -> bool:
        """True where N2(N1(code)) is the code: the same grid, and two roundings too small to reach the next code."""
        dtype, quant = self.codes.type.dtype, self.quant
        if dtype != demand.dtype or not quant.is_static or not quant.same_grid(demand.quant):
            return False
        if dtype.kind == "bipolar":
            return quant.is_per_tensor
        if not demand.is_plain:
            return False
        scale, zero_point = quant.scalar()
        reach = max(abs(quant.qmin - zero_point), abs(quant.qmax - zero_point))
        return reach <= 1 << 21 and 2.0**-126 <= scale <= 2.0**100

    def _looked_up(self, demand: Demand, origin: Origin) -> Value | None:
        values, axis = self.values()
        scale, zero_point = demand.quant.static()
        if demand.quant.levels is not None or demand.quant.block is not None:
            return None
        if demand.quant.axis is not None:
            if axis not in (None, demand.quant.axis):
                return None
            axis, scale, zero_point = demand.quant.axis, scale[:, None], zero_point[:, None]
        codes = quantize(
            values,
            scale,
            zero_point,
            demand.quant.qmin,
            demand.quant.qmax,
            rounding=Rounding[demand.rounding],
            zero_point_first=demand.zero_point_first,
        )
        table = np.ascontiguousarray(codes, dtype=demand.dtype.numpy)
        return qops.Lookup(
            self.codes, table, demand.dtype, demand.quant, axis, sources=origin.sources, tensor=origin.tensor
        ).out


def all_codes(dtype: DType) -> Codes:
    """Every code of `dtype` in order: what tables are indexed by."""
    return np.arange(dtype.min, dtype.max + 1, dtype=np.int64)


def clamped(codes: Value, low: int, high: int, sources: tuple[str, ...] = (), tensor: str = "") -> Value:
    """min(max(codes, low), high); the codes themselves where they cannot leave low..high."""
    qmin, qmax = codes.type.code_range()
    if low <= qmin and qmax <= high:
        return codes
    return qops.Clamp(codes, low, high, sources=sources, tensor=tensor).out
