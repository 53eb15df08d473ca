"""Random quantized graphs: integers stay within a step of their floats, and no later pass changes a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8, INT16, UINT8
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.node import Value
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import Options, meaning_passes, target_passes
from subbyte.compiler.target import Storage, find_target
from subbyte.passes.choose_layout import choose_layout
from subbyte.passes.fold_qdq import fold_qdq
from tests.passes.builders import (
    bias,
    conv,
    dequantize,
    floats,
    graph_of,
    quantize,
    random_inputs,
    real_input,
    unary,
    weights,
)

Generator = np.random.Generator
Step = Callable[[Value, Generator], Value]


def _scale(g: Generator) -> np.float32:
    return np.float32(2.0 ** -int(g.integers(2, 6)) if g.random() < 0.3 else g.uniform(0.02, 0.3))


def _requantize(x: Value, g: Generator) -> Value:
    dtype = (INT8, UINT8)[int(g.integers(2))]
    return dequantize(quantize(x, _scale(g), int(g.integers(dtype.min, dtype.max + 1)), dtype))


def _clip(x: Value, g: Generator) -> Value:
    return unary(x, "Relu") if g.random() < 0.5 else unary(x, "Clip", float(g.uniform(-2, 0)), float(g.uniform(1, 7)))


def _conv(x: Value, g: Generator) -> Value:
    channels, outputs = x.type.shape[1], int(g.integers(1, 5))
    group = channels if g.random() < 0.3 else 1
    outputs = channels if group > 1 else outputs
    scales = g.uniform(0.005, 0.02, outputs).astype(np.float32) if g.random() < 0.5 else np.float32(0.01)
    axis = 0 if scales.ndim else None
    codes = g.integers(-128, 128, (outputs, channels // group, 3, 3))
    quantizer = x.node
    unit = np.float32(0.1)
    if isinstance(quantizer, ops.DequantizeLinear) and quantizer.x.type.quant is not None:
        unit = quantizer.x.type.quant.static()[0]
    b = [
        None,
        floats(g.normal(0, 1, outputs)),
        bias(g.integers(-900, 900, outputs), np.broadcast_to(unit * scales, (outputs,)), 0),
    ]
    return conv(x, weights(codes, scales, int(g.integers(-2, 3)), axis=axis), b[int(g.integers(3))], group=group, pad=1)


def _function(x: Value, g: Generator) -> Value:
    return unary(x, str(g.choice(["Sigmoid", "Tanh", "HardSwish", "Abs", "Neg"])))


def _arithmetic(x: Value, g: Generator) -> Value:
    operation = (ops.Add, ops.Sub, ops.Mul)[int(g.integers(3))]
    if g.random() < 0.5:
        return operation(x, x).out
    return operation(x, floats(g.normal(0, 2, (1, x.type.shape[1], 1, 1)))).out


def _window(x: Value, g: Generator) -> Value:
    if g.random() < 0.5:
        return ops.MaxPool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False).out
    return ops.AveragePool(x, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), False, bool(g.integers(2))).out


def _move(x: Value, g: Generator) -> Value:
    n, c, h, w = x.type.shape
    match int(g.integers(6)):
        case 0:
            return ops.Transpose(x, (0, 1, 3, 2)).out
        case 1:
            return ops.Concat((x, x), 1).out if c < 6 else x
        case 2:
            return ops.Pad(x, (0, 0, 1, 0, 0, 0, 0, 1), "constant", float(g.choice([0.0, 0.7]))).out
        case 3:
            return ops.Slice(x, (0, 0, 0, 0), (n, c, h, max(w - 1, 1)), (1, 1, 1, 1)).out
        case 4:
            return ops.Transpose(ops.Transpose(x, (0, 2, 3, 1)).out, (0, 3, 1, 2)).out
    return ops.ResizeNearest(x, (n, c, h, w), (1.0, 1.0, 1.0, 1.0), "asymmetric", "floor").out


STEPS: tuple[Step, ...] = (_requantize, _requantize, _clip, _conv, _conv, _function, _arithmetic, _window, _move, _move)


def random_graph(seed: int, length: int, *, quantize_each: bool) -> Graph:
    """A chain with skip connections; with `quantize_each`, every operation's result is quantized."""
    g = np.random.default_rng(seed)
    x = real_input("x", (1, int(g.integers(1, 5)), 6, 6), _scale(g), int(g.integers(-128, 128)))
    values = [x]
    for _ in range(length):
        y = STEPS[int(g.integers(len(STEPS)))](values[-1], g)
        if quantize_each:
            y = _requantize(y, g)
        same = [v for v in values if v.type.shape == y.type.shape]
        if same and g.random() < 0.3:
            y = _requantize(ops.Add(y, same[int(g.integers(len(same)))]).out, g)
        values.append(y)
    return graph_of(quantize(values[-1], _scale(g)), values[-2])


@pytest.mark.parametrize("seed", range(60))
def test_one_operation_is_within_a_step_of_its_floats(seed: int) -> None:
    graph = random_graph(seed, 1, quantize_each=False)
    folded = fold_qdq(graph)
    inputs = random_inputs(graph, np.random.default_rng(seed))
    before, after = evaluate(graph, inputs)["y"], evaluate(folded, inputs)["y"]
    assert np.abs(before.astype(int) - after.astype(int)).max(initial=0) <= 1


@pytest.mark.parametrize("seed", range(40))
def test_all_passes_after_fold_qdq_are_exact(seed: int) -> None:
    graph = random_graph(1000 + seed, 8, quantize_each=seed % 2 == 0)
    inputs = random_inputs(graph, np.random.default_rng(seed))
    passes = [*meaning_passes(Options()), *target_passes(Options())]
    for name in ("portable", "x86-64-v3"):
        run_passes(graph, passes, find_target(name), compare_inputs=inputs)


@pytest.mark.parametrize("seed", range(40))
def test_every_tensor_is_stored_as_its_kernels_want(seed: int) -> None:
    target = find_target("portable")
    graph = run_passes(random_graph(2000 + seed, 8, quantize_each=True), meaning_passes(Options()))
    for node in choose_layout(graph, target).operations():
        wish = target.storage_of(type(node))
        if isinstance(node, (ops.Transpose, ops.Reshape, ops.Repack)) or wish is None:
            continue
        tensors = [v.type for v in node.operands if v.constant is None and v.type.rank == 4]
        tensors += [t for t in node.types if t.rank == 4]
        orders = {tuple(axis for axis in t.order if t.shape[axis] != 1) for t in tensors if min(t.shape[1:]) > 1}
        expected = {Storage.CHANNELS_LAST: (2, 3, 1), Storage.ROW_MAJOR: (1, 2, 3)}.get(wish)
        assert len(orders) <= 1 if expected is None else orders <= {expected}


def test_wide_chains_are_within_steps_too() -> None:
    x = real_input("x", (1, 3, 5, 5), 0.001, 0, INT16)
    y = quantize(conv(x, weights(np.ones((2, 3, 3, 3)), 0.01), pad=1), 0.001, 0, INT16)
    y = quantize(ops.Add(dequantize(y), dequantize(y)).out, 0.002, 7, INT16)
    graph = graph_of(quantize(ops.ReduceMean(dequantize(y), (2, 3), False).out, 0.001, -9, INT16))
    inputs = random_inputs(graph, np.random.default_rng(0))
    found = run_passes(graph, [*meaning_passes(Options()), *target_passes(Options())], find_target("portable"))
    assert np.abs(evaluate(graph, inputs)["y"].astype(int) - evaluate(found, inputs)["y"]).max() <= 2
