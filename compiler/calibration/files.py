"""Samples in files: one .npz or .npy, or a folder of them or of images. One sample at a time is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.check import Inputs, checked
from subbyte.compiler.calibration.images import IMAGE_SUFFIXES, Preprocessing, read_image
from subbyte.compiler.calibration.npy_stream import NpyStream, NpzArchive, npy_file
from subbyte.compiler.calibration.sources import Sample, SampleSource
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
_LABELS = ("label", "labels", "y", "target", "targets")
_PARAMETERS = ("_scale", "_zero_point")


class NpzFile(SampleSource):
    """An .npz file with an array for each input, [samples, *shape of the input], or one array for the only input.

    Integers `NAME` beside a number `NAME_scale` (and `NAME_zero_point`) are the floats (NAME - zero_point) * scale.
    Other arrays, such as labels, are not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def count_for(self, inputs: Inputs) -> int | None:
        with closing(NpzArchive(self.path)) as archive:
            name, wanted = next(iter(inputs.items()), ("", None))
            if wanted is None:
                return None
            key = _stored_name(name, inputs, archive)
            return _Rows(archive.open(key), wanted, f"array '{key}' of '{self.path}'", None).count

    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        with closing(NpzArchive(self.path)) as archive:
            stored = {name: _stored_name(name, inputs, archive) for name in inputs}
            rows = {
                name: _Rows(archive.open(key), inputs[name], f"array '{key}' of '{self.path}'", _scale(archive, key))
                for name, key in stored.items()
            }
            counts = {name: one.count for name, one in rows.items()}
            if len(set(counts.values())) > 1:
                raise ModelError(f"'{self.path}' has different numbers of samples for the inputs: {counts}.")
            iterators = {name: iter(one) for name, one in rows.items()}
            for number in range(min(counts.values(), default=0)):
                where = f"sample {number} of '{self.path}'"
                yield {name: checked(next(one), name, inputs[name], where) for name, one in iterators.items()}


class NpyFile(SampleSource):
    """A .npy file with the samples of the only input, [samples, *shape of the input]."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def count_for(self, inputs: Inputs) -> int | None:
        name = _only_input(inputs, f"'{self.path}' holds one array")
        with npy_file(self.path) as stream:
            return _Rows(stream, inputs[name], f"'{self.path}'", None).count

    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        name = _only_input(inputs, f"'{self.path}' holds one array")
        with npy_file(self.path) as stream:
            for number, row in enumerate(_Rows(stream, inputs[name], f"'{self.path}'", None)):
                yield {name: checked(row, name, inputs[name], f"sample {number} of '{self.path}'")}


class Folder(SampleSource):
    """All .npz and .npy files and PNG and JPEG images below a folder, in the order of their paths.

    Other files are left out. preprocessing: what becomes of the pixels of images.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing | None = None) -> None:
        self.path = path
        self.preprocessing = preprocessing

    def files(self) -> list[Path]:
        """The files that hold samples.  Raises ModelError: there is none."""
        if not self.path.is_dir():
            raise ModelError(f"'{self.path}' is not a folder; one with .npz or .npy files or images is needed.")
        known = (".npz", ".npy", *IMAGE_SUFFIXES)
        found = sorted(p for p in self.path.rglob("*") if p.suffix.lower() in known and p.is_file())
        if not found:
            raise ModelError(f"folder '{self.path}' holds no samples; files ending in {', '.join(known)} are read.")
        return found

    def count_for(self, inputs: Inputs) -> int | None:
        """Of images alone, one each; other files would all have to be opened."""
        files = self.files()
        return len(files) if all(path.suffix.lower() in IMAGE_SUFFIXES for path in files) else None

    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        for path in self.files():
            match path.suffix.lower():
                case ".npz":
                    yield from NpzFile(path).samples(inputs)
                case ".npy":
                    yield from NpyFile(path).samples(inputs)
                case _:
                    name = _only_input(inputs, f"'{path}' is one image")
                    pixels = read_image(path, name, inputs[name], self.preprocessing or Preprocessing())
                    yield {name: checked(pixels, name, inputs[name], f"image '{path}'")}


def file_source(path: Path, preprocessing: Preprocessing | None = None) -> SampleSource:
    """The samples at `path`: an .npz file, a .npy file, or a folder.  Raises ModelError: it is neither."""
    if path.is_dir():
        return Folder(path, preprocessing)
    if not path.exists():
        raise ModelError(f"there is no '{path}'; samples come from an .npz or .npy file or a folder.")
    match path.suffix.lower():
        case ".npz":
            return NpzFile(path)
        case ".npy":
            return NpyFile(path)
    raise ModelError(f"'{path}' is no .npz file, .npy file or folder; samples come from one of them.")


class _Rows:
    """The samples that a stored array holds for an input: along its axis 0, or the array as the only one."""

    def __init__(self, stream: NpyStream, wanted: TensorType, where: str, scale: tuple[Any, Any] | None) -> None:
        self._stream = stream
        self._scale = scale
        shapes = [wanted.shape, *([wanted.shape[1:]] if wanted.shape[:1] == (1,) else [])]
        self._stacked = stream.shape[1:] in shapes and bool(stream.shape)
        if not self._stacked and stream.shape not in shapes:
            raise ModelError(
                f"{where} is {stream.dtype}{list(stream.shape)}; [samples, "
                f"{', '.join(map(str, shapes[-1]))}] is needed for an input {wanted}. Reshape the samples, or import "
                "the model with other dimensions."
            )
        self.count = stream.shape[0] if self._stacked else 1

    def __iter__(self) -> Iterator[Array]:
        for row in self._stream.rows() if self._stacked else (self._stream.whole(),):
            if self._scale is None:
                yield row
            else:
                scale, zero_point = self._scale
                yield (row.astype(np.float32) - zero_point) * scale


def _stored_name(name: str, inputs: Inputs, archive: NpzArchive) -> str:
    """The array for input `name`: that of its name; for the only input the only array, labels and scales left out."""
    if name in archive.names:
        return name
    others = [key for key in archive.names if key.lower() not in _LABELS and not key.endswith(_PARAMETERS)]
    if len(inputs) == 1 and len(others) == 1:
        return others[0]
    raise ModelError(
        f"'{archive.path}' has no array '{name}'; it has {', '.join(map(repr, archive.names)) or 'none'}. "
        f"The model's inputs are {', '.join(f'{key!r} {of_type}' for key, of_type in inputs.items())}."
    )


def _scale(archive: NpzArchive, key: str) -> tuple[Any, Any] | None:
    """(scale, zero point), both float32, that stand beside an array."""
    scale, zero_point = (_number(archive, f"{key}{suffix}") for suffix in _PARAMETERS)
    if scale is None:
        return None
    return scale, np.float32(0) if zero_point is None else zero_point


def _number(archive: NpzArchive, name: str) -> Any:
    """The number stored under `name`, float32; None where there is none."""
    if name not in archive.names:
        return None
    stream = archive.open(name)
    if math.prod(stream.shape) != 1:
        raise ModelError(f"array '{name}' of '{archive.path}' is {list(stream.shape)}; one number is needed.")
    return np.float32(stream.whole().reshape(-1)[0])


def _only_input(inputs: Inputs, what: str) -> str:
    if len(inputs) != 1:
        raise ModelError(
            f"{what}, and the model has {len(inputs)} inputs: {', '.join(map(repr, inputs))}; "
            "give .npz files with an array for each."
        )
    return next(iter(inputs))
