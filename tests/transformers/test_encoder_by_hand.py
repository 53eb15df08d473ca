"""An encoder layer with another scale on each edge: wide and narrow activations, weights of 8 and 4 bits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

import subbyte
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.ops import Cast
from subbyte.compiler.ir.ops_normalization import LayerNormalization
from subbyte.compiler.ir.qops import QGemm
from subbyte.compiler.pipeline import quantized
from subbyte.passes.quantization.islands import float_islands
from tests.transformers.by_hand import quantize_by_hand
from tests.transformers.encoder import encoder, samples

Array = NDArray[Any]
KINDS = [("uint8", "int8"), ("int8", "int8"), ("uint8", "int4"), ("int16", "int8"), ("int16", "int4")]
FORMS = [("Add", "Erf"), ("Where", "Tanh")]
STEPS = {"uint8": 2, "int8": 2, "int16": 16}  # from another engine, whose normalizations sum in another order


@cache
def model_of(activations: str, weights: str, mask: str, gelu: str) -> ModelProto:
    return quantize_by_hand(encoder(mask=mask, gelu=gelu), samples(8), activations, weights)


def output_of(feeds: dict[str, Array], model: ModelProto) -> tuple[Array, float]:
    """What onnxruntime makes of it, each operator by itself; the scale of the output."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # initializers that are codes now are unused
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    scale = next(t for t in model.graph.initializer if t.name == model.graph.node[-1].input[1])
    return np.asarray(session.run(None, feeds)[0]), float(numpy_helper.to_array(scale))


@pytest.mark.parametrize(("mask", "gelu"), FORMS)
@pytest.mark.parametrize(("activations", "weights"), KINDS)
def test_no_two_scales_agree_and_every_product_is_integer(activations: str, weights: str, mask: str, gelu: str) -> None:
    model = model_of(activations, weights, mask, gelu)
    graph = quantized(model)
    islands = float_islands(graph)
    assert sum(island.macs for island in islands) == 0
    assert sum(isinstance(node, QGemm) for node in graph.operations()) == 9
    if activations != "int16":
        assert {type(island.node) for island in islands} <= {LayerNormalization, Cast}
    for feeds in samples(3, seed=5):
        (found,) = evaluate(graph, feeds).values()
        expected, step = output_of(feeds, model)
        assert np.abs(found - expected).max() <= STEPS[activations] * step


@pytest.mark.parametrize(("activations", "weights"), KINDS)
def test_compiled_code_equals_the_interpreter_at_every_level(activations: str, weights: str, level: str) -> None:
    model = model_of(activations, weights, *FORMS[0])
    graph, module = quantized(model), subbyte.compile(model, target=level)
    for feeds in samples(2, seed=3):
        (expected,) = evaluate(graph, feeds).values()
        (found,) = module.run(dict(feeds)).values()
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
