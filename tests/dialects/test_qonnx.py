"""Quant, BipolarQuant and Trunc mean what QONNX says; tests/dialects/test_table.py has every setting of Quant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import ModelProto, helper

from subbyte.compiler.explain import explain
from subbyte.compiler.ir import qops
from tests.dialects import formulas

Array = npt.NDArray[Any]
Make = Callable[..., ModelProto]
Values = Callable[..., Array]

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
GENERAL = DOMAINS[0]
SHAPE = (3, 2, 4, 5)


def reals(seed: int, scale: Array) -> Array:
    """Ties, steps and ordinary numbers around a few steps of `scale`."""
    random = np.random.default_rng(seed)
    steps = random.integers(-40, 40, SHAPE) / 4
    steps = np.where(random.random(SHAPE) < 0.3, random.normal(0, 6, SHAPE), steps)
    return np.asarray(steps.astype(np.float32) * scale, np.float32)


def fake_quantizer(
    op: str, constants: dict[str, Any], make_model: Make, *, domain: str = GENERAL, **keywords: Any
) -> Any:
    """A model of one operator: x, then the constants in order."""
    attributes = {name: keywords.pop(name) for name in ("signed", "narrow", "rounding_mode") if name in keywords}
    node = helper.make_node(op, ["x", *constants], ["y"], "node", domain=domain, **attributes)
    arrays = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    return make_model([node], {"x": keywords.pop("shape", SHAPE)}, arrays, **keywords)


@pytest.mark.parametrize(("signed", "bits", "zero"), [(1, 4, 1), (0, 4, 3), (1, 1, 0), (0, 8, 0)])
def test_compiled_quant_equals_the_interpreter(
    signed: int, bits: int, zero: int, make_model: Make, values: Values
) -> None:
    constants = {"scale": np.float32([0.3, 0.25]).reshape(1, 2, 1, 1), "zero": zero, "bits": bits}
    model = fake_quantizer("Quant", constants, make_model, signed=signed, narrow=0, rounding_mode="HALF_UP")
    x = reals(1, np.broadcast_to(constants["scale"], SHAPE))
    values(model, {"x": x}, compiled=True)


def test_onnx_and_qonnx_round_a_tie_with_an_odd_zero_point_differently(make_model: Make, values: Values) -> None:
    x = np.float32([0.5, 1.5, 2.5])
    ours = fake_quantizer("Quant", {"s": 1, "z": 1, "b": 4}, make_model, signed=0, narrow=0, shape=(3,))
    constants = {"s": np.float32(1), "z": np.uint8(1)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], "dequantize"),
    ]
    assert values(ours, {"x": x}).tolist() == [1, 1, 3]  # rne(1.5) - 1, rne(2.5) - 1, rne(3.5) - 1
    assert values(make_model(nodes, {"x": (3,)}, constants), {"x": x}).tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    "versions", [{}, {"onnx.brevitas": 1}, dict.fromkeys(DOMAINS, 2)], ids=["none", "another", "all"]
)
@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("op", ["Quant", "IntQuant"])
def test_every_domain_with_or_without_an_opset_import(
    op: str, domain: str, versions: dict[str, int], make_model: Make, values: Values
) -> None:
    x = reals(3, np.float32(0.5))
    constants = {"scale": 0.5, "zero": 0, "bits": 3}
    model = fake_quantizer(op, constants, make_model, domain=domain, signed=1, narrow=1, opset=9, domains=versions)
    expected = formulas.quant(x, np.float32(0.5), np.float32(0), 3, signed=True, narrow=True, rounding="ROUND")
    np.testing.assert_array_equal(values(model, {"x": x}), expected)


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_bipolar_quant(scale: float, make_model: Make, values: Values) -> None:
    x = np.float32([-2, -1e-45, -0.0, 0.0, 1e-45, 3])
    model = fake_quantizer("BipolarQuant", {"scale": [scale]}, make_model, shape=(6,))
    expected = np.float32([-1, -1, 1, 1, 1, 1]) * np.float32(scale)
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=True), expected)


# Trunc ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND", "CEIL", "HALF_UP", "DOWN"])
@pytest.mark.parametrize(("zero", "in_bits", "out_bits"), [(0, 8, 4), (0, 6, 6), (4, 8, 6), (0, 14, 8)])
def test_trunc_1(rounding: str, zero: int, in_bits: int, out_bits: int, make_model: Make, values: Values) -> None:
    codes = np.random.default_rng(5).integers(-(2 ** (in_bits - 1)), 2 ** (in_bits - 1), SHAPE)
    x = ((codes - zero) * np.float32(0.3)).astype(np.float32)
    constants = {"scale": 0.3, "zero": zero, "in_bits": in_bits, "out_bits": out_bits}
    model = fake_quantizer("Trunc", constants, make_model, rounding_mode=rounding)
    expected = formulas.trunc_1(x, np.float32(0.3), np.float32(zero), in_bits, out_bits, rounding)
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=rounding == "FLOOR"), expected)


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("rounding", ["FLOOR", "ROUND", "CEIL", "HALF_UP", "DOWN"])
def test_trunc_2(rounding: str, signed: int, narrow: int, make_model: Make, values: Values) -> None:
    codes = np.random.default_rng(6).integers(-128, 128, SHAPE)
    x = (codes * np.float32(0.3)).astype(np.float32)
    constants = {"scale": 0.3, "zero": 0, "in_bits": 8, "out_scale": 0.3 * 8, "out_bits": 4}
    model = fake_quantizer("Trunc", constants, make_model, signed=signed, narrow=narrow, rounding_mode=rounding,
                           domains={GENERAL: 2})  # fmt: skip
    expected = formulas.trunc_2(
        x, np.float32(0.3), np.float32(0), np.float32(0.3 * 8), 4, signed=bool(signed), narrow=bool(narrow),
        rounding=rounding,
    )  # fmt: skip
    np.testing.assert_array_equal(values(model, {"x": x}), expected)


def test_trunc_after_an_average_pool_is_unsigned(make_model: Make, values: Values) -> None:
    """The idiom that it was made for: the sum of a window in 8 + 2 bits, and 8 of them."""
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b8"], ["q"], "quant", domain=GENERAL, signed=0, narrow=0),
        helper.make_node("AveragePool", ["q"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["p", "four"], ["m"], "mul"),
        helper.make_node("Trunc", ["m", "s", "z", "b10", "b8"], ["y"], "trunc", domain=GENERAL),
    ]
    numbers = {"s": 0.5, "z": 0, "b8": 8, "b10": 10, "four": 4}
    model = make_model(nodes, {"x": (1, 2, 4, 4)}, {name: np.float32(number) for name, number in numbers.items()})
    codes = np.random.default_rng(7).integers(0, 256, (1, 2, 4, 4))
    sums = codes.reshape(1, 2, 2, 2, 2, 2).sum(axis=(3, 5))
    found = values(model, {"x": codes.astype(np.float32) / 2}, compiled=True)
    np.testing.assert_array_equal(found, (sums // 4).astype(np.float32) / 2)


# Layers ---------------------------------------------------------------------------------------------------------------


def binary_layer(gamma: Array, make_model: Make) -> ModelProto:
    """BipolarQuant -> MatMul of bipolar weights -> BatchNormalization -> BipolarQuant."""
    random = np.random.default_rng(8)
    channels = len(gamma)
    nodes = [
        helper.make_node("BipolarQuant", ["x", "one"], ["a"], "input", domain=GENERAL),
        helper.make_node("BipolarQuant", ["w", "scale"], ["b"], "weights", domain=GENERAL),
        helper.make_node("MatMul", ["a", "b"], ["s"], "matmul"),
        helper.make_node("BatchNormalization", ["s", "gamma", "beta", "mean", "variance"], ["n"], "normalize"),
        helper.make_node("BipolarQuant", ["n", "one"], ["y"], "output", domain=GENERAL),
    ]
    constants = {
        "one": np.float32(1),
        "scale": np.float32(0.5),
        "w": random.normal(size=(40, channels)).astype(np.float32),
        "gamma": gamma,
        "beta": random.normal(size=channels).astype(np.float32),
        "mean": random.normal(size=channels).astype(np.float32),
        "variance": random.uniform(0.5, 2, channels).astype(np.float32),
    }
    return make_model(nodes, {"x": (16, 40)}, constants)


@pytest.mark.parametrize("signs", ["positive", "negative", "mixed", "zero"])
def test_a_binary_layer_compares_its_sums_in_integers(
    signs: str, make_model: Make, meaning: Callable[..., Any], values: Values
) -> None:
    gamma = np.random.default_rng(9).uniform(0.1, 2, 12).astype(np.float32)
    gamma *= {"positive": 1, "negative": -1, "mixed": np.float32([1, -1] * 6), "zero": np.float32([1, 0, -1] * 4)}[
        signs
    ]
    model = binary_layer(gamma, make_model)
    operations = meaning(model).operations()
    assert [type(node).__name__ for node in operations] == ["QuantizeLinear", "QGemm", "DequantizeLinear"]
    product = next(node for node in operations if isinstance(node, qops.QGemm))
    weights = "ternary" if signs == "zero" else "bipolar"  # the weights of a silent channel are zeros
    assert [str(t.dtype) for t in (product.a.type, product.b.type, product.type)] == ["bipolar", weights, "bipolar"]
    x = np.random.default_rng(10).normal(size=(16, 40)).astype(np.float32)
    initial = {tensor.name: np.frombuffer(tensor.raw_data, np.float32) for tensor in model.graph.initializer}
    sums = np.where(x >= 0, 1.0, -1.0) @ np.where(initial["w"].reshape(40, 12) >= 0, 0.5, -0.5)
    deviation = np.sqrt(initial["variance"].astype(np.float64) + np.float32(1e-5))
    normal = (sums - initial["mean"]) / deviation * gamma + initial["beta"]
    np.testing.assert_array_equal(values(model, {"x": x}, compiled=True), np.where(normal >= 0, 1, -1))


@pytest.mark.parametrize("rounding", list(formulas.ROUNDINGS))
def test_a_layer_that_rounds_in_any_way_has_integer_sums(
    rounding: str, make_model: Make, meaning: Any, values: Values
) -> None:
    """With power-of-two scales the float32 sums are exact, so the whole chain must be, too."""
    random = np.random.default_rng(11)
    attributes = {"signed": 1, "narrow": 0, "rounding_mode": rounding, "domain": GENERAL}
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["a"], "input", **attributes),
        helper.make_node("Quant", ["w", "s", "zero", "b"], ["c"], "weights", **attributes),
        helper.make_node("Conv", ["a", "c"], ["v"], "conv", kernel_shape=[3, 3]),
        helper.make_node("Quant", ["v", "t", "z", "b"], ["y"], "output", **attributes),
    ]
    numbers = {
        "s": np.float32(0.25),
        "t": np.float32(0.5),
        "z": np.float32(1),
        "zero": np.float32(0),
        "b": np.float32(4),
    }
    w = random.normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = make_model(nodes, {"x": (1, 3, 6, 6)}, {**numbers, "w": w})
    explanation = explain(meaning(model))
    assert explanation.integer_macs == explanation.macs > 0
    x = random.normal(size=(1, 3, 6, 6)).astype(np.float32)
    options = {"signed": True, "narrow": False, "rounding": rounding}
    a = formulas.quant(x, numbers["s"], numbers["z"], 4, **options)
    c = formulas.quant(w, numbers["s"], numbers["zero"], 4, **options)
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), axis=(2, 3))
    v = np.einsum("nchwij,ocij->nohw", windows.astype(np.float64), c.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(
        values(model, {"x": x}, compiled=True), formulas.quant(v, numbers["t"], numbers["z"], 4, **options)
    )
