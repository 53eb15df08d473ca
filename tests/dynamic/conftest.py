"""Models of one or a few nodes, what the interpreter and the compiled code make of them, and what onnxruntime does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, helper, numpy_helper

import subbyte
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.stages import verify
from subbyte.compiler.pipeline import quantized

Array = npt.NDArray[Any]


def build_model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array | onnx.TensorProto],
    outputs: Sequence[str],
    *,
    opset: int = 21,
) -> ModelProto:
    """A model whose inputs have the types and shapes of the arrays given as `inputs`."""
    initializers = []
    for name, value in constants.items():
        tensor = value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value))
        tensor.name = name
        initializers.append(tensor)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    graph = helper.make_graph(
        list(nodes), "graph", given, [onnx.ValueInfoProto(name=name) for name in outputs], initializers
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def meaning_of(model: ModelProto) -> Graph:
    """The verified graph of stage quantized."""
    graph = quantized(model)
    verify(graph)
    return graph


def values_of(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What the interpreter computes; compiled portable code must give the same bits, NaN for NaN."""
    expected = evaluate(meaning_of(model), feeds)
    found = subbyte.compile(model, target="portable").run(dict(feeds))
    for name, array in expected.items():
        np.testing.assert_array_equal(as_bits(found[name]), as_bits(array), err_msg=name)
    return expected


def as_bits(array: Array) -> Array:
    """Floats as their bits, so that -0.0 is not 0.0, and one bit pattern for every NaN; integers as they are."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isnan(array), np.float32(np.nan), array).view(f"u{array.dtype.itemsize}")


def onnxruntime_values(model: ModelProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """What onnxruntime computes with its optimizations off, in one thread."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
