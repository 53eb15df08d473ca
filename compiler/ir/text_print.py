"""Graphs to text; text.py describes the form."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.staircase import Staircase

INLINE_ELEMENTS = 16  # an array of more elements is a resource
_BASE64_COLUMNS = 116
_OPTIONAL = ("setting", "sources", "tensor", "layout")  # printed where they differ from their defaults


def print_graph(graph: Graph, *, resources: bool = True) -> str:
    """`graph` as text, nodes in their order, that parse_graph reads back to an equal graph.

    Without `resources` the contents of long arrays are left out, for the eye: such a text does not parse.
    """
    printer = _Printer(graph)
    lines = [f"graph {json.dumps(graph.name)} {graph.stage.value} {{"]
    lines += [f"  {printer.node(node)}" for node in graph.nodes()]
    lines += [f"  output {json.dumps(output.name)} = {printer.value(output.value)}" for output in graph.outputs]
    lines.append("}")
    if resources and printer.resources:
        lines += ["resources {", *(line for array in printer.resources for line in printer.resource(array)), "}"]
    return "\n".join(lines) + "\n"


class _Printer:
    """The numbers of the nodes, and the arrays that are printed apart."""

    def __init__(self, graph: Graph) -> None:
        self._numbers = {node: number for number, node in enumerate(graph.nodes())}
        self.resources: list[NDArray[Any]] = []
        self._resource_numbers: dict[int, int] = {}  # by id: the graph keeps its arrays alive

    def node(self, node: Node) -> str:
        """One line: `%number = Operation(fields) -> types`."""
        line = f"%{self._numbers[node]} = {self.operation(node)}"
        return line if isinstance(node, (Input, Constant)) else f"{line} -> {', '.join(map(result_text, node.types))}"

    def operation(self, node: Node) -> str:
        fields = [field.name for field in dataclasses.fields(node) if field.name not in _OPTIONAL]
        fields += [name for name in _OPTIONAL if getattr(node, name, None)]
        return f"{type(node).__name__}({', '.join(f'{name}={self.content(getattr(node, name))}' for name in fields)})"

    def value(self, value: Value) -> str:
        number = self._numbers[value.node]
        return f"%{number}.{value.index}" if value.index else f"%{number}"

    def content(self, content: Any) -> str:
        """What a field holds."""
        match content:
            case None:
                return "none"
            case bool():
                return "true" if content else "false"
            case int() | float():
                return repr(content)
            case str():
                return json.dumps(content)
            case tuple():
                return f"[{', '.join(map(self.content, content))}]"
            case Value():
                return self.value(content)
            case Node():
                return self.operation(content)
            case DType():
                return content.name
            case np.ndarray():
                return self.array(content)
            case TensorType():
                return self.type(content)
            case QuantParams():
                return self.quant(content)
            case Layout():
                fields = ((f, getattr(content, f.name)) for f in dataclasses.fields(content))
                return self.record("layout", ((f.name, item) for f, item in fields if item != f.default))
            case Requantization():
                return self.requantization(content)
            case Staircase():
                return self.record(
                    "staircase", ((f.name, getattr(content, f.name)) for f in dataclasses.fields(content))
                )
        raise GraphError(f"a {type(content).__name__} in a field of a node has no text form")

    def array(self, array: NDArray[Any]) -> str:
        if array.size > INLINE_ELEMENTS:
            number = self._resource_numbers.setdefault(id(array), len(self.resources))
            if number == len(self.resources):
                self.resources.append(array)
            return f"@{number}"
        return f"{array_type(array)} {{{', '.join(map(element_text, array.reshape(-1)))}}}"

    def type(self, of_type: TensorType) -> str:
        parts = [str(of_type)]
        parts += [self.content(part) for part in (of_type.quant, of_type.layout) if part is not None]
        return " ".join(parts)

    def quant(self, quant: QuantParams) -> str:
        fields: list[tuple[str, Any]] = [
            ("scale", self.parameter(quant.scale)),
            ("zero_point", self.parameter(quant.zero_point)),
            ("qmin", quant.qmin),
            ("qmax", quant.qmax),
        ]
        fields += [
            (name, getattr(quant, name)) for name in ("axis", "block", "levels") if getattr(quant, name) is not None
        ]
        return self.record("quant", fields)

    def requantization(self, r: Requantization) -> str:
        fields: list[tuple[str, Any]] = [("multiplier", self.parameter(r.multiplier))]
        fields += [] if r.shift is None else [("shift", self.parameter(r.shift))]
        fields += [("zero_point", r.zero_point), ("qmin", r.qmin), ("qmax", r.qmax)]
        fields += [(name, part) for name in ("table", "staircase") if (part := getattr(r, name)) is not None]
        return self.record("requantization", fields)

    def parameter(self, content: Any) -> Any:
        """A scale, multiplier or zero point: a plain number where there is one for all."""
        return (
            _Verbatim(element_text(content[()])) if isinstance(content, np.ndarray) and content.ndim == 0 else content
        )

    def record(self, name: str, fields: Iterable[tuple[str, Any]]) -> str:
        shown = (f"{key}={item if isinstance(item, _Verbatim) else self.content(item)}" for key, item in fields)
        return f"{name}({', '.join(shown)})"

    def resource(self, array: NDArray[Any]) -> Iterator[str]:
        """`@number = dtype[shape] "base64"`, on lines of one width."""
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        text = base64.b64encode(data).decode("ascii")
        yield f"  @{self._resource_numbers[id(array)]} = {array_type(array)}"
        for begin in range(0, len(text), _BASE64_COLUMNS):
            yield f'  "{text[begin : begin + _BASE64_COLUMNS]}"'


class _Verbatim(str):
    """Text that is printed as it is."""


def array_type(array: NDArray[Any]) -> str:
    """dtype[shape] of an array itself: the container of the codes that it holds."""
    return f"{DType.from_numpy(array.dtype)}{list(array.shape)}"


def element_text(element: Any) -> str:
    """One element of an array; floats are the shortest decimals that read back to the same bits."""
    if isinstance(element, np.bool_):
        return "true" if element else "false"
    if isinstance(element, np.floating):
        text = repr(float(str(element)))  # str: shortest in the element's own precision; repr: one spelling of it
        return text if element != element or element.dtype.type(float(text)) == element else float(element).hex()
    return str(int(element))


def result_text(result: TensorType) -> str:
    """The type of a result: dtype, shape, and the range of codes where it is narrower than the dtype."""
    low, high = result.code_range() if result.quant is not None else (0, 0)
    narrow = result.quant is not None and (low, high) != (result.dtype.min, result.dtype.max)
    return f"{result} in {low}..{high}" if narrow else str(result)
