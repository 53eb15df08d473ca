"""Store activations of up to 8 bits with the signs that the target multiplies best, and weights signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import UINT2, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Signs, Target

Wanted = Callable[[Value], Value]

_SUMS = (qops.QConv, qops.QConvTranspose, qops.QGemm)
_MOVING = (
    ops.Reshape, ops.Transpose, ops.Concat, ops.Split, ops.Slice, ops.Gather, ops.DepthToSpace, ops.SpaceToDepth,
    ops.ResizeNearest, ops.MaxPool, ops.ReduceMax, ops.ReduceMin, Where,
)  # fmt: skip

_AROUND_ZERO = ("bipolar", "ternary")
"""Kinds of codes -1 and +1, and perhaps 0."""
_READING = (
    ops.Pad, ops.DequantizeLinear, qops.Clamp, qops.Lookup, qops.QBinary, qops.QAveragePool, qops.QReduce,
    qops.QResizeLinear, qops.QSoftmax,
)  # fmt: skip
"""Operations of codes beside sums and movement; any other one reads signed codes as they were."""


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def choose_signs(graph: Graph, target: Target) -> Graph:
    """Activations change between signed and unsigned types as the target's facts ask, weights to signed ones.

    UNSIGNED: every int8 activation becomes uint8 with code + 128: zero point, range, tables and pad codes move with it.
    So does every narrower one by half its range. SIGNED_BYTES: uint8 activations become int8 with code - 128, and
    narrower ones unsigned as before. Inputs and outputs of the model keep their type through an OffsetCodes each.
    uint8 weights become int8 with code - 128.

    Bipolar and ternary activations become uint2 with code + 1, through a table where they come in or go out: bipolar
    codes are then 0 and 2 around the zero point 1. One bit, real = 2 * code - 1, would need the zero point 1/2. A sum
    could do with it, its weights doubled and their sum taken from its bias; but what pads a convolution is the real 0
    between the two codes, and every border would need a bias of its own. In 2 bits the padding is the code 1, and
    kernels that look sums up take as long for 2 bits of input as for 1.
    Exact: every code - zero_point stays what it was.
    """
    signs = target.facts.signs
    if signs is Signs.ANY:
        return graph
    rewriter = Rewriter(graph)
    changed: dict[Value, Value] = {}

    def wanted(value: Value) -> Value:
        """The operand with the sign that is asked for."""
        new = rewriter[value]
        if not _moves(new.type, signs):
            return new
        if new not in changed:
            changed[new] = _shifted(new.node) if isinstance(new.node, Constant) else _moved(new)
        return changed[new]

    for node in graph.nodes():
        rewriter.replace(node, _changed(node, wanted, rewriter, signs))
    outputs = (Output(output.name, _as_before(rewriter[output.value], output.value)) for output in graph.outputs)
    return graph.with_outputs(outputs)


def _moves(of_type: TensorType, signs: Signs) -> bool:
    """Whether an activation of this type is one of the other sign where the target can choose."""
    if not _is_narrow(of_type):
        return False
    if of_type.dtype.bits == 8 and signs is Signs.SIGNED_BYTES:
        return of_type.dtype.kind == "uint"
    return of_type.dtype.kind in ("int", *_AROUND_ZERO)


def _is_narrow(of_type: TensorType) -> bool:
    """Codes of up to 8 bits with a known zero point."""
    quant = of_type.quant
    return of_type.dtype.bits <= 8 and quant is not None and quant.is_static and quant.levels is None


def _offset(dtype: DType) -> int:
    """What is added to codes that change their sign: half of how many there are, 1 to those that stand around 0."""
    if dtype.kind in _AROUND_ZERO:
        return 1
    half = 1 << (dtype.bits - 1)
    return -half if dtype.kind == "uint" else half


def _other(dtype: DType) -> DType:
    """The type of the other signedness: of the same width, or of the 2 bits that hold 0, 1 and 2."""
    if dtype.kind in _AROUND_ZERO:
        return UINT2
    return DType("uint" if dtype.kind == "int" else "int", dtype.bits)


def _moved(value: Value) -> Value:
    """Codes of an operation or an input that stays as it is, with the other sign."""
    dtype, quant = value.type.dtype, value.type.quant
    if dtype.kind not in _AROUND_ZERO or quant is None:
        return qops.OffsetCodes(value).out
    table = np.clip(np.arange(3), quant.qmin + 1, quant.qmax + 1).astype(np.uint8)
    return qops.Lookup(value, table, UINT2, shifted(quant, 1)).out


def _changed(node: Any, wanted: Wanted, rewriter: Rewriter, signs: Signs) -> Any:
    """`node` over activations of the signs that are asked for, its own result among them."""
    if isinstance(node, (Input, Constant)):
        return node
    if isinstance(node, _SUMS):
        return _sum(node, wanted, rewriter, signs)
    keeps_operands = not isinstance(node, (*_MOVING, *_READING))
    offset = _offset(node.types[0].dtype) if _moves(node.types[0], signs) else 0
    match node:
        case ops.Pad(x=x, value=value) if offset:
            return node.replace(x=wanted(x), value=int(value) + offset, tensor="")
        case qops.Clamp(x=x, low=low, high=high) if offset:
            return node.replace(x=wanted(x), low=low + offset, high=high + offset, tensor="")
    if isinstance(node, (qops.Lookup, qops.QSoftmax)) and node.x.type.dtype.kind in _AROUND_ZERO:
        current: Any = node.replace(x=wanted(node.x), table=_with_a_fourth(node.table))
    else:
        current = node.map_operands(rewriter.__getitem__ if keeps_operands else wanted)
    if offset and not keeps_operands:
        current = current.replace(tensor="")  # the ONNX tensor holds other codes
    match current:
        case qops.Lookup(table=table, quant=quant) if offset and quant is not None:
            dtype = _other(current.dtype)
            moved = (table.astype(np.int64) + offset).astype(dtype.numpy)
            return current.replace(table=moved, dtype=dtype, quant=shifted(quant, offset))
        case ops.QuantizeLinear() | qops.QBinary() | qops.QAveragePool() | qops.QReduce() | qops.QResizeLinear() if (
            current.dtype.kind == "bipolar"
        ):
            return current  # rounds to the two codes in a way of its own, or gives none between them
        case ops.QuantizeLinear(quant=quant) if offset and not current.zero_point_first:
            return current.replace(dtype=_other(current.dtype), quant=shifted(quant, offset), tensor="")
        case qops.QBinary() | qops.QAveragePool() | qops.QReduce() | qops.QResizeLinear() | qops.QSoftmax() if offset:
            return current.replace(dtype=_other(current.dtype), quant=shifted(current.quant, offset))
    return current


def _with_a_fourth(table: NDArray[Any]) -> NDArray[Any]:
    """A table of three codes as one of 2 bits, whose last is none of them."""
    return np.concatenate([table, table[..., -1:]], axis=-1)


def _sum(node: Any, wanted: Wanted, rewriter: Rewriter, signs: Signs) -> Any:
    data, weights = ("a", "b") if isinstance(node, qops.QGemm) else ("x", "w")
    w = rewriter[getattr(node, weights)]
    if isinstance(w.node, Constant):
        if w.type.dtype.kind == "uint" and _is_narrow(w.type):
            w = _shifted(w.node)
    else:
        w = wanted(getattr(node, weights))
    changes: dict[str, Any] = {data: wanted(getattr(node, data)), weights: w}
    if _moves(node.type, signs) and node.requantization is not None:
        offset = _offset(node.type.dtype)
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
    quant, before = node.type.quant, node.type.dtype
    dtype, offset = _other(before), _offset(before)
    assert quant is not None, "constants without a scale are no activations"
    value = np.asarray(node.value.astype(np.int64) + offset, dtype.numpy)
    of_type = TensorType(dtype, node.type.shape, shifted(quant, offset))
    return Constant(value, of_type, sources=node.sources).out


def _as_before(value: Value, old: Value) -> Value:
    """An output in the type that the model gives it."""
    dtype, quant = old.type.dtype, old.type.quant
    if value.type.dtype == dtype:
        return value
    if dtype.kind in _AROUND_ZERO:
        middle = 1 if dtype.kind == "bipolar" else 0  # no bipolar code is between the two
        table = np.clip([-1, middle, 1, 1], *old.type.code_range()).astype(np.int8)
        return qops.Lookup(value, table, dtype, quant, tensor=old.node.tensor).out
    return qops.OffsetCodes(value, tensor=old.node.tensor).out
