"""One ONNX node as its converter sees it, and the table of converters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer.names import labelled, one_line, shown
from subbyte.compiler.importer.tensors import TensorReader, element_type
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops import DequantizeLinear, QuantizeLinear
from subbyte.compiler.ir.types import QuantParams, TensorType

MICROSOFT = "com.microsoft"  # the domain of ONNX Runtime's own operators
_MAX_FOLDED_BYTES = 256 << 20  # of one constant that the importer computes
_MAX_ELEMENTS = 1 << 40  # of any tensor: beyond every memory, far from the limits of integers

Results = Value | tuple[Value, ...]
Converter = Callable[["Operator"], Results]
ConverterT = TypeVar("ConverterT", bound=Converter)

_CONVERTERS: dict[tuple[str, str], Converter] = {}


def converts(*operators: str, domain: str = "") -> Callable[[ConverterT], ConverterT]:
    """Register `function(op)` as the meaning of ONNX operators: it returns the value of each output, in order."""

    def register(function: ConverterT) -> ConverterT:
        for operator in operators:
            _CONVERTERS[domain, operator] = function
        return function

    return register


def converter_of(domain: str, op_type: str) -> Converter | None:
    """The converter of an operator; None where there is none."""
    return _CONVERTERS.get((domain, op_type))


def convertible_operators() -> tuple[tuple[str, str], ...]:
    """(domain, operator) of everything the importer reads, sorted."""
    return tuple(sorted(_CONVERTERS))


def described(value: Value) -> str:
    """What errors call the maker of a value."""
    node = value.node
    return f"the graph input {shown(node.name)}" if isinstance(node, Input) else one_line(node.label)


class Marks(TypedDict):
    """The keyword arguments of a node that say where it comes from."""

    sources: tuple[str, ...]
    tensor: str


@dataclass
class Shared:
    """What the operators of one model share: its tensors, constants with a scale, and names of nodes that vanished."""

    tensors: TensorReader
    with_quant: dict[tuple[Node, QuantParams | None], Value] = field(default_factory=dict)
    dropped: dict[Node, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Operator:
    """An ONNX node whose operands are already values.

    opset: the version of its domain. name: what sources and errors call it. operands: None where an optional one is
    left out. outputs: the tensors that somebody reads, "" for the others.
    """

    op_type: str
    domain: str
    opset: int
    name: str
    operands: tuple[Value | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeProto]
    shared: Shared

    # Errors -----------------------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The operator and its name, as errors begin."""
        return labelled(self.op_type, self.name)

    def broken(self, text: str) -> ModelError:
        """An error about a model that contradicts ONNX; `text` goes on after the label."""
        return ModelError(f"{self.label} {text}")

    def unsupported(self, text: str) -> UnsupportedError:
        """An error about a sound model that cannot be imported; `text` goes on after the label and names the way on."""
        return UnsupportedError(f"{self.label} {text}")

    # Operands ---------------------------------------------------------------------------------------------------------

    def operand(self, index: int) -> Value:
        """A required operand."""
        value = self.optional(index)
        if value is None:
            raise self.broken(f"lacks its operand {index}; it has {len(self.operands)}.")
        return value

    def optional(self, index: int) -> Value | None:
        """An operand that may be left out."""
        return self.operands[index] if index < len(self.operands) else None

    def constant(self, index: int, what: str) -> NDArray[Any]:
        """The array of a required operand that must be known while compiling."""
        array = self.optional_constant(index, what)
        if array is None:
            raise self.broken(f"lacks its {what} (operand {index}).")
        return array

    def optional_constant(self, index: int, what: str) -> NDArray[Any] | None:
        """The array of an operand that must be known while compiling; None where it is left out."""
        value = self.optional(index)
        if value is None:
            return None
        if value.constant is None:
            raise self.unsupported(
                f"takes its {what} from {described(value)}, which is known at run time only; a constant is needed. "
                "Fix the shapes it depends on, or make it an initializer before export."
            )
        return value.constant

    def integers(self, index: int, what: str) -> tuple[int, ...] | None:
        """A constant operand as whole numbers; None where it is left out."""
        array = self.optional_constant(index, what)
        if array is None:
            return None
        if array.dtype.kind not in "iu" or array.ndim > 1:
            raise self.broken(f"has {what} of type {array.dtype}{list(array.shape)}; a list of integers is needed.")
        return tuple(int(entry) for entry in array.reshape(-1))

    # Attributes -------------------------------------------------------------------------------------------------------

    def _attribute(self, name: str, kind: int, what: str) -> AttributeProto | None:
        attribute = self.attributes.get(name)
        if attribute is None:
            return None
        if attribute.ref_attr_name or attribute.type != kind:
            raise self.broken(f"has an attribute '{name}' that is not {what}.")
        return attribute

    def integer(self, name: str, default: int) -> int:
        attribute = self._attribute(name, AttributeProto.INT, "an integer")
        return default if attribute is None else int(attribute.i)

    def flag(self, name: str, default: bool) -> bool:
        return self.integer(name, int(default)) != 0

    def real(self, name: str, default: float) -> float:
        """A float attribute; the default is rounded to float32, as ONNX holds it."""
        attribute = self._attribute(name, AttributeProto.FLOAT, "a float")
        return float(np.float32(default)) if attribute is None else float(attribute.f)

    def word(self, name: str, default: str) -> str:
        attribute = self._attribute(name, AttributeProto.STRING, "a string")
        return default if attribute is None else attribute.s.decode("utf-8", "replace")

    def integer_list(self, name: str) -> tuple[int, ...] | None:
        attribute = self._attribute(name, AttributeProto.INTS, "a list of integers")
        return None if attribute is None else tuple(int(entry) for entry in attribute.ints)

    def real_list(self, name: str) -> tuple[float, ...] | None:
        attribute = self._attribute(name, AttributeProto.FLOATS, "a list of floats")
        return None if attribute is None else tuple(float(entry) for entry in attribute.floats)

    def tensor_attribute(self, name: str) -> tuple[NDArray[Any], DType] | None:
        attribute = self._attribute(name, AttributeProto.TENSOR, "a tensor")
        return None if attribute is None else self.shared.tensors.read(attribute.t, f"The {name} of {self.label}")

    def dtype_attribute(self, name: str) -> DType | None:
        """An attribute that holds a TensorProto.DataType; None where it is absent or 0."""
        number = self.integer(name, 0)
        return element_type(number, f"{self.label}: {name}") if number else None

    def axis(self, axis: int, rank: int) -> int:
        """`axis`, counted from the end where negative, checked against `rank`."""
        if not -rank <= axis < rank:
            raise self.broken(f"has axis {axis}, which a tensor of rank {rank} does not have.")
        return axis % rank

    def axes(self, axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
        """Distinct axes in ascending order, none negative."""
        found = tuple(sorted(self.axis(axis, rank) for axis in axes))
        if len(set(found)) != len(found):
            raise self.broken(f"names an axis twice: {list(axes)} of rank {rank}.")
        return found

    # Results ----------------------------------------------------------------------------------------------------------

    @property
    def inner(self) -> Marks:
        """Marks of a node that computes a part of this operator."""
        return {"sources": (self.name,), "tensor": ""}

    @property
    def marks(self) -> Marks:
        """Marks of the node whose output 0 is this operator's output 0."""
        return {"sources": (self.name,), "tensor": self.outputs[0] if self.outputs else ""}

    def emit(self, node: Node) -> Value:
        """The only output of `node`; where its operands are all constants, the constant that it computes.

        QuantizeLinear and DequantizeLinear of constants stay: integer weights must survive the import.
        """
        return self.emit_all(node)[0]

    def emit_all(self, node: Node) -> tuple[Value, ...]:
        """Every output of `node`, computed where its operands are all constants, or where it has no element."""
        self.check_size(*node.types)
        arrays = [operand.node.value for operand in node.operands if isinstance(operand.node, Constant)]
        empty = [found for found in node.types if found.elements == 0]
        if len(empty) < len(node.types) and (
            not arrays
            or len(arrays) < len(node.operands)
            or isinstance(node, (QuantizeLinear, DequantizeLinear))
            or sum(found.bytes for found in node.types) > _MAX_FOLDED_BYTES
        ):
            if empty:
                raise self.unsupported(f"makes the empty tensor {empty[0]} at run time; remove what depends on it.")
            return tuple(Value(node, index) for index in range(len(node.types)))
        if any(found.elements for found in node.types):
            results = evaluate_node(node, arrays)
        else:
            results = tuple(np.empty(found.shape, found.dtype.numpy) for found in node.types)
        tensors = (node.tensor, *("" for _ in node.types[1:]))
        return tuple(
            Constant(np.ascontiguousarray(array).reshape(found.shape), found, sources=node.sources, tensor=tensor).out
            for array, found, tensor in zip(results, node.types, tensors, strict=True)
        )

    def computed(self, array: NDArray[Any], dtype: DType | None = None) -> Value:
        """The constant that this operator stands for."""
        dtype = dtype or DType.from_numpy(array.dtype)
        held = np.ascontiguousarray(array.astype(dtype.numpy, copy=False)).reshape(array.shape)
        return Constant(held, TensorType(dtype, held.shape), **self.marks).out

    def part(self, array: Any, dtype: DType) -> Value:
        """A constant that a part of this operator needs."""
        return Constant.of(array, dtype, **self.inner).out

    def same(self, value: Value) -> Value:
        """`value`, where this operator changes nothing; its name goes to the node that makes the value."""
        self.shared.dropped.setdefault(value.node, []).append(self.name)
        return value

    def check_size(self, *types: TensorType) -> None:
        """Refuse tensors of extents that no machine holds: they come from broken models."""
        for found in types:
            if found.elements > _MAX_ELEMENTS:
                raise self.broken(f"makes a tensor {found} of more than 2^40 elements.")

    def check_folded_size(self, shape: tuple[int, ...], item_bytes: int) -> None:
        """Refuse to compute a constant that would take memory beyond measure."""
        if math.prod(shape) * item_bytes > _MAX_FOLDED_BYTES:
            raise self.unsupported(
                f"makes a constant of shape {list(shape)}; constants computed by the importer have at most "
                f"{_MAX_FOLDED_BYTES >> 20} MiB. Store it as an initializer."
            )
