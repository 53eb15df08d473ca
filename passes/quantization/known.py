"""What is known of the values of the graph that is folded, and the nodes that stand for them in the new one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops import DequantizeLinear
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.numerics.arrays import Floats
from subbyte.passes.quantization.coded import Coded
from subbyte.passes.quantization.demands import Demand, Origin, collect_demands
from subbyte.passes.quantization.sums import Sum


@dataclass(eq=False)
class Known:
    """What is known of one float value.

    coded: it is a function of codes. sum: it is a sum of products that waits for its quantization.
    quantized: the codes of it that were asked for and could be built from codes; of_floats: from floats, which may be
        NaN: they may be moved, but neither clamped nor ordered.
    """

    coded: Coded | None = None
    sum: Sum | None = None
    quantized: dict[Demand, Value] = field(default_factory=dict)
    of_floats: dict[Demand, Value] = field(default_factory=dict)


_NOTHING = Known()


class Folding:
    """The state of the upward sweep: operands are folded first, floats are built only where somebody reads them."""

    def __init__(self, graph: Graph) -> None:
        self.demands = collect_demands(graph)
        self._known: dict[Value, Known] = {}
        self._new: dict[Value, Value] = {}

    def of(self, value: Value) -> Known:
        """What is known of a float value."""
        return self._known.get(value, _NOTHING)

    def learn(self, value: Value, known: Known) -> None:
        self._known[value] = known

    def asked(self, node: Node, index: int = 0) -> Iterable[tuple[Demand, Origin]]:
        """The quantizations asked of an output of `node`, with all ONNX nodes that meeting one computes."""
        for demand, origin in self.demands.get(Value(node, index), {}).items():
            yield demand, Origin(tuple(dict.fromkeys(node.sources + origin.sources)), origin.tensor)

    def codes(
        self, value: Value, demand: Demand, origin: Origin | None = None, *, of_floats: bool = False
    ) -> Value | None:
        """The codes of a float value under `demand`; None where only a QuantizeLinear of the float can make them.

        of_floats: the codes that such a QuantizeLinear has made already are as good.
        """
        known = self._known.setdefault(value, Known())
        found = known.quantized.get(demand) or (known.of_floats.get(demand) if of_floats else None)
        if found is None:
            origin = origin or Origin(self.demands.get(value, {}).get(demand, Origin()).sources)
            constant = value.constant
            if known.coded is not None:
                found = known.coded.requantized(demand, origin)
            elif constant is not None and demand.quant.is_static and value.type.dtype.is_float:
                quantizer = demand.quantize_linear(value, sources=origin.sources)
                (found,) = constants_of(quantizer)
            if found is not None:
                found = self._evaluated(found)
                known.quantized[demand] = found
        return found

    def quantize(self, value: Value, demand: Demand, origin: Origin) -> Value:
        """The codes of a float value, by a QuantizeLinear where there is no better way."""
        found = self.codes(value, demand, origin, of_floats=True)
        if found is None:
            found = demand.quantize_linear(self.real(value), sources=origin.sources, tensor=origin.tensor).out
            self._known.setdefault(value, Known()).of_floats[demand] = found
        return found

    def constant(self, value: Value) -> Floats | None:
        """The reals of a float constant, written as floats or as codes with a scale; else None."""
        if value.constant is not None:
            return np.asarray(value.constant) if value.type.dtype == FLOAT32 else None
        coded = self.of(value).coded
        if coded is None or coded.table is not None or coded.codes.constant is None:
            return None
        return to_real(coded.codes.constant, coded.quant)

    def replace(self, old: Value, new: Value) -> None:
        """Let `new` stand for a value that is no float."""
        self._new[old] = new

    def moved(self, node: Node, operands: dict[Value, Value], tensor: str = "") -> tuple[Value, ...]:
        """The outputs of `node` over codes in place of its float operands; constants where all operands are."""
        moved = node.map_operands(lambda value: operands.get(value) or self.new(value)).replace(tensor=tensor)
        return constants_of(moved) if _all_constant(moved) else tuple(Value(moved, i) for i in range(len(moved.types)))

    def new(self, value: Value) -> Value:
        """What stands for any value: its codes or integers, or the float itself."""
        return self.real(value) if value.type.dtype.is_float else self._new.get(value, value)

    def real(self, value: Value) -> Value:
        """The float value in the new graph, built with all that it needs, without recursion."""
        stack = [value]
        while stack:
            current = stack[-1]
            if current in self._new or not current.type.dtype.is_float:
                stack.pop()
                continue
            built = self._from_codes(current)
            if built is None and not isinstance(current.node, (Input, Constant)):
                missing = [v for v in current.node.operands if v.type.dtype.is_float and v not in self._new]
                if missing:
                    stack.extend(missing)
                    continue
                node = current.node.map_operands(lambda v: self._new.get(v, v))
                for index in range(len(node.types)):
                    self._new[Value(current.node, index)] = Value(node, index)
                continue
            self._new[current] = built or current
        return self._new[value]

    def _from_codes(self, value: Value) -> Value | None:
        known = self.of(value)
        if known.coded is not None:
            real = known.coded.real()
            sources = value.node.sources if isinstance(value.node, DequantizeLinear) else real.node.sources
            return real.node.replace(tensor=value.node.tensor, sources=sources).out
        return None if known.sum is None else known.sum.real()

    def _evaluated(self, value: Value) -> Value:
        """A constant where all operands are."""
        return constants_of(value.node)[value.index] if _all_constant(value.node) else value


def _all_constant(node: Node) -> bool:
    operands = node.operands
    return bool(operands) and all(operand.constant is not None for operand in operands)


def constants_of(node: Node) -> tuple[Value, ...]:
    """The constants that a node with constant operands computes."""
    arrays = evaluate_node(
        node, [operand.node.value for operand in node.operands if isinstance(operand.node, Constant)]
    )
    return tuple(
        Constant(
            np.array(array, order="C"), of_type, sources=node.sources, tensor=node.tensor if index == 0 else ""
        ).out
        for index, (array, of_type) in enumerate(zip(arrays, node.types, strict=True))
    )
