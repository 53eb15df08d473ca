"""Elementwise operators: arithmetic with broadcasting, activations, casts, and what changes nothing at inference."""

from __future__ import annotations

import math

import numpy as np

from subbyte.compiler.dtype import BOOL, INT32, INT64, UINT64, DType
from subbyte.compiler.importer.codes import plain
from subbyte.compiler.importer.convert_pools import absolute
from subbyte.compiler.importer.operator import MICROSOFT, Marks, Operator, converts
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.qops import Clamp

BINARY: dict[str, type[ops.Binary]] = {"Add": ops.Add, "Sub": ops.Sub, "Mul": ops.Mul, "Div": ops.Div}


@converts(*BINARY)
def convert_binary(op: Operator) -> Value:
    a, b = plain(op, op.operand(0)), plain(op, op.operand(1))
    if op.op_type == "Div" and b.constant is not None and b.type.dtype.is_integer and not b.constant.all():
        raise op.broken("divides integers by zero.")
    return op.emit(BINARY[op.op_type](a, b, **op.marks))


@converts("Pow")
def convert_pow(op: Operator) -> Value:
    """x ** y in the type of x; y may be of another type from opset 12 on. Integers are raised modulo 2^64."""
    x, y = plain(op, op.operand(0)), plain(op, op.operand(1))
    if y.type.dtype != x.type.dtype and x.type.dtype.is_float:
        y = op.emit(ops.Cast(y, x.type.dtype, **op.inner))
    if x.type.dtype.is_float:
        return op.emit(ops.Pow(x, y, **op.marks))
    if y.type.dtype.is_float:
        raise op.unsupported(f"raises {x.type} to {y.type}; integers are raised to integers. Cast both to float32.")
    wide = UINT64 if x.type.dtype == UINT64 else INT64
    base, exponent = (v if v.type.dtype == wide else op.emit(ops.Cast(v, wide, **op.inner)) for v in (x, y))
    if x.type.dtype == wide:
        return op.emit(ops.Pow(base, exponent, **op.marks))
    return op.emit(ops.Cast(op.emit(ops.Pow(base, exponent, **op.inner)), x.type.dtype, **op.marks))


@converts("Sum", "Min", "Max", "Mean")
def convert_variadic(op: Operator) -> Value:
    """A chain from left to right; the mean divides the sum by the number of operands."""
    kind = {"Min": ops.Minimum, "Max": ops.Maximum}.get(op.op_type, ops.Add)
    values = [plain(op, op.operand(i)) for i in range(len(op.operands))]
    if not values:
        raise op.broken("has no operand.")
    if len(values) == 1:
        return op.same(values[0])
    mean = op.op_type == "Mean"
    result = values[0]
    for i, value in enumerate(values[1:], start=2):
        marks = op.marks if i == len(values) and not mean else op.inner
        result = op.emit(kind(result, value, **marks))
    if not mean:
        return result
    count = op.part(len(values), result.type.dtype)
    return op.emit(ops.Div(result, count, **op.marks))


# Functions of one operand ---------------------------------------------------------------------------------------------

