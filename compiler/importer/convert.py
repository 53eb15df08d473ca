"""ONNX model -> IMPORTED graph: nodes in order, one converter an operator, every refusal in one list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
import onnx
import onnx.checker
from onnx import ModelProto, NodeProto, ValueInfoProto

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.errors import GraphError, ModelError, NumericsError, SubbyteError, UnsupportedError
from subbyte.compiler.importer import (  # noqa: F401 - each registers its converters
    contrib,
    contrib_transformers,
    convert_constants,
    convert_elementwise,
    convert_indexing,
    convert_logic,
    convert_movement,
    convert_normalization,
    convert_pools,
    convert_resize,
    convert_sums,
    dynamic,
    qdq,
    qonnx,
    qoperator,
)
from subbyte.compiler.importer.codes import quant_params
from subbyte.compiler.importer.functions import function_of, has_function, with_attributes
from subbyte.compiler.importer.inputs import Reading, check_dims, first_meaning, leading_dimensions, tensor_type
from subbyte.compiler.importer.load import LoadedModel, load
from subbyte.compiler.importer.names import labelled, node_name, shown
from subbyte.compiler.importer.operator import Operator, Shared, converter_of
from subbyte.compiler.importer.order import needed, producers, topological
from subbyte.compiler.importer.problems import Problems
from subbyte.compiler.importer.tensors import element_type
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType

_NO_DIMS: Mapping[str, int] = MappingProxyType({})


def import_model(
    model: str | os.PathLike[str] | bytes | ModelProto,
    *,
    dims: Mapping[str, int] = _NO_DIMS,
    batch: int | None = None,
    name: str | None = None,
) -> Graph:
    """The graph of an ONNX model, every shape static and every attribute explicit.

    Args:
        model: a path, the bytes of a file, or a ModelProto; it is not changed.
        dims: extents of named dimensions; one without a name is called INPUT:AXIS.
        batch: the extent of the leading dimensions of inputs that `dims` leaves open; None leaves them so.
        name: of the graph; else the file's name without its suffix, else the name in the model.
    Raises:
        ModelError: the model is broken. UnsupportedError: it is sound, but holds what is not read. Both list all.
    """
    loaded = load(model)
    return _Importer(loaded, dims, batch).graph(name or loaded.name)


class _Importer:
    """Converts the nodes of one model.

    _values: tensor name -> value; None where it depends on what was refused. _wanted: the tensors that somebody reads.
    """

    def __init__(self, model: LoadedModel, dims: Mapping[str, int], batch: int | None) -> None:
        self._model = model
        self._batch = batch
        self._proto = model.graph
        self._nodes = list(model.graph.node)
        self._dims = dims
        self._shared = Shared(model.tensors)
        self._values: dict[str, Value | None] = {}
        self._inputs: list[Input] = []
        self._problems = Problems()
        self._wanted: set[str] = set()
        self._checker = onnx.checker.C.CheckerContext()
        self._checker.ir_version = model.ir_version
        self._checker.opset_imports = {"": model.opset[""]}

    def graph(self, name: str) -> Graph:
        """The whole import. What depends on no input comes first: integer inputs need the scales that are constants."""
        infos = self._given_inputs()
        check_dims(self._dims, infos)
        if self._batch is not None:
            self._dims = {**dict.fromkeys(leading_dimensions(infos), self._batch), **self._dims}
        names = self._output_names()
        made_by = producers(self._proto, [entry.name for entry in (*infos, *self._proto.initializer)])
        live = needed(self._nodes, made_by, names)
        order = [index for index in topological(self._nodes, made_by) if index in live]
        self._wanted = set(names).union(*(self._nodes[index].input for index in order))
        self._read_initializers()
        late = self._dependents(order, {info.name for info in infos})
        for index in order:
            if index not in late:
                self._convert(index)
        self._make_inputs(infos, order)
        for index in order:
            if index in late:
                self._convert(index)
        outputs = self._make_outputs()
        self._problems.raise_all()
        graph = Graph(name, tuple(self._inputs), tuple(outputs), Stage.IMPORTED)
        return _with_dropped_names(graph, self._shared.dropped)

    # Envelope ---------------------------------------------------------------------------------------------------------

    def _given_inputs(self) -> list[ValueInfoProto]:
        """The inputs that the caller gives: those that are also initializers are constants."""
        if self._proto.sparse_initializer:
            raise UnsupportedError("the model has sparse initializers; dense ones are read. Save it with those.")
        constants = {tensor.name for tensor in self._proto.initializer}
        _check_unique("initializer", [tensor.name for tensor in self._proto.initializer])
        _check_unique("graph input", [info.name for info in self._proto.input])
        return [info for info in self._proto.input if info.name not in constants]

    def _output_names(self) -> list[str]:
        names = [info.name for info in self._proto.output]
        if not names:
            raise ModelError("the graph has no output: it computes nothing.")
        _check_unique("graph output", names)
        return names

    def _read_initializers(self) -> None:
        for tensor in self._proto.initializer:
            if tensor.name in self._wanted:
                self._values[tensor.name] = None
                try:
                    array, dtype = self._model.tensors.read(tensor, f"the initializer {shown(tensor.name)}")
                except SubbyteError as error:
                    self._problems.add(error)
                    continue
                self._values[tensor.name] = Constant(array, TensorType(dtype, array.shape), tensor=tensor.name).out

    def _dependents(self, order: list[int], names: set[str]) -> set[int]:
        """The nodes of `order` that depend on the tensors `names`."""
        moving = set(names)
        found = set()
        for index in order:
            node = self._nodes[index]
            if not moving.isdisjoint(node.input):
                found.add(index)
                moving.update(node.output)
        return found

    # Inputs and outputs -----------------------------------------------------------------------------------------------

    def _make_inputs(self, infos: list[ValueInfoProto], order: list[int]) -> None:
        """Inputs; integer ones with the meaning that the first DequantizeLinear on their way gives to them."""
        unbound: dict[str, None] = {}
        types: list[TensorType | None] = []
        for info in infos:
            try:
                types.append(tensor_type(info, self._dims, unbound))
            except SubbyteError as error:
                self._problems.add(error)
                types.append(None)
        if unbound:
            self._problems.add(ModelError(_unbound(list(unbound))))
        readers: dict[str, list[Reading]] = {}
        if any(found is not None and found.dtype.is_integer for found in types):
            for index in order:
                for operand, name in enumerate(self._nodes[index].input):
                    readers.setdefault(name, []).append((self._nodes[index], operand))
        for info, found in zip(infos, types, strict=True):
            if found is None:
                self._values[info.name] = None
                continue
            quant = None
            if found.dtype.is_integer and found.dtype.bits <= 16:
                quant = first_meaning(info.name, readers, partial(self._meaning, found))
            node = Input(info.name, TensorType(found.dtype, found.shape, quant), tensor=info.name)
            self._inputs.append(node)
            self._values[info.name] = node.out

    def _meaning(
        self, codes: TensorType, node: NodeProto, scale_name: str | None, zero_name: str
    ) -> QuantParams | None:
        """The meaning that `node` gives to codes; None where its scale is not a constant, or does not fit."""
        op = self._operator(node, node.op_type, ())
        scale = op.part(1.0, FLOAT32) if scale_name is None else self._values.get(scale_name)
        zero_point = self._values.get(zero_name)
        if scale is None or scale.constant is None:
            return None
        if zero_name and (zero_point is None or zero_point.constant is None):
            return None
        try:
            axis = op.integer("axis", 1) if node.op_type == "DequantizeLinear" else None
            return quant_params(op, scale, zero_point, codes.dtype, codes.shape, axis)
        except SubbyteError:
            return None  # the conversion of the node itself reports it

    def _make_outputs(self) -> list[Output]:
        found = []
        for info in self._proto.output:
            if info.name not in self._values:
                reason = "is made by no node, and is neither input nor initializer."
                self._problems.add(ModelError(f"the graph output {shown(info.name)} {reason}"))
                continue
            value = self._values[info.name]
            if value is not None:
                self._check_output(info, value.type)
                found.append(Output(info.name, value))
        return found

    def _check_output(self, info: ValueInfoProto, found: TensorType) -> None:
        """The type that the model declares for an output must not contradict the one that its nodes make."""
        what = f"the graph output {shown(info.name)}"
        kind = info.type.WhichOneof("value") or "tensor_type"
        if kind != "tensor_type":
            name = kind.removesuffix("_type")
            self._problems.add(ModelError(f"{what} is declared a {name}, but its nodes make a tensor."))
            return
        tensor = info.type.tensor_type
        declared = [dimension.dim_value for dimension in tensor.shape.dim]
        try:
            dtype = element_type(tensor.elem_type, what) if tensor.elem_type else found.dtype
        except SubbyteError as error:
            self._problems.add(error)
            return
        fits = not tensor.HasField("shape") or (
            len(declared) == found.rank and all(a <= 0 or a == b for a, b in zip(declared, found.shape, strict=True))
        )
        if dtype != found.dtype or not fits:
            extents = ", ".join(str(extent) if extent > 0 else "?" for extent in declared)
            text = f"{what} is declared {dtype}[{extents}], but its nodes make {found}. Correct the declaration."
            self._problems.add(ModelError(text))

    # Nodes ------------------------------------------------------------------------------------------------------------

    def _operator(self, node: NodeProto, name: str, operands: tuple[Value | None, ...]) -> Operator:
        domain = "" if node.domain == "ai.onnx" else node.domain
        outputs = tuple(output if output in self._wanted else "" for output in node.output)
        attributes = {attribute.name: attribute for attribute in node.attribute}
        version = self._model.opset.get(domain, 1)
        return Operator(node.op_type, domain, version, name, operands, outputs, attributes, self._shared)

    def _convert(self, index: int) -> None:
        """Convert one node; what is wrong with it goes to the list, and its outputs are unknown from then on."""
        node = self._nodes[index]
        name = node_name(node, index)
        self._values.update(dict.fromkeys(filter(None, node.output)))
        try:
            values = self._converted(node, name)
        except UnsupportedError as error:
            self._problems.add(error)
        except (GraphError, ModelError, NumericsError) as error:
            text = str(error)
            label = labelled(node.op_type, name)
            self._problems.add(ModelError(text if label in text else f"{label}: {text}"))
        else:
            self._values.update((output, value) for output, value in zip(node.output, values, strict=False) if output)

    def _converted(self, node: NodeProto, name: str) -> tuple[Value | None, ...]:
        """The outputs of a node; none where it depends on what was refused, or is an operator that is not read."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        opset = self._model.opset.get(domain, 1)
        if converter_of(domain, node.op_type) is None and not has_function(node.op_type, domain, opset):
            self._problems.add_unknown_operator(f"{domain}.{node.op_type}" if domain else node.op_type, name)
            return ()
        missing = [entry for entry in node.input if entry and entry not in self._values]
        if missing:
            raise ModelError(
                f"{labelled(node.op_type, name)} reads {', '.join(map(shown, missing))}, which is made by no node, and "
                "is neither input nor initializer."
            )
        if domain == "" and node.op_type not in _OF_ONNX_RUNTIME:
            self._check_schema(node, name)
        operands = tuple(self._values[entry] if entry else None for entry in node.input)
        if any(entry and value is None for entry, value in zip(node.input, operands, strict=True)):
            return ()  # made by a node that was refused
        op = self._operator(node, name, operands)
        with np.errstate(all="ignore"):  # overflow in constants is what ONNX computes, too
            return self._results(node, op)

    def _results(self, node: NodeProto, op: Operator) -> tuple[Value | None, ...]:
        """What `op`, the operands of `node` known, computes: by its converter, or by the body that ONNX gives it."""
        converter = converter_of(op.domain, op.op_type)
        values: tuple[Value | None, ...]
        if converter is None:
            values = self._expanded(node, op)
        else:
            results = converter(op)
            values = (results,) if isinstance(results, Value) else results
        for i, output in enumerate(op.outputs):
            if output and i >= len(values):
                raise op.unsupported(
                    f"gives its output {i} ({shown(output)}) to others; only the first {len(values)} are made. "
                    "Remove what reads it."
                )
        return values

    def _expanded(self, node: NodeProto, op: Operator) -> tuple[Value | None, ...]:
        """The outputs of an operator that ONNX defines by others, node by node of its body; None for left out ones."""
        body = function_of(node, op.domain, op.opset, op.operands)
        if body is None:
            raise op.unsupported(f"is not read: ONNX {onnx.__version__} gives no body for it in this form.")
        values: dict[str, Value | None] = {name: op.optional(i) for i, name in enumerate(body.input)}
        shown_as = dict(zip(body.output, op.outputs, strict=False))
        opsets = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in body.opset_import}
        for written in body.node:
            inner = with_attributes(written, node, op.domain, op.opset)
            domain = "" if inner.domain == "ai.onnx" else inner.domain
            opset = opsets.get(domain, op.opset)
            if converter_of(domain, inner.op_type) is None and not has_function(inner.op_type, domain, opset):
                raise op.unsupported(f"consists of operators that are not all read: {inner.op_type} is not.")
            part = Operator(
                inner.op_type,
                domain,
                opset,
                op.name,
                tuple(values[name] if name else None for name in inner.input),
                tuple(shown_as.get(name, "") for name in inner.output),
                {attribute.name: attribute for attribute in inner.attribute},
                op.shared,
            )
            values.update(zip(inner.output, self._results(inner, part), strict=False))
        found = tuple(values.get(name) for name in body.output)
        if any(name and value is None for name, value in zip(op.outputs, found, strict=False)):
            raise op.unsupported("is not read: its body does not compute all its outputs.")
        return found

    def _check_schema(self, node: NodeProto, name: str) -> None:
        """Ask ONNX itself whether the node has the operands and attributes that its opset allows."""
        if node.domain:  # the checker knows ONNX's domain by its empty name only
            renamed = NodeProto()
            renamed.CopyFrom(node)
            renamed.domain = ""
            node = renamed
        try:
            onnx.checker.check_node(node, self._checker)
        except onnx.checker.ValidationError as error:
            reason = str(error).split("==>")[0].split("\n")[0].strip().rstrip(".")
            version = self._model.opset[""]
            raise ModelError(f"{labelled(node.op_type, name)} is not as opset {version} says: {reason}.") from None


_OF_ONNX_RUNTIME = frozenset(("SimplifiedLayerNormalization",))  # in ONNX's domain, though ONNX does not have them


def _check_unique(what: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name:
            raise ModelError(f"the model has a {what} without a name.")
        if name in seen:
            raise ModelError(f"the model has two of its {what}s called {shown(name)}.")
        seen.add(name)


def _unbound(names: list[str]) -> str:
    """The error about dimensions that are not fixed."""
    options = " ".join(f"--dim {name}=1" for name in names)
    what = "a dimension that is" if len(names) == 1 else f"{len(names)} dimensions that are"
    return f"the model has {what} not fixed: {', '.join(map(shown, names))}. Bind them, for example by {options}."


def _with_dropped_names(graph: Graph, dropped: Mapping[Node, list[str]]) -> Graph:
    """`graph` with the names of operators that changed nothing on the nodes that make their operands."""
    if not any(node in dropped for node in graph.nodes()):
        return graph
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        new = rewriter.rebuilt(node)
        if node in dropped:
            new = new.replace(sources=tuple(dict.fromkeys((*new.sources, *dropped[node]))))
        rewriter.replace(node, new)
    return rewriter.finish()
