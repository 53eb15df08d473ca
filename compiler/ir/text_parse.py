"""Text to graphs; text.py describes the form. Any text makes a graph, or an error that names the line."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import types
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError, SubbyteError
from subbyte.compiler.ir import (
    lowered,
    node,
    ops,
    ops_indexing,
    ops_logic,
    ops_normalization,
    qops,
    qops_blocks,
    qops_codebooks,
    qops_dynamic,
    qops_functions,
)
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Input, Node, Value
from subbyte.compiler.ir.text_print import array_type, result_text
from subbyte.compiler.ir.text_tokens import Kind, Token, line_of, tokens_of
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.staircase import Staircase

_ABSTRACT = (
    Node,
    ops.Binary,
    ops.Reduce,
    ops_logic.WholeBinary,
    ops_logic.Modular,
    ops_normalization.Normalization,
    qops.QBinary,
    qops.QReduce,
    qops_functions.QNormalization,
    lowered.Wrapper,
)
_MODULES = (
    node, ops, ops_logic, ops_indexing, ops_normalization,
    qops, qops_blocks, qops_codebooks, qops_dynamic, qops_functions, lowered,
)  # fmt: skip
OPERATIONS: dict[str, type[Node]] = {
    name: found
    for module in _MODULES
    for name, found in vars(module).items()
    if isinstance(found, type) and issubclass(found, Node) and found not in _ABSTRACT
}
_WORDS = {"true": True, "false": False, "none": None}
_DEEPEST = 32  # brackets within brackets; real graphs have 4
ResultT = TypeVar("ResultT")


def parse_graph(text: str) -> Graph:
    """The graph that `text` describes (text.py).

    Raises: GraphError: the line, and what stands there instead of what was expected, or what is wrong with the node.
    """
    return _Parser(text).graph()


class _Parser:
    """Reads word after word; resources first, though they stand last."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0
        self._nodes: dict[str, Node] = {}
        self._resources: dict[str, NDArray[Any]] = {}

    # The text as a whole ----------------------------------------------------------------------------------------------

    def graph(self) -> Graph:
        self._read_resources()
        self._expect("graph")
        name = self._string()
        stage = self._stage()
        self._expect("{")
        inputs: list[Input] = []
        outputs: list[Output] = []
        while not self._accept("}"):
            begin = self._token
            if self._accept("output"):
                output = self._string()
                self._expect("=")
                outputs.append(Output(output, self._value(self._next())))
            elif begin.kind is Kind.VALUE:
                statement = self._statement()
                inputs += [statement] if isinstance(statement, Input) else []
            else:
                self._fail(begin, f"a node (%name = ...), an output or '}}' is expected, not {_shown(begin)}")
        end = self._token
        if end.kind is not Kind.END and end.text != "resources":
            self._fail(end, f"resources or the end of the text is expected, not {_shown(end)}")
        return self._built(end, lambda: Graph(name, tuple(inputs), tuple(outputs), stage))

    def _read_resources(self) -> None:
        """Read what follows `} resources {`, and return to the begin."""
        starts = (
            at
            for at in range(1, len(self._tokens))
            if self._tokens[at].text == "resources" and self._tokens[at - 1].text == "}"
        )
        self._at = next(starts, -1) + 1
        if self._at:
            self._expect("{")
            while not self._accept("}"):
                self._resource()
            if self._token.kind is not Kind.END:
                self._fail(self._token, f"the end of the text is expected, not {_shown(self._token)}")
        self._at = 0

    def _resource(self) -> None:
        name = self._next(Kind.RESOURCE)
        self._expect("=")
        dtype, shape = self._dtype(self._next(Kind.NAME)), self._shape()
        begin, parts = self._token, [self._string()]
        while self._token.kind is Kind.STRING:
            parts.append(self._string())
        try:
            data = base64.b64decode("".join(parts), validate=True)
        except (binascii.Error, ValueError):
            self._fail(begin, f"the contents of {name.text} are no base64")
        little = dtype.numpy.newbyteorder("<")
        if len(data) != int(np.prod(shape, dtype=object)) * little.itemsize:
            self._fail(begin, f"{name.text} has {len(data)} bytes, which is not {dtype}{list(shape)}")
        array = np.frombuffer(data, little).astype(dtype.numpy).reshape(shape)
        array.setflags(write=False)  # so that the nodes share it
        self._resources[name.text] = array

    def _stage(self) -> Stage:
        token = self._next(Kind.NAME)
        found = next((stage for stage in Stage if stage.value == token.text), None)
        if found is None:
            self._fail(token, f"'{token.text}' is no stage; stages are {', '.join(stage.value for stage in Stage)}")
        return found

    # Nodes ------------------------------------------------------------------------------------------------------------

    def _statement(self) -> Node:
        """%name = Operation(field=..., ...) -> types"""
        name = self._next(Kind.VALUE)
        if name.text in self._nodes or "." in name.text:
            self._fail(name, f"{name.text} cannot be defined here; a new name without '.' is needed")
        self._expect("=")
        found = self._operation(self._next(Kind.NAME))
        if self._accept("->"):
            begin = self._token
            said = [self._result()]
            while self._accept(","):
                said.append(self._result())
            inferred = [result_text(result) for result in found.types]
            if said != inferred:
                self._fail(begin, f"{found.label} makes {', '.join(inferred)}, the text says {', '.join(said)}")
        self._nodes[name.text] = found
        return found

    def _operation(self, name: Token) -> Node:
        operation = OPERATIONS.get(name.text)
        if operation is None:
            self._fail(name, f"there is no operation '{name.text}'")
        fields = self._fields()
        known = _hints(name.text)
        for key, content in fields.items():
            if key not in known:
                self._fail(name, f"{name.text} has no field '{key}'; its fields are {', '.join(known)}")
            if not _fits(content, known[key]):
                self._fail(name, f"field '{key}' of {name.text} does not take {_described(content)}")
        missing = [f.name for f in dataclasses.fields(operation) if _is_required(f) and f.name not in fields]
        if missing:
            self._fail(name, f"{name.text} lacks its field '{missing[0]}'")
        return self._built(name, lambda: operation(**fields))

    def _result(self) -> str:
        """dtype[shape], perhaps `in low..high`, as result_text prints it."""
        text = f"{self._dtype(self._next(Kind.NAME))}[{', '.join(map(str, self._shape()))}]"
        if not self._accept("in"):
            return text
        low = self._next(Kind.NUMBER).text
        self._expect("..")
        return f"{text} in {low}..{self._next(Kind.NUMBER).text}"

    def _value(self, token: Token) -> Value:
        name, _, index = token.text.partition(".")
        found = self._nodes.get(name)
        if token.kind is not Kind.VALUE or found is None:
            self._fail(token, f"{_shown(token)} is not defined; a value that was defined before is expected")
        if int(index or 0) >= len(found.types):
            self._fail(token, f"{found.label} has {len(found.types)} outputs; there is no {token.text}")
        return Value(found, int(index or 0))

    # What fields hold -------------------------------------------------------------------------------------------------

    def _fields(self) -> dict[str, Any]:
        """(name=content, ...)"""
        self._expect("(")
        fields: dict[str, Any] = {}
        while not self._accept(")"):
            if fields:
                self._expect(",")
            name = self._next(Kind.NAME)
            if name.text in fields:
                self._fail(name, f"field '{name.text}' is given twice")
            self._expect("=")
            fields[name.text] = self._content()
        return fields

    def _content(self) -> Any:
        token = self._next()
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(token, f"more than {_DEEPEST} brackets stand within each other")
        content = self._content_of(token)
        self._depth -= 1
        return content

    def _content_of(self, token: Token) -> Any:
        match token.kind, token.text:
            case Kind.STRING, _:
                return self._unquoted(token)
            case Kind.NUMBER, _:
                return self._number(token)
            case Kind.VALUE, _:
                return self._value(token)
            case Kind.RESOURCE, name:
                if name not in self._resources:
                    self._fail(token, f"there is no resource {name}")
                return self._resources[name]
            case _, "[":
                return self._list()
            case _, "true" | "false" | "none":
                return _WORDS[token.text]
            case _, "quant":
                return self._quant(token)
            case _, "requantization":
                return self._requantization(token)
            case _, "layout":
                return self._record(token, Layout, self._fields())
            case _, "staircase":
                return self._record(token, Staircase, self._fields())
            case Kind.NAME, _ if self._token.text == "(":
                return self._operation(token)
            case Kind.NAME, _:
                return self._typed(token)
        return self._fail(token, f"the content of a field is expected, not {_shown(token)}")

    def _list(self) -> tuple[Any, ...]:
        items: list[Any] = []
        while not self._accept("]"):
            if items:
                self._expect(",")
            items.append(self._content())
        return tuple(items)

    def _typed(self, token: Token) -> DType | TensorType | NDArray[Any]:
        """dtype, dtype[shape] with quant(...) and layout(...), or dtype[shape] {elements}."""
        dtype = self._dtype(token)
        if self._token.text != "[":
            return dtype
        shape = self._shape()
        if self._token.text == "{":
            return self._array(token, dtype, shape)
        quant = self._quant(self._next()) if self._token.text == "quant" else None
        begin = self._token
        layout = self._record(begin, Layout, self._fields()) if self._accept("layout") else None
        return self._built(token, lambda: TensorType(dtype, shape, quant, layout))

    def _array(self, begin: Token, dtype: DType, shape: tuple[int, ...]) -> NDArray[Any]:
        self._expect("{")
        items: list[Any] = []
        while not self._accept("}"):
            if items:
                self._expect(",")
            token = self._next()
            items.append(_WORDS[token.text] if token.text in ("true", "false") else self._number(token))
        return self._built(begin, lambda: np.array(items, dtype.numpy).reshape(shape))

    def _quant(self, begin: Token) -> QuantParams:
        fields = self._fields()
        fields |= {name: self._as_array(fields[name], dtype) for name, dtype in _QUANT_ARRAYS if name in fields}
        return self._record(begin, QuantParams, fields)

    def _requantization(self, begin: Token) -> Requantization:
        fields = {"shift": None} | self._fields()
        fields |= {name: self._as_array(fields[name], np.float32) for name in ("multiplier", "shift") if name in fields}
        return self._record(begin, Requantization, fields)

    def _as_array(self, content: Any, dtype: Any) -> Any:
        """A plain number as the array without axes that it stands for."""
        if not isinstance(content, (int, float)):
            return content
        return self._built(self._tokens[self._at - 1], lambda: np.array(content, dtype))

    def _record(self, begin: Token, record: type[ResultT], fields: dict[str, Any]) -> ResultT:
        return self._built(begin, lambda: record(**fields))

    def _dtype(self, token: Token) -> DType:
        return self._built(token, lambda: DType.parse(token.text))

    def _shape(self) -> tuple[int, ...]:
        begin = self._token
        self._expect("[")
        shape = self._list()
        if not all(type(extent) is int and extent >= 0 for extent in shape):
            self._fail(begin, "a shape is a list of whole numbers from 0 up")
        return shape

    def _number(self, token: Token) -> int | float:
        if token.kind is not Kind.NUMBER:
            self._fail(token, f"a number is expected, not {_shown(token)}")
        text = token.text
        if text.lstrip("+-").isdigit():
            return self._built(token, lambda: int(text))
        return float.fromhex(text) if "x" in text.lower() else float(text)

    # Words ------------------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _next(self, kind: Kind | None = None) -> Token:
        token = self._token
        if token.kind is Kind.END or (kind is not None and token.kind is not kind):
            self._fail(token, f"{'more' if kind is None else kind.value} is expected, not {_shown(token)}")
        self._at += 1
        return token

    def _accept(self, text: str) -> bool:
        """Go on if the next word is `text`."""
        if self._token.text != text:
            return False
        self._at += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            self._fail(self._token, f"'{text}' is expected, not {_shown(self._token)}")

    def _string(self) -> str:
        return self._unquoted(self._next(Kind.STRING))

    def _unquoted(self, token: Token) -> str:
        return str(self._built(token, lambda: json.loads(token.text)))

    # Errors -----------------------------------------------------------------------------------------------------------

    def _fail(self, token: Token, message: str) -> NoReturn:
        raise GraphError(f"line {line_of(self._text, token.begin)}: {message}")

    def _built(self, begin: Token, build: Callable[[], ResultT]) -> ResultT:
        """What `build` makes; its errors get the line of `begin`."""
        try:
            return build()
        except (SubbyteError, TypeError, ValueError, OverflowError, IndexError, AttributeError) as error:
            raise GraphError(f"line {line_of(self._text, begin.begin)}: {error}") from error


