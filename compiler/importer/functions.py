"""Operators that ONNX defines by others: the bodies that their schemas give, where there is no converter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import onnx.defs
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto

from subbyte.compiler.errors import ModelError
from subbyte.compiler.importer.tensors import number_of
from subbyte.compiler.ir.node import Value

# What is read by its body: its operators are, and bodies of the others hold control flow or random numbers.
EXPANDED = (
    "Attention",
    "CausalConvWithState",
    "CenterCropPad",
    "NegativeLogLikelihoodLoss",
    "RotaryEmbedding",
    "Shrink",
    "SoftmaxCrossEntropyLoss",
    "SwiGLU",
)


@cache
def has_function(op_type: str, domain: str, opset: int) -> bool:
    """Whether ONNX may give a body to the operator; of some it depends on attributes and types.

    Other domains than its own are left out: nothing checks the operands of their nodes before a body is made of them.
    """
    if domain:
        return False
    try:
        schema = _schema(op_type, domain, opset)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def _schema(op_type: str, domain: str, opset: int) -> Any:
    """The schema that holds in `opset`; what it says of functions is missing in the stubs of onnx."""
    return onnx.defs.get_schema(op_type, opset, domain)


def function_of(node: NodeProto, domain: str, opset: int, operands: Sequence[Value | None]) -> FunctionProto | None:
    """The body of `node` as ONNX defines it for operands of these types; None where it is defined by itself.

    Bodies come for some opsets only; the newest that is not newer than `opset` holds, else the oldest of the schema.
    """
    schema = _schema(node.op_type, domain, opset)
    if schema.has_function:
        version = _newest(schema.function_opset_versions, opset)
        return _body(schema.get_function_with_opset_version(version))
    if not schema.has_context_dependent_function:
        return None
    version = _newest(schema.context_dependent_function_opset_versions, opset)
    types = [b"" if value is None else _type_of(value) for value in operands]
    try:
        body = schema.get_context_dependent_function_with_opset_version(version, node.SerializeToString(), types)
    except Exception as error:  # what the C++ library raises has no common base
        reason = " ".join(str(error).split())
        raise ModelError(f"ONNX finds no body for it: {reason[:300]}") from None
    return _body(body) if body else None


def _body(content: bytes) -> FunctionProto:
    body: FunctionProto = FunctionProto.FromString(content)
    return body


def _newest(versions: Sequence[int], opset: int) -> int:
    return max((version for version in versions if version <= opset), default=min(versions))


def _type_of(value: Value) -> bytes:
    found = TypeProto()
    found.tensor_type.elem_type = number_of(value.type.dtype)
    for extent in value.type.shape:
        found.tensor_type.shape.dim.add().dim_value = extent
    return bytes(found.SerializeToString())


def with_attributes(inner: NodeProto, outer: NodeProto, domain: str, opset: int) -> NodeProto:
    """A node of a body whose references to attributes of `outer`, which it stands in for, are their values.

    An attribute that `outer` leaves out has its default, or is left out too.
    """
    given: Mapping[str, AttributeProto] = {attribute.name: attribute for attribute in outer.attribute}
    found = NodeProto()
    found.CopyFrom(inner)
    del found.attribute[:]
    for attribute in inner.attribute:
        wanted = attribute.ref_attr_name
        source = attribute if not wanted else given.get(wanted) or _defaults(outer.op_type, domain, opset).get(wanted)
        if source is not None:
            found.attribute.add().CopyFrom(source)
            found.attribute[-1].name = attribute.name
    return found


@cache
def _defaults(op_type: str, domain: str, opset: int) -> dict[str, AttributeProto]:
    schema = _schema(op_type, domain, opset)
    return {
        name: attribute.default_value
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type != AttributeProto.UNDEFINED
    }
