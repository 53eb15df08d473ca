"""A bundle's manifest.json, read with distrust: its fields are checked by hand, its paths stay inside the bundle.

The manifest says what the bundle computes (signature), for which processor (target, features), and by hashes which
files belong to it. `codegen` writes it; what is for readers alone (steps, proofs, memory plan) stays in `content`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from subbyte.compiler.dtype import DType
from subbyte.compiler.errors import GraphError, ModelError, ToolchainError

MANIFEST = "manifest.json"
FORMAT = 1
_MAX_BYTES = 64 * 1024 * 1024
_MAX_RANK = 32
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class TensorSignature:
    """An input or output: real = scale * (code - zero_point) where it is quantized.

    name: as in the ONNX model. dtype: its true element type; codes of fewer than 8 bits are one per byte of
    `container`. scale, zero_point: one entry per tensor, or one for each index of `axis`; None for plain numbers.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    scale: tuple[float, ...] | None = None
    zero_point: tuple[int, ...] | None = None
    axis: int | None = None

    @cached_property
    def container(self) -> np.dtype[Any]:
        """The NumPy type of its arrays."""
        return self.dtype.numpy

    @cached_property
    def has_spare_values(self) -> bool:
        """Whether its arrays can hold values that are no codes: 200 in a uint8 for uint4, 0 for bipolar."""
        return self.dtype.is_integer and self.dtype.bits < self.dtype.container_bits

    def __str__(self) -> str:
        return f"'{self.name}' {self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Manifest:
    """What a bundle is.

    files: path within the bundle -> SHA-256. weights_file: the path of the weights where they are a file of their own.
    content: the whole of manifest.json.
    """

    name: str
    target: str
    features: tuple[str, ...]
    abi_version: int
    digest: str
    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]
    weights_file: str | None
    files: Mapping[str, str]
    content: Mapping[str, Any] = field(repr=False)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the bundle in `folder`.

    Raises: ModelError: there is none, or it is not what subbyte writes. ToolchainError: it has another format version.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(
            f"'{folder}' is not a bundle: {MANIFEST} cannot be read ({error.strerror}). "
            "A bundle is a folder that `subbyte compile` writes."
        ) from error
    if len(text) > _MAX_BYTES:
        raise ModelError(f"'{path}' has more than {_MAX_BYTES} bytes; no manifest is that long.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"'{path}' is not JSON ({error}). Compile the model again.") from error
    return _Reader(path).manifest(content)


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Check every file that is in the manifest and in `folder` against its SHA-256.

    Files that are missing are not an error here: libmodel.so runs without its sources.
    Raises: ModelError: a file was changed, or lies outside the folder through a link.
    """
    inside = os.path.realpath(folder)
    by_folder: dict[str, list[tuple[str, str]]] = {}
    for name, expected in manifest.files.items():
        parent, _, base = name.rpartition("/")
        by_folder.setdefault(parent, []).append((base, expected))
    for parent, files in by_folder.items():  # links are followed once for a folder: that takes longer than to hash
        place = _within(inside, os.path.join(inside, parent), folder / parent)
        for base, expected in files:
            path = os.path.join(place, base)
            if os.path.islink(path):
                path = _within(inside, path, folder / parent / base)
            if os.path.isfile(path) and (found := file_sha256(path)) != expected:
                raise ModelError(
                    f"'{folder / parent / base}' was changed after the bundle was written: its SHA-256 begins with "
                    f"{found[:12]}, {MANIFEST} has {expected[:12]}. Compile the model again."
                )


def _within(inside: str, path: str, shown: Path) -> str:
    """`path` without links.  Raises ModelError: it is not in the folder `inside`."""
    real = os.path.realpath(path)
    if real != inside and not real.startswith(os.path.join(inside, "")):
        raise ModelError(f"'{shown}' is a link to '{real}', outside the bundle; copy the file into the bundle.")
    return real


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class _Reader:
    """Takes a parsed manifest.json apart; every complaint names the file and the field."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self, content: Any) -> Manifest:
        if not isinstance(content, dict):
            self._fail("the whole", "an object", content)
        if (found := self._integer(content, "format")) != FORMAT:
            raise ToolchainError(
                f"'{self._path}' has format {found}; this subbyte reads format {FORMAT}. "
                "Compile the model again, or use the version of subbyte that wrote it."
            )
        files = self._field(content, "files", dict, "an object")
        return Manifest(
            name=self._text(content, "name"),
            target=self._text(content, "target"),
            features=self._features(content),
            abi_version=self._integer(content, "abi_version"),
            digest=self._sha256(content.get("digest"), "digest"),
            inputs=self._tensors(content, "inputs"),
            outputs=self._tensors(content, "outputs"),
            weights_file=self._weights_file(content, files),
            files=MappingProxyType(
                {self._inside(name): self._sha256(files[name], f"files[{name!r}]") for name in files}
            ),
            content=MappingProxyType(content),
        )

    def _fail(self, name: str, expected: str, found: Any) -> NoReturn:
        shown = "nothing" if found is None else json.dumps(found)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise ModelError(
            f"'{self._path}' is damaged: {name} is {shown}; {expected} is expected. Compile the model again."
        )

    def _field(self, content: dict[str, Any], name: str, kind: type, expected: str) -> Any:
        found = content.get(name)
        if not isinstance(found, kind) or isinstance(found, bool):
            self._fail(name, expected, found)
        return found

    def _text(self, content: dict[str, Any], name: str) -> str:
        found: str = self._field(content, name, str, "a text")
        return found

    def _integer(self, content: dict[str, Any], name: str) -> int:
        found: int = self._field(content, name, int, "a whole number")
        return found

    def _features(self, content: dict[str, Any]) -> tuple[str, ...]:
        found = self._field(content, "features", list, "a list of names")
        if not all(isinstance(feature, str) and feature.strip() for feature in found):
            self._fail("features", "a list of names", found)
        return tuple(found)

    def _sha256(self, found: Any, name: str) -> str:
        if not isinstance(found, str) or len(found) != 64 or not set(found) <= set("0123456789abcdef"):
            self._fail(name, "a SHA-256, 64 lower-case hexadecimal digits,", found)
        return found

    def _inside(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or "/" in parts or ".." in parts or "/".join(parts) != name or "\\" in name or "\0" in name:
            self._fail("a path in files", "a plain path within the bundle", name)
        return name

    def _weights_file(self, content: dict[str, Any], files: dict[str, Any]) -> str | None:
        weights = self._field(content, "weights", dict, "an object")
        name = weights.get("file")
        if name is None:
            return None
        if not isinstance(name, str) or name not in files:
            self._fail("weights.file", "null or the path of one of files", name)
        return name

    def _tensors(self, content: dict[str, Any], name: str) -> tuple[TensorSignature, ...]:
        found = self._field(content, name, list, "a list of objects")
        tensors = tuple(self._tensor(entry, f"{name}[{index}]") for index, entry in enumerate(found))
        if len({tensor.name for tensor in tensors}) != len(tensors):
            self._fail(name, "a list in which no name stands twice", [tensor.name for tensor in tensors])
        return tensors

    def _tensor(self, entry: Any, where: str) -> TensorSignature:
        if not isinstance(entry, dict):
            self._fail(where, "an object", entry)
        code, shape = entry.get("code"), entry.get("shape")
        try:
            dtype = DType.parse(code) if isinstance(code, str) else None
        except GraphError:
            dtype = None
        if dtype is None:
            self._fail(f"{where}.code", "an element type", code)
        if entry.get("dtype") != dtype.numpy.name:
            self._fail(f"{where}.dtype", f"'{dtype.numpy.name}', which holds {dtype},", entry.get("dtype"))
        if not isinstance(shape, list) or len(shape) > _MAX_RANK or not all(_is_whole(n) and n >= 0 for n in shape):
            self._fail(f"{where}.shape", "a list of extents", shape)
        scale, zero_point, axis = self._quantization(entry, where, tuple(shape))
        if not isinstance(entry.get("name"), str):
            self._fail(f"{where}.name", "a text", entry.get("name"))
        return TensorSignature(entry["name"], dtype, tuple(shape), scale, zero_point, axis)

    def _quantization(
        self, entry: dict[str, Any], where: str, shape: tuple[int, ...]
    ) -> tuple[tuple[float, ...] | None, tuple[int, ...] | None, int | None]:
        scale, zero_point, axis = entry.get("scale"), entry.get("zero_point"), entry.get("axis")
        if scale is None:
            return None, None, None
        scales = scale if isinstance(scale, list) else [scale]
        zero_points = zero_point if isinstance(zero_point, list) else [zero_point]
        if not all(_is_real(number) and 0 < number < math.inf for number in scales):
            self._fail(f"{where}.scale", "null, or positive numbers,", scale)
        if axis is not None and not (_is_whole(axis) and 0 <= axis < len(shape)):
            self._fail(f"{where}.axis", f"null or an axis of {list(shape)}", axis)
        if len(scales) != (1 if axis is None else shape[axis]):
            self._fail(
                f"{where}.scale", f"one number for each of {'the tensor' if axis is None else shape[axis]}", scale
            )
        if len(zero_points) != len(scales) or not all(_is_whole(number) for number in zero_points):
            self._fail(f"{where}.zero_point", f"{len(scales)} whole numbers, as many as scales,", zero_point)
        return tuple(map(float, scales)), tuple(zero_points), axis


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_real(number: Any) -> bool:
    return isinstance(number, float) or _is_whole(number)
