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

    Every stage: types are what the node infers from its operands. IMPORTED: no kernels, no storage. QUANTIZED: a
    QuantizeLinear or DequantizeLinear stands only at the border of a float island: one reads floats that an operation
    or an input made, the other is read by a float operation or shown as an output. LOWERED: only kernel calls, views,
    inputs and constants, and no kernel reads a constant as a buffer unless the constant is an output.
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    for node in graph.nodes():
        _verify_types(node)
        if graph.stage is Stage.LOWERED:
            _verify_lowered(node)
            continue
        if isinstance(node, Wrapper):
            raise GraphError(f"{node.label} belongs to the stage lowered; the graph is {graph.stage.value}")
        if graph.stage is Stage.IMPORTED and isinstance(node, _STORAGE_ONLY):
            raise GraphError(f"{node.label} is about storage, which a graph of stage imported does not have")
        if graph.stage is Stage.QUANTIZED:
            _verify_island_border(node, users, shown)


def _verify_types(node: Node) -> None:
    inferred = node.infer_type()
    inferred = inferred if isinstance(inferred, tuple) else (inferred,)
    if tuple(t.with_layout(None) for t in inferred) != tuple(t.with_layout(None) for t in node.types):
        raise GraphError(
            f"{node.label} says it is {list(map(str, node.types))}, its operands make it {list(map(str, inferred))}"
        )


def _verify_lowered(node: Node) -> None:
    if not isinstance(node, (Input, Constant, KernelCall, View)):
        raise GraphError(f"{node.label} was not lowered to a kernel")


def _verify_island_border(node: Node, users: dict[Value, list[Node]], shown: set[Value]) -> None:
    if isinstance(node, ops.QuantizeLinear) and isinstance(node.x.node, ops.DequantizeLinear):
        raise GraphError(f"{node.label} quantizes what {node.x.node.label} dequantizes; fold_qdq folds such a pair")
    if isinstance(node, ops.DequantizeLinear) and node.out not in shown:
        readers = users.get(node.out, [])
        if all(not any(t.dtype.is_float for t in reader.types) for reader in readers) and not any(
            isinstance(reader, ops.QuantizeLinear) for reader in readers
        ):
            raise GraphError(f"{node.label} is read by no float operation; it should have been folded")
