"""What stays on the processor stands before the integer core or behind it, and the three parts are the whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.hls.partition import Partition, partition
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.text import parse_graph
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.samples import random_samples
from subbyte.targets.hls.support import reason_against

SHARED = (
    "TFC_2W2A",
    "TFC_2W2A_qcdq",
    "bnn_fc_1layer",
    "qkeras_jettagging",
    "qkeras_mnist_cnn",
    "kws_int8",
    "hello_world_int8",
    "mcunet_detection_int8",
    "tinymaix_mnist_int8",
)
OWN = ("digits_mlp_int8.onnx", "digits_mlp_w1a1.qonnx.onnx", "digits_resnet_w2a2_qcdq.onnx")

CODES = "quant(scale=0.5, zero_point=0, qmin=-128, qmax=127)"
FRONT = f"""
  %0 = Input(name="x", of_type=float32[1, 2])
  %1 = QuantizeLinear(x=%0, dtype=int8, quant={CODES}, rounding="HALF_EVEN", zero_point_first=false, sources=["in"],
    tensor="y")
  %2 = Constant(value=int8[2, 2] {{1, -2, 3, 4}}, of_type=int8[2, 2] {CODES})
"""
PRODUCT = (
    f"requantization=requantization(multiplier=0.25, zero_point=0, qmin=-128, qmax=127), dtype=int8, quant={CODES}"
)
# The model calls the input of the core `y`, like an output of the whole.
SHARING = f"""graph "sharing" quantized {{{FRONT}
  %3 = QGemm(a=%1, b=%2, bias=none, {PRODUCT}, sources=["fc"], tensor="fc_out")
  %4 = QGemm(a=%1, b=%2, bias=none, {PRODUCT}, sources=["other"], tensor="fc_out")
  %5 = DequantizeLinear(x=%3, dtype=float32, sources=["out"])
  %6 = DequantizeLinear(x=%1, dtype=float32, sources=["front"])
  %7 = DequantizeLinear(x=%4, dtype=float32, sources=["out2"])
  %8 = Add(a=%6, b=%7, sources=["past the core"])
  output "y" = %5
  output "codes" = %3
  output "codes_again" = %3
  output "front" = %6
  output "as_given" = %0
  output "other" = %8
}}
"""
BETWEEN = f"""graph "between" quantized {{{FRONT}
  %3 = QGemm(a=%1, b=%2, bias=none, {PRODUCT}, sources=["first"])
  %4 = DequantizeLinear(x=%3, dtype=float32, sources=["island"])
  %5 = QuantizeLinear(x=%4, dtype=int8, quant={CODES}, rounding="HALF_EVEN", zero_point_first=false, sources=["back"])
  %6 = QGemm(a=%5, b=%2, bias=none, {PRODUCT}, sources=["second"])
  output "y" = %6
}}
"""


def kinds(graph: Graph | None) -> set[str]:
    return set() if graph is None else {type(node).__name__ for node in graph.operations()}


def parts_of(graph: Graph) -> Partition:
    return partition(graph, reason_against)


def assert_equal_to_the_whole(graph: Graph, samples: int = 3) -> Partition:
    parts = parts_of(graph)
    for sample in random_samples({node.name: node.type for node in graph.inputs}, samples):
        found = parts.outputs(sample, evaluate(parts.core, parts.core_inputs(sample)))
        wanted = evaluate(graph, sample)
        assert list(found) == list(wanted)
        for name, array in wanted.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    return parts


def test_the_floats_of_tfc_stand_before_and_behind_its_products(shared_model: Callable[[str], Any]) -> None:
    parts = parts_of(quantized(shared_model("TFC_2W2A").path))
    assert kinds(parts.before) == {"Reshape", "Mul", "Sub", "QuantizeLinear"}
    assert kinds(parts.core) == {"QGemm"}
    assert kinds(parts.behind) == {"DequantizeLinear", "Add"}
    assert parts.macs == (0, 59008, 0)
    assert all(node.type.dtype.is_integer for node in parts.core.inputs)


def test_a_softmax_of_codes_stands_behind(shared_model: Callable[[str], Any]) -> None:
    parts = parts_of(quantized(shared_model("kws_int8").path))
    assert parts.before is None
    assert kinds(parts.behind) == {"QSoftmax"}
    assert [label.split()[0] for label, _ in parts.reasons] == ["QSoftmax"]


def test_products_that_floats_reach_first_are_counted_for_the_processor(shared_model: Callable[[str], Any]) -> None:
    parts = parts_of(quantized(shared_model("qkeras_jettagging").path))
    assert parts.macs == (16 * 64, 64 * 32 + 32 * 32 + 32 * 5, 0)


def test_what_would_leave_the_core_and_come_back_is_refused_by_node_and_reason() -> None:
    with pytest.raises(UnsupportedError, match="QGemm 'second' needs what is not built") as caught:
        parts_of(parse_graph(BETWEEN))
    assert "DequantizeLinear 'island': it takes or gives floats" in str(caught.value)
    assert "QuantizeLinear 'back': it takes or gives floats" in str(caught.value)


def test_a_float_model_is_told_how_to_get_integers(digits: Path) -> None:
    with pytest.raises(UnsupportedError, match="`subbyte quantize` makes integers of a float model") as caught:
        parts_of(quantized(digits / "digits_mlp.onnx"))
    assert "Gemm '/hidden1'" in str(caught.value)


def test_an_integer_model_that_is_not_built_is_not_told_to_get_integers() -> None:
    rows = FRONT.replace("float32[1, 2]", "float32[2, 1, 2, 2]")
    taps = 'strides=[1, 1], pads=[0, 0, 0, 0], dilations=[1, 1], group=1, sources=["conv"]'
    text = f"""graph "batch" quantized {{{rows}
  %3 = Constant(value=int8[1, 1, 1, 1] {{3}}, of_type=int8[1, 1, 1, 1] {CODES})
  %4 = QConv(x=%1, w=%3, bias=none, {PRODUCT}, {taps})
  output "y" = %4
}}
"""
    with pytest.raises(UnsupportedError, match="a design works on one sample at a time") as caught:
        parts_of(parse_graph(text))
    assert "quantize`" not in str(caught.value)
    assert str(caught.value).endswith("Try --target portable.")


def test_a_value_on_a_border_has_one_name_unlike_those_of_the_whole() -> None:
    parts = parts_of(parse_graph(SHARING))
    assert parts.before is not None
    assert parts.behind is not None
    assert [output.name for output in parts.before.outputs] == ["y_2", "front"]  # two products read the first
    assert [node.name for node in parts.core.inputs] == ["y_2"]
    assert [output.name for output in parts.core.outputs] == ["codes_again", "fc_out"]
    assert sorted(node.name for node in parts.behind.inputs) == ["codes_again", "fc_out", "front"]
    assert [output.name for output in parts.behind.outputs] == ["y", "other"]


def test_outputs_say_where_they_are_made() -> None:
    parts = parts_of(parse_graph(SHARING))
    assert parts.sources() == {
        "y": "y",
        "codes": "codes_again",
        "codes_again": "codes_again",
        "front": "front",
        "as_given": "x",
        "other": "other",
    }


def test_shared_values_and_outputs_twice_are_equal_to_the_whole() -> None:
    assert_equal_to_the_whole(parse_graph(SHARING))


@pytest.mark.parametrize("name", OWN)
def test_the_parts_of_a_model_of_ours_are_the_whole(name: str, digits: Path) -> None:
    assert_equal_to_the_whole(quantized(digits / name))


@pytest.mark.parametrize("name", SHARED)
def test_the_parts_of_a_shared_model_are_the_whole(name: str, shared_model: Callable[[str], Any]) -> None:
    graph = quantized(shared_model(name).path)
    parts = assert_equal_to_the_whole(graph)
    assert sum(parts.macs) > 0
    split = [node for part in (parts.before, parts.core, parts.behind) if part for node in part.operations()]
    assert len(split) == len(graph.operations())  # each stands in one part
    assert not any(isinstance(node, (Input, Constant)) for node in split)
