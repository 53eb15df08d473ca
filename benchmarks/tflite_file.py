"""A .tflite file, put together tensor by tensor and operator by operator.

The tables are those of the flatbuffer schema that `ai_edge_litert` ships (TensorFlow Lite's schema.fbs, version 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import DTypeLike, NDArray

_FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_TENSOR_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}


@dataclass(frozen=True)
class Quantization:
    """real = scale * (code - zero_point): one entry of each per tensor, or for each index of `axis`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int = 0


class TfliteFile:
    """Gathers the one subgraph of a model; `to_bytes` is the file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._buffers = [schema.BufferT()]  # buffer 0 is the empty one of all tensors without data
        self._codes: dict[tuple[int, int], int] = {}

    def tensor(
        self, name: str, dtype: DTypeLike, shape: Sequence[int], quantization: Quantization | None = None
    ) -> int:
        """The index of a new tensor that an operator or the caller fills."""
        return self._add_tensor(name, np.dtype(dtype), shape, quantization, buffer=0)

    def constant(self, name: str, array: NDArray[Any], quantization: Quantization | None = None) -> int:
        """The index of a new tensor that holds `array`."""
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self._buffers.append(schema.BufferT(data=data))
        return self._add_tensor(name, array.dtype, array.shape, quantization, buffer=len(self._buffers) - 1)

    def operator(
        self,
        code: int,
        version: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Any = None,
    ) -> None:
        """Append an operator. options: the object of its options table, None where it has none."""
        kind = 0 if options is None else getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        index = self._codes.setdefault((code, version), len(self._codes))
        self._operators.append(
            schema.OperatorT(
                opcodeIndex=index,
                inputs=list(inputs),
                outputs=list(outputs),
                builtinOptionsType=kind,
                builtinOptions=options,
            )
        )

    def to_bytes(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file, with these tensors as the model's inputs and outputs."""
        graph = schema.SubGraphT(
            name=self._name,
            tensors=self._tensors,
            operators=self._operators,
            inputs=list(inputs),
            outputs=list(outputs),
        )
        codes = [
            # Readers that know no codes beyond 127 look at the deprecated field; the others take the larger of the two.
            schema.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=min(code, 127), version=version)
            for code, version in self._codes
        ]
        model = schema.ModelT(
            version=_SCHEMA_VERSION,
            description=self._name,
            operatorCodes=codes,
            subgraphs=[graph],
            buffers=self._buffers,
        )
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _add_tensor(
        self, name: str, dtype: np.dtype[Any], shape: Sequence[int], quantization: Quantization | None, buffer: int
    ) -> int:
        parameters = None
        if quantization is not None:
            parameters = schema.QuantizationParametersT(
                scale=list(quantization.scale),
                zeroPoint=list(quantization.zero_point),
                quantizedDimension=quantization.axis,
            )
        self._tensors.append(
            schema.TensorT(
                name=name,
                type=_TENSOR_TYPES[dtype],
                shape=list(shape),
                quantization=parameters,
                buffer=buffer,
                hasRank=True,
            )
        )
        return len(self._tensors) - 1
