"""Raw fake quantization is recognised where it is proved to be a quantization, and left alone where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, NodeProto, helper

from subbyte.compiler.explain import explain
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.recognize_fake_quantize import recognize_fake_quantize

Array = npt.NDArray[Any]
Make = Callable[..., ModelProto]

Steps = list[tuple[str, float | tuple[float, ...] | None]]


def _limited(before: Steps, dtype_range: tuple[float, float], after: Steps) -> Steps:
    return [*before, ("Round", None), ("Clip", dtype_range), *after]


_THIRD, _INVERSE_OF_THIRD = float(np.float32(0.3)), float(np.float32(1) / np.float32(0.3))
CHAINS: dict[str, tuple[Steps, str, str]] = {
    # name: (operators and constants, dtype, rounding)
    "round, clip": (_limited([("Div", 0.1)], (-8, 7), [("Mul", 0.1)]), "int4", "HALF_EVEN"),
    "clip, round (LSQ)": ([("Div", 0.1), ("Clip", (0, 15)), ("Round", None), ("Mul", 0.1)], "uint4", "HALF_EVEN"),
    "zero point after": (
        [("Div", 0.1), ("Round", None), ("Add", 101), ("Clip", (0, 255)), ("Sub", 101), ("Mul", 0.1)],
        "uint8",
        "HALF_EVEN",
    ),
    "zero point first": (
        _limited([("Div", 0.1), ("Add", 101)], (0, 255), [("Sub", 101), ("Mul", 0.1)]),
        "uint8",
        "HALF_EVEN",
    ),
    "inverse scale": (_limited([("Mul", 8)], (-128, 127), [("Mul", 0.125)]), "int8", "HALF_EVEN"),
    "inverse scale that is rounded": (
        _limited([("Mul", _INVERSE_OF_THIRD)], (-8, 7), [("Mul", _THIRD)]),
        "int4",
        "HALF_EVEN",
    ),
    "DoReFa": ([("Clip", (0, 1)), ("Mul", 15), ("Round", None), ("Div", 15)], "uint4", "HALF_EVEN"),
    "DoReFa of 3 bits": ([("Clip", (0, 1)), ("Mul", 7), ("Round", None), ("Div", 7)], "uint3", "HALF_EVEN"),
    "PACT": ([("Clip", (0, 2.5)), ("Mul", 6), ("Round", None), ("Div", 6)], "uint4", "HALF_EVEN"),
    "relu before": (
        [("Relu", None), ("Div", 0.2), ("Round", None), ("Min", 15), ("Mul", 0.2)],
        "uint4",
        "HALF_EVEN",
    ),
    "relu after": (_limited([("Div", 0.2)], (-16, 15), [("Mul", 0.2), ("Relu", None)]), "uint4", "HALF_EVEN"),
    "narrow": ([("Div", 0.1), ("Clip", (-1, 1)), ("Round", None), ("Mul", 0.1)], "int2", "HALF_EVEN"),
    "floor": ([("Div", 0.1), ("Floor", None), ("Clip", (-8, 7)), ("Mul", 0.1)], "int4", "FLOOR"),
    "ceil": ([("Div", 0.1), ("Ceil", None), ("Clip", (-8, 7)), ("Mul", 0.1)], "int4", "CEIL"),
    "sign": ([("Sign", None), ("Mul", 0.7)], "int2", "UP"),
    "whole numbers": (_limited([], (-4, 3), []), "int3", "HALF_EVEN"),
    "two scales": (_limited([("Div", 0.1)], (-8, 7), [("Mul", 0.25)]), "int4", "HALF_EVEN"),
    "two scales for few codes": (_limited([("Div", 0.1)], (0, 81), [("Mul", 0.25)]), "uint7", "HALF_EVEN"),
}
INVERSE = ("DoReFa", "DoReFa of 3 bits", "PACT", "inverse scale that is rounded")
STAYS: dict[str, Steps] = {
    "no bound": [("Div", 0.1), ("Round", None), ("Mul", 0.1)],
    "a bound between codes": [("Div", 0.1), ("Round", None), ("Clip", (-7.5, 7)), ("Mul", 0.1)],
    "no zero": [("Div", 0.1), ("Round", None), ("Clip", (-8, 7)), ("Mul", 0.1), ("Add", 0.03), ("Sqrt", None)],
    "no end": [("Floor", None)],
}


def chained(
    steps: Steps, shape: tuple[int, ...] = (4000,), x: str = "x", y: str = "y"
) -> tuple[list[NodeProto], dict[str, Array]]:
    """The nodes of a chain from tensor `x` to tensor `y`, and its constants."""
    nodes, constants = [], {}
    current = x
    for index, (op, numbers) in enumerate(steps):
        operands = [current]
        for place, number in enumerate(np.atleast_1d([] if numbers is None else numbers)):
            operands.append(f"{x}_{index}_{place}")
            constants[operands[-1]] = np.float32(number)
        current = y if index == len(steps) - 1 else f"{x}_{index}"
        nodes.append(helper.make_node(op, operands, [current], f"{op}_{x}_{index}"))
    return nodes, constants


def recognized(model: ModelProto) -> tuple[Graph, Graph]:
    """The graph before and after."""
    graph = fold_constants(import_model(model))
    return graph, recognize_fake_quantize(graph)


def numbers() -> Array:
    """Ties of many scales and their neighbours, ordinary numbers, both zeros, infinities."""
    random = np.random.default_rng(0)
    ties = (np.arange(-300, 300) / 2)[:, None] * np.array([0.1, 0.3, 1 / 15, 1 / 7, 0.125, 0.2])
    ties = ties.astype(np.float32).reshape(-1)[:1200]
    near = [np.nextafter(ties, np.float32(9)), np.nextafter(ties, np.float32(-9))]
    rest = random.normal(0, 3, 395).astype(np.float32)
    return np.concatenate([ties, *near, rest, np.float32([0.0, -0.0, np.inf, -np.inf, 1e-45])])


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_becomes_one_quantization_with_the_same_numbers(name: str, make_model: Make) -> None:
    steps, dtype, rounding = CHAINS[name]
    nodes, constants = chained(steps)
    before, after = recognized(make_model(nodes, {"x": (4000,)}, constants))
    kinds = [type(node).__name__ for node in after.operations()]
    assert [kind for kind in kinds if kind != "Lookup"] == ["QuantizeLinear", "DequantizeLinear"]
    assert ("Lookup" in kinds) == name.startswith("two scales")
    quantize = next(node for node in after.operations() if isinstance(node, ops.QuantizeLinear))
    assert (str(quantize.dtype), quantize.rounding) == (dtype, rounding)
    assert quantize.sources == tuple(node.name for node in nodes)
    x = numbers()
    (expected,), (found,) = (evaluate(graph, {"x": x}).values() for graph in (before, after))
    step = quantize.quant.scalar()[0]
    moved = np.abs(found - expected) > 2.0**-22 * np.abs(expected).max()
    if name in INVERSE:  # only numbers next to a step between two codes may get the other one
        at_step = np.abs(x[moved] / step % 1 - 0.5) < 1e-5
        assert at_step.all()
        assert (np.abs(found - expected)[moved] < 1.001 * step).all()
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", STAYS)
def test_what_is_not_proved_stays(name: str, make_model: Make) -> None:
    nodes, constants = chained(STAYS[name])
    before, after = recognized(make_model(nodes, {"x": (4000,)}, constants))
    if name == "no zero":  # the shorter chain inside is one
        assert [type(node).__name__ for node in after.operations()][:2] == ["QuantizeLinear", "DequantizeLinear"]
    else:
        assert after is before


def test_a_bound_for_each_channel_before_a_chain_is_no_part_of_it(make_model: Make) -> None:
    nodes, constants = chained(CHAINS["round, clip"][0], x="bounded")
    bound = helper.make_node("Max", ["x", "bounds"], ["bounded"], "max")
    constants["bounds"] = np.float32([-0.35, 0.2, 0.25, -9])
    before, after = recognized(make_model([bound, *nodes], {"x": (1000, 4)}, constants))
    kinds = [type(node).__name__ for node in after.operations()]
    assert kinds == ["Maximum", "QuantizeLinear", "DequantizeLinear"]
    x = numbers()[:4000].reshape(1000, 4)
    (expected,), (found,) = (evaluate(graph, {"x": x}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected)


def test_a_factor_for_each_channel_before_a_chain_is_no_part_of_it(make_model: Make) -> None:
    nodes, constants = chained(CHAINS["round, clip"][0], x="scaled")
    factor = helper.make_node("Mul", ["x", "factors"], ["scaled"], "mul")
    constants["factors"] = np.float32([0.35, 0.2, 1.25, 9])
    before, after = recognized(make_model([factor, *nodes], {"x": (1000, 4)}, constants))
    assert [type(node).__name__ for node in after.operations()] == ["Mul", "QuantizeLinear", "DequantizeLinear"]
    quantize = next(node for node in after.operations() if isinstance(node, ops.QuantizeLinear))
    assert quantize.quant.is_per_tensor
    x = numbers()[:4000].reshape(1000, 4)
    (expected,), (found,) = (evaluate(graph, {"x": x}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected)


def test_chains_that_follow_each_other_are_all_found(make_model: Make) -> None:
    nodes, constants = [], {}
    for index, name in enumerate(("round, clip", "PACT", "zero point after")):
        more, numbers_of = chained(CHAINS[name][0], x=f"x{index}" if index else "x", y=f"x{index + 1}")
        nodes += more
        constants |= numbers_of
    before, after = recognized(make_model(nodes, {"x": (4000,)}, constants))
    kinds = [type(node).__name__ for node in after.operations()]
    assert kinds == ["QuantizeLinear", "DequantizeLinear"] * 3
    (expected,), (found,) = (evaluate(graph, {"x": numbers()}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected)


def test_a_straight_through_estimator_is_its_rounding(make_model: Make) -> None:
    nodes = [
        helper.make_node("Div", ["x", "s"], ["u"], "divide"),
        helper.make_node("Clip", ["u", "low", "high"], ["c"], "clip"),
        helper.make_node("Round", ["c"], ["r"], "round"),
        helper.make_node("Sub", ["r", "c"], ["d"], "subtract"),
        helper.make_node("Add", ["d", "c"], ["t"], "add"),
        helper.make_node("Mul", ["t", "s"], ["y"], "multiply"),
    ]
    constants = {"s": np.float32(0.3), "low": np.float32(-8), "high": np.float32(7)}
    before, after = recognized(make_model(nodes, {"x": (4000,)}, constants))
    assert [type(node).__name__ for node in after.operations()] == ["QuantizeLinear", "DequantizeLinear"]
    (expected,), (found,) = (evaluate(graph, {"x": numbers()}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected)


# Weights --------------------------------------------------------------------------------------------------------------


def random_codes(kind: str, shape: tuple[int, ...]) -> Array:
    random = np.random.default_rng(1)
    choices = {
        "sign": [-1, 1],
        "ternary": [-1, 0, 1],
        "3 bits": range(-4, 4),
        "8 bits": range(-127, 128),
        "all of int8": range(-128, 128),
    }[kind]
    return random.choice(list(choices), shape).astype(np.float32)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("sign", "bipolar"), ("ternary", "int2"), ("3 bits", "int3"), ("8 bits", "int8"), ("all of int8", "int8")],
)
def test_a_fake_quantized_layer_runs_on_the_codes_of_its_weights(
    kind: str, dtype: str, per_channel: bool, make_model: Make, meaning: Callable[[ModelProto], Graph], values: Any
) -> None:
    scale = np.random.default_rng(2).uniform(0.01, 0.1, (6, 1, 1, 1) if per_channel else ()).astype(np.float32)
    codes = random_codes(kind, (6, 4, 3, 3))
    first, of_first = chained(CHAINS["clip, round (LSQ)"][0], x="x", y="a")
    last, of_last = chained([("Div", 0.5), ("Round", None), ("Clip", (-128, 127)), ("Mul", 0.5)], x="v", y="y")
    conv = helper.make_node("Conv", ["a", "w"], ["v"], "conv", kernel_shape=[3, 3])
    constants = {**of_first, **of_last, "w": (codes * scale).astype(np.float32)}
    model = make_model([*first, conv, *last], {"x": (1, 4, 8, 8)}, constants)
    graph = meaning(model)
    (product,) = (node for node in graph.operations() if type(node).__name__ == "QConv")
    assert [str(operand.type.dtype) for operand in product.operands] == ["uint4", dtype]
    assert explain(graph).integer_macs == explain(graph).macs > 0
    x = np.random.default_rng(3).uniform(0, 2, (1, 4, 8, 8)).astype(np.float32)
    found = values(model, {"x": x}, compiled=True)
    a = np.clip(np.rint(x / np.float32(0.1)), 0, 15)
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), axis=(2, 3)).astype(np.float64)
    sums = np.einsum("nchwij,ocij->nohw", windows, codes) * np.reshape(scale, (-1, 1, 1)) * np.float32(0.1)
    steps = found / 0.5 - np.clip(sums / 0.5, -128, 127)
    assert np.abs(steps).max() <= 0.5 + 1e-4


def test_trained_float_weights_are_no_codes(make_model: Make) -> None:
    weights = np.random.default_rng(4).normal(size=(6, 4, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    before, after = recognized(make_model([node], {"x": (1, 4, 8, 8)}, {"w": weights}))
    assert after is before


def test_dorefa_weights_lie_on_odd_codes(make_model: Make) -> None:
    """2 * round(w * 15) / 15 - 1: sixteen levels without a zero, the odd numbers -15..15 of fifteenths."""
    levels = np.float32(2) * (np.arange(16, dtype=np.float32) / np.float32(15)) - np.float32(1)
    weights = np.random.default_rng(5).choice(levels, (6, 4, 3, 3))
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    _, after = recognized(make_model([node], {"x": (1, 4, 8, 8)}, {"w": weights}))
    (read,) = (node for node in after.operations() if isinstance(node, ops.DequantizeLinear))
    assert str(read.x.type.dtype) == "int5"
    assert set(np.unique(np.asarray(read.x.constant)).tolist()) == set(range(-15, 16, 2))


@pytest.mark.parametrize(("clip", "expected"), [((-8.0, 7.0), True), ((-7.5, 7.0), False)])
def test_constants_along_an_axis_are_scales_along_it(
    clip: tuple[float, float], expected: bool, make_model: Make
) -> None:
    scale = np.float32([0.1, 0.3, 0.25]).reshape(3, 1)
    nodes = [
        helper.make_node("Div", ["x", "scale"], ["t0"], "divide"),
        helper.make_node("Round", ["t0"], ["t1"], "round"),
        helper.make_node("Clip", ["t1", "low", "high"], ["t2"], "clip"),
        helper.make_node("Mul", ["t2", "scale"], ["y"], "multiply"),
    ]
    bounds = {"low": np.float32(clip[0]), "high": np.float32(clip[1])}
    before, after = recognized(make_model(nodes, {"x": (2, 3, 1400)}, {"scale": scale, **bounds}))
    if not expected:
        assert after is before
        return
    quantize = next(node for node in after.operations() if isinstance(node, ops.QuantizeLinear))
    assert (str(quantize.dtype), quantize.quant.axis) == ("int4", 1)
    np.testing.assert_array_equal(quantize.quant.static()[0], scale.reshape(-1))
    x = np.resize(numbers(), (2, 3, 1400))
    (expected_values,), (found,) = (evaluate(graph, {"x": x}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected_values)


def test_constants_along_two_axes_stay_float(make_model: Make) -> None:
    nodes = [
        helper.make_node("Div", ["x", "a"], ["t0"], "divide"),
        helper.make_node("Clip", ["t0", "low", "high"], ["t1"], "clip"),
        helper.make_node("Round", ["t1"], ["t2"], "round"),
        helper.make_node("Mul", ["t2", "b"], ["y"], "multiply"),
    ]
    constants = {
        "a": np.float32([[0.1], [0.3]]),
        "b": np.float32([0.1, 0.3]),
        "low": np.float32(-8),
        "high": np.float32(7),
    }
    before, after = recognized(make_model(nodes, {"x": (2, 2)}, constants))
    assert next(type(node) for node in after.operations()) is ops.Div
    x = np.float32([[0.26, 0.9], [0.26, 0.9]])
    (expected,), (found,) = (evaluate(graph, {"x": x}).values() for graph in (before, after))
    np.testing.assert_array_equal(found, expected)
