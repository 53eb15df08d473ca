"""ONNX Runtime's own operators, on codes and fused ones: their meaning is the plain graph they stand for (N6)."""

from __future__ import annotations

from subbyte.compiler.importer.convert_elementwise import BINARY
from subbyte.compiler.importer.convert_movement import build_concat
from subbyte.compiler.importer.convert_pools import (
    build_average_pool,
    build_global_average_pool,
    build_reduction,
    build_softmax,
)
from subbyte.compiler.importer.convert_sums import build_conv, build_gemm
from subbyte.compiler.importer.operator import MICROSOFT, Operator, converts
from subbyte.compiler.importer.qoperator import bias_scale, dequantized_bias, dequantized_operand, quantized_result
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value


@converts("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def convert_qlinear_binary(op: Operator) -> Value:
    """Operands: a, b and c as (codes, scale, zero point) - c without codes."""
    kind = BINARY[op.op_type.removeprefix("QLinear")]
    a, b = dequantized_operand(op, 0, "A"), dequantized_operand(op, 3, "B")
    return quantized_result(op, op.emit(kind(a, b, **op.inner)), 6, op.operand(0))


@converts("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def convert_qlinear_average_pool(op: Operator) -> Value:
    """Operands: x as (codes, scale, zero point), y as (scale, zero point); [N, spatial..., C] with channels_last."""
    x = dequantized_operand(op, 0, "X")
    build = build_average_pool if op.op_type == "QLinearAveragePool" else build_global_average_pool
    if not op.flag("channels_last", False):
        return quantized_result(op, build(op, x, op.inner), 3, op.operand(0))
    rank = x.type.rank
    if rank < 3:
        raise op.broken(f"is applied to {x.type}; [N, spatial..., C] is needed.")
    first = op.emit(ops.Transpose(x, (0, rank - 1, *range(1, rank - 1)), **op.inner))
    pooled = build(op, first, op.inner)
    last = op.emit(ops.Transpose(pooled, (0, *range(2, rank), 1), **op.inner))
    return quantized_result(op, last, 3, op.operand(0))


@converts("QLinearSigmoid", "QLinearLeakyRelu", domain=MICROSOFT)
def convert_qlinear_unary(op: Operator) -> Value:
    """Operands: x as (codes, scale, zero point), y as (scale, zero point)."""
    x = dequantized_operand(op, 0, "X")
    parameters = (op.real("alpha", 0.01),) if op.op_type == "QLinearLeakyRelu" else ()
    y = op.emit(ops.Unary(x, op.op_type.removeprefix("QLinear"), parameters, **op.inner))
    return quantized_result(op, y, 3, op.operand(0))


@converts("QLinearSoftmax", domain=MICROSOFT)
def convert_qlinear_softmax(op: Operator) -> Value:
    """Operands as QLinearSigmoid; the attribute opset says which Softmax is meant."""
    x = dequantized_operand(op, 0, "X")
    return quantized_result(op, build_softmax(op, x, op.integer("opset", 13), op.inner), 3, op.operand(0))


@converts("QLinearReduceMean", domain=MICROSOFT)
def convert_qlinear_reduce_mean(op: Operator) -> Value:
    x = dequantized_operand(op, 0, "data")
    mean = build_reduction(op, ops.ReduceMean, x, op.integer_list("axes"), op.inner)
    return quantized_result(op, mean, 3, op.operand(0))


@converts("QLinearConcat", domain=MICROSOFT)
def convert_qlinear_concat(op: Operator) -> Value:
    """Operands: y as (scale, zero point), then each piece as (codes, scale, zero point)."""
    if len(op.operands) < 5 or len(op.operands) % 3 != 2:
        raise op.broken(f"has {len(op.operands)} operands; two, and three for each piece, are needed.")
    pieces = [dequantized_operand(op, index, f"piece {index // 3}") for index in range(2, len(op.operands), 3)]
    return quantized_result(op, build_concat(op, pieces, op.inner), 0, op.operand(2))


@converts("QGemm", domain=MICROSOFT)
def convert_qgemm(op: Operator) -> Value:
    """Operands: a and b as (codes, scale, zero point), c int32 on the grid alpha * s_a * s_b, y as (scale, zero point).

    Without a scale for y the result is float32.
    """
    a = dequantized_operand(op, 0, "A")
    columns = 0 if op.flag("transB", False) else 1
    b = dequantized_operand(op, 3, "B", axis=columns)
    scale = bias_scale(a, b, op.real("alpha", 1.0))
    c = dequantized_bias(op, 6, scale, last_axis=True)
    if op.optional(7) is None:
        return build_gemm(op, a, b, c, op.marks)
    return quantized_result(op, build_gemm(op, a, b, c, op.inner), 7, op.operand(0))


# Fused float operators ------------------------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, int] = {"Relu": 0, "Sigmoid": 0, "Tanh": 0, "LeakyRelu": 1, "Clip": 2, "HardSigmoid": 2}


def _activated(op: Operator, x: Value, activation: str, parameters: tuple[float, ...]) -> Value:
    """The activation with its parameters in the order of UNARY_FUNCTIONS."""
    if activation not in _ACTIVATIONS:
        raise op.unsupported(
            f"fuses the activation '{activation}'; {', '.join(_ACTIVATIONS)} are read. Use the model as it was before "
            "ONNX Runtime optimized it."
        )
    count = _ACTIVATIONS[activation]
    if len(parameters) != count:
        raise op.broken(f"has {len(parameters)} parameters for the activation {activation}, which has {count}.")
    return op.emit(ops.Unary(x, activation, parameters, **op.marks))


@converts("FusedConv", domain=MICROSOFT)
def convert_fused_conv(op: Operator) -> Value:
    """Conv, then the addition of operand 3 where there is one, then the activation."""
    activation, z = op.word("activation", ""), op.optional(3)
    plain = not activation and z is None
    result = build_conv(op, op.operand(0), op.operand(1), op.optional(2), op.marks if plain else op.inner)
    if z is not None:
        result = op.emit(ops.Add(result, z, **(op.inner if activation else op.marks)))
    return _activated(op, result, activation, op.real_list("activation_params") or ()) if activation else result


@converts("FusedGemm", domain=MICROSOFT)
def convert_fused_gemm(op: Operator) -> Value:
    """Gemm, then the activation with its parameters in attributes of its own."""
    activation = op.word("activation", "")
    product = build_gemm(op, op.operand(0), op.operand(1), op.optional(2), op.inner if activation else op.marks)
    if not activation:
        return product
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    parameters = tuple(op.real(name, 0.0) for name in names if name in op.attributes)
    return _activated(op, product, activation, parameters)
