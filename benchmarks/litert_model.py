"""An 8-bit QDQ ONNX model as a .tflite file, since LiteRT reads no other.

    python -m benchmarks.litert_model MODEL.onnx OUT.tflite

One walk over the nodes in file order. What is real between a DequantizeLinear and the next QuantizeLinear is one
TFLite operator with its fused activation: it stays pending until the QuantizeLinear says the scale of its result.
TFLite images are channels-last; a tensor's `channels_last` says that the ONNX tensor is its (0, 3, 1, 2) transpose, so
the transposes that a converter from TFLite put around convolutions vanish again. An image that comes in is
channels-last in the .tflite file from the start (`image_inputs`).

TFLite takes int8 weights beside int8 activations alone: where a model has uint8 ones, their codes and zero points are
written 128 lower, which changes no value. XNNPACK computes the same products either way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from benchmarks.tflite_file import Quantization, TfliteFile

TO_CHANNELS_LAST = (0, 2, 3, 1)
TO_CHANNELS_FIRST = (0, 3, 1, 2)
_OPERATOR = schema.BuiltinOperator
_NO_ACTIVATION = schema.ActivationFunctionType.NONE
_ACTIVATIONS = {(0.0, np.inf): schema.ActivationFunctionType.RELU, (0.0, 6.0): schema.ActivationFunctionType.RELU6}


class ConversionError(Exception):
    """The model has something that this converter does not know; TFLite may."""


@dataclass(frozen=True)
class Tensor:
    """A TFLite tensor that stands for an ONNX tensor of `shape`, or, with `channels_last`, for its NHWC transpose."""

    index: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    quantization: Quantization | None
    channels_last: bool = False


@dataclass(frozen=True)
class Weight:
    """A constant as codes and what they mean."""

    name: str
    codes: NDArray[Any]
    quantization: Quantization


@dataclass(frozen=True)
class Pending:
    """A real result that waits for its QuantizeLinear.

    emit(result, activation, bias): append the operator that fills `result`, whose shape and order are given here.
    """

    emit: Callable[[Tensor, int, Weight | None], None]
    shape: tuple[int, ...]
    channels_last: bool
    activation: int = _NO_ACTIVATION
    bias: Weight | None = None


def convert(model: onnx.ModelProto) -> bytes:
    """The .tflite file of a model whose computation is all 8-bit QDQ, batch dimensions bound.

    Raises: ConversionError: a node that is none of those a converted 8-bit network has.
    """
    return _Converter(model).file()


class _Converter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._file = TfliteFile(model.graph.name or "model")
        self._constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._tensors: dict[str, Tensor] = {}
        self._weights: dict[str, Weight] = {}
        self._pending: dict[str, Pending] = {}
        self._images = image_inputs(model.graph)
        self._lowers_codes = _has_int8_weights(model.graph, self._constants)

    def file(self) -> bytes:
        inputs = [self._input(value) for value in self._graph.input if value.name not in self._constants]
        for node in self._graph.node:
            if node.op_type not in _CONVERT:
                raise ConversionError(f"{node.op_type} '{node.name}' is not converted to TFLite")
            attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            _CONVERT[node.op_type](self, node, attributes)
        outputs = [self._output(value.name).index for value in self._graph.output]
        return self._file.to_bytes(inputs, outputs)

    def _input(self, value: onnx.ValueInfoProto) -> int:
        shape = tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
        if not all(shape):
            raise ConversionError(f"the input '{value.name}' has an unbound dimension")
        dtype = self._activation_dtype(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)))
        quantization = None if dtype.kind == "f" else self._input_quantization(value.name)
        tensor = self._new(value.name, dtype, shape, quantization, value.name in self._images)
        self._tensors[value.name] = tensor
        return tensor.index

    def _input_quantization(self, name: str) -> Quantization:
        """What the codes of an input mean: as its first DequantizeLinear, behind moves of elements, says."""
        moved = {name}
        for node in self._graph.node:
            if node.op_type in ("Transpose", "Reshape") and node.input[0] in moved:
                moved.add(node.output[0])
            if node.op_type == "DequantizeLinear" and node.input[0] in moved:
                return self._quantization(node)
        raise ConversionError(f"no DequantizeLinear says what the codes of the input '{name}' mean")

    def _output(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise ConversionError(f"the output '{name}' is real, and no QuantizeLinear says the scale of its codes")
        return self._stored(self._tensors[name])

    # Quantization

    def _quantization(self, node: onnx.NodeProto) -> Quantization:
        scale = self._constants[node.input[1]].ravel()
        zero_point = self._constants[node.input[2]].ravel() if len(node.input) > 2 else np.zeros(1, np.uint8)
        if self._lowers_codes and zero_point.dtype == np.uint8:
            zero_point = zero_point.astype(np.int16) - 128
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        zero_points = np.broadcast_to(zero_point, scale.shape)
        return Quantization(tuple(map(float, scale)), tuple(map(int, zero_points)), axis if scale.size > 1 else 0)

    def _activation_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        return np.dtype(np.int8) if self._lowers_codes and dtype == np.uint8 else dtype

    def _dequantize_linear(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        source, result = node.input[0], node.output[0]
        if source in self._constants:
            codes = self._constants[source]
            if self._lowers_codes and codes.dtype == np.uint8:
                raise ConversionError(f"'{source}' is uint8 beside int8 weights")
            self._weights[result] = Weight(source, codes, self._quantization(node))
            return
        tensor = self._tensors[source]
        self._tensors[result] = tensor
        if any(value.name == result for value in self._graph.output) or self._is_read_as_real(result):
            real = self._new(result, np.dtype(np.float32), tensor.shape, None, tensor.channels_last)
            self._file.operator(_OPERATOR.DEQUANTIZE, 2, [tensor.index], [real.index])
            self._tensors[result] = real

    def _is_read_as_real(self, name: str) -> bool:
        return any(name in node.input and node.op_type == "LogSoftmax" for node in self._graph.node)

    def _quantize_linear(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        quantization = self._quantization(node)
        if len(node.input) < 3:
            raise ConversionError(f"QuantizeLinear '{node.name}' has no zero point that says its type")
        dtype = self._activation_dtype(self._constants[node.input[2]].dtype)
        source, result = node.input[0], node.output[0]
        if source in self._pending:
            pending = self._pending.pop(source)
            tensor = self._new(result, dtype, pending.shape, quantization, pending.channels_last)
            pending.emit(tensor, pending.activation, pending.bias)
        else:
            before = self._tensors[source]
            if (before.dtype, before.quantization) == (dtype, quantization):
                tensor = before
            else:
                tensor = self._new(result, dtype, before.shape, quantization, before.channels_last)
                self._quantize(before, tensor)
        self._tensors[result] = tensor

    def _quantize(self, before: Tensor, result: Tensor) -> None:
        version = 1 if before.dtype.kind == "f" else 2
        self._file.operator(_OPERATOR.QUANTIZE, version, [before.index], [result.index], schema.QuantizeOptionsT())

    # Activations

    def _relu(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        self._activate(node, 0.0, np.inf)

    def _clip(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        low, high = (float(self._constants[name]) for name in node.input[1:3])
        self._activate(node, low, high)

    def _activate(self, node: onnx.NodeProto, low: float, high: float) -> None:
        pending = self._pending.pop(node.input[0], None)
        if pending is None or pending.activation != _NO_ACTIVATION or (low, high) not in _ACTIVATIONS:
            raise ConversionError(f"{node.op_type} '{node.name}' to [{low}, {high}] cannot be fused")
        self._pending[node.output[0]] = replace(pending, activation=_ACTIVATIONS[low, high])

    # Sums of products

    def _conv(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        image = self._as_image(self._tensors[node.input[0]])
        weight = self._weights[node.input[1]]
        bias = self._weights[node.input[2]] if len(node.input) > 2 else None
        group, channels = attributes.get("group", 1), image.shape[1]
        depthwise = group == channels and weight.codes.shape[1] == 1 and group > 1
        if group not in (1, channels):
            raise ConversionError(f"Conv '{node.name}' has {group} groups of {channels} channels")
        image, padding, extent = self._padded(node, image, attributes)
        dilation_h, dilation_w = attributes.get("dilations", (1, 1))
        stride_h, stride_w = attributes.get("strides", (1, 1))
        geometry = {
            "padding": padding,
            "strideH": stride_h,
            "strideW": stride_w,
            "dilationHFactor": dilation_h,
            "dilationWFactor": dilation_w,
        }

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            if depthwise:
                multiplier = weight.codes.shape[0] // channels
                options = schema.DepthwiseConv2DOptionsT(
                    **geometry, depthMultiplier=multiplier, fusedActivationFunction=activation
                )
                kernel, axis, code = weight.codes.transpose(1, 2, 3, 0), 3, _OPERATOR.DEPTHWISE_CONV_2D
            else:
                options = schema.Conv2DOptionsT(**geometry, fusedActivationFunction=activation)
                kernel, axis, code = weight.codes.transpose(TO_CHANNELS_LAST), 0, _OPERATOR.CONV_2D
            sums = self._bias(bias) or [self._zeros(f"{node.output[0]} bias", image, weight)]
            operands = [image.index, self._weight(weight, kernel, axis), *sums]
            self._file.operator(code, 3, operands, [result.index], options)

        self._pending[node.output[0]] = Pending(
            emit, (image.shape[0], weight.codes.shape[0], *extent), channels_last=True
        )

    def _matmul(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        weight = self._weights[node.input[1]]
        self._fully_connected(node, weight, weight.codes.T, None)

    def _gemm(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0 or attributes.get("beta", 1.0) != 1.0:
            raise ConversionError(f"Gemm '{node.name}' is scaled, or transposes A")
        weight = self._weights[node.input[1]]
        rows = weight.codes if attributes.get("transB", 0) else weight.codes.T
        self._fully_connected(node, weight, rows, self._weights[node.input[2]] if len(node.input) > 2 else None)

    def _fully_connected(self, node: onnx.NodeProto, weight: Weight, rows: NDArray[Any], bias: Weight | None) -> None:
        """rows: [N, K], one row of codes for each output."""
        vector = self._stored(self._tensors[node.input[0]])

        def emit(result: Tensor, activation: int, added: Weight | None) -> None:
            operands = [vector.index, self._weight(weight, rows, 0), *self._bias(bias or added)]
            options = schema.FullyConnectedOptionsT(fusedActivationFunction=activation)
            self._file.operator(_OPERATOR.FULLY_CONNECTED, 4, operands, [result.index], options)

        self._pending[node.output[0]] = Pending(emit, (*vector.shape[:-1], rows.shape[0]), channels_last=False)

    def _weight(self, weight: Weight, codes: NDArray[Any], axis: int) -> int:
        quantization = replace(weight.quantization, axis=axis if len(weight.quantization.scale) > 1 else 0)
        return self._file.constant(weight.name, codes, quantization)

    def _bias(self, bias: Weight | None) -> list[int]:
        return [] if bias is None else [self._file.constant(bias.name, bias.codes, replace(bias.quantization, axis=0))]

    def _zeros(self, name: str, image: Tensor, weight: Weight) -> int:
        """The bias of a convolution that has none: TFLite's quantized one wants it."""
        if image.quantization is None:
            raise ConversionError(f"the convolution behind '{name}' reads what is not quantized")
        (scale,) = image.quantization.scale
        scales = tuple(scale * each for each in weight.quantization.scale)
        quantization = Quantization(scales, (0,) * len(scales))
        return self._file.constant(name, np.zeros(weight.codes.shape[0], np.int32), quantization)

    def _add(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        real, constant = node.input
        if real in self._pending and constant in self._weights:
            self._pending[node.output[0]] = replace(self._pending.pop(real), bias=self._weights[constant])
            return
        a, b = (self._tensors[name] for name in node.input)
        if a.shape != b.shape or a.channels_last != b.channels_last:
            raise ConversionError(f"Add '{node.name}' broadcasts, or adds images of two orders")

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            options = schema.AddOptionsT(fusedActivationFunction=activation)
            self._file.operator(_OPERATOR.ADD, 2, [a.index, b.index], [result.index], options)

        self._pending[node.output[0]] = Pending(emit, a.shape, a.channels_last)

    # Windows

    def _average_pool(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        self._pool(node, attributes, _OPERATOR.AVERAGE_POOL_2D)

    def _max_pool(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        self._pool(node, attributes, _OPERATOR.MAX_POOL_2D)

    def _pool(self, node: onnx.NodeProto, attributes: dict[str, Any], code: int) -> None:
        image = self._as_image(self._tensors[node.input[0]])
        kernel_h, kernel_w = attributes["kernel_shape"]
        stride_h, stride_w = attributes.get("strides", (1, 1))
        padding, extent = window(image.shape[2:], (kernel_h, kernel_w), attributes)
        if padding != schema.Padding.VALID:
            if code != _OPERATOR.MAX_POOL_2D:
                raise ConversionError(f"{node.op_type} '{node.name}' has padding")
            image, padding = self._padded_with_the_least(node, image, attributes["pads"]), schema.Padding.VALID

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            options = schema.Pool2DOptionsT(
                padding=padding,
                filterHeight=kernel_h,
                filterWidth=kernel_w,
                strideH=stride_h,
                strideW=stride_w,
                fusedActivationFunction=activation,
            )
            of_input_scale = code != _OPERATOR.MAX_POOL_2D or result.quantization == image.quantization
            pooled = result if of_input_scale else self._like(image, f"{node.output[0]} pooled", result.shape)
            self._file.operator(code, 2, [image.index], [pooled.index], options)
            if not of_input_scale:
                self._quantize(pooled, result)

        self._pending[node.output[0]] = Pending(emit, (*image.shape[:2], *extent), channels_last=True)

    def _global_average_pool(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        image = self._as_image(self._tensors[node.input[0]])

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            axes = self._file.constant(f"{node.output[0]} axes", np.array([1, 2], np.int32))
            options = schema.ReducerOptionsT(keepDims=True)
            self._file.operator(_OPERATOR.MEAN, 2, [image.index, axes], [result.index], options)

        self._pending[node.output[0]] = Pending(emit, (*image.shape[:2], 1, 1), channels_last=True)

    def _resize(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        found = tuple(attributes.get(name) for name in ("mode", "coordinate_transformation_mode", "nearest_mode"))
        if found != (b"nearest", b"asymmetric", b"floor"):
            raise ConversionError(f"Resize '{node.name}' is {found}")
        image = self._as_image(self._tensors[node.input[0]])
        extent = tuple(int(n * scale) for n, scale in zip(image.shape, self._constants[node.input[2]], strict=True))

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            size = self._file.constant(f"{node.output[0]} size", np.array(extent[2:], np.int32))
            options = schema.ResizeNearestNeighborOptionsT()
            self._file.operator(_OPERATOR.RESIZE_NEAREST_NEIGHBOR, 2, [image.index, size], [result.index], options)

        self._pending[node.output[0]] = Pending(emit, extent, channels_last=True)

    # Functions of one tensor

    def _softmax(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        vector = self._tensors[node.input[0]]
        rank = len(vector.shape)
        axis = attributes.get("axis", -1) % rank
        vector = vector if vector.channels_last and axis == 1 else self._stored(vector)
        if axis != (1 if vector.channels_last else rank - 1):
            raise ConversionError(f"Softmax '{node.name}' is along axis {axis}, not TFLite's last")

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            self._file.operator(_OPERATOR.SOFTMAX, 2, [vector.index], [result.index], schema.SoftmaxOptionsT(beta=1.0))

        self._pending[node.output[0]] = Pending(emit, vector.shape, vector.channels_last)

    def _log_softmax(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        vector = self._stored(self._tensors[node.input[0]])
        result = self._new(node.output[0], vector.dtype, vector.shape, None, channels_last=False)
        self._file.operator(_OPERATOR.LOG_SOFTMAX, 1, [vector.index], [result.index], schema.LogSoftmaxOptionsT())
        self._tensors[node.output[0]] = result

    # Moves of elements

    def _transpose(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        tensor, order = self._tensors[node.input[0]], tuple(attributes["perm"])
        shape = tuple(tensor.shape[axis] for axis in order)
        if order == TO_CHANNELS_FIRST and not tensor.channels_last:
            self._tensors[node.output[0]] = replace(tensor, shape=shape, channels_last=True)
        elif order == TO_CHANNELS_LAST and tensor.channels_last:
            self._tensors[node.output[0]] = replace(tensor, shape=shape, channels_last=False)
        else:
            raise ConversionError(f"Transpose '{node.name}' has the order {order}")

    def _reshape(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        tensor = self._tensors[node.input[0]]
        wanted = np.empty(tensor.shape, np.bool_).reshape(self._constants[node.input[1]]).shape
        self._tensors[node.output[0]] = self._reshaped(tensor, wanted)

    def _flatten(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        tensor, axis = self._tensors[node.input[0]], attributes.get("axis", 1)
        wanted = (int(np.prod(tensor.shape[:axis])), int(np.prod(tensor.shape[axis:])))
        self._tensors[node.output[0]] = self._reshaped(tensor, wanted)

    def _squeeze(self, node: onnx.NodeProto, _: dict[str, Any]) -> None:
        tensor, axes = self._tensors[node.input[0]], set(self._constants[node.input[1]].tolist())
        wanted = tuple(extent for axis, extent in enumerate(tensor.shape) if axis not in axes)
        self._tensors[node.output[0]] = self._reshaped(tensor, wanted)

    def _pad(self, node: onnx.NodeProto, attributes: dict[str, Any]) -> None:
        if attributes.get("mode", b"constant") != b"constant" or (
            len(node.input) > 2 and node.input[2] and float(self._constants[node.input[2]]) != 0
        ):
            raise ConversionError(f"Pad '{node.name}' pads with something else than 0")
        tensor = self._tensors[node.input[0]]
        rank = len(tensor.shape)
        amounts = self._constants[node.input[1]].reshape(2, rank).T
        shape = tuple(int(n + before + after) for n, (before, after) in zip(tensor.shape, amounts, strict=True))

        def emit(result: Tensor, activation: int, _: Weight | None) -> None:
            order = TO_CHANNELS_LAST if tensor.channels_last else range(rank)
            stored = self._file.constant(f"{node.output[0]} pads", amounts[list(order)].astype(np.int32))
            self._file.operator(_OPERATOR.PAD, 2, [tensor.index, stored], [result.index], schema.PadOptionsT())

        self._pending[node.output[0]] = Pending(emit, shape, tensor.channels_last)

    # Helpers

    def _new(
        self,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        quantization: Quantization | None,
        channels_last: bool,
    ) -> Tensor:
        stored = tuple(shape[axis] for axis in TO_CHANNELS_LAST) if channels_last else shape
        index = self._file.tensor(name, dtype, stored, quantization)
        return Tensor(index, dtype, shape, quantization, channels_last)

    def _reshaped(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        """`tensor` in another shape: its elements must lie in ONNX's order."""
        if shape == tensor.shape:
            return tensor
        stored = self._stored(tensor)
        return self._reshape_operator(stored, shape, shape, channels_last=False)

    def _reshape_operator(
        self, tensor: Tensor, shape: tuple[int, ...], stored: tuple[int, ...], channels_last: bool
    ) -> Tensor:
        result = self._new(f"reshape {tensor.index}", tensor.dtype, shape, tensor.quantization, channels_last)
        extents = self._file.constant(f"shape {result.index}", np.array(stored, np.int32))
        options = schema.ReshapeOptionsT(newShape=list(stored))
        self._file.operator(_OPERATOR.RESHAPE, 1, [tensor.index, extents], [result.index], options)
        return result

    def _as_image(self, tensor: Tensor) -> Tensor:
        """`tensor` [N,C,H,W] with its channels last."""
        if tensor.channels_last:
            return tensor
        n, c, h, w = tensor.shape
        if c == 1 or h == w == 1:
            return self._reshape_operator(tensor, tensor.shape, (n, h, w, c), channels_last=True)
        return self._transposed(tensor, TO_CHANNELS_LAST, channels_last=True)

    def _stored(self, tensor: Tensor) -> Tensor:
        """`tensor` with its elements in ONNX's order."""
        if not tensor.channels_last:
            return tensor
        _, c, h, w = tensor.shape
        if c == 1 or h == w == 1:
            return self._reshape_operator(tensor, tensor.shape, tensor.shape, channels_last=False)
        return self._transposed(tensor, TO_CHANNELS_FIRST, channels_last=False)

    def _transposed(self, tensor: Tensor, order: tuple[int, ...], channels_last: bool) -> Tensor:
        result = self._new(f"transpose {tensor.index}", tensor.dtype, tensor.shape, tensor.quantization, channels_last)
        permutation = self._file.constant(f"order {result.index}", np.array(order, np.int32))
        self._file.operator(
            _OPERATOR.TRANSPOSE, 2, [tensor.index, permutation], [result.index], schema.TransposeOptionsT()
        )
        return result

    def _padded(
        self, node: onnx.NodeProto, image: Tensor, attributes: dict[str, Any]
    ) -> tuple[Tensor, int, tuple[int, ...]]:
        """The image, padded by an operator of its own where SAME is not ONNX's padding; the padding; [OH, OW]."""
        kernel = self._weights[node.input[1]].codes.shape[2:]
        padding, extent = window(image.shape[2:], kernel, attributes)
        if padding is not None:
            return image, padding, extent
        return self._bordered(node, image, attributes["pads"]), schema.Padding.VALID, extent

    def _bordered(self, node: onnx.NodeProto, image: Tensor, amounts: Sequence[int], code: int | None = None) -> Tensor:
        """The image with a border of zeros, or of `code`."""
        n, c, h, w = image.shape
        top, left, bottom, right = amounts
        padded = self._like(image, f"{node.output[0]} padded", (n, c, h + top + bottom, w + left + right))
        stored = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        pads = self._file.constant(f"{node.output[0]} pads", stored)
        if code is None:
            self._file.operator(_OPERATOR.PAD, 2, [image.index, pads], [padded.index], schema.PadOptionsT())
        else:
            value = self._file.constant(f"{node.output[0]} border", np.array([code], image.dtype), image.quantization)
            operands = [image.index, pads, value]
            self._file.operator(_OPERATOR.PADV2, 2, operands, [padded.index], schema.PadV2OptionsT())
        return padded

    def _padded_with_the_least(self, node: onnx.NodeProto, image: Tensor, amounts: Sequence[int]) -> Tensor:
        """The image with a border that no maximum takes; of zeros where zero is the least code."""
        least = int(np.iinfo(image.dtype).min)
        is_zero = image.quantization is not None and image.quantization.zero_point == (least,)
        return self._bordered(node, image, amounts, None if is_zero else least)

    def _like(self, image: Tensor, name: str, shape: tuple[int, ...]) -> Tensor:
        """A new channels-last tensor on the grid of `image`."""
        return self._new(name, image.dtype, shape, image.quantization, channels_last=True)


def image_inputs(graph: onnx.GraphProto) -> set[str]:
    """The graph's inputs that are images [N,C,H,W] from the start, and lie channels-last in the .tflite file.

    Those of four dimensions that a window or a convolution reads, behind at most QuantizeLinear and DequantizeLinear.
    """
    found = set()
    for value in graph.input:
        names = {value.name}
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in names:
                names.add(node.output[0])
        reads = [node for node in graph.node if not names.isdisjoint(node.input) and names.isdisjoint(node.output)]
        windows = ("Conv", "MaxPool", "AveragePool", "GlobalAveragePool")
        is_image = bool(reads) and all(node.op_type in windows and node.input[0] in names for node in reads)
        if is_image and len(value.type.tensor_type.shape.dim) == 4:
            found.add(value.name)
    return found


def _has_int8_weights(graph: onnx.GraphProto, constants: Mapping[str, NDArray[Any]]) -> bool:
    reads = (node.input[0] for node in graph.node if node.op_type == "DequantizeLinear")
    return any(constants[name].dtype == np.int8 for name in reads if name in constants)


def window(
    extents: tuple[int, ...], kernel: tuple[int, ...], attributes: dict[str, Any]
) -> tuple[int | None, tuple[int, ...]]:
    """TFLite's padding (None: neither VALID nor SAME) and the extents of the result of an ONNX window."""
    rank = len(extents)
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or attributes.get("ceil_mode", 0):
        raise ConversionError("auto_pad SAME and ceil_mode are not converted")
    strides = attributes.get("strides", (1,) * rank)
    pads = attributes.get("pads", (0,) * 2 * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, attributes.get("dilations", (1,) * rank), strict=True)]
    before, after = pads[:rank], pads[rank:]
    result = tuple(
        (n + a + b - k) // s + 1 for n, a, b, k, s in zip(extents, before, after, reach, strides, strict=True)
    )
    if not any(pads):
        return schema.Padding.VALID, result
    same = tuple(-(-n // s) for n, s in zip(extents, strides, strict=True))
    totals = [max((o - 1) * s + k - n, 0) for o, s, k, n in zip(same, strides, reach, extents, strict=True)]
    if list(before) == [total // 2 for total in totals] and list(after) == [total - total // 2 for total in totals]:
        return schema.Padding.SAME, same
    return None, result


_CONVERT: dict[str, Callable[[_Converter, onnx.NodeProto, dict[str, Any]], None]] = {
    "Add": _Converter._add,
    "AveragePool": _Converter._average_pool,
    "Clip": _Converter._clip,
    "Conv": _Converter._conv,
    "DequantizeLinear": _Converter._dequantize_linear,
    "Flatten": _Converter._flatten,
    "Gemm": _Converter._gemm,
    "GlobalAveragePool": _Converter._global_average_pool,
    "LogSoftmax": _Converter._log_softmax,
    "MatMul": _Converter._matmul,
    "MaxPool": _Converter._max_pool,
    "Pad": _Converter._pad,
    "QuantizeLinear": _Converter._quantize_linear,
    "Relu": _Converter._relu,
    "Reshape": _Converter._reshape,
    "Resize": _Converter._resize,
    "Softmax": _Converter._softmax,
    "Squeeze": _Converter._squeeze,
    "Transpose": _Converter._transpose,
}


def main(arguments: list[str]) -> None:
    model, result = map(Path, arguments)
    result.write_bytes(convert(onnx.load(model)))


if __name__ == "__main__":
    main(sys.argv[1:])
