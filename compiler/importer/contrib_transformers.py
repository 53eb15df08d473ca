"""Operators that ONNX Runtime fuses transformers into: their meaning is the plain graph that they stand for (N8)."""

from __future__ import annotations

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.importer.convert_normalization import (
    build_normalization,
    cast_to,
    centred,
    inverse_deviation,
    real_operand,
)
from subbyte.compiler.importer.operator import MICROSOFT, Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, RMSNormalization


def _sum(op: Operator, x: Value, *addends: Value | None) -> Value:
    """x plus each addend that is there, one after the other, broadcast to x."""
    for addend in addends:
        if addend is not None:
            x = op.emit(ops.Add(x, addend, **op.inner))
    return x


def _last_axis(op: Operator, x: Value) -> int:
    if x.type.rank < 1:
        raise op.broken(f"is applied to {x.type}; an axis to normalize over is needed.")
    return x.type.rank - 1


@converts("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def convert_skip_layer_normalization(op: Operator) -> tuple[Value, ...]:
    """(normalization of s, mean, inverse deviation, s), s = x + skip + bias, over the last axis.

    Operands: x, skip, scale, then beta (not of the simplified one, which does not subtract the mean), then bias.
    """
    whole = op.op_type == "SkipLayerNormalization"
    beta, bias = (op.optional(3), op.optional(4)) if whole else (None, op.optional(3))
    total = _sum(op, real_operand(op, op.operand(0)), op.operand(1), bias)
    axis, epsilon = _last_axis(op, total), op.real("epsilon", 1e-12 if whole else 1e-5)
    kind = LayerNormalization if whole else RMSNormalization
    y = build_normalization(op, kind, total, op.operand(2), beta, axis, epsilon)
    d, mean = centred(op, cast_to(op, total, FLOAT32), (axis,))
    inverse = inverse_deviation(op, d if whole else cast_to(op, total, FLOAT32), (axis,), epsilon)
    return y, mean, inverse, total


@converts("EmbedLayerNormalization", domain=MICROSOFT)
def convert_embed_layer_normalization(op: Operator) -> tuple[Value, ...]:
    """(normalization of s, number of words that count in each row, s), s = word + position + segment.

    Operands: words [batch, n], segments or none, tables of words, positions and segments, scale, beta, mask [batch, n]
    (1 where a word counts), positions [batch, n] or [1, n] (0, 1, ... where left out).
    """
    words, segments, positions = op.operand(0), op.optional(1), op.optional(8)
    if words.type.rank != 2:
        raise op.broken(f"has words {words.type}; [batch, length] is needed.")
    tables = real_operand(op, op.operand(2)), op.operand(3), op.optional(4)
    found = op.emit(ops.Gather(tables[0], words, 0, **op.inner))
    if positions is None:
        first = (0,) * tables[1].type.rank, (words.type.shape[1], *tables[1].type.shape[1:])
        places = op.emit(ops.Slice(tables[1], *first, (1,) * tables[1].type.rank, **op.inner))
    else:
        places = op.emit(ops.Gather(tables[1], positions, 0, **op.inner))
    found = _sum(op, found, places)
    if segments is not None and tables[2] is not None:
        found = _sum(op, found, op.emit(ops.Gather(tables[2], segments, 0, **op.inner)))
    y = build_normalization(
        op, LayerNormalization, found, op.operand(5), op.operand(6), _last_axis(op, found), op.real("epsilon", 1e-12)
    )
    mask = op.optional(7)
    if mask is None:
        return (y,) if not any(op.outputs[1:]) else (y, op.part([0] * words.type.shape[0], words.type.dtype), found)
    return y, op.emit(ops.ReduceSum(mask, (1,), False, **op.inner)), found


@converts("BiasGelu", "FastGelu", domain=MICROSOFT)
def convert_bias_gelu(op: Operator) -> Value:
    """Gelu of x + bias, for FastGelu by tanh."""
    total = _sum(op, real_operand(op, op.operand(0)), op.optional(1))
    return op.emit(ops.Unary(total, "Gelu" if op.op_type == "BiasGelu" else "GeluTanh", (), **op.marks))


@converts("QuickGelu", domain=MICROSOFT)
def convert_quick_gelu(op: Operator) -> Value:
    """x * sigmoid(alpha * x)."""
    x = real_operand(op, op.operand(0))
    inside = op.emit(ops.Mul(op.part(op.real("alpha", 1.702), x.type.dtype), x, **op.inner))
    return op.emit(ops.Mul(x, op.emit(ops.Unary(inside, "Sigmoid", (), **op.inner)), **op.marks))


@converts("FusedMatMul", domain=MICROSOFT)
def convert_fused_matmul(op: Operator) -> Value:
    """alpha * a @ b, the last two axes exchanged first where transA or transB says so."""
    a, b = op.operand(0), op.operand(1)
    if op.flag("transBatchA", False) or op.flag("transBatchB", False):
        raise op.unsupported("moves the batch (transBatchA, transBatchB). Use the model before ONNX Runtime fused it.")
    a, b = _exchanged(op, a, "transA"), _exchanged(op, b, "transB")
    if min(a.type.rank, b.type.rank) < 2:
        raise op.unsupported(f"multiplies {a.type} by {b.type}; matrices are read. Use MatMul for vectors.")
    alpha = op.real("alpha", 1.0)
    if alpha == 1:
        return op.emit(ops.MatMul(a, b, **op.marks))
    product = op.emit(ops.MatMul(a, b, **op.inner))
    return op.emit(ops.Mul(product, op.part(alpha, product.type.dtype), **op.marks))


def _exchanged(op: Operator, x: Value, attribute: str) -> Value:
    rank = x.type.rank
    if not op.flag(attribute, False) or rank < 2:
        return x
    return op.emit(ops.Transpose(x, (*range(rank - 2), rank - 1, rank - 2), **op.inner))
