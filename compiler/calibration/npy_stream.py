"""An array of a .npy file, or of a member of an .npz file, read row by row: never more of it in memory than asked.

Files are not trusted: nothing in them is executed, a header's promises are checked against the bytes that are there and
against what is wanted before memory is taken.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError

Array = NDArray[Any]
_BROKEN = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_WHOLE_BYTES = 1 << 30  # of an array that must be read at once, as one in Fortran order


class NpyStream:
    """dtype and shape of a stored array, and its rows, the parts along axis 0, in order.

    file: open for reading, at the array's start. size: bytes from there to its end. where: what errors call the array.
    Raises ModelError: no array is stored there, or one of objects, or fewer bytes than its header says.
    """

    def __init__(self, file: IO[bytes], size: int, where: str) -> None:
        self._file = file
        self._where = where
        with reading(where):
            version = np.lib.format.read_magic(file)
            readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in readers:
                raise ModelError(f"{where} is stored as .npy of version {version}; versions 1.0 and 2.0 are read.")
            self.shape, self._fortran, self.dtype = readers[version](file)
        if self.dtype.kind not in "fiub":
            raise ModelError(f"{where} holds {self.dtype}; an array of floats, integers or bools is needed.")
        wanted = math.prod(self.shape) * self.dtype.itemsize
        if min(self.shape, default=0) < 0 or wanted > size:
            raise ModelError(f"{where} should be {self.dtype}{list(self.shape)}, {wanted} bytes; there are {size}.")

    def rows(self) -> Iterator[Array]:
        """Each array[i], of self.shape[1:]."""
        if self._fortran and len(self.shape) > 1:
            yield from self.whole()
            return
        shape = self.shape[1:]
        for _ in range(self.shape[0]):
            yield self._read(shape)

    def whole(self) -> Array:
        """The array at once.  Raises ModelError: it takes more than 1 GiB."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > _WHOLE_BYTES:
            raise ModelError(
                f"{self._where} must be read at once and takes {size} bytes; at most {_WHOLE_BYTES} are read so. "
                "Store samples along axis 0, in C order."
            )
        return self._read(self.shape[::-1]).T if self._fortran else self._read(self.shape)

    def _read(self, shape: tuple[int, ...]) -> Array:
        wanted = math.prod(shape) * self.dtype.itemsize
        with reading(self._where):
            content = self._file.read(wanted)
        if len(content) != wanted:
            raise ModelError(f"{self._where} ends after {len(content)} of the {wanted} bytes of a sample.")
        return np.frombuffer(content, self.dtype).reshape(shape)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Errors of reading as one sentence about `where`."""
    try:
        yield
    except FileNotFoundError:
        raise ModelError(f"there is no file {where}.") from None
    except _BROKEN as error:
        raise ModelError(f"{where} cannot be read as an array: {error}") from error


@contextmanager
def npy_file(path: Path) -> Iterator[NpyStream]:
    """The array of a .npy file."""
    where = f"'{path}'"
    with reading(where):
        size = path.stat().st_size
        file = path.open("rb")
    with file:
        yield NpyStream(file, size, where)


class NpzArchive:
    """The arrays of an .npz file by name, each read from its start when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(f"'{path}'"):
            self._zip = zipfile.ZipFile(path)
        self._entries = {
            entry.filename.removesuffix(".npy"): entry
            for entry in self._zip.infolist()
            if entry.filename.endswith(".npy")
        }

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def open(self, name: str) -> NpyStream:
        entry = self._entries[name]
        where = f"array '{name}' of '{self.path}'"
        with reading(where):
            return NpyStream(self._zip.open(entry), entry.file_size, where)

    def close(self) -> None:
        self._zip.close()