# ONNX operator -> its float attributes and their defaults, in the order of UNARY_FUNCTIONS.
_UNARY: dict[str, tuple[tuple[str, float], ...]] = {
    "LeakyRelu": (("alpha", 0.01),),
    "Sigmoid": (),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
    "HardSwish": (),
    "Tanh": (),
    "Erf": (),
    "Exp": (),
    "Log": (),
    "Sqrt": (),
    "Reciprocal": (),
    "Floor": (),
    "Ceil": (),
    "Round": (),
    "Sign": (),
    "Softplus": (),
    "Softsign": (),
    "Elu": (("alpha", 1.0),),
    "Selu": (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": (("alpha", 1.0),),
    "ThresholdedRelu": (("alpha", 1.0),),
    "Mish": (),
}


@converts(*_UNARY)
def convert_unary(op: Operator) -> Value:
    parameters = tuple(op.real(name, default) for name, default in _UNARY[op.op_type])
    return op.emit(ops.Unary(_float(op), op.op_type, parameters, **op.marks))


def _float(op: Operator) -> Value:
    """Operand 0, which must be floats."""
    x = op.operand(0)
    if not x.type.dtype.is_float:
        raise op.unsupported(f"is applied to {x.type}; floats are read. Dequantize the operand before.")
    return x


@converts("Gelu")
@converts("Gelu", domain=MICROSOFT)
def convert_gelu(op: Operator) -> Value:
    approximate = op.word("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise op.broken(f"has approximate '{approximate}'; 'none' and 'tanh' exist.")
    return op.emit(ops.Unary(_float(op), "Gelu" if approximate == "none" else "GeluTanh", (), **op.marks))


@converts("PRelu")
def convert_prelu(op: Operator) -> Value:
    return op.emit(ops.PRelu(_float(op), op.operand(1), **op.marks))


@converts("Swish")
def convert_swish(op: Operator) -> Value:
    """x * sigmoid(alpha * x)."""
    x, alpha = _float(op), op.real("alpha", 1.0)
    inside = x if alpha == 1.0 else op.emit(ops.Mul(op.part(alpha, x.type.dtype), x, **op.inner))
    return op.emit(ops.Mul(x, op.emit(ops.Unary(inside, "Sigmoid", (), **op.inner)), **op.marks))


@converts("Neg")
def convert_neg(op: Operator) -> Value:
    x = plain(op, op.operand(0))
    if x.type.dtype.is_float:
        return op.emit(ops.Unary(x, "Neg", (), **op.marks))
    return op.emit(ops.Sub(op.part(0, x.type.dtype), x, **op.marks))


@converts("Abs")
def convert_abs(op: Operator) -> Value:
    x = plain(op, op.operand(0))
    return absolute(op, x, op.marks)


@converts("Relu")
def convert_relu(op: Operator) -> Value:
    x = op.operand(0)
    if x.type.dtype.is_float:
        return op.emit(ops.Unary(x, "Relu", (), **op.marks))
    return limited_codes(op, x, 0, None, op.marks)


@converts("Clip")
def convert_clip(op: Operator) -> Value:
    """min(max(x, low), high); the bounds are attributes before opset 11, operands from then on."""
    x = op.operand(0)
    if op.opset < 11:
        return op.emit(ops.Unary(_float(op), "Clip", (op.real("min", -math.inf), op.real("max", math.inf)), **op.marks))
    low, high = op.optional(1), op.optional(2)
    for bound in (low, high):
        if bound is not None and (bound.type.elements != 1 or bound.type.dtype != x.type.dtype):
            raise op.broken(f"limits {x.type} by {bound.type}; a scalar of the same type is needed.")
    if any(bound is not None and bound.constant is None for bound in (low, high)):
        return _clip_at_run_time(op, x, low, high)
    known = [None if bound is None or bound.constant is None else bound.constant.item() for bound in (low, high)]
    if not x.type.dtype.is_float:
        return limited_codes(op, x, known[0], known[1], op.marks)
    bounds = (-math.inf if known[0] is None else known[0], math.inf if known[1] is None else known[1])
    if any(math.isnan(bound) for bound in bounds):
        raise op.broken("has a bound that is not a number.")
    return op.emit(ops.Unary(x, "Clip", bounds, **op.marks))


def _clip_at_run_time(op: Operator, x: Value, low: Value | None, high: Value | None) -> Value:
    result = plain(op, x)
    steps: list[tuple[type[ops.Binary], Value]] = []
    if low is not None:
        steps.append((ops.Maximum, plain(op, low)))
    if high is not None:
        steps.append((ops.Minimum, plain(op, high)))
    for i, (kind, bound) in enumerate(steps, start=1):
        scalar = op.emit(ops.Reshape(bound, (), **op.inner))
        result = op.emit(kind(result, scalar, **(op.marks if i == len(steps) else op.inner)))
    return result


def limited_codes(op: Operator, x: Value, low: int | None, high: int | None, marks: Marks) -> Value:
    """Integers limited to low..high: codes with a scale keep it."""
    dtype = x.type.dtype
    low, high = dtype.min if low is None else low, dtype.max if high is None else high
    if x.type.quant is not None and low <= high and x.constant is None:
        return op.emit(Clamp(x, low, high, **marks))
    raised = op.emit(ops.Maximum(plain(op, x), op.part(low, dtype), **op.inner))
    return op.emit(ops.Minimum(raised, op.part(high, dtype), **marks))


# Types and nothing at all ---------------------------------------------------------------------------------------------


def _cast(op: Operator, dtype: DType) -> Value:
    """Floats outside the range of 8 bits or more saturate; to fewer bits they wrap, as in ONNX's own cases."""
    x = op.operand(0)
    if x.type.dtype == dtype:
        return op.same(x)
    if x.type.dtype.is_float and dtype.is_integer and dtype.bits < 8:
        return op.emit(ops.Cast(op.emit(ops.Cast(x, INT32, **op.inner)), dtype, **op.marks))
    return op.emit(ops.Cast(plain(op, x), dtype, **op.marks))


@converts("Cast")
def convert_cast(op: Operator) -> Value:
    dtype = op.dtype_attribute("to")
    if dtype is None:
        raise op.broken("does not say to what type it casts.")
    return _cast(op, dtype)


@converts("CastLike")
def convert_cast_like(op: Operator) -> Value:
    return _cast(op, op.operand(1).type.dtype)


@converts("Identity")
def convert_identity(op: Operator) -> Value:
    return op.same(op.operand(0))


@converts("Dropout")
def convert_dropout(op: Operator) -> tuple[Value, ...]:
    """Inference: the operand itself; the mask, where one is asked for, is all true."""
    training = op.optional_constant(2, "training_mode") if op.opset >= 12 else None
    if training is not None and training.any():
        raise op.unsupported("is in training mode. Export the model for inference.")
    x = op.operand(0)
    if not any(op.outputs[1:]):
        return (op.same(x),)
    op.check_folded_size(x.type.shape, 1)
    return op.same(x), op.part(np.ones(x.type.shape, np.bool_), BOOL)
