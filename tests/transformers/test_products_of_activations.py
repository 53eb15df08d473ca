"""Matrix products of two run-time tensors of codes, and softmax between them: shapes, zero points, widths, scales."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

import subbyte
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.ops import MatMul, Softmax
from subbyte.compiler.ir.qops import QGemm, QSoftmax
from subbyte.passes.quantization.islands import float_islands

Array = NDArray[Any]
Make = Callable[..., ModelProto]
Meaning = Callable[[ModelProto], Graph]
Values = Callable[..., list[Array]]
RANDOM = np.random.default_rng(23)
GRIDS: dict[str, tuple[float, Any]] = {
    "u8": (0.031, np.uint8(141)),
    "s8": (0.017, np.int8(-23)),
    "u16": (0.0007, np.uint16(31000)),
    "s16": (0.0009, np.int16(-512)),
}
SHAPES = {
    "matrices": ((5, 19), (19, 7)),
    "3-D by 2-D": ((4, 5, 19), (19, 7)),
    "2-D by 3-D": ((5, 19), (3, 19, 7)),
    "4-D by 4-D": ((2, 3, 5, 19), (2, 3, 19, 7)),
    "batches cross": ((2, 1, 5, 19), (3, 19, 7)),
    "batches of one": ((1, 3, 5, 19), (2, 1, 19, 7)),
    "row by matrix": ((19,), (19, 7)),
    "matrix by column": ((5, 19), (19,)),
    "batch by column": ((2, 3, 5, 19), (19,)),
    "row by batch": ((19,), (3, 19, 7)),
    "row by column": ((19,), (19,)),
    "one term": ((3, 4, 1), (3, 1, 6)),
}


def quantization(name: str, x: str, y: str, op: str) -> NodeProto:
    return helper.make_node(op, [x, f"{name}.s", f"{name}.z"], [y], f"{op} {y}")


def constants_of(**grids: tuple[float, Any]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, (scale, zero_point) in grids.items():
        found |= {f"{name}.s": np.float32(scale), f"{name}.z": np.asarray(zero_point)}
    return found


def random_codes(shape: tuple[int, ...], grid: tuple[float, Any]) -> Array:
    info = np.iinfo(grid[1].dtype)
    return RANDOM.integers(info.min, info.max, shape, info.dtype, endpoint=True)


def product_model(
    make_model: Make, a: Array, b: Array, grid_a: Any, grid_b: Any, grid_y: Any
) -> tuple[ModelProto, dict[str, Array]]:
    nodes = [
        quantization("ga", "a", "ra", "DequantizeLinear"),
        quantization("gb", "b", "rb", "DequantizeLinear"),
        helper.make_node("MatMul", ["ra", "rb"], ["r"], "product"),
        quantization("gy", "r", "y", "QuantizeLinear"),
    ]
    feeds = {"a": a, "b": b}
    return make_model(nodes, feeds, constants_of(ga=grid_a, gb=grid_b, gy=grid_y)), feeds


def requantized(a: Array, b: Array, grid_a: Any, grid_b: Any, grid_y: Any) -> Array:
    """N4 by its formula: exact sums, one float32 factor, half to even."""
    total = np.matmul(a.astype(np.int64) - int(grid_a[1]), b.astype(np.int64) - int(grid_b[1]))
    factor = np.float32(np.float32(np.float32(grid_a[0]) * np.float32(grid_b[0])) / np.float32(grid_y[0]))
    info = np.iinfo(grid_y[1].dtype)
    steps = np.rint(total.astype(np.float32) * factor).astype(np.int64)
    return np.clip(steps + int(grid_y[1]), info.min, info.max).astype(info.dtype)


@pytest.mark.parametrize("shapes", SHAPES)
def test_shapes_are_those_of_matmul(shapes: str, make_model: Make, meaning: Meaning, values: Values) -> None:
    left, right = SHAPES[shapes]
    grids = GRIDS["u8"], GRIDS["s8"], (0.11, np.int8(7))
    model, feeds = product_model(make_model, random_codes(left, grids[0]), random_codes(right, grids[1]), *grids)
    graph = meaning(model)
    assert not float_islands(graph)
    assert not any(isinstance(node, MatMul) for node in graph.operations())
    (found,) = values(model, feeds)
    np.testing.assert_array_equal(found, requantized(feeds["a"], feeds["b"], *grids))


@pytest.mark.parametrize("fill", ["random", "lowest", "highest", "opposite"])
@pytest.mark.parametrize("right", GRIDS)
@pytest.mark.parametrize("left", GRIDS)
def test_widths_and_zero_points_differ_on_each_side(
    left: str, right: str, fill: str, make_model: Make, meaning: Meaning
) -> None:
    grid_a, grid_b = GRIDS[left], GRIDS[right]
    shapes = ((2, 3, 40), (2, 40, 33))
    a, b = (random_codes(shape, grid) for shape, grid in zip(shapes, (grid_a, grid_b), strict=True))
    if fill != "random":
        ends = [(np.iinfo(grid[1].dtype).min, np.iinfo(grid[1].dtype).max) for grid in (grid_a, grid_b)]
        a, b = np.full_like(a, ends[0][fill != "lowest"]), np.full_like(b, ends[1][fill == "highest"])
    reach = float(np.abs((a.astype(np.int64) - int(grid_a[1])) @ (b.astype(np.int64) - int(grid_b[1]))).max())
    grid_y = (max(reach * grid_a[0] * grid_b[0] / 100, 1e-6), np.int8(3))
    model, feeds = product_model(make_model, a, b, grid_a, grid_b, grid_y)
    graph = meaning(model)
    assert [type(node) for node in graph.operations()] == [QGemm]
    (found,) = evaluate(graph, feeds).values()
    np.testing.assert_array_equal(found, requantized(a, b, grid_a, grid_b, grid_y))


def test_run_time_products_are_the_same_on_every_level(level: str, make_model: Make, meaning: Meaning) -> None:
    """One model of many products: signs and widths of both sides, depths and columns around the size of a vector."""
    sides = [("u8", "s8"), ("s8", "s8"), ("u8", "u8"), ("s8", "u8"), ("s16", "u8")]
    nodes, feeds, outputs = [], {}, []
    for left, right in sides:
        for depth, columns in itertools.product((1, 31, 64, 65), (1, 16, 33)):
            a, b, y = (f"{part}_{left}_{right}_{depth}_{columns}" for part in "aby")
            feeds[a] = random_codes((2, 3, 9, depth), GRIDS[left])
            feeds[b] = random_codes((2, 1, depth, columns), GRIDS[right])
            nodes += [
                quantization(left, a, f"r{a}", "DequantizeLinear"),
                quantization(right, b, f"r{b}", "DequantizeLinear"),
                helper.make_node("MatMul", [f"r{a}", f"r{b}"], [f"r{y}"], f"product {y}"),
                quantization("result", f"r{y}", y, "QuantizeLinear"),
            ]
            outputs.append(y)
    constants = constants_of(**GRIDS, result=(0.4, np.uint8(128)))
    model = make_model(nodes, feeds, constants, outputs)
    expected = evaluate(meaning(model), feeds)
    found = subbyte.compile(model, target=level).run(feeds)
    wrong = [name for name in outputs if not np.array_equal(found[name], expected[name])]
    assert not wrong, f"{len(wrong)} of {len(outputs)} products differ: {wrong[:5]}"


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
def test_softmax_along_any_axis_is_integer(axis: int, make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [
        quantization("gx", "x", "rx", "DequantizeLinear"),
        helper.make_node("Softmax", ["rx"], ["r"], "softmax", axis=axis),
        quantization("gy", "r", "y", "QuantizeLinear"),
    ]
    grid_x, grid_y = (0.07, np.uint8(200)), (1 / 256, np.uint8(0))
    feeds = {"x": random_codes((2, 5, 3, 9), grid_x)}
    model = make_model(nodes, feeds, constants_of(gx=grid_x, gy=grid_y))
    assert [type(node) for node in meaning(model).operations()] == [QSoftmax]
    (found,) = values(model, feeds)
    real = (feeds["x"].astype(np.float64) - 200) * np.float64(np.float32(0.07))
    powers = np.exp(real - real.max(axis, keepdims=True))
    expected = np.minimum(powers / powers.sum(axis, keepdims=True), 255 / 256)  # 256 steps saturate
    np.testing.assert_allclose(found / 256, expected, atol=0.5 / 256 + 1e-6)


def test_softmax_of_one_entry_is_one(make_model: Make, values: Values) -> None:
    nodes = [
        quantization("gx", "x", "rx", "DequantizeLinear"),
        helper.make_node("Softmax", ["rx"], ["r"], "softmax"),
        quantization("gy", "r", "y", "QuantizeLinear"),
    ]
    feeds = {"x": random_codes((4, 1), (0.07, np.int8(0)))}
    grids = constants_of(gx=(0.07, np.int8(0)), gy=(1 / 128, np.int8(0)))
    (found,) = values(make_model(nodes, feeds, grids), feeds)
    assert (found == 127).all()  # 128 steps saturate


def test_attention_without_a_quantization_between_names_the_float_softmax(make_model: Make, meaning: Meaning) -> None:
    """The scores are quantized, the softmax is not: it is the one island, and the products stay integer."""
    nodes = [
        *(quantization(f"g{n}", n, f"r{n}", "DequantizeLinear") for n in ("q", "k", "v")),
        helper.make_node("MatMul", ["rq", "rk"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["p"], "softmax"),
        quantization("gp", "p", "qp", "QuantizeLinear"),
        quantization("gp", "qp", "rp", "DequantizeLinear"),
        helper.make_node("MatMul", ["rp", "rv"], ["r"], "mixed"),
        quantization("gy", "r", "y", "QuantizeLinear"),
    ]
    grids = {"gq": GRIDS["u8"], "gk": GRIDS["s8"], "gv": GRIDS["s8"], "gp": (1 / 255, np.uint8(0)),
             "gy": (0.02, np.int8(5))}  # fmt: skip
    feeds = {"q": random_codes((2, 4, 8), grids["gq"]), "k": random_codes((2, 8, 4), grids["gk"]),
             "v": random_codes((2, 4, 8), grids["gv"])}  # fmt: skip
    graph = meaning(make_model(nodes, feeds, constants_of(**grids)))
    (island,) = float_islands(graph)
    assert isinstance(island.node, Softmax)
    assert island.macs == 0
    assert sum(isinstance(node, QGemm) for node in graph.operations()) == 2


def test_sums_of_wide_codes_are_exact_beyond_32_bits(make_model: Make, meaning: Meaning) -> None:
    """16-bit by 16-bit sums leave int32: the exact sum decides, not a wrapped one."""
    grid = (1.0, np.int16(0))
    a, b = np.full((1, 300), 32767, np.int16), np.full((300, 2), -32768, np.int16)
    exact = 300 * 32767 * -32768
    scale = np.float32(abs(exact) / 100)
    model, feeds = product_model(make_model, a, b, grid, grid, (float(scale), np.int8(0)))
    (found,) = evaluate(meaning(model), feeds).values()
    assert (found == round(Fraction(exact) / Fraction(float(scale)))).all()
