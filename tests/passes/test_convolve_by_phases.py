"""Transposed convolutions by phases are the same numbers, and are taken where kernels for convolutions are faster."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, INT32, UINT8
from subbyte.compiler.ir import qops
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Constant
from subbyte.compiler.ir.types import Layout, QuantParams
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.target import find_target
from subbyte.passes.convolve_by_phases import convolve_by_phases
from tests.passes.builders import codes_input, graph_of, largest_step, quant, random_inputs

VECTORS, PORTABLE = find_target("x86-64-v3"), find_target("portable")
PIXELS = Layout((0, 2, 3, 1))
GENERATOR = np.random.default_rng(17)


def transposed(
    kernel: tuple[int, int] = (4, 4),
    strides: tuple[int, int] = (2, 2),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    output_padding: tuple[int, int] = (0, 0),
    group: int = 1,
    dilations: tuple[int, int] = (1, 1),
    *,
    channels: int = 48,
    raw: bool = False,
) -> Graph:
    """[2, channels, 5, 4] -> 6 outputs, with a scale, a zero point and a bias for each."""
    x = codes_input("x", (2, channels, 5, 4), 0.1, 9, UINT8)
    x = x.node.replace(of_type=x.type.with_layout(PIXELS)).out
    weights = GENERATOR.integers(-100, 100, (channels, 6 // group, *kernel))
    grid = QuantParams(
        GENERATOR.uniform(0.01, 0.1, 6).astype(np.float32), GENERATOR.integers(-3, 4, 6), -128, 127, axis=1
    )
    if group > 1:
        grid = quant(0.1, 2)
    w = Constant.of(weights, INT8, quant=grid).out
    bias = Constant.of(GENERATOR.integers(-999, 999, 6), INT32).out
    r = Requantization(GENERATOR.uniform(1e-4, 1e-3, 6).astype(np.float32), None, 7, 0, 255)
    y = qops.QConvTranspose(
        x, w, bias, None if raw else r, INT32 if raw else UINT8, None if raw else quant(0.2, 7, UINT8),
        strides, pads, dilations, group, output_padding, layout=PIXELS, sources=("up",), tensor="up",
    ).out  # fmt: skip
    return graph_of(y, stage=Stage.QUANTIZED)


def names(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.operations()]


def is_same(before: Graph, after: Graph) -> bool:
    return all(largest_step(before, after, random_inputs(before, GENERATOR)) == 0 for _ in range(3))


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "pads", "output_padding"),
    [
        ((2, 2), 2, (0, 0, 0, 0), (0, 0)),
        ((4, 4), 2, (1, 1, 1, 1), (0, 0)),
        ((3, 3), 2, (1, 1, 1, 1), (1, 1)),
        ((3, 5), 2, (0, 2, 1, 3), (0, 1)),
        ((3, 3), 3, (0, 0, 0, 0), (0, 0)),
        ((2, 3), 3, (0, 1, 1, 0), (2, 0)),
        ((5, 1), 1, (2, 0, 2, 0), (0, 0)),
        ((7, 6), 4, (3, 1, 2, 0), (0, 3)),
    ],
)
def test_phases_are_the_transposed_convolution(
    kernel: tuple[int, int], stride: int, pads: tuple[int, int, int, int], output_padding: tuple[int, int], raw: bool
) -> None:
    graph = transposed(kernel, (stride, stride), pads, output_padding, raw=raw)
    after = convolve_by_phases(graph, VECTORS)
    assert names(after)[:2] == ["QConv", "DepthToSpace"]
    assert after.outputs[0].value.type == graph.outputs[0].value.type
    assert after.operations()[0].sources == ("up",)
    assert is_same(graph, after)


def test_what_is_not_cut_needs_no_slice() -> None:
    assert names(convolve_by_phases(transposed((2, 2)), VECTORS)) == ["QConv", "DepthToSpace"]


@pytest.mark.parametrize(
    "graph",
    [
        transposed(strides=(2, 1)),
        transposed(dilations=(2, 1)),
        transposed(group=2),
        transposed((2, 2), (1, 1), (2, 0, 0, 0)),
    ],
    ids=["strides differ", "dilated", "groups", "pads beyond the kernel"],
)
def test_what_is_not_covered_stays(graph: Graph) -> None:
    assert convolve_by_phases(graph, VECTORS) is graph


def test_kernels_that_are_no_faster_leave_it() -> None:
    graph = transposed()
    assert convolve_by_phases(graph, PORTABLE) is graph
