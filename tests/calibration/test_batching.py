"""Several samples at once are as many runs of one; a graph that mixes them is refused."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.calibration.batching import with_batch
from subbyte.compiler.calibration.executor import BACKENDS, Executor, chosen_backend
from subbyte.compiler.dtype import FLOAT32, INT64
from subbyte.compiler.errors import GraphError, ModelError, ToolchainError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops, ops_indexing, ops_logic
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import value_names
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
Build = Callable[[Value], Node]


def numbers(*shape: int) -> Value:
    return Constant.of(np.random.default_rng(len(shape)).normal(size=shape), FLOAT32).out


def whole(*values: int) -> Value:
    return Constant.of(values, INT64).out


def graph_of(shape: tuple[int, ...], build: Build) -> Graph:
    x = Input("x", TensorType(FLOAT32, shape))
    node = build(x.out)
    return Graph("case", (x,), tuple(Output(f"y{i}", Value(node, i)) for i in range(len(node.types))))


def attention(x: Value) -> Node:
    """One head with a class token: [1, 6, 8] of tokens in, [1, 8] of the class token out."""
    tokens = ops.Concat((numbers(1, 1, 8), x), 1).out
    tokens = LayerNormalization(tokens, numbers(8), numbers(8), 2, 1e-5).out
    q, k, v = (ops.MatMul(tokens, numbers(8, 8)).out for _ in range(3))
    heads = [
        ops.Transpose(ops.Reshape(one, (1, 7, 2, 4)).out, perm).out
        for one, perm in ((q, (0, 2, 1, 3)), (k, (0, 2, 3, 1)), (v, (0, 2, 1, 3)))
    ]
    scores = ops.Softmax(ops.MatMul(heads[0], heads[1]).out, 3).out
    joined = ops.Transpose(ops.MatMul(scores, heads[2]).out, (0, 2, 1, 3)).out
    return ops.Gather(ops.Reshape(joined, (1, 7, 8)).out, whole(0), 1)


def window(x: Value) -> Node:
    """Windows of an image as samples of their own: the extent of axis 0 becomes 4."""
    parts = ops.Reshape(x, (1, 3, 2, 2, 2, 2)).out
    moved = ops.Transpose(parts, (0, 2, 4, 1, 3, 5)).out
    return ops.Softmax(ops.Reshape(moved, (4, 3, 4)).out, 2)


SEPARATE: dict[str, tuple[tuple[int, ...], Build]] = {
    "convolution": (
        (1, 3, 6, 6),
        lambda x: ops.Conv(x, numbers(4, 3, 3, 3), numbers(4), (1, 1), (1, 1, 1, 1), (1, 1), 1),
    ),
    "transposed": (
        (1, 3, 4, 4),
        lambda x: ops.ConvTranspose(x, numbers(3, 2, 2, 2), None, (2, 2), (0, 0, 0, 0), (1, 1), 1, (0, 0)),
    ),
    "normalization": (
        (1, 3, 4, 4),
        lambda x: ops.BatchNormalization(
            x, numbers(3), numbers(3), numbers(3), Constant.of(np.ones(3), FLOAT32).out, 1e-5
        ),
    ),
    "pool": ((1, 3, 6, 6), lambda x: ops.AveragePool(x, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False, False)),
    "several in one sample": ((2, 3), lambda x: ops.Mul(x, numbers(2, 3))),
    "repeated constant": ((3, 4), lambda x: ops.Add(numbers(3, 1), ops.Unary(x, "Relu").out)),
    "gemm": ((1, 5), lambda x: ops.Gemm(x, numbers(5, 3), numbers(3), 1.0, 1.0, False, False)),
    "gemm with rows": ((1, 5), lambda x: ops.Gemm(x, numbers(3, 5), numbers(1, 3), 1.0, 1.0, False, True)),
    "one sample in one row": ((2, 3), lambda x: ops.MatMul(ops.Reshape(x, (1, 6)).out, numbers(6, 2))),
    "flatten": ((1, 2, 3, 4), lambda x: ops.Reshape(x, (1, 24))),
    "split": ((1, 6, 2), lambda x: ops.Split(x, 1, (2, 4))),
    "top": ((1, 6), lambda x: ops_indexing.TopK(x, 3, 1, True)),
    "mean of positions": ((1, 3, 4, 4), lambda x: ops.ReduceMean(x, (2, 3), False)),
    "crop and pad": (
        (1, 5, 4),
        lambda x: ops.Pad(ops.Slice(x, (0, 4, 1), (1, 0, 3), (1, -2, 1)).out, (0, 1, 0, 0, 0, 2), "constant", 0.5),
    ),
    "choice": (
        (1, 4),
        lambda x: ops_logic.Where(ops_logic.Compare(x, numbers(1, 4), "less").out, x, ops.Unary(x, "Neg").out),
    ),
    "resize": (
        (1, 2, 3, 3),
        lambda x: ops.ResizeNearest(x, (1, 2, 6, 6), (1.0, 1.0, 2.0, 2.0), "asymmetric", "floor"),
    ),
    "attention": ((1, 6, 8), attention),
    "windows": ((1, 3, 4, 4), window),
    "there and back": (
        (1, 3, 4),
        lambda x: ops.Transpose(ops.ReduceMax(ops.Transpose(x, (2, 0, 1)).out, (0,), False).out, (0, 1)),
    ),
}


@pytest.mark.parametrize("case", SEPARATE)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_batch_is_as_many_runs(case: str, n: int) -> None:
    shape, build = SEPARATE[case]
    graph = graph_of(shape, build)
    samples = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i in range(n)]
    together = evaluate(with_batch(graph, n), {"x": np.concatenate(samples)})
    alone = [evaluate(graph, {"x": sample}) for sample in samples]
    for name, array in together.items():
        assert np.array_equal(array, np.concatenate([one[name] for one in alone]))


MIXING: dict[str, tuple[tuple[int, ...], Build]] = {
    "softmax over samples": ((1, 4), lambda x: ops.Softmax(x, 0)),
    "mean over samples": ((1, 4), lambda x: ops.ReduceMean(x, (0,), True)),
    "products of all pairs": ((1, 4), lambda x: ops.MatMul(ops.Transpose(x, (1, 0)).out, x)),
    "normalized over samples": ((1, 4), lambda x: LayerNormalization(x, None, None, 0, 1e-5)),
    "concatenated along samples": ((1, 4), lambda x: ops.Concat((x, numbers(1, 4)), 0)),
    "first of the samples": ((2, 4), lambda x: ops.Slice(x, (0, 0), (1, 4), (1, 1))),
    "picked samples": ((2, 4), lambda x: ops.Gather(x, whole(0), 0)),
    "padded samples": ((1, 4), lambda x: ops.Pad(x, (1, 0, 0, 0), "constant", 0.0)),
    "transposed product": ((1, 4), lambda x: ops.Gemm(x, numbers(1, 3), None, 1.0, 1.0, True, False)),
    "broadcast over samples": ((1, 4), lambda x: ops.Add(x, numbers(3, 4))),
    "outer product": ((1, 4), lambda x: ops.Mul(x, ops.Transpose(x, (1, 0)).out)),
    "samples along another axis": ((1, 4), lambda x: ops.Transpose(x, (1, 0))),
    "not known": ((4, 4), lambda x: ops_indexing.GatherElements(x, Constant.of(np.zeros((4, 4)), INT64).out, 1)),
}


@pytest.mark.parametrize("case", MIXING)
@pytest.mark.parametrize("n", [2, 3])
def test_what_mixes_samples_is_refused(case: str, n: int) -> None:
    graph = graph_of(*MIXING[case])
    with pytest.raises(UnsupportedError):
        with_batch(graph, n)


def test_one_sample_is_the_graph_itself() -> None:
    graph = graph_of(*SEPARATE["gemm"])
    assert with_batch(graph, 1) is graph


def assert_batches_equal(graph: Graph, samples: Array, backend: str) -> None:
    values = tuple(value for value in value_names(graph) if value.type.dtype.is_float)
    many, single = Executor(graph, values, backend, len(samples)), Executor(graph, values, backend)
    assert many.batch == len(samples), many.why_single
    together = many.run({graph.inputs[0].name: np.concatenate(list(samples))})
    alone = [single.run({graph.inputs[0].name: sample}) for sample in samples]
    for number, array in enumerate(together):
        expected = np.concatenate([one[number] for one in alone])
        assert np.abs(array - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["digits_mlp", "digits_resnet"])
def test_the_digits_models_run_in_batches(name: str, backend: str, digits: Path) -> None:
    graph = import_model(digits / f"{name}.onnx")
    shape = graph.inputs[0].type.shape
    assert_batches_equal(graph, np.random.default_rng(0).random((4, *shape), np.float32), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_keyword_spotting_runs_in_batches(backend: str, shared_models: Path) -> None:
    graph = import_model(shared_models / "kws_float.onnx", dims={"batch": 1})
    assert_batches_equal(graph, np.random.default_rng(0).normal(size=(4, 1, 1, 49, 10)).astype(np.float32), backend)


# Executor -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_fewer_samples_than_a_batch_run_too(backend: str) -> None:
    graph = graph_of(*SEPARATE["attention"])
    samples = np.random.default_rng(0).normal(size=(2, 6, 8)).astype(np.float32)
    value = graph.outputs[0].value
    many, single = Executor(graph, (value,), backend, 5), Executor(graph, (value,), backend)
    (found,) = many.run({"x": samples})
    expected = np.concatenate([single.run({"x": samples[i : i + 1]})[0] for i in range(2)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_back_ends_agree() -> None:
    graph = graph_of(*SEPARATE["attention"])
    sample = np.random.default_rng(0).normal(size=(1, 6, 8)).astype(np.float32)
    values = tuple(value_names(graph))
    for one, other in zip(*(Executor(graph, values, name).run({"x": sample}) for name in BACKENDS), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_without_onnxruntime_the_interpreter_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_backend(None) == "onnxruntime"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert chosen_backend(None) == "interpreter"
    with pytest.raises(ToolchainError, match=r"onnxruntime is not installed; `pip install 'subbyte\[quantize\]'`"):
        chosen_backend("onnxruntime")


def test_inputs_and_constants_can_be_shown() -> None:
    graph = graph_of((1, 3), lambda x: ops.Add(x, numbers(3)))
    add = graph.outputs[0].value.node
    assert isinstance(add, ops.Add)
    sample = np.ones((1, 3), np.float32)
    shown = Executor(graph, (add.a, add.b), "interpreter").run({"x": sample})
    assert shown[0] is sample
    assert np.array_equal(shown[1], numbers(3).constant)


def test_what_does_not_fit_the_graph_is_named() -> None:
    graph = graph_of((1, 3), lambda x: ops.Add(x, numbers(3)))
    value = graph.outputs[0].value
    executor = Executor(graph, (value,), "interpreter", 2)
    with pytest.raises(ModelError, match=r"shape \[3, 3\]; float32\[1, 3\] for each of at most 2 samples"):
        executor.run({"x": np.ones((3, 3), np.float32)})
    with pytest.raises(ModelError, match="no array for input 'x'"):
        executor.run({})
    with pytest.raises(GraphError, match="is not part of graph 'case'"):
        Executor(graph, (numbers(3),), "interpreter")
    with pytest.raises(ModelError, match="there is no executor 'tpu'; there are onnxruntime, interpreter"):
        Executor(graph, (value,), "tpu")
