"""The tracer: ties are told from errors, region by region, for each dialect's codes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.trace import TensorTrace, Tracer, trace

Array = npt.NDArray[Any]


def model_of(
    nodes: Sequence[NodeProto], constants: Mapping[str, Any], shape: Sequence[int], *, opset: int = 17
) -> ModelProto:
    """A model from float x to the last node's first output."""
    graph = helper.make_graph(
        list(nodes),
        "traced",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.ValueInfoProto(name=nodes[-1].output[0])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("qonnx.custom_op.general", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def two_layers(terms: int = 24) -> ModelProto:
    """QuantizeLinear(x), twice a MatMul of codes and QuantizeLinear: tensors q0, q1, q2, output y."""
    generator = np.random.default_rng(0)
    constants: dict[str, Any] = {"s": np.float32(0.25), "t": np.float32(0.1), "z": np.int8(0), "odd": np.int8(3)}
    constants |= {f"w{i}": generator.integers(-8, 8, (terms, terms)).astype(np.int8) for i in range(2)}
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q0"])]
    for i in range(2):
        zero, after = ("z", "odd") if i == 0 else ("odd", "z")
        nodes += [
            helper.make_node("DequantizeLinear", [f"q{i}", "s" if i == 0 else "t", zero], [f"a{i}"]),
            helper.make_node("DequantizeLinear", [f"w{i}", "t", "z"], [f"b{i}"]),
            helper.make_node("MatMul", [f"a{i}", f"b{i}"], [f"p{i}"]),
            helper.make_node("QuantizeLinear", [f"p{i}", "t", after], [f"q{i + 1}"]),
        ]
    nodes.append(helper.make_node("DequantizeLinear", ["q2", "t", "z"], ["y"]))
    return model_of(nodes, constants, (1, terms))


def samples_of(count: int, *shape: int, seed: int = 1) -> list[dict[str, Array]]:
    drawn = np.random.default_rng(seed).normal(0, 2, (count, *shape)).astype(np.float32)
    return [{"x": x} for x in drawn]


class Altered:
    """The simulation, some of whose tensors are changed; what follows from them is not."""

    def __init__(self, model: ModelProto, changes: Mapping[str, tuple[int, int]]) -> None:
        self._engine = Tracer(model, "simulation").engine
        self._changes = changes

    @property
    def shown(self) -> Collection[str]:
        return self._engine.shown

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        found = {name: np.array(array) for name, array in self._engine.run(inputs).items()}
        for name, (index, step) in self._changes.items():
            found[name].reshape(-1)[index] += step
        return found


def by_name(traces: Sequence[TensorTrace]) -> dict[str, TensorTrace]:
    return {one.tensor: one for one in traces}


@pytest.mark.parametrize("engine", ["onnxruntime", "simulation"])
def test_two_engines_differ_at_ties_only(engine: str) -> None:
    traces = trace(two_layers(), samples_of(20, 1, 24), engine)
    assert [one.tensor for one in traces] == ["q0", "q1", "q2", "y"]
    assert [one.count for one in traces] == [20 * 24] * 4
    assert [(one.untraced, one.stray, one.reason) for one in traces] == [(0, 0, "")] * 4


def test_the_regions_together_are_the_model() -> None:
    model = two_layers()
    joined, whole = Tracer(model, "simulation").joined(), quantized(model)
    for sample in samples_of(8, 1, 24):
        np.testing.assert_array_equal(evaluate(joined, sample)["y"], evaluate(whole, sample)["y"])


def test_a_wrong_code_is_no_tie() -> None:
    """One step too much, in the middle of the model: that tensor alone is at fault, as it is the next one's operand."""
    model, samples = two_layers(), samples_of(3, 1, 24)
    found = by_name(trace(model, samples, Altered(model, {"q1": (5, 1)})))
    assert (found["q1"].untraced, found["q1"].stray) == (3, 3)
    assert found["q1"].max_abs == 1
    assert found["q1"].largest_distance > 100 * found["q1"].largest_bound
    assert (found["q0"].different, found["q2"].stray > 0) == (0, True), "q2 is the altered engine's, of q1 as it was"


def test_ties_taken_the_other_way_are_counted() -> None:
    """x / 2 of odd codes is a tie: half to even, or the engine's other neighbour."""
    constants = {"one": np.float32(1), "half": np.float32(0.5), "z": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "z"], ["a"]),
        helper.make_node("Mul", ["a", "half"], ["h"]),
        helper.make_node("QuantizeLinear", ["h", "one", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "one", "z"], ["y"]),
    ]
    model = model_of(nodes, constants, (1, 4))
    samples = [{"x": np.array([[1, 3, 4, -5]], np.float32)}]
    assert evaluate(quantized(model), samples[0])["y"].tolist() == [[0, 2, 2, -2]]
    for index, step in ((0, 1), (1, -1), (3, -1)):  # to 1, 1 and -3
        found = by_name(trace(model, samples, Altered(model, {"r": (index, step)})))["r"]
        assert (found.different, found.at_ties, found.stray, found.largest_distance) == (1, 1, 0, 0)
    for index, step in ((0, -1), (2, 1), (2, -1), (1, -2)):  # beyond the neighbours, and where there is no tie
        found = by_name(trace(model, samples, Altered(model, {"r": (index, step)})))["r"]
        assert (found.different, found.at_ties, found.stray) == (1, 0, 1)


