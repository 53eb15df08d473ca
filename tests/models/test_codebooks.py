"""Networks with weights on codebooks, as training code exports them: floats, or a Gather of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import subbyte
from subbyte.compiler.explain import Explanation, explain
from subbyte.compiler.pipeline import lowered, quantized
from subbyte.compiler.target import find_target

Floats = NDArray[np.float32]
CONV, DENSE = (16, 8, 3, 3), (16 * 4 * 4, 24)


def _model(tables: tuple[Floats, Floats], gathered: bool) -> onnx.ModelProto:
    """Conv, Relu, MatMul between QuantizeLinear and DequantizeLinear; each weight is an entry of its layer's table."""
    random = np.random.default_rng(11)
    held: dict[str, NDArray[Any]] = {
        "s0": np.float32(0.02), "z0": np.uint8(128), "s1": np.float32(0.01), "z1": np.uint8(0),
        "s2": np.float32(0.01), "z2": np.uint8(131), "flat": np.array([1, -1]),
    }  # fmt: skip
    nodes = []
    for name, shape, table in (("conv", CONV, tables[0]), ("dense", DENSE, tables[1])):
        indices = random.integers(0, table.shape[-1], shape)
        if table.ndim == 2:  # a table for each output channel
            held[f"{name}.w"] = np.stack([row[part] for row, part in zip(table, indices, strict=True)])
        elif gathered:
            held |= {f"{name}.table": table, f"{name}.indices": indices}
            nodes.append(helper.make_node("Gather", [f"{name}.table", f"{name}.indices"], [f"{name}.w"]))
        else:
            held[f"{name}.w"] = table[indices]

    def requantized(x: str, number: int) -> str:
        grid = [f"s{number}", f"z{number}"]
        nodes.append(helper.make_node("QuantizeLinear", [x, *grid], [f"{x}.q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{x}.q", *grid], [f"{x}.d"]))
        return f"{x}.d"

    nodes.append(helper.make_node("Conv", [requantized("x", 0), "conv.w"], ["c"], pads=[1, 1, 1, 1], name="conv"))
    nodes.append(helper.make_node("Relu", ["c"], ["r"]))
    nodes.append(helper.make_node("Reshape", [requantized("r", 1), "flat"], ["f"]))
    nodes.append(helper.make_node("MatMul", ["f", "dense.w"], ["m"], name="dense"))
    nodes.append(helper.make_node("Identity", [requantized("m", 2)], ["y"]))
    graph = helper.make_graph(
        nodes,
        "codebooks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, DENSE[1]])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _ternary() -> tuple[Floats, Floats]:
    """{-s, 0, s} with a free scale: one for each filter of the convolution, one for the matrix."""
    scales = np.random.default_rng(2).uniform(0.01, 0.1, CONV[0]).astype(np.float32)
    signs = np.array([-1, 0, 1], np.float32)
    return scales[:, None] * signs, np.float32(0.0371) * signs


def _powers_of_two() -> tuple[Floats, Floats]:
    sizes = np.float32(0.003) * 2.0 ** np.arange(7, dtype=np.float32)
    return np.concatenate([-sizes, [0], sizes]).astype(np.float32), np.concatenate([-sizes, sizes]).astype(np.float32)


def _sums_of_powers() -> tuple[Floats, Floats]:
    """Additive powers of two, 4 bits: a sign, and p0 + p1 with p0 of {0, 1, 1/4, 1/16} and p1 of {0, 1/2}, scaled."""
    sums = np.unique(np.add.outer([0, 1, 1 / 4, 1 / 16], [0, 1 / 2]))
    both = np.unique(np.concatenate([-sums, sums])).astype(np.float32)
    return np.float32(0.0723) * both, np.float32(0.05) * both


def _centres_on_a_grid() -> tuple[Floats, Floats]:
    """16 centres, rounded to whole multiples of a step as a k-means that knows the hardware does."""
    random = np.random.default_rng(4)
    first, second = (np.sort(random.choice(np.arange(-127, 128), 16, replace=False)) for _ in range(2))
    return np.float32(0.0009) * first.astype(np.float32), np.float32(0.0007) * second.astype(np.float32)


def _centres() -> tuple[Floats, Floats]:
    random = np.random.default_rng(5)
    first, second = (np.sort(random.normal(0, 0.05, 16)).astype(np.float32) for _ in range(2))
    return first, second


CODEBOOKS: dict[str, tuple[Callable[[], tuple[Floats, Floats]], bool, tuple[str, str]]] = {
    # name: (tables, whether ONNX gathers them, what explain says of the weights)
    "ternary": (_ternary, False, ("int2", "int2")),
    "powers of two": (_powers_of_two, False, ("table4[15]", "table4[14]")),
    "sums of powers": (_sums_of_powers, False, ("table4[15]", "table4[15]")),
    "centres on a grid": (_centres_on_a_grid, True, ("table4[16]", "table4[16]")),
}


def _explained(model: onnx.ModelProto, target: str) -> Explanation:
    goal = find_target(target)
    return explain(quantized(model), lowered(model, goal), goal)


def _samples() -> list[Floats]:
    random = np.random.default_rng(6)
    return [random.normal(0, 1, (1, 8, 4, 4)).astype(np.float32) for _ in range(5)]


def _agrees(model: onnx.ModelProto, target: str, weights: str = "inline") -> None:
    module = subbyte.compile(model, target=target, weights=weights)
    for x in _samples():
        assert np.array_equal(module.run({"x": x})["y"], subbyte.evaluate(model, {"x": x})["y"])


@pytest.mark.parametrize("target", ["portable", "native"])
@pytest.mark.parametrize("name", list(CODEBOOKS))
def test_weights_on_a_grid_are_integers_in_a_table(name: str, target: str) -> None:
    tables, gathered, expected = CODEBOOKS[name]
    model = _model(tables(), gathered)
    explained = _explained(model, target)
    assert explained.integer_macs == explained.macs
    assert tuple(layer.weights for layer in explained.layers if layer.weights is not None) == expected
    _agrees(model, target)


@pytest.mark.parametrize("name", list(CODEBOOKS))
def test_portable_bundles_hold_four_bits_a_weight_or_less(name: str) -> None:
    tables, gathered, expected = CODEBOOKS[name]
    bits = 2 if expected[0] == "int2" else 4
    layers = [layer for layer in _explained(_model(tables(), gathered), "portable").layers if layer.weights is not None]
    for layer, elements in zip(layers, (np.prod(CONV), np.prod(DENSE)), strict=True):
        assert elements * bits // 8 <= layer.weight_bytes <= elements * bits // 8 + 512  # biases, tables, N4


@pytest.mark.parametrize("target", ["portable", "native"])
def test_weights_off_any_grid_are_floats_in_a_table(target: str) -> None:
    model = _model(_centres(), gathered=True)
    explained = _explained(model, target)
    assert explained.integer_macs == 0
    assert {island.reason for island in explained.islands if island.macs} == {
        "its weights have 16 values, which lie on no common grid of 8 bits"
    }
    kept = [layer for layer in explained.layers if layer.op.startswith("Codebook")]
    assert [layer.bits for layer in kept] == ["f32 table4[16] -> f32"] * 2
    for layer, elements, outputs in zip(kept, (np.prod(CONV), np.prod(DENSE)), (CONV[0], DENSE[1]), strict=True):
        whole = elements if target == "portable" else elements // outputs * (-(-outputs // 32) * 32)  # of registers
        assert elements // 2 + 64 <= layer.weight_bytes <= whole // 2 + 64 + (0 if target == "portable" else 4)
    _agrees(model, target)


@pytest.mark.parametrize("name", ["sums of powers", "centres"])
def test_tables_are_read_from_a_weights_file(name: str) -> None:
    tables, gathered, _ = CODEBOOKS.get(name, (_centres, True, ("", "")))
    _agrees(_model(tables(), gathered), "portable", "file")


@pytest.mark.parametrize("name", [*CODEBOOKS, "centres"])
def test_answers_are_within_a_step_of_onnxruntime(name: str) -> None:
    tables, gathered, _ = CODEBOOKS.get(name, (_centres, True, ("", "")))
    model = _model(tables(), gathered)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for x in _samples():
        (theirs,) = session.run(None, {"x": x})
        steps = np.rint((subbyte.evaluate(model, {"x": x})["y"] - theirs) / np.float32(0.01))
        assert np.abs(steps).max() <= 1
        assert np.unique(theirs).size > 8  # the answers differ, so that the comparison says something
