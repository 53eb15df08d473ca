"""An encoder layer with --integer-only: no float is left, and each function is at most one step from its floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.explain import explain
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_node, evaluate_values
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops_normalization import Normalization
from subbyte.compiler.ir.qops_functions import QNormalization, QPiecewise, QWideSoftmax
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.target import find_target
from subbyte.passes.quantization.islands import float_islands
from tests.transformers.encoder import encoder, samples
from tests.transformers.test_encoder import QUANTIZATIONS, quantized_encoder

Array = NDArray[Any]
INTEGERS = Options(integer_only=True)
REPLACED = (QNormalization, QWideSoftmax, QPiecewise)


def graph_of(quantization: str) -> Graph:
    return quantized(quantized_encoder(quantization, "Where", "Gelu"), INTEGERS)


def replaced(graph: Graph) -> list[Node]:
    return [node for node in graph.operations() if isinstance(node, REPLACED)]


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_no_float_is_left_and_compiled_code_equals_the_interpreter(quantization: str) -> None:
    graph = graph_of(quantization)
    assert float_islands(graph) == []
    kinds = [type(node).__name__ for node in replaced(graph)]
    wide = ["QWideSoftmax", "QPiecewise"] if "16" in quantization else []
    assert sorted(kinds) == sorted(["QLayerNormalization"] * 3 + wide)
    module = subbyte.compile(quantized_encoder(quantization, "Where", "Gelu"), target="portable", integer_only=True)
    for feeds in samples(3, seed=5):
        expected, found = evaluate(graph, feeds)["logits"], module.run(dict(feeds))["logits"]
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("gelu", ["Erf", "Tanh"])
@pytest.mark.parametrize("quantization", ["u8s8", "s16s8"])
def test_masks_and_gelus_in_parts_are_integers_too(quantization: str, gelu: str) -> None:
    model = quantized_encoder(quantization, "Add", gelu)
    assert float_islands(quantized(model, INTEGERS)) == []
    module = subbyte.compile(model, target="portable", integer_only=True)
    for feeds in samples(3, seed=5):
        expected = subbyte.evaluate(model, feeds, integer_only=True)["logits"]
        np.testing.assert_array_equal(module.run(dict(feeds))["logits"].view(np.uint32), expected.view(np.uint32))


def test_every_level_of_processors_computes_the_same(level: str) -> None:
    graph = graph_of("s16s8")
    module = subbyte.compile(quantized_encoder("s16s8", "Where", "Gelu"), target=level, integer_only=True)
    for feeds in samples(2, seed=6):
        expected, found = evaluate(graph, feeds)["logits"], module.run(dict(feeds))["logits"]
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def quantized_floats(graph: Graph) -> dict[tuple[str, ...], ops.QuantizeLinear]:
    """The float functions of a model with islands, each by the quantization of its result."""
    found = {}
    for node in graph.operations():
        if isinstance(node, ops.QuantizeLinear) and isinstance(node.x.node, (ops.Softmax, ops.Unary, Normalization)):
            found[(*node.x.node.sources, *node.sources)] = node
    return found


def by_floats(node: ops.QuantizeLinear, codes: Array) -> Array:
    """What a float function and its quantization make of codes; its first operand dequantizes them."""
    function = node.x.node
    operands = []
    for index, value in enumerate(function.operands):
        producer = value.node
        if isinstance(producer, ops.DequantizeLinear):
            given = codes if index == 0 else producer.x.constant
            assert given is not None, "the parameters of a function are constant"
            operands.append(evaluate_node(producer, [given])[0])
        else:
            assert value.constant is not None, "a function reads codes and constants"
            operands.append(value.constant)
    return evaluate_node(node, evaluate_node(function, operands))[0]


@pytest.mark.parametrize("quantization", ["u8s8", "s16s8", "u16u8"])
def test_each_replaced_node_is_one_step_from_its_floats(quantization: str) -> None:
    """Each function is given the codes that it meets in the model of integers."""
    integers = graph_of(quantization)
    floats = quantized_floats(quantized(quantized_encoder(quantization, "Where", "Gelu")))
    differing = total = 0
    for feeds in samples(4, seed=9):
        values = evaluate_values(integers, feeds)
        for node in replaced(integers):
            wanted = by_floats(floats[node.sources], values[node.operands[0]])
            difference = np.abs(values[node.out].astype(np.int64) - wanted)
            assert difference.max() <= 1, node.label
            differing, total = differing + int(np.count_nonzero(difference)), total + difference.size
    assert total > 4000
    assert differing <= total / 50  # of 16-bit codes; where float32 itself is on the other side of a tie


def test_the_answers_are_those_of_the_floats() -> None:
    model = quantized_encoder("s16s8", "Where", "Gelu")
    for feeds in samples(8, seed=11):
        integers, floats = (evaluate(quantized(model, options), feeds)["logits"] for options in (INTEGERS, None))
        np.testing.assert_array_equal(integers.argmax(-1), floats.argmax(-1))
        assert np.abs(integers - floats).max() <= 0.01 * np.abs(floats).max()


def test_explain_states_the_distance_of_each() -> None:
    target = find_target("portable")
    graph = graph_of("s16s8")
    calls = lowered(graph, target, INTEGERS)
    layers = {layer.op: layer for layer in explain(graph, calls, target).layers}
    normalization, softmax, gelu = (layers[op].proof for op in ("QLayerNormalization", "QWideSoftmax", "QPiecewise"))
    assert normalization is not None
    assert softmax is not None
    assert gelu is not None
    assert normalization.startswith("integer LayerNormalization, at most 1 step from the real one")
    assert softmax.startswith("integer Softmax, at most 1 step from the real one")
    assert "parabolas in" in gelu
    assert "all 65536 codes compared" in gelu


def test_a_normalization_of_floats_is_refused_by_name() -> None:
    """Not quantized at all: each operation is named, with its reason and what to change."""
    with pytest.raises(UnsupportedError, match=r"LayerNormalization '/norm_0': its operand is the result of the float"):
        quantized(encoder(), INTEGERS)


def test_without_it_the_islands_stay() -> None:
    labels = {island.node.label for island in float_islands(quantized(quantized_encoder("s16s8", "Where", "Gelu")))}
    assert {"LayerNormalization '/norm_0'", "Softmax '/chances'", "Unary '/gelu'"} <= labels
