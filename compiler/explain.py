"""What runs in how many bits, what stays float and why: the account that `subbyte explain` gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import SumOfProducts, accumulator_of
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Node
from subbyte.compiler.target import Target
from subbyte.passes.quantization.islands import Island, float_islands


@dataclass(frozen=True)
class Layer:
    """One operation: its ONNX names, its bits, its share of the work, and the kernel where a target was named."""

    name: str
    op: str
    bits: str
    accumulator: str | None
    shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    requantization: str | None
    kernel: str | None = None

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
        }


@dataclass(frozen=True)
class Explanation:
    """Every multiply-accumulate accounted for; every float island with its reason."""

    macs: int
    integer_macs: int
    layers: tuple[Layer, ...]
    islands: tuple[Island, ...]

    def as_dict(self) -> dict[str, Any]:
        """What `explain --json` prints: {macs, integer_macs, layers, float_islands: [{node, op, reason, macs}]}."""
        return {
            "macs": self.macs,
            "integer_macs": self.integer_macs,
            "layers": [layer.as_dict() for layer in self.layers],
            "float_islands": [
                {
                    "node": _name(island.node),
                    "op": type(island.node).__name__,
                    "reason": island.reason,
                    "macs": island.macs,
                }
                for island in self.islands
            ],
        }


def explain(graph: Graph, lowered: Graph | None = None, target: Target | None = None) -> Explanation:
    """Account for a graph of stage quantized.

    Args: lowered, target: the same model lowered for a target; the layers are then its kernel calls.
    """
    islands = tuple(float_islands(graph))
    macs = sum(multiply_accumulates(node) for node in graph.operations())
    layers = [_layer(node) for node in graph.operations()]
    if lowered is not None:
        calls = [node for node in lowered.nodes() if isinstance(node, KernelCall)]
        layers = [_layer(call.op, _kernel(call, target)) for call in calls]
    return Explanation(macs, macs - sum(island.macs for island in islands), tuple(layers), islands)


def _layer(node: Node, kernel: str | None = None) -> Layer:
    return Layer(
        name=_name(node),
        op=type(node).__name__,
        bits=_bits(node),
        accumulator=_accumulator(node),
        shape=node.types[0].shape,
        macs=multiply_accumulates(node),
        weight_bytes=sum(v.type.bytes for v in node.operands if isinstance(v.node, Constant)),
        requantization=_requantization(node),
        kernel=kernel,
    )


def _kernel(call: KernelCall, target: Target | None) -> str:
    if target is None or target.kernel(type(call.op), call.kernel).family == target.family:
        return call.kernel
    return f"{call.kernel} (portable)"


def _name(node: Node) -> str:
    return " + ".join(node.sources) or node.tensor or type(node).__name__


def _bits(node: Node) -> str:
    """u8 s8 -> u8: the operands that are no biases, and the results."""
    biases = {getattr(node, "bias", None)}
    operands = " ".join(_short(v.type.dtype) for v in node.operands if v not in biases)
    return f"{operands} -> {' '.join(_short(t.dtype) for t in node.types)}"


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
