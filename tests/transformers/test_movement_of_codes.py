"""Selection, expansion and look-ups between quantizations work on codes, whatever the scales on each side are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.ops import DequantizeLinear, Gather, QuantizeLinear
from subbyte.compiler.ir.ops_indexing import Expand, GatherElements
from subbyte.compiler.ir.ops_logic import Where
from subbyte.compiler.ir.qops import Lookup
from subbyte.passes.quantization.islands import float_islands

Array = NDArray[Any]
Make = Callable[..., ModelProto]
Meaning = Callable[[ModelProto], Graph]
Values = Callable[..., list[Array]]
RANDOM = np.random.default_rng(11)


def q(x: str, grid: str, name: str) -> NodeProto:
    return helper.make_node("QuantizeLinear", [x, f"{grid}.s", f"{grid}.z"], [name], name)


def dq(x: str, grid: str, name: str) -> NodeProto:
    return helper.make_node("DequantizeLinear", [x, f"{grid}.s", f"{grid}.z"], [name], name)


def grids(**scales: tuple[float, Any]) -> dict[str, Array]:
    """The scale and zero point (a NumPy integer: its type is that of the codes) of each grid."""
    found: dict[str, Array] = {}
    for name, (scale, zero_point) in scales.items():
        found |= {f"{name}.s": np.float32(scale), f"{name}.z": np.asarray(zero_point)}
    return found


def codes(*shape: int, dtype: Any = np.int8) -> Array:
    info = np.iinfo(dtype)
    return RANDOM.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def kinds(graph: Graph) -> list[type[Node]]:
    return [type(node) for node in graph.operations()]


def spread(x: Array, scale: float, zero_point: Any) -> Array:
    """float32 of codes, by ONNX's formula."""
    return ((x.astype(np.int32) - np.int32(zero_point)).astype(np.float32) * np.float32(scale)).astype(np.float32)


def gathered(x: Array, scale: float, zero_point: Any) -> Array:
    """Codes of float32, by ONNX's formula."""
    info = np.iinfo(zero_point.dtype)
    with np.errstate(over="ignore"):
        return np.clip(np.rint(x / np.float32(scale)) + np.int32(zero_point), info.min, info.max).astype(info.dtype)


def test_where_chooses_between_codes_of_three_scales(make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), dq("b", "gb", "rb"), helper.make_node("Where", ["c", "ra", "rb"], ["r"], "where"),
             q("r", "gy", "y")]  # fmt: skip
    feeds = {"a": codes(3, 5), "b": codes(4, 1, 5, dtype=np.uint8), "c": RANDOM.random((4, 3, 1)) < 0.5}
    scales = {"ga": (0.03, np.int8(4)), "gb": (0.2, np.uint8(130)), "gy": (0.05, np.int8(-7))}
    model = make_model(nodes, feeds, grids(**scales))
    assert set(kinds(meaning(model))) <= {Where, Lookup}
    (found,) = values(model, feeds)
    chosen = np.where(feeds["c"], spread(feeds["a"], *scales["ga"]), spread(feeds["b"], *scales["gb"]))
    np.testing.assert_array_equal(found, gathered(chosen, *scales["gy"]))


@pytest.mark.parametrize("lowest", [-np.inf, np.finfo(np.float32).min, -1e4])
def test_a_mask_far_below_saturates(lowest: float, make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), helper.make_node("Where", ["c", "low", "ra"], ["r"], "where"), q("r", "gy", "y")]
    feeds = {"a": codes(2, 3, 5), "c": RANDOM.random((2, 1, 5)) < 0.5}
    scales = {"ga": (0.03, np.int8(4)), "gy": (0.05, np.int8(-7))}
    model = make_model(nodes, feeds, {**grids(**scales), "low": np.float32(lowest)})
    assert kinds(meaning(model)) == [Lookup, Where]
    (found,) = values(model, feeds)
    expected = gathered(spread(feeds["a"], *scales["ga"]), *scales["gy"])
    np.testing.assert_array_equal(found, np.where(feeds["c"], np.int8(-128), expected))


def test_a_float_is_quantized_to_join_codes(make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), helper.make_node("Where", ["c", "f", "ra"], ["r"], "where"), q("r", "ga", "y")]
    feeds = {"a": codes(3, 5), "f": RANDOM.normal(0, 2, (3, 5)).astype(np.float32), "c": RANDOM.random((3, 5)) < 0.5}
    scales = {"ga": (0.03, np.int8(4))}
    model = make_model(nodes, feeds, grids(**scales))
    assert kinds(meaning(model)) == [QuantizeLinear, Where]
    (found,) = values(model, feeds)
    np.testing.assert_array_equal(found, np.where(feeds["c"], gathered(feeds["f"], *scales["ga"]), feeds["a"]))


def test_a_constant_on_the_grid_is_a_code(make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), helper.make_node("Where", ["c", "ra", "zero"], ["y"], "where")]
    feeds = {"a": codes(3, 5), "c": RANDOM.random((3, 5)) < 0.5}
    model = make_model(nodes, feeds, {**grids(ga=(0.03, np.int8(4))), "zero": np.float32(0)})
    assert kinds(meaning(model)) == [Where, DequantizeLinear]
    (found,) = values(model, feeds)
    np.testing.assert_array_equal(found, np.where(feeds["c"], spread(feeds["a"], 0.03, np.int8(4)), np.float32(0)))


