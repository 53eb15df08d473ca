"""A graph of stage IMPORTED as an ONNX model, in one of three styles of quantization."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx.checker
import onnx.helper
from onnx import ModelProto, ValueInfoProto

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError, UnsupportedError
from subbyte.compiler.exporter import (  # noqa: F401 - each registers its forms
    codes,
    elementwise,
    indexing,
    logic,
    movement,
    normalization,
    sums,
    windows,
)
from subbyte.compiler.exporter.normal import with_codes, without_clamps
from subbyte.compiler.exporter.writer import OLDEST_OPSET, Writer, element_number, form_of, fresh, unsupported
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops import QuantizeLinear
from subbyte.compiler.ir.types import TensorType

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
    need_style(style)
    if graph.stage is not Stage.IMPORTED:
        raise GraphError(f"a graph of stage {graph.stage.value} is no ONNX model; export it at stage imported.")
    if outputs is not None:
        graph = graph.with_outputs(Output(name, value) for name, value in outputs.items())
    graph = with_codes(graph)
    graph = graph if style == "qcdq" else without_clamps(graph)
    writer = _written(graph, style, OLDEST_OPSET)
    while writer.needed > writer.opset:
        writer = _written(graph, style, writer.needed)
    model = _model(graph, writer)
    onnx.helper.set_model_props(model, dict(sorted((metadata or {}).items())))
    onnx.checker.check_model(model, full_check=False)
    return model


def need_style(style: str) -> None:
    """Raises UnsupportedError: there is no such style."""
    if style not in STYLES:
        raise UnsupportedError(f"there is no style '{style}'; the styles are {', '.join(STYLES)}.")


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
        found[value] = fresh(wanted, taken)
    return found


def _written(graph: Graph, style: str, opset: int) -> Writer:
    """All nodes and initializers, in the forms that they have in this opset."""
    shown = frozenset(output.name for output in graph.outputs)
    writer = Writer(style, opset, _names(graph), shown, graph.users())
    for given in graph.inputs:
        writer.known(given.name, given.type.dtype)
    for node in graph.operations():
        for index, of_type in enumerate(node.types):
            writer.known(writer.result(node, index), _held(writer, node, of_type))
        form_of(node)(writer, node)
    for output in graph.outputs:
        found = writer.operand(output.value, output.name)
        if found != output.name:
            writer.nodes.append(onnx.helper.make_node("Identity", [found], [output.name]))
            writer.known(output.name, writer.held(found))
    return writer


def _held(writer: Writer, node: Node, of_type: TensorType) -> DType:
    """What a result holds: codes that are moved about stay what they are held in."""
    if of_type.quant is None or isinstance(node, QuantizeLinear):
        return of_type.dtype
    moved = [v for v in node.operands if v.type.quant is not None and v.type.dtype == of_type.dtype]
    held = {writer.held(writer.operand(v, f"{writer.result(node)}.{i}")) for i, v in enumerate(moved)}
    if len(held) > 1:
        listed = " and ".join(sorted(map(str, held)))
        raise unsupported(node, f"joins codes that style '{writer.style}' holds in {listed}. Give them one range.")
    return held.pop() if held else of_type.dtype


def _model(graph: Graph, writer: Writer) -> ModelProto:
    proto = onnx.helper.make_graph(
        writer.nodes,
        graph.name,
        [_info(writer, node.name, node.type) for node in graph.inputs],
        [_info(writer, output.name, output.value.type) for output in graph.outputs],
        writer.initializers,
    )
    opsets = [onnx.helper.make_opsetid("", writer.opset)]
    version = onnx.helper.find_min_ir_version_for(opsets)
    opsets += [onnx.helper.make_opsetid(domain, 1) for domain in sorted(writer.domains)]
    return onnx.helper.make_model(proto, opset_imports=opsets, ir_version=version, producer_name="subbyte")


def _info(writer: Writer, name: str, of_type: TensorType) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, element_number(writer.held(name)), of_type.shape)
