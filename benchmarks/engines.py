"""The engines under comparison, each by the leanest call that it has in Python, its input set before it is timed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from benchmarks.litert_model import ConversionError, convert
from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.runtime import LIBRARY, Module

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Engine:
    """name: as in the table. load: set the inputs. call: one inference. answers: the outputs of the last one."""

    name: str
    load: Callable[[Arrays], None]
    call: Callable[[], object]
    answers: Callable[[], dict[str, NDArray[Any]]]

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.load(inputs)
        self.call()
        return {name: np.array(array) for name, array in self.answers().items()}


def subbyte_engine(module: Module, threads: int) -> Engine:
    """The bundle's library, called with arrays that stay: the binding's own call, as the peers' are."""
    weights = module.manifest["weights"]["file"]
    loaded = LoadedModel(
        str(module.path / LIBRARY),
        None if weights is None else str(module.path / weights),
        module.manifest["digest"],
        threads,
    )
    inputs = [np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in module.inputs]
    outputs = [np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in module.outputs]

    def load(arrays: Arrays) -> None:
        for tensor, buffer in zip(module.inputs, inputs, strict=True):
            np.copyto(buffer, arrays[tensor.name], casting="no")

    def answers() -> dict[str, NDArray[Any]]:
        return {tensor.name: buffer for tensor, buffer in zip(module.outputs, outputs, strict=True)}

    return Engine("subbyte", load, lambda: loaded.run_into(inputs, outputs), answers)


def onnxruntime_engine(model: Path, threads: int, *, int8: bool) -> Engine:
    """onnxruntime with its default optimizations and bound inputs and outputs.

    int8: also allow its int8 kernels for QDQ models, which are off on x86 unless this option is set.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(os.fspath(model), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    binding = session.io_binding()
    held: dict[str, Any] = {}

    def load(arrays: Arrays) -> None:
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        for value in session.get_inputs():
            held[value.name] = onnxruntime.OrtValue.ortvalue_from_numpy(arrays[value.name])
            binding.bind_ortvalue_input(value.name, held[value.name])
        for name, result in zip(names, session.run(names, dict(arrays)), strict=True):
            held[name] = onnxruntime.OrtValue.ortvalue_from_numpy(result)
            binding.bind_ortvalue_output(name, held[name])

    def answers() -> dict[str, NDArray[Any]]:
        return {name: held[name].numpy() for name in names}

    name = "onnxruntime, int8 allowed" if int8 else "onnxruntime"
    return Engine(name, load, lambda: session.run_with_iobinding(binding), answers)


def litert_engine(model: Path, threads: int) -> Engine:
    """LiteRT with its default resolver, which applies the XNNPACK delegate, on the model converted to .tflite.

    Raises: ConversionError: the model has something that is not converted, or that LiteRT refuses.
    """
    proto = onnx.load(model)
    interpreter = Interpreter(model_content=convert(proto), num_threads=threads)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:  # uint8 activations beside weights with a scale for each channel, among others
        raise ConversionError(f"LiteRT refuses the model: {str(error).strip()}") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    input_names = [tensor["name"] for tensor in inputs]
    output_names = [value.name for value in proto.graph.output]
    shapes = [tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in proto.graph.output]

    def load(arrays: Arrays) -> None:
        for name, tensor in zip(input_names, inputs, strict=True):
            interpreter.set_tensor(tensor["index"], arrays[name])

    def answers() -> dict[str, NDArray[Any]]:
        return {
            name: interpreter.get_tensor(tensor["index"]).reshape(shape)
            for name, tensor, shape in zip(output_names, outputs, shapes, strict=True)
        }

    return Engine("LiteRT", load, interpreter.invoke, answers)


def peers_of(model: Path, threads: int) -> tuple[list[Engine], list[str]]:
    """The peers that take the model, and why the others do not."""
    engines = [onnxruntime_engine(model, threads, int8=allowed) for allowed in (False, True)]
    try:
        return [*engines, litert_engine(model, threads)], []
    except ConversionError as error:
        return engines, [f"LiteRT is not measured: {error}."]
