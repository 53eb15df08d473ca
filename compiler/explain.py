"""What runs in how many bits, what stays float and why: the account that `subbyte explain` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import SumOfProducts, accumulator_of, accumulator_range_of
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.ir.widths import narrowest_type
from subbyte.compiler.target import Call, ConstantArray, OperandPointer, Pointers, Target
from subbyte.passes.quantization.islands import Island, float_islands
from subbyte.passes.quantization.remedies import remedy
from subbyte.passes.recognize_codebooks import recognize_codebooks


@dataclass(frozen=True)
class Layer:
    """One operation: its ONNX names, its bits, its share of the work, and the kernel where a target was named.

    bits, inputs, weights, output: in the fewest bits that hold the codes, which may lie in wider ones (ir/widths.py).
    weights: their type, or table4[9] of a codebook: indices of 4 bits into 9 levels. weight_bits: of one as the model
        gives it. weight_bytes: of all constants, as the kernel stores them, or in as many bits as the range of
        their codes needs where no kernel is known. bytes: of these, the other operands and the results.
    sum_bits: of the narrowest signed integer that holds every partial sum in any order, proved from the weights.
    proof: how the kernel's requantization was shown equal to N4.
    """

    name: str
    op: str
    bits: str
    accumulator: str | None
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    requantization: str | None
    inputs: tuple[str, ...]
    weights: str | None
    weight_bits: int | None
    output: str
    sum_bits: int | None
    bytes: int
    kernel: str | None = None
    proof: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "op": self.op,
            "bits": self.bits,
            "accumulator": self.accumulator,
            "shape": list(self.shape),
            "macs": self.macs,
            "weight_bytes": self.weight_bytes,
            "requantization": self.requantization,
            "kernel": self.kernel,
            "inputs": list(self.inputs),
            "weights": self.weights,
            "weight_bits": self.weight_bits,
            "output": self.output,
            "sum_bits": self.sum_bits,
            "bytes": self.bytes,
            "proof": self.proof,
        }


@dataclass(frozen=True)
class Saved:
    """What constant channels, zero weights and repeated work spare: multiply-accumulates, weights and operations."""

    macs: int
    weights: int
    operations: int


@dataclass(frozen=True)
class Explanation:
    """Every multiply-accumulate accounted for; every float island with its reason."""

    macs: int
    integer_macs: int
    layers: tuple[Layer, ...]
    islands: tuple[Island, ...]
    weights: int = 0
    saved: Saved | None = None

    def as_dict(self) -> dict[str, Any]:
        """What `explain --json` prints; docs/command-line.md lists the keys."""
        saved = self.saved or Saved(0, 0, 0)
        return {
            "macs": self.macs,
            "integer_macs": self.integer_macs,
            "weights": self.weights,
            "saved": {"macs": saved.macs, "weights": saved.weights, "operations": saved.operations},
            "layers": [layer.as_dict() for layer in self.layers],
            "float_islands": [
                {
                    "node": _name(island.node),
                    "op": type(island.node).__name__,
                    "reason": island.reason,
                    "remedy": remedy(island),
                    "macs": island.macs,
                }
                for island in self.islands
            ],
        }


def explain(
    graph: Graph, lowered: Graph | None = None, target: Target | None = None, *, reduced: Graph | None = None
) -> Explanation:
    """Account for a graph of stage quantized.

    Args:
        lowered, target: the same model lowered for a target; the layers are then its kernel calls.
        reduced: the same graph without the work that changes no number, to say what that saves.
    """
    islands = tuple(float_islands(graph))
    macs, weights = _work(graph)
    layers = [layer_of(node) for node in recognize_codebooks(graph).operations()]
    if lowered is not None:
        layers = [layer_of(node.op, node, target) for node in lowered.nodes() if isinstance(node, KernelCall)]
    saved = None
    if reduced is not None:
        macs_left, weights_left = _work(reduced)
        operations = len(graph.operations()) - len(reduced.operations())
        saved = Saved(macs - macs_left, weights - weights_left, operations)
    integer = macs - sum(island.macs for island in islands)
    return Explanation(macs, integer, tuple(layers), islands, weights, saved)


def _work(graph: Graph) -> tuple[int, int]:
    """(multiply-accumulates, weights of sums of products) of a graph."""
    nodes = graph.operations()
    weights = {v for node in nodes if (v := _weights(node)) is not None}
    return sum(multiply_accumulates(node) for node in nodes), sum(v.type.elements for v in weights)


def layer_of(node: Node, call: KernelCall | None = None, target: Target | None = None) -> Layer:
    """The account of one operation, and of the kernel that computes it."""
    weights = _weights(node)
    others = [v for v in node.operands if v not in (weights, getattr(node, "bias", None))]
    made = None
    if call is not None and target is not None:
        made = target.kernel(type(node), call.kernel).call(node, **dict(call.setting))
    weight_bytes = _packed_bytes(node) if made is None else _stored_bytes(node, made)
    moved = sum(v.type.bytes for v in node.operands if not isinstance(v.node, Constant))
    return Layer(
        name=_name(node),
        op=type(node).__name__,
        bits=_bits(node),
        accumulator=_accumulator(node),
        shape=node.types[0].shape,
        macs=multiply_accumulates(node),
        weight_bytes=weight_bytes,
        requantization=_requantization(node),
        inputs=tuple(str(narrowest_type(v)) for v in others),
        weights=None if weights is None else _table(weights) or str(narrowest_type(weights)),
        weight_bits=None if weights is None else narrowest_type(weights).bits,
        output=str(narrowest_type(Value(node, 0))),
        sum_bits=_sum_bits(node),
        bytes=moved + weight_bytes + sum(t.bytes for t in node.types),
        kernel=None if call is None else _kernel(call, target),
        proof=None if made is None else made.proof or None,
    )


def _weights(node: Node) -> Value | None:
    """The constant factor of an integer sum of products."""
    if not isinstance(node, SumOfProducts):
        return None
    weights = node.b if isinstance(node, QGemm) else node.w
    return weights if isinstance(weights.node, Constant) else None


def _table(value: Value) -> str | None:
    """table4[9] for indices of 4 bits into a codebook of 9 levels; None where there is no codebook."""
    quant = value.type.quant
    if quant is None or quant.levels is None:
        return None
    return f"table{value.type.dtype.bits}[{len(quant.levels)}]"


def _packed_bytes(node: Node) -> int:
    """Of the constants of `node` in as many bits as the range of their codes needs, tables included."""
    total = 0
    for value in node.operands:
        if not isinstance(value.node, Constant):
            continue
        of_type, quant = value.type, value.type.quant
        bits = of_type.dtype.container_bits
        if of_type.dtype.is_integer:
            low, high = of_type.code_range()
            bits = min(bits, of_type.dtype.bits, max((high - low).bit_length(), 1))
        total += -(-of_type.elements * bits // 8)
        total += 0 if quant is None or quant.levels is None else len(quant.levels)
    return total


def _stored_bytes(node: Node, call: Call) -> int:
    """Of the constants that a kernel is given: those it has packed, and those that it reads as they are."""
    read = {item.index for a in call.arguments for item in (a.items if isinstance(a, Pointers) else (a,))
            if isinstance(item, OperandPointer)}  # fmt: skip
    as_they_are = (v.type.bytes for k, v in enumerate(node.operands) if k in read and isinstance(v.node, Constant))
    packed = {
        (a.data.dtype, a.data.tobytes()) for a in call.arguments if isinstance(a, ConstantArray)
    }  # equal ones once
    return sum(len(content) for _, content in packed) + sum(as_they_are)


def _sum_bits(node: Node) -> int | None:
    if not isinstance(node, SumOfProducts):
        return None
    try:
        low, high = accumulator_range_of(node)
    except NumericsError:
        return None
    return 1 + max(int(high.max()).bit_length(), (~int(low.min())).bit_length())


def _kernel(call: KernelCall, target: Target | None) -> str:
    if target is None or target.kernel(type(call.op), call.kernel).family == target.family:
        return call.kernel
    return f"{call.kernel} (portable)"


def _name(node: Node) -> str:
    return " + ".join(node.sources) or node.tensor or type(node).__name__


def _bits(node: Node) -> str:
    """u8 s8 -> u8: the operands that are no biases, and the results."""
    biases = {getattr(node, "bias", None)}
    operands = " ".join(_table(v) or _short(narrowest_type(v)) for v in node.operands if v not in biases)
    results = (Value(node, index) for index in range(len(node.types)))
    return f"{operands} -> {' '.join(_short(narrowest_type(v)) for v in results)}"


def _short(dtype: DType) -> str:
    prefix = {"int": "s", "uint": "u", "float": "f"}.get(dtype.kind)
    return str(dtype) if prefix is None else f"{prefix}{dtype.bits}"


def _accumulator(node: Node) -> str | None:
    if not isinstance(node, SumOfProducts):
        return None
    try:
        return _short(accumulator_of(node))
    except NumericsError:
        return None


def _requantization(node: Node) -> str | None:
    """How a sum becomes codes."""
    if not isinstance(node, SumOfProducts):
        return None
    r = node.requantization
    if r is None:
        return "none: the sum itself"
    scales = "per channel" if r.multiplier.ndim else "per tensor"
    return f"N4 {scales}" + ("" if r.shift is None else " with shift")
