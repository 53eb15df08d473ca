"""What each stage of a graph allows, and the verifier that keeps it so."""

from __future__ import annotations

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.lowered import KernelCall, View, Wrapper
from subbyte.compiler.ir.node import Constant, Input, Node, Value

_STORAGE_ONLY = (ops.Repack, qops.OffsetCodes)


def verify(graph: Graph) -> None:
    """Raise GraphError, naming the node, where `graph` breaks a rule of its stage.

    Every stage: types are what a node infers from its operands. IMPORTED: no kernels, nothing about storage. QUANTIZED:
    QuantizeLinear and DequantizeLinear stand only at the border of a float island, so codes that a table serves are not
    dequantized just to be quantized again. LOWERED: only kernel calls, views, inputs and constants.
    """
    for node in graph.nodes():
        _verify_types(node)
        if graph.stage is Stage.LOWERED:
            if not isinstance(node, (Input, Constant, KernelCall, View)):
                raise GraphError(f"{node.label} was not lowered to a kernel")
            continue
        if isinstance(node, Wrapper):
            raise GraphError(f"{node.label} belongs to the stage lowered; the graph is {graph.stage.value}")
        if graph.stage is Stage.IMPORTED and isinstance(node, _STORAGE_ONLY):
            raise GraphError(f"{node.label} is about storage, which a graph of stage imported does not have")
        if graph.stage is Stage.QUANTIZED and isinstance(node, ops.QuantizeLinear):
            _verify_border(node)


def _verify_types(node: Node) -> None:
    inferred = node.infer_type()
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    if tuple(t.with_layout(None) for t in inferred) != tuple(t.with_layout(None) for t in node.types):
        found, expected = (", ".join(map(str, types)) for types in (node.types, inferred))
        raise GraphError(f"{node.label} says it is {found}; its operands make it {expected}")


def _verify_border(node: ops.QuantizeLinear) -> None:
    match node.x.node:
        case ops.DequantizeLinear(x=codes) as producer if codes.type.dtype.bits <= 8 and not _has_axis(node, codes):
            raise GraphError(f"{node.label} quantizes what {producer.label} dequantizes; a Lookup does both at once")


def _has_axis(node: ops.QuantizeLinear, codes: Value) -> bool:
    return not node.quant.is_per_tensor or (codes.type.quant is not None and not codes.type.quant.is_per_tensor)
