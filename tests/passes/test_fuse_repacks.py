"""A Repack goes where a kernel writes, or reads, the order that it makes; elsewhere it stays."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.target import find_target
from subbyte.passes.fuse_repacks import fuse_repacks
from tests.passes.builders import codes_input, graph_of, largest_step, quant, random_inputs

PORTABLE, VECTORS = find_target("portable"), find_target("x86-64-v3")
PIXELS, SHAPE = Layout((0, 2, 3, 1)), (2, 3, 5, 7)
GENERATOR = np.random.default_rng(11)


def quantized_planes() -> Value:
    x = Input("x", TensorType(FLOAT32, SHAPE)).out
    return ops.QuantizeLinear(x, UINT8, quant(0.1, 7, UINT8), sources=("quantize",)).out


def pooled(x: Value) -> Value:
    """A reader that wants pixels."""
    return ops.MaxPool(x, (2, 2), (1, 1), (0, 0, 0, 0), (1, 1), False, layout=PIXELS, sources=("pool",)).out


def planes(x: Value) -> Value:
    return ops.Repack(x).out


def pixels(x: Value) -> Value:
    return ops.Repack(x, layout=PIXELS).out


def names(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.operations()]


def same(before: Graph, after: Graph) -> bool:
    return all(largest_step(before, after, random_inputs(before, GENERATOR)) == 0 for _ in range(3))


def test_codes_are_written_as_pixels_at_once() -> None:
    graph = graph_of(planes(pooled(pixels(quantized_planes()))), stage=Stage.QUANTIZED)
    after = fuse_repacks(graph, VECTORS)
    assert names(after) == ["QuantizeLinear", "MaxPool", "Repack"]
    assert after.operations()[0].type.layout == PIXELS
    assert after.operations()[0].sources == ("quantize",)
    assert same(graph, after)


def test_reals_are_written_as_planes_of_pixels_at_once() -> None:
    pool = pooled(pixels(codes_input("x", SHAPE, 0.1, 7, UINT8)))
    graph = graph_of(ops.DequantizeLinear(planes(pool), FLOAT32).out, stage=Stage.QUANTIZED)
    after = fuse_repacks(graph, VECTORS)
    assert names(after) == ["Repack", "MaxPool", "DequantizeLinear"]
    assert after.outputs[0].value.type.layout is None
    assert same(graph, after)


def test_a_repack_stays_where_no_kernel_writes_its_order() -> None:
    graph = graph_of(planes(pooled(pixels(quantized_planes()))), stage=Stage.QUANTIZED)
    assert fuse_repacks(graph, PORTABLE) is graph


@pytest.mark.parametrize("how", ["read", "shown"])
def test_a_repack_stays_where_its_operand_is_wanted_too(how: str) -> None:
    codes = quantized_planes()
    other = codes if how == "shown" else ops.Concat((codes, codes), 0).out
    graph = graph_of(planes(pooled(pixels(codes))), other, stage=Stage.QUANTIZED)
    assert fuse_repacks(graph, VECTORS) is graph


def test_a_repack_of_an_input_stays() -> None:
    graph = graph_of(planes(pooled(pixels(codes_input("x", SHAPE, 0.1, 7, UINT8)))), stage=Stage.QUANTIZED)
    assert fuse_repacks(graph, VECTORS) is graph
