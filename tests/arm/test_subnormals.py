"""32-bit Arm takes subnormals for what they are: NEON does not, VFP does, and compilers must not swap the two."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

import subbyte
from subbyte.targets.arm.processors import AARCH32, NAMES, parse

CORES = [name for name in NAMES if (processor := parse(name)) is not None and processor.state == AARCH32]
SHAPE = (1, 4, 6, 34)  # rows longer than a loop that compilers would unroll or vectorize


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], name=output, **attributes)


def model() -> bytes:
    """Every kind of comparison, minimum and maximum of floats, and arithmetic whose results are subnormal."""
    nodes = [
        node("Less", ["a", "b"], "less"),
        node("LessOrEqual", ["a", "b"], "less_or_equal"),
        node("Equal", ["a", "b"], "equal"),
        node("Max", ["a", "b"], "max"),
        node("Min", ["a", "b"], "min"),
        node("Relu", ["a"], "relu"),
        node("MaxPool", ["a"], "max_pool", kernel_shape=[2, 2]),
        node("ReduceMax", ["a"], "reduce_max", axes=[2], keepdims=1),
        node("ReduceMin", ["a"], "reduce_min", axes=[1], keepdims=1),
        node("Add", ["a", "b"], "add"),
        node("Mul", ["a", "half"], "mul"),
        node("Div", ["a", "b"], "div"),
        node("Clip", ["a", "low", "high"], "clip"),
        node("Sign", ["a"], "sign"),
        node("Abs", ["a"], "abs"),
        node("Sub", ["a", "b"], "sub"),
        node("Where", ["less", "a", "b"], "where"),
        node("QuantizeLinear", ["a", "fine", "zero"], "codes"),
        node("DequantizeLinear", ["codes", "finer", "zero"], "dequantize"),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        for name, value in (("half", 0.5), ("low", -1e-40), ("high", 1e-40), ("fine", 1e-40), ("finer", 3e-45))
    ]
    constants.append(helper.make_tensor("zero", TensorProto.INT8, [], [3]))
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in "ab"]
    others = dict.fromkeys(("less", "less_or_equal", "equal"), TensorProto.BOOL) | {"codes": TensorProto.INT8}
    outputs = [
        helper.make_tensor_value_info(each.name, others.get(each.name, TensorProto.FLOAT), None) for each in nodes
    ]
    graph = helper.make_graph(nodes, "subnormals", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def reals(seed: int) -> NDArray[np.float32]:
    """Subnormals of either sign, zeros, and few numbers beside them."""
    random = np.random.default_rng(seed)
    bits = random.integers(1, 1 << 23, SHAPE).astype(np.uint32) | random.integers(0, 2, SHAPE).astype(np.uint32) << 31
    found = bits.view(np.float32)
    found[random.random(SHAPE) < 0.2] = 0.0
    found[random.random(SHAPE) < 0.1] = np.float32(1.5)
    return found


@pytest.fixture(scope="module")
def samples() -> list[dict[str, NDArray[np.float32]]]:
    return [{"a": reals(2 * seed), "b": reals(2 * seed + 1)} for seed in range(3)]


@pytest.fixture(scope="module")
def answers(samples: list[dict[str, NDArray[np.float32]]]) -> list[dict[str, NDArray[Any]]]:
    return [subbyte.evaluate(model(), sample) for sample in samples]


@pytest.mark.parametrize("name", [*CORES, "cortex-a53"])
def test_subnormals_are_not_zeros(
    emulated: Callable[[str], str],
    samples: list[dict[str, NDArray[np.float32]]],
    answers: list[dict[str, NDArray[Any]]],
    name: str,
) -> None:
    check(subbyte.compile(model(), target=emulated(name)), samples, answers)


def test_nor_by_gcc(
    emulated: Callable[[str], str],
    optional_capability: Callable[[str, str], NoReturn],
    samples: list[dict[str, NDArray[np.float32]]],
    answers: list[dict[str, NDArray[Any]]],
) -> None:
    command = "arm-linux-gnueabihf-gcc"
    if not shutil.which(command):
        optional_capability("cross gcc", f"{command} is not installed")
    check(subbyte.compile(model(), target=emulated("cortex-a7"), compiler=command), samples, answers)


def check(
    module: subbyte.Module,
    samples: list[dict[str, NDArray[np.float32]]],
    answers: list[dict[str, NDArray[Any]]],
) -> None:
    found = module.run_all(samples)
    for outputs, expected in zip(found, answers, strict=True):
        wrong = [key for key, array in expected.items() if one_nan(outputs[key]) != one_nan(array)]
        assert wrong == []


def one_nan(array: NDArray[Any]) -> bytes:
    """The bits of an array, all NaNs as one: 0 / 0 has another sign on x86 than on Arm."""
    if array.dtype.kind != "f":
        return array.tobytes()
    return np.where(np.isnan(array), np.array(np.nan, array.dtype), array).tobytes()
