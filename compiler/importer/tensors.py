"""ONNX tensors as NumPy arrays: element types, packed 2- and 4-bit data, and external data kept within its folder."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from subbyte.compiler.dtype import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT2,
    INT4,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT2,
    UINT4,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    DType,
)
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer.names import shown

_ELEMENT_TYPES: dict[int, DType] = {
    TensorProto.FLOAT: FLOAT32,
    TensorProto.FLOAT16: FLOAT16,
    TensorProto.DOUBLE: FLOAT64,
    TensorProto.BOOL: BOOL,
    TensorProto.INT2: INT2,
    TensorProto.INT4: INT4,
    TensorProto.INT8: INT8,
    TensorProto.INT16: INT16,
    TensorProto.INT32: INT32,
    TensorProto.INT64: INT64,
    TensorProto.UINT2: UINT2,
    TensorProto.UINT4: UINT4,
    TensorProto.UINT8: UINT8,
    TensorProto.UINT16: UINT16,
    TensorProto.UINT32: UINT32,
    TensorProto.UINT64: UINT64,
}
_MAX_EXTERNAL_BYTES = 16 << 30  # of all tensors of a model together


def element_type(data_type: int, what: str) -> DType:
    """The DType of a TensorProto.DataType number; `what` names the thing in the error."""
    if data_type in _ELEMENT_TYPES:
        return _ELEMENT_TYPES[data_type]
    known = data_type in TensorProto.DataType.values() and data_type != TensorProto.UNDEFINED
    if not known:
        raise ModelError(f"{what} has element type {data_type}, which ONNX does not define.")
    name = TensorProto.DataType.Name(data_type).lower()
    raise UnsupportedError(
        f"{what} has element type {name}; bool, int2 to int64, uint2 to uint64, float16, float32 and float64 are read. "
        "Export the model in one of these."
    )


def number_of(dtype: DType) -> int:
    """The TensorProto.DataType number of an element type that ONNX has."""
    return next(number for number, found in _ELEMENT_TYPES.items() if found == dtype)


class TensorReader:
    """Decodes TensorProtos. `folder` is where external data lies; None for a model that has no folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._regions: dict[tuple[Path, int, int], bytes] = {}
        self._taken: dict[Path, int] = {}

    def read(self, tensor: TensorProto, what: str) -> tuple[NDArray[Any], DType]:
        """The values in the container of their dtype, and the dtype; `what` names the tensor in errors."""
        dtype = element_type(tensor.data_type, what)
        shape = tuple(tensor.dims)
        if any(extent < 0 for extent in shape):
            raise ModelError(f"{what} has the negative extent {min(shape)} in its shape {list(shape)}.")
        if tensor.HasField("segment"):
            raise UnsupportedError(f"{what} is stored in segments, which no current exporter writes; save it whole.")
        if tensor.data_location == TensorProto.EXTERNAL:
            return _decode(self._external(tensor, what, _stored_bytes(dtype, shape)), dtype, shape, what), dtype
        if tensor.HasField("raw_data"):
            return _decode(tensor.raw_data, dtype, shape, what), dtype
        return _typed_fields(tensor, dtype, shape, what), dtype

    def _external(self, tensor: TensorProto, what: str, expected: int) -> bytes:
        """The bytes of a tensor that lies in a file of its own; sizes are checked before memory is taken."""
        if self._folder is None:
            raise ModelError(
                f"{what} is stored in an external file, but the model came without a folder to look in. "
                "Give the path of the model's file instead of its bytes or its ModelProto."
            )
        entries = {entry.key: _utf8(entry.value, what) for entry in tensor.external_data}
        path = _inside(self._folder, entries.get("location", ""), what)
        offset = _non_negative(entries.get("offset", "0"), "offset", what)
        length = _non_negative(entries.get("length", str(expected)), "length", what)
        if length != expected:
            raise ModelError(f"{what} has {length} bytes of external data; its type and shape need {expected}.")
        region = (path, offset, length)
        if region not in self._regions:
            self._check_room(path, offset, length, what)
            self._regions[region] = _read(path, offset, length, what)
        return self._regions[region]

    def _check_room(self, path: Path, offset: int, length: int, what: str) -> None:
        """Refuse a region that its file does not hold, and regions that overlap: they take memory without end."""
        try:
            size = path.stat().st_size
        except OSError as error:
            raise ModelError(f"{what} cannot be read from {shown(path.name)}: {error.strerror}.") from None
        if offset + length > size:
            raise ModelError(
                f"{what} lies at bytes {offset} to {offset + length} of {shown(path.name)}, which has {size}. "
                "The file is truncated, or belongs to another model."
            )
        self._taken[path] = self._taken.get(path, 0) + length
        if self._taken[path] > size:
            raise ModelError(
                f"{what} overlaps other tensors in {shown(path.name)}: together they exceed its {size} bytes."
            )
        total = sum(self._taken.values())
        if total > _MAX_EXTERNAL_BYTES:
            raise ModelError(
                f"{what} brings the external data to {total} bytes; {_MAX_EXTERNAL_BYTES} are read at most."
            )


