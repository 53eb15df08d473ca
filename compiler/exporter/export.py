"""A graph of stage IMPORTED as an ONNX model, in one of three styles of quantization."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.checker
import onnx.helper
from onnx import ModelProto, ValueInfoProto

from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.exporter import (  # noqa: F401 - each registers its forms
    elementwise,
    indexing,
    logic,
    movement,
    normalization,
    sums,
    windows,
)
from subbyte.compiler.exporter.writer import OLDEST_OPSET, Writer, element_number, form_of
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Constant, Input, Value

STYLES = ("qdq", "qcdq", "qonnx")


def export_model(
    graph: Graph,
    *,
    style: str = "qdq",
    outputs: Mapping[str, Value] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """The ONNX model of `graph`, of the lowest opset from 13 on that can say it, and checked; the same bytes each time.

    Args:
        graph: of stage imported. Tensors are called as in `value_names`, a graph output by its own name.
        style: of quantizations: "qdq", "qcdq" or "qonnx" (docs/quantized-output.md).
        outputs: what the model shows in place of the graph's outputs, by name; any value of the graph.
        metadata: the model's metadata_props.
    Raises: UnsupportedError: an operation has no form in ONNX, or a quantization none in the style. GraphError: the
        graph is of another stage.
    """
    if style not in STYLES:
        raise UnsupportedError(f"there is no style '{style}'; the styles are {', '.join(STYLES)}.")
    if graph.stage is not Stage.IMPORTED:
        raise GraphError(f"a graph of stage {graph.stage.value} is no ONNX model; export it at stage imported.")
    if outputs is not None:
        graph = graph.with_outputs(Output(name, value) for name, value in outputs.items())
    writer = Writer(style, OLDEST_OPSET, _names(graph))
    while True:
        model = _written(graph, writer)
        if writer.needed <= writer.opset:
            break
        writer = Writer(style, writer.needed, _names(graph))
    onnx.helper.set_model_props(model, dict(sorted((metadata or {}).items())))
    onnx.checker.check_model(model, full_check=False)
    return model


def _names(graph: Graph) -> dict[Value, str]:
    """A name for each value: that of the graph output which shows it, else as in `value_names`, all distinct."""
    names = value_names(graph)
    shown: dict[Value, str] = {}
    for output in graph.outputs:
        if not isinstance(output.value.node, (Input, Constant)):
            shown.setdefault(output.value, output.name)
    taken = {node.name for node in graph.inputs} | {output.name for output in graph.outputs}
    found: dict[Value, str] = {}
    for value, wanted in names.items():
        if isinstance(value.node, Input) or value in shown:
            found[value] = shown.get(value, wanted)
            continue
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}#{count}"
        taken.add(name)
        found[value] = name
    return found


def _written(graph: Graph, writer: Writer) -> ModelProto:
    for output in graph.outputs:
        writer.reserve(output.name)
    for node in graph.inputs:
        writer.known(node.name, node.type.dtype)
    for node in graph.operations():
        for index, of_type in enumerate(node.types):
            writer.known(writer.result(node, index), of_type.dtype)
        form_of(node)(writer, node)
    for output in graph.outputs:
        if writer.names.get(output.value) != output.name:
            made = onnx.helper.make_node("Identity", [writer.operand(output.value, output.name)], [output.name])
            writer.nodes.append(made)
    proto = onnx.helper.make_graph(
        writer.nodes,
        graph.name,
        [_info(node.name, node.out) for node in graph.inputs],
        [_info(output.name, output.value) for output in graph.outputs],
        writer.initializers,
    )
    opsets = [onnx.helper.make_opsetid("", writer.opset)]
    opsets += [onnx.helper.make_opsetid(domain, 1) for domain in sorted(writer.domains)]
    return onnx.helper.make_model(
        proto,
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", writer.opset)]),
        producer_name="subbyte",
    )


def _info(name: str, value: Value) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, element_number(value.type.dtype), value.type.shape)