_QUANT_ARRAYS = (("scale", np.float32), ("zero_point", np.int64))


@cache
def _hints(name: str) -> dict[str, Any]:
    """The fields of an operation and what they hold."""
    operation = OPERATIONS[name]
    known = typing.get_type_hints(operation)
    return {f.name: known[f.name] for f in dataclasses.fields(operation)}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _fits(content: Any, hint: Any) -> bool:
    """Whether `content` is of the type that a field is annotated with."""
    arguments = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Union | types.UnionType:
            return any(_fits(content, argument) for argument in arguments)
        case origin if origin is tuple:
            if not isinstance(content, tuple):
                return False
            if arguments[-1] is Ellipsis:
                return all(_fits(item, arguments[0]) for item in content)
            return len(content) == len(arguments) and all(map(_fits, content, arguments))
        case origin if origin is np.ndarray:
            return isinstance(content, np.ndarray)
    if isinstance(content, bool):
        return hint is bool
    return isinstance(content, (int, float) if hint is float else hint)


def _described(content: Any) -> str:
    match content:
        case np.ndarray():
            return f"an array {array_type(content)}"
        case Value():
            return f"a value {content.type}"
        case tuple():
            return f"a list of {len(content)}"
    return f"{content!r}"


def _shown(token: Token) -> str:
    return token.kind.value if token.kind is Kind.END else f"'{token.text}'"
