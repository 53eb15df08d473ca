"""Elementwise operations in ONNX."""

from __future__ import annotations

from subbyte.compiler.exporter.writer import Writer, bound, element_number, writes
from subbyte.compiler.ir import ops

_BINARY: dict[type[ops.Binary], str] = {
    ops.Add: "Add",
    ops.Sub: "Sub",
    ops.Mul: "Mul",
    ops.Div: "Div",
    ops.Pow: "Pow",
    ops.Minimum: "Min",
    ops.Maximum: "Max",
}

# The attributes of functions, in the order of UNARY_FUNCTIONS.
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Elu": ("alpha",),
    "Selu": ("alpha", "gamma"),
    "Celu": ("alpha",),
    "ThresholdedRelu": ("alpha",),
}


@writes(*_BINARY)
def write_binary(writer: Writer, node: ops.Binary) -> None:
    writer.emit_on(node, _BINARY[type(node)], node.a, node.b)


@writes(ops.Unary)
def write_unary(writer: Writer, node: ops.Unary) -> None:
    if node.function == "Clip":
        _write_clip(writer, node)
    elif node.function == "GeluTanh":
        writer.emit_on(node, "Gelu", node.x, approximate="tanh")
    else:
        attributes = dict(zip(_ATTRIBUTES.get(node.function, ()), node.parameters, strict=True))
        writer.emit_on(node, node.function, node.x, **attributes)


def _write_clip(writer: Writer, node: ops.Unary) -> None:
    """An infinite limit is left out."""
    dtype, name = node.x.type.dtype, writer.result(node)
    limits = [
        "" if bound(limit) is None else writer.constant(f"{name}.{role}", limit, dtype)
        for role, limit in zip(("min", "max"), node.parameters, strict=True)
    ]
    writer.emit(node, "Clip", [writer.operand(node.x, f"{name}.0"), *limits])


@writes(ops.PRelu)
def write_prelu(writer: Writer, node: ops.PRelu) -> None:
    writer.emit_on(node, "PRelu", node.x, node.slope)


@writes(ops.Cast)
def write_cast(writer: Writer, node: ops.Cast) -> None:
    writer.emit_on(node, "Cast", node.x, to=element_number(node.dtype))


@writes(ops.Softmax)
def write_softmax(writer: Writer, node: ops.Softmax) -> None:
    writer.emit_on(node, "Softmax", node.x, axis=node.axis)


@writes(ops.LogSoftmax)
def write_log_softmax(writer: Writer, node: ops.LogSoftmax) -> None:
    writer.emit_on(node, "LogSoftmax", node.x, axis=node.axis)