def test_minus_zero_and_infinity_are_no_codes(make_model: Make, meaning: Meaning, values: Values) -> None:
    for constant in (np.float32(-0.0), np.float32(-np.inf), np.float32(0.031)):
        nodes = [dq("a", "ga", "ra"), helper.make_node("Where", ["c", "ra", "other"], ["y"], "where")]
        feeds = {"a": codes(3, 5), "c": RANDOM.random((3, 5)) < 0.5}
        model = make_model(nodes, feeds, {**grids(ga=(0.03, np.int8(4))), "other": constant})
        assert kinds(meaning(model)) == [DequantizeLinear, Where]
        (found,) = values(model, feeds)
        assert (found[~feeds["c"]].view(np.uint32) == constant.view(np.uint32)).all()


def test_expand_repeats_codes(make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), helper.make_node("Expand", ["ra", "shape"], ["r"], "expand"), q("r", "gy", "y")]
    feeds = {"a": codes(3, 1)}
    scales = {"ga": (0.03, np.int8(4)), "gy": (0.05, np.uint8(9))}
    model = make_model(nodes, feeds, {**grids(**scales), "shape": np.array([2, 3, 4], np.int64)})
    assert set(kinds(meaning(model))) == {Lookup, Expand}
    (found,) = values(model, feeds)
    expected = gathered(spread(feeds["a"], *scales["ga"]), *scales["gy"])
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (2, 3, 4)))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("table", ["constant", "run time"])
def test_gather_takes_codes_along_any_axis_and_from_the_end(
    axis: int, table: str, make_model: Make, meaning: Meaning, values: Values
) -> None:
    data = codes(4, 5, 6)
    nodes = [dq("a", "ga", "ra"), helper.make_node("Gather", ["ra", "i"], ["r"], "gather", axis=axis),
             q("r", "gy", "y")]  # fmt: skip
    indices = RANDOM.integers(-data.shape[axis], data.shape[axis], (2, 3))
    indices[0, :2] = -data.shape[axis], data.shape[axis] - 1
    scales = {"ga": (0.03, np.int8(4)), "gy": (0.05, np.int8(-9))}
    held = {"a": data} if table == "constant" else {}
    feeds = {"i": indices} if table == "constant" else {"a": data, "i": indices}
    model = make_model(nodes, feeds, {**grids(**scales), **held})
    assert set(kinds(meaning(model))) == {Gather, Lookup}
    (found,) = values(model, feeds)
    expected = gathered(spread(data, *scales["ga"]), *scales["gy"])
    np.testing.assert_array_equal(found, np.take(expected, indices, axis))


def test_gather_elements_takes_codes_from_the_end(make_model: Make, meaning: Meaning, values: Values) -> None:
    nodes = [dq("a", "ga", "ra"), helper.make_node("GatherElements", ["ra", "i"], ["r"], "gather", axis=-1),
             q("r", "ga", "y")]  # fmt: skip
    feeds = {"a": codes(3, 5), "i": RANDOM.integers(-5, 5, (3, 4))}
    model = make_model(nodes, feeds, grids(ga=(0.03, np.int8(4))))
    assert kinds(meaning(model)) == [GatherElements]
    (found,) = values(model, feeds)
    np.testing.assert_array_equal(found, np.take_along_axis(feeds["a"], feeds["i"] % 5, 1))


@pytest.mark.parametrize("axis", [0, 1])
def test_embeddings_may_have_a_scale_for_each_row_or_column(
    axis: int, make_model: Make, meaning: Meaning, values: Values
) -> None:
    table = codes(7, 6)
    scale = RANDOM.uniform(0.01, 0.1, table.shape[axis]).astype(np.float32)
    zero_point = RANDOM.integers(-5, 5, table.shape[axis]).astype(np.int8)
    nodes = [helper.make_node("DequantizeLinear", ["t", "ts", "tz"], ["rt"], "rt", axis=axis),
             helper.make_node("Gather", ["rt", "i"], ["r"], "gather"), q("r", "gy", "y")]  # fmt: skip
    feeds = {"i": RANDOM.integers(-7, 7, (2, 3))}
    constants = {**grids(gy=(0.05, np.int8(-9))), "t": table, "ts": scale, "tz": zero_point}
    model = make_model(nodes, feeds, constants)
    assert kinds(meaning(model)) == [Gather]
    (found,) = values(model, feeds)
    along = (-1, 1) if axis == 0 else (1, -1)
    real = (table.astype(np.float32) - zero_point.reshape(along)) * scale.reshape(along)
    np.testing.assert_array_equal(found, gathered(real[feeds["i"]], 0.05, np.int8(-9)))


def test_a_mask_of_bools_is_codes(make_model: Make, meaning: Meaning, values: Values) -> None:
    """(1 - mask) * -100 of a bool, quantized, is a choice between two codes; the addition to the scores is integer."""
    nodes = [
        helper.make_node("Cast", ["mask"], ["real"], "cast", to=1),
        helper.make_node("Sub", ["one", "real"], ["off"], "off"),
        helper.make_node("Mul", ["off", "far"], ["low"], "low"),
        q("low", "gm", "qm"), dq("qm", "gm", "rm"), dq("a", "ga", "ra"),
        helper.make_node("Add", ["ra", "rm"], ["sum"], "add"), q("sum", "gy", "y"),
    ]  # fmt: skip
    feeds = {"a": codes(2, 4, 5), "mask": RANDOM.random((2, 1, 5)) < 0.5}
    scales = {"ga": (0.03, np.int8(4)), "gm": (0.4, np.int8(127)), "gy": (0.5, np.int8(100))}
    model = make_model(nodes, feeds, {**grids(**scales), "one": np.float32(1), "far": np.float32(-100)})
    assert not float_islands(meaning(model))
    (found,) = values(model, feeds)
    mask = gathered((1 - feeds["mask"].astype(np.float32)) * np.float32(-100), *scales["gm"])
    total = spread(feeds["a"], *scales["ga"]) + spread(mask, *scales["gm"])
    np.testing.assert_array_equal(found, gathered(total, *scales["gy"]))
