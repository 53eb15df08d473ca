"""torch's int8 operators of oneDNN, which its compiler for x86 calls, on a row of quantized layers, codes in and out.

Its ways for whole quantized networks are deprecated (quantize_fx, quantized tensors) or have left for another package
(quantize_pt2e), so that it is a peer for dense and convolution layers one behind the other alone. It is spared the way
from float to codes and back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from benchmarks.engines import Arrays, Engine
from benchmarks.peers import PeerRefusal

Step = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Grid:
    """What the codes of a uint8 tensor mean."""

    scale: float
    zero_point: int

    @staticmethod
    def of(node: NodeProto, constants: dict[str, NDArray[Any]]) -> Grid:
        scale, zero_point = (constants[name] for name in node.input[1:3])
        if scale.size != 1 or zero_point.dtype != np.uint8:
            raise PeerRefusal(f"the codes of '{node.output[0]}' are not uint8 with one scale")
        return Grid(float(scale.reshape(())), int(zero_point.reshape(())))


def torch_engine(model: Path, threads: int) -> Engine:
    """QuantizeLinear, then Gemm or Conv between DequantizeLinear and QuantizeLinear, then DequantizeLinear.

    Raises PeerRefusal: the model is something else.
    """
    graph = onnx.load(os.fspath(model)).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.input}
    readers: dict[str, list[NodeProto]] = {}
    weights: dict[str, NodeProto] = {}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            weights[node.output[0]] = node
        else:
            readers.setdefault(node.input[0], []).append(node)
    (source,), (result,) = graph.input, graph.output
    first = _next(readers, source.name, "QuantizeLinear")
    grid = entry = Grid.of(first, constants)
    at, shape = _next(readers, first.output[0], "DequantizeLinear").output[0], shapes[source.name]
    steps: list[Step] = []
    while at != result.name:
        layer = _next(readers, at, "Gemm", "Conv")
        after = _next(readers, layer.output[0], "QuantizeLinear")
        out = Grid.of(after, constants)
        make = _dense if layer.op_type == "Gemm" else _convolution
        step, shape = make(layer, [weights.get(name) for name in layer.input[1:]], constants, grid, out, shape)
        steps.append(step)
        grid, at = out, _next(readers, after.output[0], "DequantizeLinear").output[0]

    torch.set_num_threads(threads)
    held = {"in": torch.zeros(shapes[source.name], dtype=torch.uint8), "out": torch.zeros(shape, dtype=torch.uint8)}

    def load(arrays: Arrays) -> None:
        codes = np.rint(arrays[source.name] / np.float32(entry.scale)) + entry.zero_point
        held["in"] = torch.from_numpy(np.clip(codes, 0, 255).astype(np.uint8))
        if held["in"].dim() == 4:
            held["in"] = held["in"].contiguous(memory_format=torch.channels_last)

    def call() -> None:
        with torch.inference_mode():
            x = held["in"]
            for step in steps:
                x = step(x)
            held["out"] = x

    def answers() -> dict[str, NDArray[Any]]:
        codes = held["out"].contiguous().numpy().astype(np.float32)
        return {result.name: (codes - np.float32(grid.zero_point)) * np.float32(grid.scale)}

    return Engine("torch", load, call, answers)


def _next(readers: dict[str, list[NodeProto]], name: str, *operators: str) -> NodeProto:
    found = readers.get(name, [])
    if len(found) != 1 or found[0].op_type not in operators:
        kinds = ", ".join(node.op_type for node in found) or "nothing"
        raise PeerRefusal(f"'{name}' goes to {kinds}; a row of quantized dense or convolution layers is what it takes")
    return found[0]


def _parameters(
    layer: NodeProto, read: list[NodeProto | None], constants: dict[str, NDArray[Any]]
) -> tuple[NDArray[Any], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights as codes; their scales and zero points; the bias as real numbers."""
    if len(read) != 2 or read[0] is None or read[1] is None:
        raise PeerRefusal(f"{layer.op_type} '{layer.name}' has no quantized weights and bias")
    codes, scales = (constants[name] for name in read[0].input[:2])
    bias_codes, bias_scales = (constants[name] for name in read[1].input[:2])
    bias = torch.from_numpy((bias_codes * bias_scales).astype(np.float32))
    return codes, torch.from_numpy(scales.copy()), torch.zeros(scales.size, dtype=torch.int64), bias


def _result(out: Grid) -> tuple[Any, ...]:
    """The arguments that say what becomes of the sums: codes on a grid, with no function in between."""
    return out.scale, out.zero_point, torch.uint8, "none", [], ""


def _dense(
    layer: NodeProto,
    read: list[NodeProto | None],
    constants: dict[str, NDArray[Any]],
    grid: Grid,
    out: Grid,
    shape: list[int],
) -> tuple[Step, list[int]]:
    codes, scales, zeros, bias = _parameters(layer, read, constants)
    attributes = {each.name: helper.get_attribute_value(each) for each in layer.attribute}
    rows = codes if attributes.get("transB", 0) else codes.T
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(np.ascontiguousarray(rows)), shape)
    run = torch.ops.onednn.qlinear_pointwise.default
    rest = (packed, scales, zeros, bias, *_result(out))
    return lambda x: run(x, grid.scale, grid.zero_point, *rest), [shape[0], rows.shape[0]]


def _convolution(
    layer: NodeProto,
    read: list[NodeProto | None],
    constants: dict[str, NDArray[Any]],
    grid: Grid,
    out: Grid,
    shape: list[int],
) -> tuple[Step, list[int]]:
    codes, scales, zeros, bias = _parameters(layer, read, constants)
    attributes = {each.name: helper.get_attribute_value(each) for each in layer.attribute}
    top, left, bottom, right = attributes.get("pads", [0] * 4)
    strides, dilations = (list(attributes.get(name, [1, 1])) for name in ("strides", "dilations"))
    if (top, left) != (bottom, right):
        raise PeerRefusal(f"Conv '{layer.name}' pads one side more than the other")
    padding, group = [top, left], attributes.get("group", 1)
    packed = torch.ops.onednn.qconv_prepack(
        torch.from_numpy(codes.copy()), scales, grid.scale, grid.zero_point, strides, padding, dilations, group, shape
    )
    run = torch.ops.onednn.qconv2d_pointwise.default
    rest = (packed, scales, zeros, bias, strides, padding, dilations, group, *_result(out))
    reach = [(k - 1) * d + 1 for k, d in zip(codes.shape[2:], dilations, strict=True)]
    extent = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(shape[2:], padding, reach, strides, strict=True)]
    return lambda x: run(x, grid.scale, grid.zero_point, *rest), [shape[0], codes.shape[0], *extent]
