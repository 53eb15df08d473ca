"""What the forms of operations write into: names, nodes, initializers, and the opset that they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.helper
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto

from subbyte.compiler.dtype import FLOAT16, FLOAT32, FLOAT64, INT64, DType
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Constant, Node, Value

OLDEST_OPSET = 13
_STORED_BITS = (2, 4, 8, 16, 32, 64)

Form = Callable[["Writer", Any], None]

_FORMS: dict[type[Node], Form] = {}


def writes(*operations: type[Node]) -> Callable[[Form], Form]:
    """Register `function(writer, node)`, which writes the ONNX form of operations."""

    def register(function: Form) -> Form:
        for operation in operations:
            _FORMS[operation] = function
        return function

    return register


def form_of(node: Node) -> Form:
    """What writes `node`.  Raises UnsupportedError: ONNX has no operator for it."""
    found = _FORMS.get(type(node))
    if found is None:
        raise unsupported(node, "has no form in ONNX. Export the graph before the pass that made it.")
    return found


def written_operations() -> tuple[type[Node], ...]:
    """Every operation that has a form."""
    return tuple(_FORMS)


def unsupported(node: Node, text: str) -> UnsupportedError:
    """An error about an operation that cannot be written; `text` goes on after its label."""
    return UnsupportedError(f"{node.label} {text}")


def element_number(dtype: DType) -> int:
    """The TensorProto.DataType of an element type.  Raises UnsupportedError: ONNX has no such type."""
    names = {FLOAT16: "FLOAT16", FLOAT32: "FLOAT", FLOAT64: "DOUBLE"}
    if dtype.kind in ("bipolar", "ternary") or (dtype.is_integer and dtype.bits not in _STORED_BITS):
        raise UnsupportedError(f"ONNX has no element type {dtype}; codes are written in the next wider integer.")
    return int(TensorProto.DataType.Value(names.get(dtype, dtype.name.upper())))


def tensor(name: str, array: NDArray[Any], dtype: DType) -> TensorProto:
    """A TensorProto of raw little-endian data; elements of fewer than 8 bits are packed, the first in the low bits."""
    if dtype.is_integer and dtype.bits < 8:
        per_byte = 8 // dtype.bits
        codes = array.reshape(-1).astype(np.int64) & ((1 << dtype.bits) - 1)
        padded = np.zeros(-(-codes.size // per_byte) * per_byte, np.int64)
        padded[: codes.size] = codes
        shifts = np.arange(0, 8, dtype.bits)
        raw = (padded.reshape(-1, per_byte) << shifts).sum(axis=1).astype(np.uint8).tobytes()
    else:
        raw = np.ascontiguousarray(array, dtype.numpy.newbyteorder("<")).tobytes()
    return TensorProto(name=name, data_type=element_number(dtype), dims=array.shape, raw_data=raw)


@dataclass
class Writer:
    """One model in the making, for one opset; `needed` grows to the opset that all of it needs.

    names: the tensor of each value: those that are computed or given from the start, constants once they are read.
    shown: the names of the graph's outputs. readers: who reads each value.
    """

    style: str
    opset: int
    names: dict[Value, str]
    shown: frozenset[str]
    readers: Mapping[Value, Sequence[Node]]
    needed: int = field(default=OLDEST_OPSET, init=False)
    domains: set[str] = field(default_factory=set, init=False)
    nodes: list[NodeProto] = field(default_factory=list, init=False)
    initializers: list[TensorProto] = field(default_factory=list, init=False)
    _taken: set[str] = field(default_factory=set, init=False)
    _node_names: set[str] = field(default_factory=set, init=False)  # which onnxruntime wants to be distinct
    _dtypes: dict[str, DType] = field(default_factory=dict, init=False)
    _shared: dict[tuple[Any, ...], str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._taken.update(self.names.values(), self.shown)

    # Names ------------------------------------------------------------------------------------------------------------

    def fresh(self, wanted: str) -> str:
        """`wanted`, or with #2, #3 ... behind it where it is taken."""
        return fresh(wanted, self._taken)

    def operand(self, value: Value, role: str) -> str:
        """The tensor of an operand; `role` names a constant that has no name of its own."""
        if value not in self.names:
            node = value.node
            self.names[value] = self.fresh(node.tensor or " + ".join(node.sources) or role)
            form_of(node)(self, node)
        return self.names[value]

    def result(self, node: Node, index: int = 0) -> str:
        """The tensor of an output of `node`."""
        return self.names[Value(node, index)]

    def rename(self, node: Node, name: str) -> None:
        """Let the tensor `name` be what `node` computes, unless a graph output is called otherwise."""
        if self.result(node) in self.shown and self.result(node) != name:
            self.emit(node, "Identity", [name])
        else:
            self.names[node.out] = name

    def inner(self, node: Node, part: str, dtype: DType) -> str:
        """A new name for what a part of `node` computes."""
        return self.known(self.fresh(f"{self.result(node)}.{part}"), dtype)

    def known(self, name: str, dtype: DType) -> str:
        """Say what a tensor holds, so that the opset that a reader needs is known."""
        self._dtypes[name] = dtype
        return name

    def held(self, name: str) -> DType:
        """What a tensor holds."""
        return self._dtypes[name]

    # Constants --------------------------------------------------------------------------------------------------------

    def store(self, name: str, array: NDArray[Any], dtype: DType) -> None:
        """An initializer under a name that is free."""
        self.known(name, dtype)
        self.initializers.append(tensor(name, array, dtype))

    def constant(self, wanted: str, array: Any, dtype: DType) -> str:
        """An initializer, called `wanted` where that is free; the same one for the same content."""
        held = np.asarray(array, dtype.numpy)
        key = (dtype, held.shape, held.tobytes())
        if key not in self._shared:
            self._shared[key] = self.fresh(wanted)
            self.store(self._shared[key], held, dtype)
        return self._shared[key]

    def integers(self, wanted: str, numbers: Sequence[int]) -> str:
        """An int64 initializer [n]: shapes, axes, extents."""
        return self.constant(wanted, np.array(numbers, np.int64), INT64)

    # Nodes ------------------------------------------------------------------------------------------------------------

    def emit(
        self,
        node: Node,
        op_type: str,
        operands: Sequence[str],
        *,
        outputs: Sequence[str] | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> None:
        """One operator that computes `node`, or a part of it (`outputs`); attributes that are None are left out."""
        results = [self.result(node, i) for i in range(len(node.types))]
        outputs = results if outputs is None else outputs
        while operands and not operands[-1]:
            operands = operands[:-1]
        kept = {name: content for name, content in attributes.items() if content is not None}
        if domain:
            self.domains.add(domain)
        else:
            self.need(self._opset_of(node, op_type, operands, kept))
        name = " + ".join(node.sources)
        name = fresh(name if list(outputs) == results else f"{name}.{op_type}", self._node_names) if name else ""
        made = onnx.helper.make_node(op_type, operands, outputs, name=name, domain=domain or None)
        made.attribute.extend(onnx.helper.make_attribute(name, kept[name]) for name in sorted(kept))
        self.nodes.append(made)

    def emit_on(self, node: Node, op_type: str, *values: Value | None, **attributes: Any) -> None:
        """One operator on values; None for an optional operand that is left out."""
        roles = [f"{self.result(node)}.{i}" for i in range(len(values))]
        names = ["" if v is None else self.operand(v, role) for v, role in zip(values, roles, strict=True)]
        self.emit(node, op_type, names, **attributes)

    def need(self, opset: int) -> None:
        """The model is of this opset or a later one."""
        self.needed = max(self.needed, opset)

    def _opset_of(self, node: Node, op_type: str, operands: Sequence[str], attributes: Mapping[str, Any]) -> int:
        """The first opset whose `op_type` has these attributes and takes operands of these types."""
        newest = onnx.defs.onnx_opset_version()
        found = [f"tensor({self._type_name(name)})" if name else "" for name in operands]
        opset = OLDEST_OPSET
        while opset <= newest:
            if onnx.defs.has(op_type, opset):
                schema = onnx.defs.get_schema(op_type, opset)
                formals = [schema.inputs[min(i, len(schema.inputs) - 1)] for i in range(len(found))]
                taken = all(not name or name in formal.types for name, formal in zip(found, formals, strict=True))
                if taken and attributes.keys() <= schema.attributes.keys():
                    return opset
            opset += 1
        listed = ", ".join(str(operand.type) for operand in node.operands)
        raise unsupported(
            node, f"of {listed} has no form in ONNX: {op_type} does not take these types up to opset {newest}."
        )

    def _type_name(self, name: str) -> str:
        dtype = self._dtypes[name]
        element_number(dtype)
        return {FLOAT32: "float", FLOAT64: "double"}.get(dtype, dtype.name)


def fresh(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with #2, #3 ... behind it where it is taken; it is taken from then on."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}#{count}"
    taken.add(name)
    return name


@writes(Constant)
def write_constant(writer: Writer, node: Constant) -> None:
    writer.store(writer.result(node), node.value, node.type.dtype)


def bound(value: float) -> float | None:
    """A limit that limits anything, else None."""
    return None if math.isinf(value) else value
