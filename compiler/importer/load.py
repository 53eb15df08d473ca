"""Reads an ONNX model from a file, bytes or a ModelProto, and refuses what is broken, too large, too old or too new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx.defs
import onnx.inliner
from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer.names import check_names, shown
from subbyte.compiler.importer.tensors import TensorReader

OLDEST_OPSET = 9  # what the first QONNX models have; ONNX itself quantizes from 10 on
_MAX_MODEL_BYTES = 2 << 30  # what protobuf can hold; larger models keep their weights in external data
_MAX_INLINED_NODES = 1_000_000  # functions that call functions multiply: a file of 1 KB can stand for 2^30 nodes


@dataclass(frozen=True)
class LoadedModel:
    """A model whose functions are inlined: `graph` has only operators. `opset`: version by domain, ONNX's own is ""."""

    name: str
    graph: GraphProto
    ir_version: int
    opset: dict[str, int]
    tensors: TensorReader


def load(model: str | os.PathLike[str] | bytes | ModelProto) -> LoadedModel:
    """The model, checked as far as its envelope goes: readable, versions known, names in UTF-8, functions inlined."""
    folder: Path | None = None
    name = ""
    if isinstance(model, ModelProto):
        proto = model
    elif isinstance(model, (bytes, bytearray, memoryview)):
        proto = _parse(bytes(model), f"the model of {len(model)} bytes")
    elif isinstance(model, (str, os.PathLike)):
        path = Path(os.fspath(model))
        proto = _parse(_content(path), _named(path))
        folder, name = path.parent, path.stem
    else:
        raise ModelError(f"a model is a path, bytes or an onnx.ModelProto, not {type(model).__name__}.")
    opset = _versions(proto)
    proto = _inlined(proto)
    check_names(proto)
    return LoadedModel(name or proto.graph.name or "model", proto.graph, proto.ir_version, opset, TensorReader(folder))


def _named(path: Path) -> str:
    return shown(str(path), 500)


def _content(path: Path) -> bytes:
    try:
        if not path.exists():
            raise ModelError(f"there is no file {_named(path)}. Give the path of an ONNX model.")
        if not path.is_file():
            raise ModelError(f"{_named(path)} is not a regular file. Give the path of an ONNX model.")
        size = path.stat().st_size
        if size > _MAX_MODEL_BYTES:
            raise ModelError(
                f"{_named(path)} has {size} bytes; an ONNX file has at most {_MAX_MODEL_BYTES}. "
                "Save it with external data: onnx.save(model, path, save_as_external_data=True)."
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{_named(path)} cannot be read: {error.strerror}.") from None
    except ValueError:  # a null character in the path, from Python 3.14 on
        raise ModelError(f"there is no file {_named(path)}, and there cannot be one.") from None


def _parse(content: bytes, what: str) -> ModelProto:
    if len(content) > _MAX_MODEL_BYTES:
        raise ModelError(f"{what} is larger than {_MAX_MODEL_BYTES} bytes, the most that an ONNX file can hold.")
    try:
        proto: ModelProto = ModelProto.FromString(content)
    except DecodeError:
        raise ModelError(f"{what} is not an ONNX model, or it is truncated: its bytes cannot be decoded.") from None
    return proto


def _versions(proto: ModelProto) -> dict[str, int]:
    """Opset version by domain; ONNX's own, also written "ai.onnx", is ""."""
    if not proto.HasField("graph"):
        raise ModelError("the file holds no graph: it is not an ONNX model, or it is truncated.")
    if not 3 <= proto.ir_version <= onnx.IR_VERSION:
        raise ModelError(
            f"the model has IR version {proto.ir_version}; versions 3 to {onnx.IR_VERSION} are read by onnx "
            f"{onnx.__version__}. Install a newer onnx, or export the model for an older one."
        )
    opset: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        opset[domain] = max(entry.version, opset.get(domain, 0))
    newest = onnx.defs.onnx_opset_version()
    if "" not in opset:
        raise ModelError(
            "the model does not say which opset of ONNX it uses (opset_import has no entry for the domain ''). "
            f"Export it again, with opset {OLDEST_OPSET} to {newest}."
        )
    if opset[""] < OLDEST_OPSET:
        raise UnsupportedError(
            f"the model uses opset {opset['']}; {OLDEST_OPSET} to {newest} are read. "
            f"Convert it: onnx.version_converter.convert_version(model, {max(OLDEST_OPSET, 13)})."
        )
    if opset[""] > newest:
        raise UnsupportedError(
            f"the model uses opset {opset['']}, but the installed onnx {onnx.__version__} knows {newest} at most. "
            f"Install a newer onnx, or export the model with opset {newest}."
        )
    return opset


# Functions ------------------------------------------------------------------------------------------------------------

_FunctionId = tuple[str, str, str]


def _inlined(proto: ModelProto) -> ModelProto:
    """The model with every call of its own functions replaced by the function's nodes."""
    if not proto.functions:
        return proto
    _check_calls(proto)
    try:
        return onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # what the C++ library raises has no common base
        reason = " ".join(str(error).split())
        raise ModelError(f"the functions of the model cannot be inlined: {reason[:300]}") from None


def _check_calls(proto: ModelProto) -> None:
    """Refuse functions that call each other in a circle, or that expand beyond all measure."""
    functions: dict[_FunctionId, FunctionProto] = {(f.domain, f.name, f.overload): f for f in proto.functions}
    calls = {key: [call for call in _calls(f.node) if call in functions] for key, f in functions.items()}
    sizes: dict[_FunctionId, int] = {}
    for root in functions:
        stack = [(root, False)]
        open_calls: set[_FunctionId] = set()
        while stack:
            key, returning = stack.pop()
            if returning:
                open_calls.discard(key)
                sizes[key] = len(functions[key].node) + sum(sizes[call] for call in calls[key])
            elif key in open_calls:
                raise ModelError(f"the function '{key[0]}.{key[1]}' calls itself, directly or through others.")
            elif key not in sizes:
                open_calls.add(key)
                stack.append((key, True))
                stack.extend((call, False) for call in calls[key])
    total = sum(sizes[call] for call in _calls(proto.graph.node) if call in functions)
    if total > _MAX_INLINED_NODES:
        raise ModelError(f"the functions of the model expand to {total} nodes; {_MAX_INLINED_NODES} are read at most.")


def _calls(nodes: Iterator[NodeProto] | list[NodeProto]) -> list[_FunctionId]:
    """What the nodes call, those in the bodies of If, Loop and Scan included."""
    found: list[_FunctionId] = []
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        found.append((node.domain, node.op_type, node.overload))
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                waiting.extend(attribute.g.node)
            for graph in attribute.graphs:
                waiting.extend(graph.node)
    return found
