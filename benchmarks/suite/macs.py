"""Multiply-accumulates of an ONNX file: what its nodes ask for, whatever an engine makes of them."""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
from onnx import helper, shape_inference

_OPERATORS = ("Conv", "Gemm", "MatMul", "MatMulNBits")


def file_macs(path: Path) -> int:
    """Of all convolutions and matrix products in the file at `path`.

    Raises: ValueError: a shape that inference does not find.
    """
    model = shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    graph = model.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type in _OPERATORS:
            attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            total += _macs(node, attributes, shapes)
    return total


def _macs(node: onnx.NodeProto, attributes: dict[str, int], shapes: dict[str, list[int]]) -> int:
    if node.op_type == "MatMulNBits":  # no shape inference knows it: the rows are those of what comes in
        rows = shapes[node.input[0]][:-1]
        shapes[node.output[0]] = [*rows, attributes["N"]]
        return prod(rows) * attributes["N"] * attributes["K"]
    result, a, b = (shapes.get(name, [0]) for name in (node.output[0], *node.input[:2]))
    if node.op_type == "Conv":
        found = prod(result) * prod(b[1:])
    else:
        found = prod(result) * (a[0] if attributes.get("transA", 0) else a[-1])
    if found == 0:
        raise ValueError(f"the shapes at {node.op_type} '{node.name}' are not known: {a} and {b} to {result}")
    return found
