"""What a manifest says of the streams at the border of a design, and frames as the simulation's files hold them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import GraphError, ModelError
from subbyte.targets.hls.project.golden import word_bytes
from subbyte.targets.hls.streams import Codes, Element, Stream, StreamType

_MOST_ELEMENTS = 1 << 28


@dataclass(frozen=True, eq=False)
class Border:
    """A stream at the border: the tensor it carries, and in which order.

    tensor: its name among the core's inputs or outputs; shape, container: its own.
    """

    tensor: str
    stream: str
    type: StreamType
    order: Codes
    shape: tuple[int, ...]
    container: np.dtype[Any]

    def bytes_of(self, tensor: NDArray[Any]) -> bytes:
        """One frame of the file."""
        codes = np.asarray(tensor, np.int64).reshape(-1)[self.order]
        return word_bytes(codes.reshape(self.type.pixels, self.type.runs, self.type.channels), self.type)

    def tensor_of(self, content: bytes) -> NDArray[Any]:
        """The inverse of `bytes_of`."""
        kind = self.type
        bits = np.unpackbits(np.frombuffer(content, np.uint8).reshape(kind.words, -1), axis=1, bitorder="little")
        digits = bits[:, : kind.word_bits].reshape(-1, kind.element.bits).astype(np.int64)
        codes = kind.element.decode((digits << np.arange(kind.element.bits)).sum(axis=1))
        runs = codes.reshape(kind.pixels, kind.runs, -1)[:, :, : kind.channels]
        flat = np.zeros(self.order.size, self.container)
        flat[self.order] = runs.reshape(-1).astype(self.container)
        return flat.reshape(self.shape)

    @property
    def frame_bytes(self) -> int:
        return self.type.words * (-(-self.type.word_bits // 8))


def border_entry(name: str, stream: Stream) -> dict[str, Any]:
    """What the manifest holds; `border_from` reads it."""
    kind = stream.type
    assert stream.value is not None, "streams at the border carry tensors"
    assert stream.order is not None, "and say in which order"
    order = base64.b64encode(zlib.compress(np.asarray(stream.order, "<i4").tobytes(), 9)).decode()
    return {
        "tensor": name,
        "stream": stream.name,
        "codes": [kind.element.low, kind.element.high, kind.element.bipolar],
        "frame": [kind.height, kind.width, kind.channels, kind.lanes, kind.runs],
        "order": order,
        "shape": list(stream.value.type.shape),
        "dtype": stream.value.type.dtype.numpy.name,
    }


def border_from(entry: Mapping[str, Any]) -> Border:
    """A border as a manifest has it.  Raises ModelError: it is damaged."""
    try:
        low, high, bipolar = entry["codes"]
        kind = StreamType(Element(int(low), int(high), bool(bipolar)), *map(int, entry["frame"]))
        if kind.elements > _MOST_ELEMENTS:
            raise ValueError("the frame is larger than any that is written")
        packed = zlib.decompressobj()
        raw = packed.decompress(base64.b64decode(entry["order"]), 4 * kind.elements)
        order = np.frombuffer(raw, "<i4").astype(np.int64)
        shape = tuple(int(extent) for extent in entry["shape"])
        if not np.array_equal(np.sort(order), np.arange(kind.elements)) or np.prod(shape) != kind.elements:
            raise ValueError("the order does not name every element once")
        return Border(str(entry["tensor"]), str(entry["stream"]), kind, order, shape, np.dtype(str(entry["dtype"])))
    except (GraphError, KeyError, TypeError, ValueError, zlib.error) as error:
        raise ModelError(f"the manifest of the project is damaged: a stream at the border: {error}") from error
