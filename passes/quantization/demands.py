"""The downward sweep: which quantizations are asked of each float value, by QuantizeLinear nodes anywhere above it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from subbyte.compiler.dtype import FLOAT32, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops_indexing import Expand, GatherElements, GatherND
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.affine import quantize
from subbyte.compiler.numerics.rounding import Rounding

MOVES = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Pad, ops.Gather,
    ops.DepthToSpace, ops.SpaceToDepth, ops.ResizeNearest, Expand, GatherElements, GatherND, Where,
)  # fmt: skip
"""Operations that move elements and look at none (Where: at its condition): they commute with elementwise functions."""

ORDERS = (ops.MaxPool, ops.ReduceMax, ops.ReduceMin)
"""Operations that choose elements by their order: they commute with every non-decreasing function."""


@dataclass(frozen=True)
class Demand:
    """A quantization that is asked of a float value: what a QuantizeLinear would do to it."""

    dtype: DType
    quant: QuantParams
    rounding: str = "HALF_EVEN"
    zero_point_first: bool = False

    @classmethod
    def of(cls, node: ops.QuantizeLinear) -> Demand:
        return cls(node.dtype, node.quant, node.rounding, node.zero_point_first)

    @property
    def is_plain(self) -> bool:
        """True where it is N2 as N4 and N6 end in it: one static scale, half to even, the zero point added after."""
        if self.rounding != "HALF_EVEN" or not self.quant.is_static or self.quant.levels is not None:
            return False
        return self.quant.is_per_tensor and (not self.zero_point_first or self.quant.scalar()[1] == 0)

    @property
    def is_sign(self) -> bool:
        """True where it is +1 from zero on, else -1, on one scale: bipolar codes."""
        return self.rounding == Rounding.BIPOLAR.name and self.quant.is_static and self.quant.is_per_tensor

    def codes(self, real: float) -> int:
        """The code of one real number; of a per-tensor demand."""
        scale, zero_point = self.quant.static()
        value = np.float32(real)
        rounding = Rounding[self.rounding]
        return int(
            quantize(
                value,
                scale,
                zero_point,
                self.quant.qmin,
                self.quant.qmax,
                rounding=rounding,
                zero_point_first=self.zero_point_first,
            )
        )

    def clamped(self, low: float, high: float) -> Demand:
        """What Q(min(max(u, low), high)) asks of u: the same grid, clamped to Q(low)..Q(high), as Q is monotone."""
        highest = self.codes(high)
        lowest = min(self.codes(low), highest)
        quant = self.quant
        if (lowest, highest) == (quant.qmin, quant.qmax):
            return self
        return replace(self, quant=replace(quant, qmin=lowest, qmax=highest))

    def quantize_linear(self, x: Value, *, sources: tuple[str, ...] = (), tensor: str = "") -> ops.QuantizeLinear:
        """The node that does it to a float."""
        return ops.QuantizeLinear(
            x, self.dtype, self.quant, self.rounding, self.zero_point_first, sources=sources, tensor=tensor
        )


@dataclass(frozen=True)
class Origin:
    """What a node that meets a demand stands for: the ONNX nodes absorbed on the way, and the tensor of its codes."""

    sources: tuple[str, ...] = ()
    tensor: str = ""


Demands = dict[Value, dict[Demand, Origin]]


def clamp_bounds(node: Node) -> tuple[Value, float, float] | None:
    """(u, low, high) where `node` computes min(max(u, low), high), else None."""
    match node:
        case ops.Unary(x=x, function="Relu"):
            return x, 0.0, math.inf
        case ops.Unary(x=x, function="Clip", parameters=(low, high)):
            return x, low, high
        case ops.Maximum(a=a, b=b) | ops.Minimum(a=a, b=b):
            for u, bound in ((a, b), (b, a)):
                constant = bound.constant
                if constant is not None and constant.size == 1 and u.type.shape == node.type.shape:
                    value = float(constant.reshape(()))
                    if not math.isnan(value):
                        return (u, value, math.inf) if isinstance(node, ops.Maximum) else (u, -math.inf, value)
    return None


def collect_demands(graph: Graph) -> Demands:
    """Every quantization that may be asked of each float32 value, through clamps, data movement and order.

    One sweep from the outputs down. A clamp passes on a narrower range, movement and order pass on what they are asked.
    """
    found: Demands = {}

    def ask(value: Value, demand: Demand, origin: Origin) -> None:
        if value.type.dtype == FLOAT32:
            of_value = found.setdefault(value, {})
            known = of_value.get(demand)
            if known is not None:
                origin = Origin(tuple(dict.fromkeys(known.sources + origin.sources)), known.tensor or origin.tensor)
            of_value[demand] = origin

    for node in reversed(graph.nodes()):
        if isinstance(node, ops.QuantizeLinear):
            ask(node.x, Demand.of(node), Origin(node.sources, node.tensor))
            continue
        asked = [item for index in range(len(node.types)) for item in found.get(Value(node, index), {}).items()]
        asked = [(demand, origin) for demand, origin in asked if demand.quant.is_static and demand.quant.is_per_tensor]
        if not asked:
            continue
        clamp = clamp_bounds(node)
        for demand, origin in asked:
            if clamp is not None:
                x, low, high = clamp
                ask(x, demand.clamped(low, high), Origin(node.sources + origin.sources, origin.tensor))
            elif isinstance(node, MOVES + ORDERS):
                for operand in node.operands:
                    ask(operand, demand, Origin(origin.sources))
    return found