def _read(path: Path, offset: int, length: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
    except OSError as error:
        raise ModelError(f"{what} cannot be read from {shown(path.name)}: {error.strerror}.") from None
    except MemoryError:
        raise ModelError(f"{what} has {length} bytes, for which there is not enough memory.") from None
    if len(content) != length:
        raise ModelError(f"{what}: {shown(path.name)} ended after {len(content)} of {length} bytes.")
    return content


def _utf8(text: str | bytes, what: str) -> str:
    """`text`; protobuf hands over bytes where a file's string is no UTF-8."""
    if isinstance(text, bytes):
        raise ModelError(f"{what} names its external data in bytes that are not UTF-8: the file is damaged.")
    return text


def _inside(folder: Path, location: str, what: str) -> Path:
    """`location` below `folder`, with every symbolic link followed; refused where it leads out of the folder."""
    parts = location.replace("\\", "/").split("/")
    if not location or "\0" in location or ".." in parts or os.path.isabs(location) or ":" in parts[0]:
        raise ModelError(
            f"{what} names {shown(location)} as its external file; a path below the model's folder is needed, and "
            "without '..'."
        )
    try:
        root = folder.resolve(strict=True)
        path = (root / location).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: symbolic links in a circle, before Python 3.13
        raise ModelError(
            f"{what} is stored in {shown(location)}, which is not in the model's folder. Put the file beside the model."
        ) from None
    if not path.is_relative_to(root):
        raise ModelError(
            f"{what} is stored in {shown(location)}, a link that leads out of the model's folder. Copy the file there."
        )
    if not path.is_file():
        raise ModelError(f"{what} is stored in {shown(location)}, which is not a regular file.")
    return path


def _non_negative(text: str, key: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelError(f"{what} has {shown(text, 40)} as the {key} of its external data; a whole number is needed.")
    return int(text)


def _stored_bytes(dtype: DType, shape: tuple[int, ...]) -> int:
    """Bytes in ONNX's raw form: 2- and 4-bit elements are packed, bool takes a byte."""
    bits = 8 if dtype == BOOL else dtype.bits
    return -(-math.prod(shape) * bits // 8)


def _decode(raw: bytes, dtype: DType, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """Little-endian raw data as an array; the first of packed elements is in the low bits."""
    expected = _stored_bytes(dtype, shape)
    if len(raw) != expected:
        raise ModelError(f"{what}, a {dtype}{list(shape)}, has {len(raw)} bytes of data; {expected} are needed.")
    if dtype == BOOL or dtype.bits >= 8:
        array = np.frombuffer(raw, dtype=dtype.numpy.newbyteorder("<"))
        if dtype == BOOL:
            array = np.frombuffer(raw, dtype=np.uint8) != 0
        return array.astype(dtype.numpy, copy=False).reshape(shape)
    packed = np.frombuffer(raw, dtype=np.uint8)
    fields = [(packed >> shift) & ((1 << dtype.bits) - 1) for shift in range(0, 8, dtype.bits)]
    codes = np.stack(fields, axis=-1).reshape(-1)[: math.prod(shape)].reshape(shape)
    if dtype.is_signed:
        sign = 1 << (dtype.bits - 1)
        return np.asarray((codes ^ sign).astype(np.int8) - np.int8(sign), dtype.numpy)
    return np.asarray(codes, dtype.numpy)


def _typed_fields(tensor: TensorProto, dtype: DType, shape: tuple[int, ...], what: str) -> NDArray[Any]:
    """A tensor whose elements stand in float_data, int32_data and so on."""
    storage = onnx.helper.tensor_dtype_to_storage_tensor_dtype(tensor.data_type)
    field = onnx.helper.tensor_dtype_to_field(storage)
    per_entry = 8 // dtype.bits if dtype.bits < 8 and dtype != BOOL else 1
    expected = -(-math.prod(shape) // per_entry)
    found = len(getattr(tensor, field))
    if found != expected:
        raise ModelError(f"{what}, a {dtype}{list(shape)}, has {found} entries in its {field}; {expected} are needed.")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"{what}, a {dtype}{list(shape)}, cannot be decoded: {' '.join(str(error).split())}") from None
    return np.asarray(array.astype(dtype.numpy), order="C").reshape(shape)
