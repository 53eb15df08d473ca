"""Turn signed activation codes into unsigned ones, unsigned weight codes into signed ones, where the target asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pass_manager import EXACT, graph_pass
from subbyte.compiler.target import Target


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED, exactness=EXACT)
def unsign_activations(graph: Graph, target: Target) -> Graph:
    """int8 code c becomes uint8 code c + 128, with its zero point, range, tables and padding; inputs and outputs stay.

    real = scale * ((c + 128) - (zero_point + 128)), and N4 and N6 add the zero point after rounding, so that every code
    moves by exactly 128. Weights go the other way, from uint8 to int8: the multipliers of x86 take u8 times s8.
    """
    if not target.facts.unsigned_activations:
        return graph
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        if isinstance(node, Constant):
            continue  # by use: a constant may be weights here and an operand of an addition there
        rewriter.replace(node, _rewritten(node, rewriter))
    outputs = []
    for output in graph.outputs:
        value = rewriter[output.value]
        moved = value.type.dtype != output.value.type.dtype
        outputs.append(Output(output.name, _moved_back(value, output.value.node) if moved else value))
    return Graph(graph.name, graph.inputs, tuple(outputs), graph.stage)


def _is_signed_code(of_type: TensorType) -> bool:
    """Narrow signed integers with a scale that is known; sums and plain integers stay what they are."""
    quant = of_type.quant
    return of_type.dtype.kind == "int" and of_type.dtype.bits <= 8 and quant is not None and quant.is_static


def _moved_back(value: Value, original: Node) -> Value:
    return qops.OffsetCodes(value, sources=original.sources, tensor=original.tensor).out


def _rewritten(node: Node, rewriter: Rewriter) -> Node:
    if isinstance(node, Input):
        return qops.OffsetCodes(node.out, sources=node.sources or (node.name,)) if _is_signed_code(node.type) else node
    weights = _weights_of(node)

    def operand(value: Value) -> Value:
        if not isinstance(value.node, Constant):
            return rewriter[value]
        if value == weights:
            return _signed(value.node).out if value.type.dtype.kind == "uint" and value.type.quant else value
        return _unsigned(value.node).out if _is_signed_code(value.type) else value

    changes = _moved_results(node) if any(_is_signed_code(of_type) for of_type in node.types) else {}
    if not changes and all(operand(value) == value for value in node.operands):
        return node
    return _with_operands(node, operand, changes)


def _with_operands(node: Node, operand: Any, changes: dict[str, Any]) -> Node:
    """The node over new operands and with new fields, in one step: in between it would be ill-typed."""
    for name in ("x", "a", "b", "w", "indices", "slope"):
        old = getattr(node, name, None)
        if isinstance(old, Value):
            changes[name] = operand(old)
    if isinstance(node, ops.Concat):
        changes["values"] = tuple(operand(value) for value in node.values)
    return node.replace(**changes)


def _weights_of(node: Node) -> Value | None:
    """The operand that a kernel packs as weights: constant, of at most 8 bits."""
    match node:
        case qops.QConv(w=weights) | qops.QConvTranspose(w=weights) | qops.QGemm(b=weights):
            is_weight = isinstance(weights.node, Constant) and weights.type.dtype.bits <= 8
            return weights if is_weight else None
    return None


def _moved_results(node: Node) -> dict[str, Any]:
    """The fields that say what the results' codes are, for codes that are higher by half the range."""
    of_type = node.types[0]
    dtype = DType("uint", of_type.dtype.bits)
    offset = 1 << (of_type.dtype.bits - 1)
    changes: dict[str, Any] = {"tensor": ""}
    match node:
        case qops.Clamp():
            changes |= {"low": node.low + offset, "high": node.high + offset}
        case ops.Pad(mode="constant"):
            changes["value"] = int(node.value) + offset
        case qops.Lookup():
            table = (node.table.astype(np.int64) + offset).astype(dtype.numpy)
            changes |= {"dtype": dtype, "quant": _moved(node.quant, offset), "table": table}
        case qops.QConv() | qops.QConvTranspose() | qops.QGemm():
            changes |= {"dtype": dtype, "quant": _moved(node.quant, offset)}
            changes["requantization"] = _moved_requantization(node.requantization, offset)
        case _ if hasattr(node, "quant"):
            changes |= {"dtype": dtype, "quant": _moved(node.quant, offset)}
    return changes


def _moved(quant: QuantParams | None, offset: int) -> QuantParams | None:
    if quant is None:
        return None
    _, zero_point = quant.static()
    return replace(quant, zero_point=zero_point + offset, qmin=quant.qmin + offset, qmax=quant.qmax + offset)


def _moved_requantization(r: Requantization | None, offset: int) -> Requantization | None:
    if r is None:
        return None
    return replace(r, zero_point=r.zero_point + offset, qmin=r.qmin + offset, qmax=r.qmax + offset)


def _unsigned(node: Constant) -> Constant:
    bits = node.type.dtype.bits
    return _moved_constant(node, DType("uint", bits), 1 << (bits - 1))


def _signed(node: Constant) -> Constant:
    bits = node.type.dtype.bits
    return _moved_constant(node, DType("int", bits), -(1 << (bits - 1)))


def _moved_constant(node: Constant, dtype: DType, offset: int) -> Constant:
    value = (node.value.astype(np.int64) + offset).astype(dtype.numpy)
    of_type = TensorType(dtype, node.type.shape, _moved(node.type.quant, offset), node.type.layout)
    return Constant(value, of_type, sources=node.sources)
