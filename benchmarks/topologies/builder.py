"""Writes a network node by node and evaluates it on the way, so that every scale fits what really arrives there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from benchmarks.topologies.precision import Grid, Precision, activation_grid, weight_codes, weight_grid

Array = NDArray[Any]
OPSET = 21
IR_VERSION = 10


class Builder:
    """One network and one input. Each method adds nodes and returns the name of the tensor that they make.

    Low-bit networks are QuantizeLinear-Clip-DequantizeLinear (QCDQ); weights are integers with a DequantizeLinear.
    """

    def __init__(self, name: str, precision: Precision, seed: int) -> None:
        self.name, self.precision = name, precision
        self.random = np.random.default_rng(seed)
        self.values: dict[str, Array] = {}
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    # Nodes ------------------------------------------------------------------------------------------------------------

    def input(self, name: str, values: Array) -> str:
        self.values[name] = values
        self.inputs.append(name)
        return name

    def constant(self, values: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def node(self, operator: str, operands: Sequence[str], **attributes: Any) -> str:
        """Add a node of one result and evaluate it."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        made = helper.make_node(operator, list(operands), [name], f"/{name}", **attributes)
        self._nodes.append(made)
        self.values[name] = self._evaluated(made)
        return name

    def _evaluated(self, node: NodeProto) -> Array:
        read = list(dict.fromkeys(name for name in node.input if name))
        fed = [name for name in read if name in self.values]
        described = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(self.values[name].dtype), self.values[name].shape
            )
            for name in fed
        ]
        held = [self._constants[name] for name in read if name in self._constants]
        graph = helper.make_graph([node], "one", described, [helper.make_empty_tensor_value_info(node.output[0])], held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (result,) = session.run(None, {name: self.values[name] for name in fed})
        return np.asarray(result)

    def output(self, x: str) -> None:
        self.outputs.append(x)

    def model(self) -> ModelProto:
        inputs, outputs = (
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(self.values[name].dtype), self.values[name].shape
                )
                for name in names
            ]
            for names in (self.inputs, self.outputs)
        )
        graph = helper.make_graph(self._nodes, self.name, inputs, outputs, list(self._constants.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    # Layers -----------------------------------------------------------------------------------------------------------

    def quantized(self, x: str, bits: int | None = None) -> str:
        """x on the grid of the network's activations, or of `bits`; x itself in a float network."""
        bits = bits or self.precision.activation_bits
        if self.precision.activation_bits is None or bits is None:
            return x
        return self._on_grid(x, activation_grid(self.values[x], bits))

    def _on_grid(self, x: str, grid: Grid) -> str:
        scale, zero = self.constant(grid.scale), self.constant(np.zeros((), grid.dtype))
        codes = self.node("QuantizeLinear", [x, scale, zero])
        limits = np.iinfo(grid.dtype)
        if (grid.low, grid.high) != (limits.min, limits.max):
            bounds = [self.constant(np.asarray(bound, grid.dtype)) for bound in (grid.low, grid.high)]
            codes = self.node("Clip", [codes, *bounds])
        return self.node("DequantizeLinear", [codes, scale, zero])

    def weights(self, values: Array, bits: int | None = None, *, columns: bool = False) -> str:
        """Weights [outputs, ...] in the network's bits, or in `bits`; `columns`: written as [inputs, outputs]."""
        bits = bits or self.precision.weight_bits
        if self.precision.weight_bits is None or bits is None:
            return self.constant(values.T if columns else values)
        grid = weight_grid(values, bits)
        codes = weight_codes(values, grid, bits)
        held = self.constant(np.ascontiguousarray(codes.T) if columns else codes)
        zeros = self.constant(np.zeros(grid.scale.shape, np.int8))
        return self.node("DequantizeLinear", [held, self.constant(grid.scale), zeros], axis=1 if columns else 0)

    def conv(
        self, x: str, channels: int, kernel: int, *, stride: int = 1, group: int = 1, gain: float = 1.0,
        activation: str | None = "Relu", bits: int | None = None, quantize: bool = True,
    ) -> str:  # fmt: skip
        """Convolution, normalization, activation, quantization. `gain`: of the deviation, small before an addition."""
        inputs = self.values[x].shape[1] // group
        deviation = math.sqrt(1 / (inputs * kernel * kernel))
        drawn = self.random.normal(0, deviation, (channels, inputs, kernel, kernel)).astype(np.float32)
        read = self.weights(drawn, bits)
        attributes: dict[str, Any] = {
            "kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": group,
        }  # fmt: skip
        y = self.node("Conv", [x, read], **attributes)
        y = self._normalized(y, gain, channels)
        if activation is not None:
            y = self._activated(y, activation)
        return self.quantized(y, bits) if quantize else y

    def _normalized(self, y: str, gain: float, channels: int) -> str:
        """BatchNormalization with the statistics of what arrives, shrunk to their mean where a channel is small."""
        values = self.values[y].astype(np.float64)
        mean, variance = values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3))
        variance = 0.5 * variance + 0.5 * max(float(variance.mean()), 1e-6)
        scale = gain * self.random.uniform(0.7, 1.3, channels)
        shift = gain * self.random.normal(0, 0.3, channels)
        parts = [self.constant(part.astype(np.float32)) for part in (scale, shift, mean, variance)]
        return self.node("BatchNormalization", [y, *parts], epsilon=1e-5)

    def _activated(self, y: str, activation: str) -> str:
        if activation == "Relu6":
            return self.node("Clip", [y, self.constant(np.float32(0)), self.constant(np.float32(6))])
        if activation == "LeakyRelu":
            return self.node("LeakyRelu", [y], alpha=0.1)
        return self.node(activation, [y])

    def add(self, a: str, b: str, activation: str | None = None) -> str:
        y = self.node("Add", [a, b])
        return self.quantized(y if activation is None else self._activated(y, activation))

    def max_pool(self, x: str, kernel: int, stride: int, pads: Sequence[int] = (0, 0, 0, 0)) -> str:
        return self.node("MaxPool", [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=list(pads))

    def dense(self, x: str, outputs: int, *, bits: int | None = None) -> str:
        """x [..., inputs] times weights, and a bias."""
        inputs = self.values[x].shape[-1]
        drawn = self.random.normal(0, math.sqrt(1 / inputs), (outputs, inputs)).astype(np.float32)
        bias = self.random.normal(0, 0.1, outputs).astype(np.float32)
        product = self.node("MatMul", [x, self.weights(drawn, bits, columns=True)])
        return self.node("Add", [product, self.constant(bias)])

    def classifier(self, x: str, classes: int = 1000) -> None:
        """Global average pool and an 8-bit dense layer."""
        pooled = self.quantized(self.node("GlobalAveragePool", [x]), 8)
        flat = self.node("Flatten", [pooled], axis=1)
        self.output(self.dense(flat, classes, bits=8))
