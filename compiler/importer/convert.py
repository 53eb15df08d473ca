"""ONNX model -> IMPORTED graph: nodes in order, one converter an operator, every refusal in one list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

import onnx.checker
from onnx import ModelProto, NodeProto, ValueInfoProto

from subbyte.compiler.errors import GraphError, ModelError, NumericsError, SubbyteError, UnsupportedError
from subbyte.compiler.importer import (  # noqa: F401 - each registers its converters
    contrib,
    convert_constants,
    convert_elementwise,
    convert_movement,
    convert_pools,
    convert_resize,
    convert_sums,
    qdq,
    qoperator,
)
from subbyte.compiler.importer.codes import quant_params
from subbyte.compiler.importer.inputs import Reading, check_dims, first_dequantization, tensor_type
from subbyte.compiler.importer.load import LoadedModel, load
from subbyte.compiler.importer.operator import Operator, Shared, converter_of, shown
from subbyte.compiler.importer.order import needed, node_name, producers, topological
from subbyte.compiler.importer.tensors import element_type
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams, TensorType

_NO_DIMS: Mapping[str, int] = MappingProxyType({})
_MAX_LISTED = 20


def import_model(
    model: str | os.PathLike[str] | bytes | ModelProto, *, dims: Mapping[str, int] = _NO_DIMS, name: str | None = None
) -> Graph:
    """The graph of an ONNX model, every shape static and every attribute explicit.

    Args:
        model: a path, the bytes of a file, or a ModelProto; it is not changed.
        dims: extents of named dimensions; one without a name is called INPUT:AXIS.
        name: of the graph; else the file's name without its suffix, else the name in the model.
    Raises:
        ModelError: the model is broken; UnsupportedError: it is sound, but holds what is not read. Both list all they found.
    """
    loaded = load(model)
    graph = _Importer(loaded, dims).graph(name or loaded.name)
    return graph


class _Importer:
    """Converts the nodes of one model. `_values`: tensor name -> value; None where its node was refused."""

    def __init__(self, model: LoadedModel, dims: Mapping[str, int]) -> None:
        self._model = model
        self._proto = model.graph
        self._nodes = list(model.graph.node)
        self._dims = dims
        self._shared = Shared(model.tensors)
        self._values: dict[str, Value | None] = {}
        self._inputs: list[Input] = []
        self._problems: list[SubbyteError] = []
        self._checker = onnx.checker.C.CheckerContext()
        self._checker.ir_version = model.ir_version
        self._checker.opset_imports = model.opset

    def graph(self, name: str) -> Graph:
        """The whole import."""
        infos = self._real_inputs()
        check_dims(self._dims, infos)
        outputs = self._output_names()
        made_by = producers(self._proto, [info.name for info in infos] + [t.name for t in self._proto.initializer])
        order = topological(self._nodes, made_by)
        live = needed(self._nodes, made_by, outputs)
        order = [index for index in order if index in live]
        self._wanted = set(outputs).union(*(self._nodes[index].input for index in order))
        self._read_initializers()
        late = self._depend_on(order, {info.name for info in infos})
        for index in order:
            if index not in late:
                self._convert(index)
        self._make_inputs(infos, order)
        for index in order:
            if index in late:
                self._convert(index)
        shown_values = self._outputs()
        self._raise_problems()
        graph = Graph(name, tuple(self._inputs), tuple(shown_values), Stage.IMPORTED)
        return _with_dropped_names(graph, self._shared.dropped)

    # Envelope ---------------------------------------------------------------------------------------------------------

    def _real_inputs(self) -> list[ValueInfoProto]:
        """The inputs that the caller gives: those that are also initializers are constants."""
        if self._proto.sparse_initializer:
            raise UnsupportedError("the model has sparse initializers; dense ones are read. Save it with dense tensors.")
        names: set[str] = set()
        for what, entries in (("initializer", self._proto.initializer), ("graph input", self._proto.input)):
            seen: set[str] = set()
            for entry in entries:
                if not entry.name or entry.name in seen:
                    raise ModelError(f"the model has an {what} without a name, or two called {shown(entry.name)}.")
                seen.add(entry.name)
            names = names or seen
        constants = {tensor.name for tensor in self._proto.initializer}
        return [info for info in self._proto.input if info.name not in constants]

    def _output_names(self) -> list[str]:
        names = [info.name for info in self._proto.output]
        if not names:
            raise ModelError("the graph has no output: it computes nothing.")
        for name in names:
            if not name or names.count(name) > 1:
                raise ModelError(f"the graph has an output without a name, or two called {shown(name)}.")
        return names

    def _read_initializers(self) -> None:
        for tensor in self._proto.initializer:
            if tensor.name in self._wanted:
                array, dtype = self._model.tensors.read(tensor, f"the initializer {shown(tensor.name)}")
                constant = Constant(array, TensorType(dtype, array.shape), tensor=tensor.name)
                self._values[tensor.name] = constant.out

    def _depend_on(self, order: list[int], names: set[str]) -> set[int]:
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
        """Inputs, integer ones with the scale of the first DequantizeLinear that they come to: constants are known by now."""
        unbound: dict[str, None] = {}
        types: list[TensorType | None] = []
        for info in infos:
            try:
                types.append(tensor_type(info, self._dims, unbound))
            except SubbyteError as error:
                self._problems.append(error)
                types.append(None)
        if unbound and not self._problems:
            listed = " ".join(f"--dim {name}=1" for name in unbound)
            count = "dimension that is" if len(unbound) == 1 else "dimensions that are"
            raise ModelError(
                f"the model has {len(unbound)} {count} not fixed: {', '.join(map(shown, unbound))}. "
                f"Bind them, for example by {listed}."
            )
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
                quant = first_dequantization(info.name, readers, lambda node, i, t=found: self._meaning(node, i, t))
            node = Input(info.name, TensorType(found.dtype, found.shape, quant), tensor=info.name)
            self._inputs.append(node)
            self._values[info.name] = node.out

    def _meaning(self, node: NodeProto, operand: int, codes: TensorType) -> QuantParams | None:
        """The meaning that `node` gives to its operand; None where its scale is not a constant, or does not fit."""
        names = [*node.input, "", ""][operand + 1 : operand + 3]
        scale, zero_point = self._values.get(names[0]), self._values.get(names[1])
        if scale is None or scale.constant is None or (names[1] and (zero_point is None or zero_point.constant is None)):
            return None
        op = self._operator(node, node.op_type, (None,))
        try:
            axis = op.integer("axis", 1) if node.op_type == "DequantizeLinear" else None
            return quant_params(op, scale, zero_point, codes.dtype, codes.shape, axis)
        except SubbyteError:
            return None  # the conversion of the node itself reports it

    def _outputs(self) -> list[Output]:
        found = []
        for info in self._proto.output:
            if info.name not in self._values:
                self._problems.append(
                    ModelError(f"the graph output {shown(info.name)} is made by no node, and is neither input nor initializer.")
                )
                continue
            value = self._values[info.name]
            if value is not None:
                self._check_output(info, value.type)
                found.append(Output(info.name, value))
        return found

    def _check_output(self, info: ValueInfoProto, found: TensorType) -> None:
        """The type that the model declares for an output must not contradict the one that its nodes make."""
        what = f"the graph output {shown(info.name)}"
        kind = info.type.WhichOneof("value")
        tensor = info.type.tensor_type
        if kind is not None and kind != "tensor_type":
            self._problems.append(ModelError(f"{what} is declared a {kind.removesuffix('_type')}, but a tensor is made."))
            return
        declared = [dimension.dim_value for dimension in tensor.shape.dim]
        try:
            dtype = element_type(tensor.elem_type, what) if tensor.elem_type else found.dtype
        except SubbyteError as error:
            self._problems.append(error)
            return
        fits = not tensor.HasField("shape") or (
            len(declared) == found.rank
            and all(a <= 0 or a == b for a, b in zip(declared, found.shape, strict=True))
        )
        if dtype != found.dtype or not fits:
            extents = ", ".join(str(extent) if extent > 0 else "?" for extent in declared)
            self._problems.append(
                ModelError(f"{what} is declared {dtype}[{extents}], but its nodes make {found}. Correct the declaration.")
            )

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
        for output in node.output:
            self._values[output] = None
        try:
            values = self._converted(node, name)
        except UnsupportedError as error:
            self._problems.append(error)
        except (GraphError, ModelError, NumericsError) as error:
            text = str(error)
            self._problems.append(ModelError(text if name in text else f"{node.op_type} {shown(name)}: {text}"))
        else:
            self._values.update(zip(node.output, values, strict=False))
        self._values.pop("", None)

    def _converted(self, node: NodeProto, name: str) -> tuple[Value, ...]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        converter = converter_of(domain, node.op_type)
        if converter is None:
            operator = f"{domain}.{node.op_type}" if domain else node.op_type
            raise UnsupportedError(
                f"{operator} {shown(name)} is an operator that is not read (subbyte list ops shows those that are). "
                "Export without it, or cut the model before it."
            )
        missing = [entry for entry in node.input if entry and entry not in self._values]
        if missing:
            raise ModelError(
                f"{node.op_type} {shown(name)} reads {', '.join(map(shown, missing))}, which no node makes, and which is neither "
                "input nor initializer."
            )
        if domain == "":
            self._check_schema(node, name)
        operands = tuple(self._values[entry] if entry else None for entry in node.input)
        if any(entry and value is None for entry, value in zip(node.input, operands, strict=True)):
            return ()  # made by a node that was refused
        op = self._operator(node, name, operands)
        results = converter(op)
        values = (results,) if isinstance(results, Value) else results
        for i, output in enumerate(op.outputs):
            if output and i >= len(values):
                raise op.unsupported(
                    f"gives its output {i} ({shown(output)}) to others; only the first {len(values)} are made. "
                    "Remove what reads it."
                )
        return values

    def _check_schema(self, node: NodeProto, name: str) -> None:
        """Ask ONNX itself whether the node has the operands and attributes that its opset allows."""
        try:
            onnx.checker.check_node(node, self._checker)
        except onnx.checker.ValidationError as error:
            reason = str(error).split("==>")[0].split("\n")[0].strip().rstrip(".")
            raise ModelError(f"{node.op_type} {shown(name)} is not as ONNX opset {self._model.opset['']} says: {reason}.") from None

    def _raise_problems(self) -> None:
        """One error for all that was found: ModelError where something is broken, else UnsupportedError."""
        if not self._problems:
            return
        broken = [error for error in self._problems if not isinstance(error, UnsupportedError)]
        kind = ModelError if broken else UnsupportedError
        texts = list(dict.fromkeys(str(error) for error in [*broken, *(e for e in self._problems if e not in broken)]))
        if len(texts) == 1:
            raise kind(texts[0])
        listed = " ".join(f"({i}) {text}" for i, text in enumerate(texts[:_MAX_LISTED], start=1))
        more = f" And {len(texts) - _MAX_LISTED} more." if len(texts) > _MAX_LISTED else ""
        raise kind(f"the model cannot be imported for {len(texts)} reasons: {listed}{more}")


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
