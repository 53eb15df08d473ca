"""Costs of bits: what is counted, what kernels are said to take, and what they were measured to take."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.dtype import BIPOLAR, FLOAT32, DType
from subbyte.compiler.errors import ModelError, ToolchainError, UnsupportedError
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.ir.lowered import KernelCall
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.pipeline import Options, lowered, quantized
from subbyte.compiler.quantize.costs import COSTS
from subbyte.compiler.quantize.costs.cost import CostTable
from subbyte.compiler.quantize.costs.instructions import counted
from subbyte.compiler.quantize.costs.latency_cache import LatencyCache
from subbyte.compiler.quantize.costs.layer_graph import layer_graph, nearest_weights
from subbyte.compiler.quantize.costs.measured_latency import measured_table
from subbyte.compiler.quantize.costs.reference import quantized_in
from subbyte.compiler.quantize.costs.steps import signature, steps_of
from subbyte.compiler.quantize.costs.timed import Timing, side_by_side
from subbyte.compiler.samples import random_samples
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import find_compiler
from tests.passes.builders import conv, floats, graph_of, unary

W8A8, W4A8, W2A2 = Choice(8, 8), Choice(4, 8), Choice(2, 2)


def weights(*shape: int, seed: int = 0) -> Value:
    return floats(np.random.default_rng(seed).normal(size=shape))


def network() -> Graph:
    """conv 3x3, Relu, depthwise 3x3, Relu, an addition, conv 1x1, pool, dense."""
    x = Input("x", TensorType(FLOAT32, (1, 3, 8, 8))).out
    first = unary(conv(x, weights(16, 3, 3, 3), floats(np.ones(16)), pad=1), "Relu")
    depthwise = unary(conv(first, weights(16, 1, 3, 3), floats(np.ones(16)), group=16, pad=1), "Relu")
    both = ops.Add(first, depthwise, sources=("add",), tensor="add").out
    point = unary(conv(both, weights(32, 16, 1, 1)), "Relu")
    flat = ops.Reshape(point, (1, 32 * 64), sources=("flat",), tensor="flat").out
    dense = ops.Gemm(flat, weights(10, 32 * 64), floats(np.zeros(10)), 1.0, 1.0, False, True, sources=("dense",))
    return graph_of(dense.out)


def offered(graph: Graph, *choices: Choice) -> dict[str, tuple[Choice, ...]]:
    return {layer.name: choices for layer in layers(graph)}


# Counted --------------------------------------------------------------------------------------------------------------


def test_what_is_counted() -> None:
    graph = network()
    names = [layer.name for layer in layers(graph)]
    sizes = dict(zip(names, (16 * 27, 16 * 9, 32 * 16, 10 * 2048), strict=True))
    macs = dict(zip(names, (16 * 27 * 64, 16 * 9 * 64, 32 * 16 * 64, 10 * 2048), strict=True))
    found = {name: COSTS[name].measure(graph, offered(graph, W8A8, Choice(3, 4))).values for name in
             ("weight_bytes", "average_bits", "bops", "macs")}  # fmt: skip
    for name in names:
        assert found["weight_bytes"][name] == {W8A8: sizes[name], Choice(3, 4): -(-3 * sizes[name] // 8)}
        assert found["bops"][name] == {W8A8: 64 * macs[name], Choice(3, 4): 12 * macs[name]}
        assert found["macs"][name] == {W8A8: macs[name], Choice(3, 4): macs[name]}
    assert sum(row[W8A8] for row in found["average_bits"].values()) == pytest.approx(8)
    assert sum(row[Choice(3, 4)] for row in found["average_bits"].values()) == pytest.approx(3)


def test_a_total_has_the_fixed_part() -> None:
    table = CostTable({"a": {W8A8: 3.0, W4A8: 2.0}, "b": {W8A8: 5.0}}, fixed=0.5)
    assert table.total({"a": W4A8, "b": W8A8}) == 7.5


def test_costs_want_a_target_and_choices_for_every_layer() -> None:
    graph = network()
    with pytest.raises(UnsupportedError, match="cost 'modelled_time' is one of a target; name it"):
        COSTS["modelled_time"].measure(graph, offered(graph, W8A8))
    choices = offered(graph, W8A8)
    first = next(iter(choices))
    with pytest.raises(ModelError, match=f"of layer '{first}' cannot be told: it has no choices"):
        COSTS["macs"].measure(graph, {name: of for name, of in choices.items() if name != first})
    with pytest.raises(ModelError, match="of layer 'zz' cannot be told: graph 'test' has no such layer"):
        COSTS["macs"].measure(graph, {**choices, "zz": (W8A8,)})


# One layer by itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_weights_are_rounded_to_nearest(bits: int) -> None:
    layer = layers(network())[0]
    found = nearest_weights(layer, bits)
    scale = found.quant.static()[0].reshape(-1, 1, 1, 1)
    errors = np.abs(layer.weights - scale * found.codes)
    assert found.dtype == (BIPOLAR if bits == 1 else DType("int", bits))
    inside = np.abs(layer.weights) <= scale * found.dtype.max
    assert (errors[inside] <= scale.max() * (1.0 if bits == 1 else 0.5001)).all()
    if bits <= 3:
        assert len(np.unique(found.codes)) == (2 if bits == 1 else 2**bits - 1)


def test_weights_of_zero_have_a_scale() -> None:
    graph = graph_of(conv(Input("x", TensorType(FLOAT32, (1, 2, 3, 3))).out, floats(np.zeros((2, 2, 1, 1)))))
    assert (nearest_weights(layers(graph)[0], 4).quant.static()[0] > 0).all()


@pytest.mark.parametrize("choice", [W8A8, Choice(6, 8), W4A8, Choice(4, 4), W2A2, Choice(1, 1), Choice(8, 16)], ids=str)
def test_a_layer_by_itself_leaves_no_float_between_codes(choice: Choice) -> None:
    graph = network()
    for layer in layers(graph):
        alone = quantized(layer_graph(graph, layer, choice), Options(remove_work=False))
        found = [type(node).__name__ for node in alone.operations()]
        last = layer.name == layers(graph)[-1].name
        assert found == (["QGemm", "DequantizeLinear"] if last else ["QConv"]), layer.name
        assert multiply_accumulates(alone.operations()[0]) == multiply_accumulates(layer.node)
        (given,) = alone.inputs
        assert given.type.dtype.bits == choice.activation_bits
        if not last:
            assert alone.outputs[0].value.type.dtype.bits == choice.activation_bits


def test_every_code_comes_out_of_a_layer() -> None:
    """The grid of the results is about as wide as they are: nothing of the requantization can be left out."""
    graph = network()
    alone = quantized(layer_graph(graph, layers(graph)[0], Choice(8, 4)), Options())
    sample = next(iter(random_samples({node.name: node.type for node in alone.inputs}, 3)))
    codes = evaluate(alone, {"x": np.random.default_rng(0).integers(0, 16, sample["x"].shape).astype(np.uint8)})["y"]
    assert len(np.unique(codes)) == 16


def test_a_target_that_cannot_compute_a_choice_says_which() -> None:
    graph = network()
    target = find_target("portable")
    without = tuple(kernel for kernel in target.kernels if kernel.op.__name__ != "QConv")
    with pytest.raises(
        UnsupportedError, match=r"layer 'conv' with W8A8 has no time on target 'portable': .* Leave these"
    ):
        list(steps_of(graph, offered(graph, W8A8), replace(target, kernels=without)))


# Modelled -------------------------------------------------------------------------------------------------------------


def test_modelled_time_is_the_cost_of_the_kernels_that_a_layer_gets() -> None:
    graph, target = network(), find_target("x86-64-v3")
    table = COSTS["modelled_time"].measure(graph, offered(graph, W8A8, W2A2), target)
    for name, choice, steps in steps_of(graph, offered(graph, W8A8, W2A2), target):
        assert table.values[name][choice] == sum(target.cost(call.op) or 0 for call in steps.calls)
        assert table.values[name][choice] > 0
    assert not table.fixed


def test_layers_of_hardware_have_no_time_of_their_own() -> None:
    graph = network()
    with pytest.raises(UnsupportedError, match=r"no time of its own on target 'hls'.*compile --fps"):
        COSTS["modelled_time"].measure(graph, offered(graph, W8A8), find_target("hls"))


def test_progress_counts_layers_and_choices() -> None:
    graph, seen = network(), []
    COSTS["modelled_time"].measure(
        graph, offered(graph, W8A8, W4A8), find_target("portable"), lambda what, done, of: seen.append((done, of))
    )
    assert seen == [(k, 8) for k in range(1, 9)]


# Measured -------------------------------------------------------------------------------------------------------------


def test_calls_side_by_side_keep_their_order_and_storage() -> None:
    graph, target = network(), find_target("portable")
    parts = [steps.calls for _, _, steps in steps_of(graph, offered(graph, W8A8), target)]
    together, places = side_by_side(parts)
    calls = [node for node in together.nodes() if isinstance(node, KernelCall)]
    assert sorted(k for of in places for k in of) == list(range(len(calls)))
    for part, of in zip(parts, places, strict=True):
        assert signature(part) == signature(calls[k] for k in of)


def test_the_whole_network_in_given_bits() -> None:
    graph = network()
    names = [layer.name for layer in layers(graph)]
    whole = quantized_in(graph, dict(zip(names, (W8A8, Choice(8, 8), W2A2, W4A8), strict=True)))
    folded = quantized(whole, Options(remove_work=False))
    kinds = [type(node).__name__ for node in folded.operations()]
    assert kinds == ["QuantizeLinear", "QConv", "QConv", "QAdd", "QConv", "Reshape", "QGemm", "DequantizeLinear"]
    sums = [node for node in folded.operations() if multiply_accumulates(node)]
    assert [node.operands[1].type.dtype.bits for node in sums] == [8, 8, 2, 4]
    assert [node.operands[0].type.dtype.bits for node in sums] == [8, 8, 2, 8]


def test_measured_latency_is_measured_once(tmp_path: Path) -> None:
    """The second table comes from the file, and is the first."""
    graph, target = network(), find_target("native")
    cache, shown = tmp_path / "times.sqlite", []
    chosen = offered(graph, W8A8)
    first = measured_table(graph, chosen, target, lambda what, *_: shown.append(what), cache)
    assert "measuring layers" in shown
    for name, row in first.spreads.items():
        low, high = row[W8A8]
        assert 0 < low <= first.values[name][W8A8] <= high
    shown.clear()
    assert measured_table(graph, chosen, target, lambda what, *_: shown.append(what), cache) == first
    assert set(shown) == {"lowering layers"}
    assert 0 < first.total(dict.fromkeys(first.values, W8A8)) < 1e-2
    with sqlite3.connect(cache) as file:
        assert file.execute("SELECT COUNT(*) FROM times WHERE seconds > 0").fetchone()[0] == len(chosen) + 1


def test_what_does_not_run_here_is_not_measured() -> None:
    graph = network()
    with pytest.raises(UnsupportedError, match=r"cannot be measured on this machine.*'modelled_time' estimates it"):
        COSTS["measured_latency"].measure(graph, offered(graph, W8A8), find_target("armv7-a+neon"))


def test_a_cache_that_is_no_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "times.sqlite"
    path.write_bytes(b"no database at all, but quite some bytes")
    target = find_target("native")
    cache = LatencyCache(target, find_compiler(target), path)
    with pytest.raises(ToolchainError, match=r"times.sqlite' cannot be used: .* set XDG_CACHE_HOME"):
        cache.read({"key"})


def test_keys_are_of_one_machine_and_target(tmp_path: Path) -> None:
    native, portable = find_target("native"), find_target("portable")
    compiler = find_compiler(native)
    one, other = (LatencyCache(target, compiler, tmp_path / "times.sqlite") for target in (native, portable))
    assert one.key("conv") == one.key("conv") != one.key("gemm")
    assert one.key("conv") != other.key("conv")
    one.write({one.key("conv"): (Timing(2.0, 1.0, 3.0), "conv W8A8")})
    assert one.read({one.key("conv"), one.key("gemm")}) == {one.key("conv"): Timing(2.0, 1.0, 3.0)}
    assert other.read({other.key("conv")}) == {}


def test_instructions_are_counted_under_the_emulator(optional_capability: Callable[[str, str], None]) -> None:
    """Layer by layer they come to what the whole network executes, but for what its neighbours change."""
    target = find_target("cortex-a53")
    if shutil.which(target.emulator[0]) is None:
        optional_capability("emulator", f"{target.emulator[0]} is not here")
    graph = network()
    of_each = offered(graph, Choice(8, 8), Choice(2, 2))
    table = COSTS["instructions"].measure(graph, of_each, target)
    for counts in table.values.values():
        assert 0 < counts[Choice(2, 2)] < counts[Choice(8, 8)]
    whole = lowered(quantized_in(graph, dict.fromkeys(of_each, Choice(8, 8))), target, Options(remove_work=False))
    assert table.total(dict.fromkeys(of_each, Choice(8, 8))) == pytest.approx(sum(counted(whole, target)), rel=0.2)


def test_a_target_without_an_emulator_is_not_counted() -> None:
    graph = network()
    with pytest.raises(UnsupportedError, match=r"there is none for target 'x86-64-v3'.*'modelled_time'"):
        COSTS["instructions"].measure(graph, offered(graph, Choice(8, 8)), find_target("x86-64-v3"))
