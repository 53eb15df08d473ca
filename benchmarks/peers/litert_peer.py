"""LiteRT with its default resolver, which applies the XNNPACK delegate, on the model converted to .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from benchmarks.engines import Arrays, Engine
from benchmarks.litert_model import TO_CHANNELS_LAST, ConversionError, convert, image_inputs
from benchmarks.peers import PeerRefusal


def litert_engine(model: Path, threads: int) -> Engine:
    """Raises PeerRefusal: the model has something that is not converted, or that LiteRT refuses."""
    proto = onnx.load(model)
    try:
        interpreter = Interpreter(model_content=convert(proto), num_threads=threads)
        interpreter.allocate_tensors()
    except ConversionError as error:
        raise PeerRefusal(str(error)) from error
    except RuntimeError as error:
        raise PeerRefusal(f"it refuses the model: {str(error).strip()}") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    results = {
        value.name: (
            tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim),
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
        )
        for value in proto.graph.output
    }

    images = image_inputs(proto.graph)

    def load(arrays: Arrays) -> None:
        for tensor in inputs:
            array = _recoded(arrays[tensor["name"]], tensor["dtype"])
            interpreter.set_tensor(
                tensor["index"], array.transpose(TO_CHANNELS_LAST) if tensor["name"] in images else array
            )

    def answers() -> dict[str, NDArray[Any]]:
        return {
            name: _recoded(interpreter.get_tensor(tensor["index"]), dtype).reshape(shape)
            for tensor, (name, (shape, dtype)) in zip(outputs, results.items(), strict=True)
        }

    return Engine("LiteRT", load, interpreter.invoke, answers)


def _recoded(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Codes of uint8 as those of int8 whose zero point lies 128 lower, or back."""
    if {np.dtype(dtype), array.dtype} == {np.dtype(np.uint8), np.dtype(np.int8)}:
        return np.asarray((array.view(np.uint8) ^ np.uint8(0x80)).view(dtype))
    return array