@pytest.mark.parametrize(
    ("mode", "at", "step", "is_tie"),
    [
        ("FLOOR", 2.0, 1, True),  # ours is a little below 2 and becomes 1
        ("FLOOR", 2.0, -1, False),
        ("FLOOR", 2.5, -1, False),
        ("CEIL", 2.0, 1, True),
        ("CEIL", 2.0, -1, False),
        ("UP", 2.0, 1, True),
        ("UP", -2.0, -1, True),
        ("DOWN", 2.0, 1, True),
        ("DOWN", -2.0, 1, True),
        ("DOWN", -2.0, -1, False),
        ("HALF_UP", 2.5, -1, True),
        ("HALF_UP", 2.0, -1, False),
        ("HALF_DOWN", 2.5, 1, True),
        ("ROUND", 2.5, 1, True),
        ("ROUND", 2.25, 1, False),
    ],
)
def test_every_rounding_steps_where_it_does(mode: str, at: float, step: int, is_tie: bool) -> None:
    """Quant of x + c - c, whose float32 result may lie on either side of x."""
    constants = {"s": np.float32(1), "z": np.float32(0), "bits": np.float32(6), "c": np.float32(0.1)}
    nodes = [
        helper.make_node("Add", ["x", "c"], ["up"]),
        helper.make_node("Sub", ["up", "c"], ["back"]),
        helper.make_node(
            "Quant", ["back", "s", "z", "bits"], ["y"], domain="qonnx.custom_op.general", signed=1, narrow=0,
            rounding_mode=mode,
        ),
    ]  # fmt: skip
    model = model_of(nodes, constants, (1, 2))
    samples = [{"x": np.array([[at, 0.25]], np.float32)}]
    (found,) = trace(model, samples, Altered(model, {"y": (0, step)}))
    assert (found.different, found.at_ties, found.stray) == (1, int(is_tie), int(not is_tie))


def test_bipolar_codes_step_at_zero() -> None:
    nodes = [helper.make_node("BipolarQuant", ["x", "s"], ["y"], domain="qonnx.custom_op.general")]
    model = model_of(nodes, {"s": np.float32(0.5)}, (1, 3))
    samples = [{"x": np.array([[-1e-3, 0.5, -0.25]], np.float32)}]
    (same,) = trace(model, samples, "onnxruntime")
    (altered,) = trace(model, samples, Altered(model, {"y": (0, 1)}))  # reals: -0.5 + 1
    assert (same.different, same.stray) == (0, 0)
    assert (altered.different, altered.at_ties, altered.stray) == (1, 0, 1)


def test_reals_off_the_grid_are_refused() -> None:
    nodes = [helper.make_node("BipolarQuant", ["x", "s"], ["y"], domain="qonnx.custom_op.general")]
    model = model_of(nodes, {"s": np.float32(0.4)}, (1, 3))
    with pytest.raises(ModelError, match="no multiple of its scale"):
        trace(model, samples_of(1, 1, 3), Altered(model, {"y": (0, 1)}))


def test_run_time_scales_are_points_too() -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["real"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["y"]),
    ]
    weights = np.random.default_rng(0).integers(-9, 9, (6, 4)).astype(np.int8)
    model, samples = model_of(nodes, {"w": weights}, (2, 6)), samples_of(5, 2, 6)
    found = by_name(trace(model, samples))
    assert list(found) == ["scale", "zero", "q", "sums", "y"]
    assert [(one.count, one.untraced, one.stray) for one in found.values()] == [
        (5, 0, 0), (5, 0, 0), (60, 0, 0), (40, 0, 0), (40, 0, 0)
    ]  # fmt: skip
    for name in ("zero", "sums"):
        wrong = by_name(trace(model, samples, Altered(model, {name: (0, 1)})))
        assert wrong[name].untraced == 5


def test_what_has_no_bound_says_why() -> None:
    """Floor jumps, so nothing bounds the codes behind it; a difference in them is not traced."""
    constants = {"s": np.float32(0.5), "z": np.int8(0)}
    nodes = [helper.make_node("Floor", ["x"], ["f"]), helper.make_node("QuantizeLinear", ["f", "s", "z"], ["y"])]
    model = model_of(nodes, constants, (1, 3))
    (same,) = trace(model, samples_of(2, 1, 3))
    (altered,) = trace(model, samples_of(2, 1, 3), Altered(model, {"y": (0, 1)}))
    assert "Floor" in same.reason
    assert (same.untraced, altered.untraced, altered.max_abs) == (0, 2, 1)


def test_float16_has_no_bound() -> None:
    constants = {"s": np.float16(0.5), "z": np.int8(0)}
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("QuantizeLinear", ["half", "s", "z"], ["y"]),
    ]
    (found,) = trace(model_of(nodes, constants, (1, 3), opset=19), samples_of(4, 1, 3))
    assert "float16" in found.reason
    assert found.different == 0


def test_a_model_without_codes_is_refused() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {}, (1, 3))
    with pytest.raises(ModelError, match="nothing to trace"):
        trace(model, samples_of(1, 1, 3))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ModelError, match="'fused' and 'simulation'"):
        trace(two_layers(), samples_of(1, 1, 24), "tflite")
