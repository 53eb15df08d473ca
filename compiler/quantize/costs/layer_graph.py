"""One layer by itself, quantized: codes come in, its activation is fused, codes go out.

The weights are the layer's own, rounded to nearest: which kernels can be used depends on how large sums become. A gain
that a normalization later folds into a channel changes its scale, not its codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.dtype import BIPOLAR, FLOAT32, INT32, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.layers import Layer
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.plan import ActivationGrid, QuantizedWeights
from subbyte.compiler.ir.types import QuantParams, TensorType

_FUSED = ("Relu", "Clip")
_BEST_STEPS = {1: 0.8, 2: 1.224, 3: 0.651, 4: 0.353, 5: 0.194}  # by bits, in deviations, of 2^bits - 1 codes
_REACH = 4.0  # of the activations that a layer reads, from 0


def layer_graph(graph: Graph, layer: Layer, choice: Choice) -> Graph:
    """A graph of stage imported with the layer alone, in the bits of `choice`.

    The input is unsigned codes, with zero point 0 behind what is never negative. The output is requantized to codes
    of as many bits where another layer of `graph` reads it, and stays float where the network ends.
    """
    users = graph.users()
    read = activation_grid(choice.activation_bits, is_positive(layer.x), _REACH)
    given = Input("x", TensorType(read.dtype, layer.x.type.shape, read.quant))
    weights = nearest_weights(layer, choice.weight_bits)
    w = _real(Constant(weights.codes, weights.type).out)
    value = _layer(layer, _real(given.out), w, _bias(layer, read, weights))
    behind, function = _activation(layer, users)
    if function is not None:
        value = function.replace(x=value, sources=(layer.name,), tensor="").out
    if _reaches_a_layer(behind, users):
        # As wide as sums of random signs deviate: every code can occur, as far as the compiler can prove.
        deviation = float(np.sqrt(np.square(layer.matrix(), dtype=np.float64).sum(axis=2).mean()))
        written = activation_grid(choice.activation_bits, function is not None, _REACH * (deviation or 1.0))
        dtype, quant = written.dtype, written.quant
        rounding = "BIPOLAR" if dtype.kind == "bipolar" else "HALF_EVEN"
        value = ops.QuantizeLinear(value, dtype, quant, rounding, sources=("y",), tensor="y").out
    return Graph("layer", (given,), (Output("y", value),), Stage.IMPORTED)


def _layer(layer: Layer, x: Value, w: Value, bias: Value) -> Value:
    names: dict[str, Any] = {"sources": (layer.name,), "tensor": ""}
    match layer.node:
        case ops.Conv() | ops.ConvTranspose():
            return layer.node.replace(x=x, w=w, b=bias, **names).out
        case ops.Gemm():
            return layer.node.replace(a=x, b=w, c=bias, alpha=1.0, beta=1.0, **names).out
    return ops.Add(layer.node.replace(a=x, b=w, **names).out, bias, sources=(layer.name,)).out


def activation_grid(bits: int, positive: bool, reach: float) -> ActivationGrid:
    """Unsigned codes for 0 .. reach where all are positive, else for -reach .. reach; of 1 bit the signs alone."""
    if bits == 1 and not positive:
        return ActivationGrid(BIPOLAR, QuantParams(np.array(reach, np.float32), np.array(0), -1, 1))
    dtype = DType("uint", bits)
    scale = np.array((reach if positive else 2 * reach) / dtype.max, np.float32)
    zero_point = np.array(0 if positive else 1 << (bits - 1), np.int64)
    return ActivationGrid(dtype, QuantParams(scale, zero_point, dtype.min, dtype.max))


def nearest_weights(layer: Layer, bits: int) -> QuantizedWeights:
    """The layer's weights as codes with a scale for each output channel; in groups of a ConvTranspose one for all.

    Few bits have the steps that are best for normally distributed weights: with those of the largest weight, whole
    filters would become zero, and be left out of what is timed.  Source: Max 1960, Quantizing for Minimum Distortion.
    """
    w = layer.weights.astype(np.float64)
    apart = not (isinstance(layer.node, ops.ConvTranspose) and layer.groups > 1)
    axis = layer.output_axis if apart else None
    others = tuple(k for k in range(w.ndim) if k != axis)
    dtype = BIPOLAR if bits == 1 else DType("int", bits)
    step = np.abs(w).max(axis=others, keepdims=True) / dtype.max
    if bits in _BEST_STEPS:
        step = np.minimum(step, _BEST_STEPS[bits] * np.sqrt(np.square(w).mean(axis=others, keepdims=True)))
    scale = np.where(step > 0, np.maximum(step, 1e-30), 1.0).astype(np.float32)
    codes = np.where(w >= 0, 1, -1) if bits == 1 else np.clip(np.rint(w / scale), -dtype.max, dtype.max).astype(int)
    flat = scale.reshape(-1) if apart else scale.reshape(())
    quant = QuantParams(flat, np.zeros(flat.shape, np.int64), -dtype.max, dtype.max, axis)
    return QuantizedWeights(codes, dtype, quant)


def _bias(layer: Layer, read: ActivationGrid, weights: QuantizedWeights) -> Value:
    """Small codes on the scale of the products."""
    scale = np.asarray(np.float32(read.quant.scalar()[0]) * weights.quant.static()[0], np.float32)
    quant = QuantParams(scale, np.zeros(scale.shape, np.int64), INT32.min, INT32.max, 0 if scale.ndim else None)
    return _real(Constant.of(np.arange(layer.outputs) % 64 - 32, INT32, quant=quant).out)


def _activation(layer: Layer, users: dict[Value, list[Node]]) -> tuple[Value, ops.Unary | None]:
    """What is fused behind the layer: (its result, None), or the result of a Relu or Clip and that node."""
    value = layer.node.out
    while len(readers := users.get(value, [])) == 1:
        reader = readers[0]
        if isinstance(reader, ops.Unary) and reader.function in _FUSED:
            return reader.out, reader
        constant = any(operand.constant is not None for operand in reader.operands)
        if not (isinstance(reader, ops.BatchNormalization) or (isinstance(reader, (ops.Add, ops.Mul)) and constant)):
            break
        value = reader.out
    return value, None


def _reaches_a_layer(value: Value, users: dict[Value, list[Node]]) -> bool:
    """Whether a layer, or another sum of products, computes with what becomes of `value`."""
    waiting, seen = [value], {value}
    while waiting:
        for node in users.get(waiting.pop(), []):
            if isinstance(node, (ops.Conv, ops.ConvTranspose, ops.Gemm, ops.MatMul)):
                return True
            fresh = {Value(node, index) for index in range(len(node.types))} - seen
            seen |= fresh
            waiting += fresh
    return False


def is_positive(value: Value) -> bool:
    """Whether a value is behind a Relu or a Clip at 0, through what keeps signs."""
    node = value.node
    while isinstance(node, (ops.MaxPool, ops.AveragePool, ops.Reshape, ops.Transpose, ops.Pad)):
        node = node.operands[0].node
    match node:
        case ops.Unary(function="Relu" | "Sigmoid"):
            return True
        case ops.Unary(function="Clip", parameters=(low, _)):
            return low >= 0
    return False


def _real(codes: Value) -> Value:
    return ops.DequantizeLinear(codes, FLOAT32).out
