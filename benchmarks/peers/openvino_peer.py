"""OpenVINO's CPU plugin on the ONNX model, one stream, its inputs and outputs tensors that stay."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from benchmarks.engines import Arrays, Engine
from benchmarks.peers import PeerRefusal

_MOVES = {"Const", "Input", "Output", "Reshape"}  # nodes of a runtime model that compute nothing


def openvino_engine(model: Path, threads: int) -> Engine:
    """compile_model for latency; what is float stays float32, not bfloat16 where the processor has it."""
    core = openvino.Core()
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    try:
        compiled = core.compile_model(os.fspath(model), "CPU", options)
    except RuntimeError as error:
        raise PeerRefusal(f"it refuses the model: {' '.join(str(error).split())[:400]}") from error
    request = compiled.create_infer_request()
    inputs, outputs = (
        {port.get_any_name(): np.zeros(tuple(port.shape), port.element_type.to_dtype()) for port in ports}
        for ports in (compiled.inputs, compiled.outputs)
    )
    for name, array in (inputs | outputs).items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def load(arrays: Arrays) -> None:
        for name, buffer in inputs.items():
            np.copyto(buffer, arrays[name], casting="no")

    def answers() -> dict[str, NDArray[Any]]:
        return dict(outputs)

    # The binding's own call: the Python class around it looks at inputs and copies outputs, 2 to 3 us altogether.
    call = partial(super(openvino.InferRequest, request).infer, {}, True, False)
    facts = {"capabilities": list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")), "kernels": kernels(compiled)}
    return Engine("OpenVINO", load, call, answers, facts)


def kernels(compiled: openvino.CompiledModel) -> dict[str, int]:
    """What the runtime model computes with: "Convolution brgconv_avx512_I8" to how many nodes do."""
    counted: Counter[str] = Counter()
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        layer, primitive = (told[key].value for key in ("layerType", "primitiveType"))
        if layer not in _MOVES:
            counted[f"{layer} {primitive}"] += 1
    return dict(sorted(counted.items()))
