"""Store activations of up to 8 bits unsigned and weights signed, where that is what the target multiplies best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target

_SUMS = (qops.QConv, qops.QConvTranspose, qops.QGemm)
_MOVING = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Gather, ops.DepthToSpace, ops.SpaceToDepth,
    ops.ResizeNearest, ops.MaxPool, ops.ReduceMax, ops.ReduceMin, Where,
)  # fmt: skip

_READING = (
    ops.Pad, ops.DequantizeLinear, qops.Clamp, qops.Lookup, qops.QBinary, qops.QAveragePool, qops.QReduce,
    qops.QResizeLinear, qops.QSoftmax,
)  # fmt: skip
"""Operations of codes beside sums and movement; any other one reads signed codes as they were."""


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def unsign_activations(graph: Graph, target: Target) -> Graph:
    """Every int8 activation becomes uint8 with code + 128: zero point, range, tables and pad codes move with it.

    So does every narrower one by half its range. int8 inputs and outputs keep their type through an OffsetCodes each.
    uint8 weights become int8 with code - 128.
    Exact: every code - zero_point stays what it was. Only where the target's facts ask for it.
    """
    if not target.facts.unsigned_activations:
        return graph
    rewriter = Rewriter(graph)
    offsets: dict[Value, Value] = {}

    def unsigned(value: Value) -> Value:
        """The operand unsigned where it is a signed activation."""
        new = rewriter[value]
        if not _is_signed(new.type):
            return new
        if new not in offsets:
            offsets[new] = _shifted(new.node) if isinstance(new.node, Constant) else qops.OffsetCodes(new).out
        return offsets[new]

    for node in graph.nodes():
        rewriter.replace(node, _unsigned(node, unsigned, rewriter))
    outputs = (Output(output.name, _as_before(rewriter[output.value], output.value)) for output in graph.outputs)
    return graph.with_outputs(outputs)


def _is_signed(of_type: TensorType) -> bool:
    return of_type.dtype.kind == "int" and _is_narrow(of_type)


def _is_narrow(of_type: TensorType) -> bool:
    """Codes of up to 8 bits with a known zero point."""
    quant = of_type.quant
    return of_type.dtype.bits <= 8 and quant is not None and quant.is_static and quant.levels is None


def _half(dtype: DType) -> int:
    """What is added to signed codes: half of how many there are."""
    return 1 << (dtype.bits - 1)


def _other(dtype: DType) -> DType:
    """The type of the same width and the other signedness."""
    return DType("uint" if dtype.kind == "int" else "int", dtype.bits)


def _unsigned(node: Any, unsigned: Any, rewriter: Rewriter) -> Any:
    """`node` over unsigned activations, its own result among them."""
    if isinstance(node, (Input, Constant)):
        return node
    if isinstance(node, _SUMS):
        return _sum(node, unsigned, rewriter)
    keeps_operands = not isinstance(node, (*_MOVING, *_READING))
    offset = _half(node.types[0].dtype) if _is_signed(node.types[0]) else 0
    match node:
        case ops.Pad(x=x, value=value) if offset:
            return node.replace(x=unsigned(x), value=int(value) + offset, tensor="")
        case qops.Clamp(x=x, low=low, high=high) if offset:
            return node.replace(x=unsigned(x), low=low + offset, high=high + offset, tensor="")
    current: Any = node.map_operands(rewriter.__getitem__ if keeps_operands else unsigned)
    if offset and not keeps_operands:
        current = current.replace(tensor="")  # the ONNX tensor holds other codes
    match current:
        case qops.Lookup(table=table, quant=quant) if offset and quant is not None:
            moved = (table.astype(np.int64) + offset).astype(np.uint8)
            return current.replace(table=moved, dtype=_other(current.dtype), quant=shifted(quant, offset))
        case ops.QuantizeLinear(quant=quant) if offset and not current.zero_point_first:
            return current.replace(dtype=_other(current.dtype), quant=shifted(quant, offset), tensor="")
        case qops.QBinary() | qops.QAveragePool() | qops.QReduce() | qops.QResizeLinear() | qops.QSoftmax() if offset:
            return current.replace(dtype=_other(current.dtype), quant=shifted(current.quant, offset))
    return current


def _sum(node: Any, unsigned: Any, rewriter: Rewriter) -> Any:
    data, weights = ("a", "b") if isinstance(node, qops.QGemm) else ("x", "w")
    w = rewriter[getattr(node, weights)]
    if isinstance(w.node, Constant):
        if w.type.dtype.kind == "uint" and _is_narrow(w.type):
            w = _shifted(w.node)
    else:
        w = unsigned(getattr(node, weights))
    changes: dict[str, Any] = {data: unsigned(getattr(node, data)), weights: w}
    if _is_signed(node.type) and node.requantization is not None:
        offset = _half(node.type.dtype)
        changes["requantization"] = node.requantization.moved(offset)
        changes.update(dtype=_other(node.type.dtype), quant=shifted(node.quant, offset), tensor="")
    return node.replace(**changes)


def shifted(quant: QuantParams, offset: int) -> QuantParams:
    """The meaning of codes that all moved by `offset`."""
    scale, zero_point = quant.static()
    return replace(
        quant, scale=scale, zero_point=zero_point + offset, qmin=quant.qmin + offset, qmax=quant.qmax + offset
    )


def _shifted(node: Constant) -> Value:
    """The constant with all codes moved into the other signedness."""
    quant, dtype = node.type.quant, _other(node.type.dtype)
    offset = _half(dtype) if dtype.kind == "uint" else -_half(dtype)
    assert quant is not None, "constants without a scale are no activations"
    value = np.asarray(node.value.astype(np.int64) + offset, dtype.numpy)
    of_type = TensorType(dtype, node.type.shape, shifted(quant, offset))
    return Constant(value, of_type, sources=node.sources).out


def _as_before(value: Value, old: Value) -> Value:
    """An output in the type that the model gives it."""
    return value if value.type.dtype == old.type.dtype else qops.OffsetCodes(value, tensor=old.node.tensor).out
