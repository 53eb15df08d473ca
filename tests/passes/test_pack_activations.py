"""Codes share bytes between layers where kernels on both sides can: the arena becomes smaller, no number changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import subbyte
from subbyte.compiler.api import compile_bundle
from subbyte.compiler.dtype import FLOAT32, INT4, INT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant, Value
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target
from subbyte.passes.pack_activations import pack_activations
from tests.passes.builders import codes_input, graph_of, largest_step, quant, random_inputs

PLAIN, PACKED = find_target("portable"), find_target("portable+packed")
GENERATOR = np.random.default_rng(4)


def gemm(a: Value, columns: int, dtype: DType = INT4) -> Value:
    depth = a.type.shape[-1]
    b = Constant.of(GENERATOR.integers(-8, 8, (depth, columns)), INT4, quant=quant(0.1, dtype=INT4)).out
    r = Requantization(np.float32(0.01), None, 0, dtype.min, dtype.max)
    return qops.QGemm(a, b, None, r, dtype, quant(0.3, 0, dtype)).out


def inputs() -> Value:
    return codes_input("a", (3, 8), 0.1, 0, INT4)


def quantized(*values: Value) -> Graph:
    return graph_of(*values, stage=Stage.QUANTIZED)


def real(x: Value) -> Value:
    return ops.DequantizeLinear(x, FLOAT32).out


def bits(graph: Graph) -> list[int | None]:
    layouts = (node.types[0].layout for node in graph.operations())
    return [None if layout is None else layout.bits for layout in layouts]


@pytest.mark.parametrize(("width", "stored"), [(1, 1), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize("kind", ["int", "uint"])
def test_narrow_codes_between_layers_share_bytes(kind: str, width: int, stored: int) -> None:
    graph = quantized(real(gemm(gemm(inputs(), 16, DType(kind, width)), 8, DType(kind, width))))
    after = pack_activations(graph, PACKED)
    assert bits(after) == [stored, stored, None]
    assert after.operations()[0].types[0].bytes == 3 * 16 * stored // 8
    for _ in range(4):
        assert largest_step(graph, after, random_inputs(graph, GENERATOR)) == 0


def test_a_target_that_does_not_ask_gets_no_packed_codes() -> None:
    graph = quantized(real(gemm(gemm(inputs(), 16), 8)))
    assert pack_activations(graph, PLAIN) is graph


def reshaped(x: Value) -> Value:
    return ops.Reshape(x, (1, 48)).out


def transposed(x: Value) -> Value:
    return ops.Transpose(x, (1, 0)).out


KEPT: dict[str, Callable[[], Graph]] = {
    "an output": lambda: quantized(gemm(inputs(), 16)),
    "rows that end within a byte": lambda: quantized(real(gemm(gemm(inputs(), 9), 9))),
    "codes of eight bits": lambda: quantized(real(gemm(gemm(inputs(), 16, INT8), 16, INT8))),
    "codes that some reader wants in bytes": lambda: quantized(real(transposed(gemm(inputs(), 16)))),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_cannot_share_bytes_does_not(what: str) -> None:
    graph = KEPT[what]()
    assert pack_activations(graph, PACKED) is graph


def test_all_readers_must_read_packed_codes() -> None:
    x = gemm(inputs(), 16)
    assert bits(pack_activations(quantized(real(x), real(gemm(x, 8))), PACKED)) == [4, None, 4, None]
    assert bits(pack_activations(quantized(real(x), real(transposed(x))), PACKED))[0] is None


def test_views_of_packed_codes_are_packed() -> None:
    graph = quantized(real(reshaped(gemm(inputs(), 16))))
    assert bits(pack_activations(graph, PACKED)) == [4, 4, None]


@pytest.mark.parametrize("name", ["digits_resnet_w2a2", "digits_resnet_w4a4", "digits_mlp_w2a2"])
def test_the_arena_of_low_bit_networks_becomes_smaller(name: str, digits: Path) -> None:
    path = str(digits / f"{name}.qonnx.onnx")
    plain, packed = (
        compile_bundle(path, target, Options()).manifest["memory"]["arena_bytes"] for target in (PLAIN, PACKED)
    )
    assert packed < plain


@pytest.mark.parametrize("name", ["digits_resnet_w2a2", "digits_resnet_w4a4"])
def test_compiled_code_gives_the_same_numbers(name: str, digits: Path) -> None:
    path = str(digits / f"{name}.qonnx.onnx")
    plain, packed = (subbyte.compile(path, target=target) for target in ("portable", "portable+packed"))
    for _ in range(8):
        given: dict[str, Any] = {
            tensor.name: GENERATOR.normal(0, 1.5, tensor.shape).astype(np.float32) for tensor in plain.inputs
        }
        one, other = plain.run(given), packed.run(given)
        assert all((one[output] == other[output]).all() for output in one)
