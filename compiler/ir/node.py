"""The base of all nodes: frozen dataclasses whose operands are Values and whose types are inferred when built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """Output `index` of `node`: what operands are. Equal where both are the same."""

    node: Node
    index: int = 0

    @property
    def type(self) -> TensorType:
        return self.node.types[self.index]

    @property
    def constant(self) -> NDArray[Any] | None:
        """The array when this is a Constant, else None."""
        return self.node.value if isinstance(self.node, Constant) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self.node is other.node and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.node), self.index))

    def __repr__(self) -> str:
        return f"{self.node!r}.{self.index}"


NodeT = TypeVar("NodeT", bound="Node")


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """An operation. Identity is equality; fields of type Value, Value | None and tuple[Value, ...] are its operands.

    The scale and zero point of a QuantParams field are operands too where they are run-time Values.

    sources: names of the ONNX nodes that it computes, kept through every fusion.
    tensor: name of the ONNX tensor that output 0 equals, code for code; "" when there is none.
    layout: how the outputs are stored; None is row-major. It never changes what an operation means.
    """

    sources: tuple[str, ...] = field(default=(), kw_only=True)
    tensor: str = field(default="", kw_only=True)
    layout: Layout | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name, content in vars(self).items():
            if isinstance(content, np.ndarray):
                object.__setattr__(self, name, _read_only(content))
        self.__dict__["_operands"] = tuple(_values(getattr(self, f.name) for f in dataclasses.fields(self)))
        try:
            inferred = self.infer_type()
            types = inferred if isinstance(inferred, tuple) else (inferred,)
            if self.layout is not None:
                types = tuple(t.with_layout(self.layout) for t in types)
        except GraphError as error:
            raise GraphError(f"{self.label}: {error}") from None
        self.__dict__["_types"] = types

    def infer_type(self) -> TensorType | tuple[TensorType, ...]:
        """The types of the outputs; raises GraphError where operands or attributes do not fit."""
        raise GraphError(f"{type(self).__name__} does not say how its type is inferred")

    @property
    def types(self) -> tuple[TensorType, ...]:
        return self.__dict__["_types"]  # type: ignore[no-any-return]

    @property
    def type(self) -> TensorType:
        """The type of the only output."""
        return self.types[0]

    @property
    def out(self) -> Value:
        """Output 0, to be used as an operand."""
        return Value(self, 0)

    @property
    def label(self) -> str:
        """What errors call this node: the operator and its ONNX names."""
        return f"{type(self).__name__} '{' + '.join(self.sources)}'" if self.sources else type(self).__name__

    @property
    def operands(self) -> tuple[Value, ...]:
        """The operands in the order of the fields; absent optional ones left out."""
        return self.__dict__["_operands"]  # type: ignore[no-any-return]

    def map_operands(self: NodeT, function: Callable[[Value], Value]) -> NodeT:
        """This node with each operand replaced; the same object when nothing changes."""
        if all(function(operand) == operand for operand in self.operands):
            return self
        changed: dict[str, Any] = {}
        for f in dataclasses.fields(self):
            old = getattr(self, f.name)
            new = _map(old, function)
            if new is not old:
                changed[f.name] = new
        return self.replace(**changed)

    def replace(self: NodeT, **changes: Any) -> NodeT:
        """A copy with some fields changed; types are inferred again."""
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        return f"<{self.label}: {', '.join(map(str, self.types))}>"

    def attributes(self) -> dict[str, Any]:
        """The fields that are neither operands nor provenance nor storage, by name."""
        names = (f.name for f in dataclasses.fields(self) if f.name not in ("sources", "tensor", "layout"))
        return {name: getattr(self, name) for name in names if not _is_operand(getattr(self, name))}


def _is_operand(content: Any) -> bool:
    return isinstance(content, Value) or (
        isinstance(content, tuple) and bool(content) and all(isinstance(item, Value) for item in content)
    )


def _values(contents: Iterator[Any]) -> Iterator[Value]:
    for content in contents:
        if isinstance(content, Value):
            yield content
        elif _is_operand(content):
            yield from content
        elif isinstance(content, QuantParams):
            yield from (part for part in (content.scale, content.zero_point) if isinstance(part, Value))


def _map(content: Any, function: Callable[[Value], Value]) -> Any:
    if isinstance(content, Value):
        new = function(content)
        return content if new == content else new
    if _is_operand(content):
        news = tuple(function(item) for item in content)
        return content if all(a == b for a, b in zip(news, content, strict=True)) else news
    if isinstance(content, QuantParams) and not content.is_static:
        parts = {name: part for name in ("scale", "zero_point") if isinstance(part := getattr(content, name), Value)}
        changed = {name: new for name, part in parts.items() if (new := function(part)) != part}
        return content.replace(**changed) if changed else content
    return content


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """`array` itself made read-only where it owns its memory, so that large weights are not copied; else a copy."""
    if array.flags.writeable and not array.flags.owndata:
        array = array.copy()
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False, repr=False)
class Input(Node):
    """A graph input: codes or floats as the caller gives them."""

    name: str
    of_type: TensorType

    def infer_type(self) -> TensorType:
        return self.of_type


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Node):
    """Known values; codes are held in the container of their dtype. The array becomes read-only."""

    value: NDArray[Any]
    of_type: TensorType

    def infer_type(self) -> TensorType:
        if not isinstance(self.value, np.ndarray):
            raise GraphError(f"a constant is a NumPy array, not a {type(self.value).__name__}")
        if self.value.shape != self.of_type.shape or self.value.dtype != self.of_type.dtype.numpy:
            raise GraphError(f"an array {self.value.dtype}{list(self.value.shape)} cannot be a constant {self.of_type}")
        stray = self.of_type.stray_code(self.value)
        if stray is not None:
            low, high = self.of_type.code_range()
            raise GraphError(f"the code {stray} is no code of {self.of_type}, whose codes lie in {low}..{high}")
        return self.of_type

    @classmethod
    def of(cls, value: Any, dtype: DType | None = None, **keywords: Any) -> Constant:
        """A constant from anything NumPy understands; `quant` may be given, and sources and tensor as for any node."""
        quant = keywords.pop("quant", None)
        dtype = dtype or DType.from_numpy(np.asarray(value).dtype)
        array = np.array(value, dtype=dtype.numpy, order="C")
        return cls(array, TensorType(dtype, array.shape, quant), **keywords)
