"""The engines that docs/semantics.md compares: each runs a model written as ONNX text on x and lists what y is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray
from onnx import ModelProto

import subbyte

_HEADER = '<ir_version: 10, opset_import: ["" : 21, "qonnx.custom_op.general" : {version}]>\nexample '


def model(text: str, *, trunc: int = 2) -> ModelProto:
    """A graph from x to y in ONNX's text form; `trunc` is the version of QONNX's operators (only Trunc has two)."""
    parsed: ModelProto = onnx.parser.parse_model(_HEADER.format(version=trunc) + text)
    return parsed


def ours(one: ModelProto, x: Any) -> list[Any]:
    """What subbyte's interpreter computes, and so every target."""
    return _listed(subbyte.evaluate(one, {"x": _operand(one, x)})["y"])


def onnxruntime(one: ModelProto, x: Any, *, fused: bool = False) -> list[Any]:
    """ONNX Runtime on the CPU: operator by operator, or with its optimizations on."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if fused else levels.ORT_DISABLE_ALL
    session = ort.InferenceSession(one.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return _listed(session.run(["y"], {"x": _operand(one, x)})[0])


def qonnx(one: ModelProto, x: Any) -> list[Any]:
    """The executor of the package qonnx."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    return _listed(execute_onnx(ModelWrapper(one), {"x": _operand(one, x)})["y"])


def litert(one: ModelProto, x: Any) -> list[Any]:
    """The reference kernels of LiteRT (TFLite), for QDQ models of what benchmarks/litert_model.py can write."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from benchmarks.litert_model import TO_CHANNELS_LAST, convert, image_inputs

    operand = _operand(one, x)
    if image_inputs(one.graph):
        operand = operand.transpose(TO_CHANNELS_LAST)
    interpreter = Interpreter(model_content=convert(one), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], operand)
    interpreter.invoke()
    return _listed(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def cmsis_nn_requantize(accumulator: int, multiplier: float, *, single_rounding: bool = False) -> int:
    """accumulator * multiplier as CMSIS-NN rounds it: twice, or once where CMSIS_NN_USE_SINGLE_ROUNDING is defined.

    The multiplier is mantissa * 2^(shift - 31), as TFLite stores it. Default: h = floor(accumulator * mantissa / 2^31
    + 1/2), then h / 2^-shift rounded half away from zero. Single: floor(accumulator * mantissa / 2^(31 - shift) + 1/2).
    Source: arm_nnsupportfunctions.h V.22.0.0, arm_nn_requantize.
    """
    fraction, shift = math.frexp(multiplier)
    mantissa = round(fraction * 2**31)
    if single_rounding:
        return ((accumulator * mantissa >> (30 - shift)) + 1) >> 1
    high = ((accumulator << max(shift, 0)) * mantissa + 2**30) >> 31
    divisor = 2 ** max(-shift, 0)
    return int(math.copysign((abs(high) + divisor // 2) // divisor, high))


def _operand(one: ModelProto, x: Any) -> NDArray[Any]:
    """x in the shape and type of the model's input."""
    declared = one.graph.input[0].type.tensor_type
    shape = [dimension.dim_value for dimension in declared.shape.dim]
    return np.asarray(x, onnx.helper.tensor_dtype_to_np_dtype(declared.elem_type)).reshape(shape)


def _listed(y: Any) -> list[Any]:
    listed: list[Any] = np.asarray(y).ravel().tolist()
    return listed
