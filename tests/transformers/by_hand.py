"""Quantization by hand: every edge of a float model gets a quantization of its own, so that no two scales agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

RANGES = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767), "int4": (-8, 7)}
_TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "int16": TensorProto.INT16, "int4": TensorProto.INT4}
_LARGEST = 24.0  # what lies beyond saturates: the mask of the scores


def quantize_by_hand(model: ModelProto, samples: list[dict[str, Array]], activations: str, weights: str) -> ModelProto:
    """`model` with a QuantizeLinear and DequantizeLinear, of random scale and zero point, on each float edge.

    The range of an edge is that of `samples`, widened at random. Weights of MatMul and tables of Gather become codes of
    type `weights`, the former with a scale for each column; biases and rows of normalisations stay floats.
    """
    random = np.random.default_rng(17)
    observed = _observed(model, samples)
    made = _Made(random, activations, weights)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for original in model.graph.node:
        node = NodeProto()
        node.CopyFrom(original)
        for index, name in enumerate(node.input):
            if name in observed:
                node.input[index] = made.edge(name, *observed[name])
            elif name in constants and node.op_type in ("MatMul", "Gather") and constants[name].ndim == 2:
                node.input[index] = made.weight(name, constants[name], 1 if node.op_type == "MatMul" else None)
        made.nodes.append(node)
    quantized = ModelProto()
    quantized.CopyFrom(model)
    (output,) = quantized.graph.output
    output.name = made.edge(output.name, *observed[output.name])
    del quantized.graph.node[:]
    quantized.graph.node.extend(made.nodes)
    quantized.graph.initializer.extend(made.constants)
    quantized.opset_import[0].version = 21
    return quantized


class _Made:
    """The nodes and constants of the quantized model, in order."""

    def __init__(self, random: np.random.Generator, activations: str, weights: str) -> None:
        self._random, self._activations, self._weights = random, activations, weights
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._count = 0

    def edge(self, name: str, low: float, high: float) -> str:
        """`name` quantized and dequantized, on a grid of its own."""
        self._count += 1
        low, high = max(low, -_LARGEST), min(high, _LARGEST)
        qmin, qmax = RANGES[self._activations]
        span = max(high - low, 1e-3) * self._random.uniform(1.05, 1.4)
        scale = np.float32(span / (qmax - qmin))
        zero_point = int(np.clip(np.rint(qmin - low / scale) + self._random.integers(0, 5), qmin, qmax))
        grid = self._grid(f"{name}_{self._count}", scale, np.asarray(zero_point), self._activations)
        codes, real = f"{name}_codes_{self._count}", f"{name}_real_{self._count}"
        self.nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [codes], f"/{codes}"))
        self.nodes.append(helper.make_node("DequantizeLinear", [codes, *grid], [real], f"/{real}"))
        return real

    def weight(self, name: str, values: Array, axis: int | None) -> str:
        """Constant codes of `values`, dequantized; with a scale for each entry of `axis`."""
        qmin, qmax = RANGES[self._weights]
        reach = np.abs(values).max(axis=None if axis is None else 1 - axis)
        scale = np.asarray(reach / qmax, np.float32)
        codes = np.clip(np.rint(values / scale), qmin, qmax).astype(np.int8)
        grid = self._grid(name, scale, np.zeros(scale.shape, np.int64), self._weights)
        self.constants.append(self._tensor(f"{name}_codes", codes, self._weights))
        along = {} if axis is None else {"axis": axis}
        node = helper.make_node("DequantizeLinear", [f"{name}_codes", *grid], [f"{name}_real"], f"/{name}", **along)
        self.nodes.append(node)
        return f"{name}_real"

    def _grid(self, name: str, scale: Any, zero_point: Array, dtype: str) -> tuple[str, str]:
        self.constants.append(numpy_helper.from_array(np.asarray(scale), f"{name}_scale"))
        self.constants.append(self._tensor(f"{name}_zero_point", zero_point, dtype))
        return f"{name}_scale", f"{name}_zero_point"

    @staticmethod
    def _tensor(name: str, values: Array, dtype: str) -> TensorProto:
        return helper.make_tensor(name, _TYPES[dtype], values.shape, values.reshape(-1).tolist())


def _observed(model: ModelProto, samples: list[dict[str, Array]]) -> dict[str, tuple[float, float]]:
    """The smallest and largest element of each float tensor that a node makes."""
    shown = onnx.shape_inference.infer_shapes(model)
    inner = [*shown.graph.value_info, *shown.graph.output]
    names = [value.name for value in inner if value.type.tensor_type.elem_type == TensorProto.FLOAT]
    del shown.graph.output[:]
    shown.graph.output.extend(value for value in inner if value.name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    runs = [session.run(names, feeds) for feeds in samples]
    return {name: (min(float(run[k].min()) for run in runs), max(float(run[k].max()) for run in runs))
            for k, name in enumerate(names)}  # fmt: skip
