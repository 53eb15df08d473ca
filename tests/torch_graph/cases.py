"""Operations that run on PyTorch, each as a small graph of one input x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from subbyte.compiler.dtype import BOOL, FLOAT32, INT8, INT32, INT64, UINT8, DType
from subbyte.compiler.ir import ops, ops_indexing, ops_logic
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.ops_normalization import LayerNormalization, RMSNormalization
from subbyte.compiler.ir.types import QuantParams, TensorType

Build = Callable[[Value], Node]


def numbers(*shape: int, seed: int = 0) -> Value:
    """A constant of normal random numbers."""
    return Constant.of(np.random.default_rng(seed).normal(size=shape), FLOAT32).out


def whole(values: Any) -> Value:
    return Constant.of(values, INT64).out


def graph_of(shape: tuple[int, ...], build: Build) -> Graph:
    """x float32 of `shape`, and what `build` makes of it."""
    x = Input("x", TensorType(FLOAT32, shape))
    node = build(x.out)
    return Graph("case", (x,), tuple(Output(f"y{i}", Value(node, i)) for i in range(len(node.types))))


def grid(scale: Any, zero_point: Any, dtype: DType, axis: int | None = None) -> QuantParams:
    return QuantParams(np.float32(scale), np.int64(zero_point), dtype.min, dtype.max, axis)


def _quantized(rounding: str = "HALF_EVEN", first: bool = False) -> Build:
    return lambda x: ops.DequantizeLinear(
        ops.QuantizeLinear(x, UINT8, grid(0.03, 100, UINT8), rounding, zero_point_first=first).out
    )


def _conv(x: Value, *, out: int = 6, kernel: tuple[int, ...] = (3, 3), group: int = 1, **changes: Any) -> ops.Conv:
    rank = len(kernel)
    given: dict[str, Any] = {"strides": (1,) * rank, "pads": (1,) * 2 * rank, "dilations": (1,) * rank}
    w = numbers(out, x.type.shape[1] // group, *kernel)
    return ops.Conv(x, w, numbers(out), group=group, **{**given, **changes})


def _conv_transpose(x: Value, *, group: int = 1, **changes: Any) -> ops.ConvTranspose:
    given: dict[str, Any] = {
        "strides": (2, 2),
        "pads": (1, 0, 0, 1),
        "dilations": (1, 1),
        "output_padding": (1, 0),
        "b": numbers(3 * group),
    }
    return ops.ConvTranspose(x, numbers(x.type.shape[1], 3, 3, 2), group=group, **{**given, **changes})


def _pool(x: Value, kind: type[ops.MaxPool] | type[ops.AveragePool], **changes: Any) -> Node:
    given: dict[str, Any] = {
        "kernel": (3, 2),
        "strides": (2, 2),
        "pads": (1, 0, 1, 1),
        "dilations": (1, 1),
        "ceil_mode": True,
    }
    return kind(x, **{**given, **changes})


def _norm(x: Value, channels: int) -> ops.BatchNormalization:
    variance = Constant.of(np.linspace(0.5, 2, channels), FLOAT32).out
    parts = (numbers(channels, seed=1), numbers(channels, seed=2), numbers(channels, seed=3))
    return ops.BatchNormalization(x, *parts, variance, 1e-5)


def _class_token(x: Value) -> Node:
    """A learned token before each sample's own, then positions: how vision transformers begin."""
    return ops.Add(ops.Concat((numbers(1, 1, 4), x), 1).out, numbers(1, x.type.shape[1] + 1, 4))


def _folded_rows(x: Value) -> Node:
    """[1, T, C] -> [T, C], a product with weights, and a sum with one row for each token."""
    _, tokens, channels = x.type.shape
    rows = ops.Reshape(x, (tokens, channels)).out
    return ops.Add(ops.Gemm(rows, numbers(channels, 3), numbers(3), 1.0, 1.0, False, False).out, numbers(tokens, 3))


def _attention(x: Value) -> Node:
    """Heads on axis 0, as of an exporter that dropped the batch: [1, T, 4] -> [2, T, 2]."""
    tokens = x.type.shape[1]
    heads = ops.Transpose(ops.Reshape(x, (tokens, 2, 2)).out, (1, 0, 2)).out
    scores = ops.MatMul(heads, ops.Transpose(heads, (0, 2, 1)).out).out
    mixed = ops.MatMul(ops.Softmax(scores, 2).out, heads).out
    return ops.Reshape(ops.Transpose(mixed, (1, 0, 2)).out, (1, tokens, 4))


def _rows_squared(x: Value) -> Node:
    """A matrix times its own transpose: samples may not meet."""
    rows = ops.Reshape(x, x.type.shape[1:]).out
    return ops.MatMul(rows, ops.Transpose(rows, (1, 0)).out)


def _positive(x: Value) -> Value:
    return ops.Add(ops.Unary(x, "Abs").out, Constant.of(0.5, FLOAT32).out).out


def _extent(x: Value) -> Value:
    """Plain integers made of x: 0 .. 2."""
    return ops.Cast(ops.Unary(ops.Unary(x, "Abs").out, "Clip", (0.0, 2.9)).out, INT64).out


ROUNDINGS = ("CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
IMAGE, TOKENS, FLAT = (1, 4, 6, 7), (1, 5, 4), (1, 8)
CASES: dict[str, tuple[tuple[int, ...], Build]] = {
    "conv": (IMAGE, _conv),
    "conv strided": (IMAGE, lambda x: _conv(x, strides=(2, 1), pads=(0, 1, 2, 1))),
    "conv dilated": (IMAGE, lambda x: _conv(x, dilations=(2, 1), pads=(2, 1, 2, 1))),
    "conv depthwise": (IMAGE, lambda x: _conv(x, out=8, group=4)),
    "conv 1d": ((1, 4, 9), lambda x: _conv(x, kernel=(3,))),
    "conv 3d": ((1, 2, 3, 4, 3), lambda x: _conv(x, kernel=(2, 3, 1))),
    "conv of a batch": ((2, 4, 5, 5), _conv),
    "conv transpose": (IMAGE, _conv_transpose),
    "conv transpose in groups": (IMAGE, lambda x: _conv_transpose(x, group=2, dilations=(1, 2), b=None)),
    "gemm": (FLAT, lambda x: ops.Gemm(x, numbers(3, 8), numbers(3), 1.0, 1.0, False, True)),
    "gemm scaled": (FLAT, lambda x: ops.Gemm(x, numbers(8, 3), numbers(1, 3), 0.5, 2.0, False, False)),
    "gemm of columns": ((4, 1), lambda x: ops.Gemm(x, numbers(4, 3), None, 1.0, 1.0, True, False)),
    "gemm with rows to add": ((2, 8), lambda x: ops.Gemm(x, numbers(8, 3), numbers(2, 3), 1.0, 1.0, False, False)),
    "matmul": (TOKENS, lambda x: ops.MatMul(x, numbers(4, 3))),
    "matmul from the left": (TOKENS, lambda x: ops.MatMul(numbers(3, 5), x)),
    "matmul of weights per sample": ((2, 5, 4), lambda x: ops.MatMul(x, numbers(2, 4, 3))),
    "matmul of samples": (TOKENS, lambda x: ops.MatMul(x, ops.Transpose(x, (0, 2, 1)).out)),
    "batch normalization": (IMAGE, lambda x: _norm(x, 4)),
    "batch normalization of rows": (FLAT, lambda x: _norm(x, 8)),
    "layer normalization": (TOKENS, lambda x: LayerNormalization(x, numbers(4), numbers(4, seed=1), 2, 1e-5)),
    "layer normalization bare": (TOKENS, lambda x: LayerNormalization(x, None, None, 1, 1e-5)),
    "layer normalization of all": (TOKENS, lambda x: LayerNormalization(x, numbers(1, 5, 4), None, 0, 1e-5)),
    "rms normalization": (TOKENS, lambda x: RMSNormalization(x, numbers(4), None, 2, 1e-5)),
    "softmax": (TOKENS, lambda x: ops.Softmax(x, 2)),
    "softmax over axis 0": ((3, 4), lambda x: ops.Softmax(x, 0)),
    "log softmax": (TOKENS, lambda x: ops.LogSoftmax(x, 1)),
    "add a channel": (IMAGE, lambda x: ops.Add(x, numbers(4, 1, 1))),
    "add one per sample": ((2, 3), lambda x: ops.Add(x, numbers(2, 3))),
    "add a wider constant": ((3,), lambda x: ops.Add(x, numbers(2, 3))),
    "sub": (FLAT, lambda x: ops.Sub(numbers(8), x)),
    "mul samples": (IMAGE, lambda x: ops.Mul(x, ops.Unary(x, "Sigmoid").out)),
    "div": (FLAT, lambda x: ops.Div(x, _positive(x))),
    "pow": (FLAT, lambda x: ops.Pow(_positive(x), Constant.of(1.5, FLOAT32).out)),
    "minimum": (FLAT, lambda x: ops.Minimum(x, numbers(8))),
    "maximum": (FLAT, lambda x: ops.Maximum(x, numbers(8))),
    "mod": (FLAT, lambda x: ops_logic.Mod(x, Constant.of(0.7, FLOAT32).out)),
    "remainder": (FLAT, lambda x: ops_logic.Remainder(x, Constant.of(0.7, FLOAT32).out)),
    "prelu": (IMAGE, lambda x: ops.PRelu(x, numbers(4, 1, 1))),
    "where": (FLAT, lambda x: ops_logic.Where(ops_logic.Compare(x, numbers(8), "less").out, x, numbers(8, seed=1))),
    "where at most": (
        FLAT,
        lambda x: ops_logic.Where(ops_logic.Compare(x, x, "less_or_equal").out, numbers(1, 8), x),
    ),
    "where in neither": (
        FLAT,
        lambda x: ops_logic.Where(
            ops_logic.BitXor(
                ops_logic.BitAnd(ops.Cast(x, BOOL).out, ops_logic.Compare(x, numbers(8), "equal").out).out,
                ops_logic.BitOr(ops.Cast(x, BOOL).out, ops.Cast(numbers(8), BOOL).out).out,
            ).out,
            x,
            numbers(8),
        ),
    ),
    "max pool": (IMAGE, lambda x: _pool(x, ops.MaxPool)),
    "max pool dilated": (IMAGE, lambda x: _pool(x, ops.MaxPool, dilations=(2, 1), ceil_mode=False)),
    "max pool 1d": (
        (1, 3, 7),
        lambda x: _pool(x, ops.MaxPool, kernel=(2,), strides=(2,), pads=(0, 0), dilations=(1,)),
    ),
    "average pool": (IMAGE, lambda x: _pool(x, ops.AveragePool, count_include_pad=False)),
    "average pool with pads": (IMAGE, lambda x: _pool(x, ops.AveragePool, count_include_pad=True)),
    "average pool dilated": (
        IMAGE,
        lambda x: _pool(x, ops.AveragePool, count_include_pad=True, dilations=(1, 2), ceil_mode=False),
    ),
    "reduce sum": (IMAGE, lambda x: ops.ReduceSum(x, (2, 3), False)),
    "reduce sum of all": (TOKENS, lambda x: ops.ReduceSum(x, (0, 1, 2), True)),
    "reduce sum of axis 0": ((2, 3), lambda x: ops.ReduceSum(x, (0,), False)),
    "reduce mean": (IMAGE, lambda x: ops.ReduceMean(x, (1,), True)),
    "reduce product": (TOKENS, lambda x: ops.ReduceProd(x, (1, 2), False)),
    "reduce max": (TOKENS, lambda x: ops.ReduceMax(x, (2,), True)),
    "reduce min": (TOKENS, lambda x: ops.ReduceMin(x, (1,), False)),
    "flatten": (IMAGE, lambda x: ops.Reshape(x, (1, 168))),
    "reshape batch into tokens": (TOKENS, _folded_rows),
    "transpose": (IMAGE, lambda x: ops.Transpose(x, (0, 2, 3, 1))),
    "transpose the batch away": ((2, 3, 4), lambda x: ops.Transpose(x, (1, 0, 2))),
    "concat": (IMAGE, lambda x: ops.Concat((x, ops.Unary(x, "Neg").out), 1)),
    "concat a class token": (TOKENS, _class_token),
    "concat along axis 0": ((2, 3), lambda x: ops.Concat((x, numbers(1, 3)), 0)),
    "attention without a batch": (TOKENS, _attention),
    "rows by rows": (TOKENS, _rows_squared),
    "split": (IMAGE, lambda x: ops.Split(x, 1, (1, 3))),
    "slice": (IMAGE, lambda x: ops.Slice(x, (0, 0, 5, 1), (1, 4, -1, 6), (1, 1, -2, 2))),
    "slice axis 0": ((3, 4), lambda x: ops.Slice(x, (1, 0), (3, 4), (1, 1))),
    "pad": (IMAGE, lambda x: ops.Pad(x, (0, 0, 1, -1, 0, 1, 0, 2), "constant", 0.5)),
    "pad reflect": (IMAGE, lambda x: ops.Pad(x, (0, 0, 2, -1, 0, 0, 0, 2), "reflect", 0.0)),
    "pad edge": (IMAGE, lambda x: ops.Pad(x, (0, 0, 2, 0, 0, 0, 0, 2), "edge", 0.0)),
    "pad wrap": (IMAGE, lambda x: ops.Pad(x, (0, 0, 2, 0, 0, 0, 0, 2), "wrap", 0.0)),
    "pad axis 0": ((2, 3), lambda x: ops.Pad(x, (1, 0, 0, 0), "constant", 0.0)),
    "gather": (IMAGE, lambda x: ops.Gather(x, whole([[0, -1], [2, 2]]), 2)),
    "gather one": (TOKENS, lambda x: ops.Gather(x, whole(0), 1)),
    "gather axis 0": ((3, 4), lambda x: ops.Gather(x, whole([2, 0]), 0)),
    "gather from a table": (FLAT, lambda x: ops.Gather(numbers(3, 2), _extent(x), 0)),
    "gather elements": (FLAT, lambda x: ops_indexing.GatherElements(x, _extent(x), 1)),
    "cumulate": (TOKENS, lambda x: ops_indexing.Cumulate(x, 1, False, False, False)),
    "cumulate from the end": (TOKENS, lambda x: ops_indexing.Cumulate(x, 1, True, True, True)),
    "expand": ((1, 1, 4), lambda x: ops_indexing.Expand(x, (1, 3, 4))),
    "expand axis 0": ((1, 4), lambda x: ops_indexing.Expand(x, (2, 3, 4))),
    "depth to space dcr": (IMAGE, lambda x: ops.DepthToSpace(x, 2, "DCR")),
    "depth to space crd": (IMAGE, lambda x: ops.DepthToSpace(x, 2, "CRD")),
    "space to depth": ((1, 2, 4, 6), lambda x: ops.SpaceToDepth(x, 2)),
    "resize nearest": (
        IMAGE,
        lambda x: ops.ResizeNearest(x, (1, 4, 12, 5), (1.0, 1.0, 2.0, 5 / 7), "half_pixel", "round_prefer_floor"),
    ),
    "resize linear": (
        IMAGE,
        lambda x: ops.ResizeLinear(x, (1, 4, 9, 14), (1.0, 1.0, 1.5, 2.0), "half_pixel"),
    ),
    "cast and back": (FLAT, lambda x: ops.Cast(ops.Cast(x, INT32).out, FLOAT32)),
    "integers": (
        FLAT,
        lambda x: ops.Cast(
            ops.Div(ops.Sub(_extent(x), whole([5])).out, ops.Add(_extent(x), whole([1])).out).out, FLOAT32
        ),
    ),
    "mean of integers": (FLAT, lambda x: ops.ReduceMean(_extent(x), (1,), True)),
    "quantize": (FLAT, _quantized()),
    "quantize, zero point first": (FLAT, _quantized(first=True)),
    **{
        f"quantize {name}": (FLAT, _quantized(name)) for name in ("CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
    },
    "quantize per channel": (
        IMAGE,
        lambda x: ops.DequantizeLinear(
            ops.QuantizeLinear(x, INT8, grid([0.1, 0.02, 0.3, 1], [0, 3, -5, 0], INT8, 1)).out
        ),
    ),
    "codes move": (
        IMAGE,
        lambda x: ops.DequantizeLinear(
            ops.Reshape(_pool(ops.QuantizeLinear(x, INT8, grid(0.1, 3, INT8)).out, ops.MaxPool).out, (1, 64)).out
        ),
    ),
    "quantized weights": (
        FLAT,
        lambda x: ops.MatMul(
            x,
            ops.DequantizeLinear(
                Constant.of(np.arange(24).reshape(8, 3) - 12, INT8, quant=grid([0.1, 0.2, 0.3], [0, 1, 2], INT8, 1)).out
            ).out,
        ),
    ),
    "codebook": (
        FLAT,
        lambda x: ops.MatMul(
            x,
            ops.DequantizeLinear(
                Constant.of(
                    np.arange(24).reshape(8, 3) % 4,
                    UINT8,
                    quant=QuantParams(np.float32(0.5), np.int64(0), 0, 3, levels=(-1.0, 0.0, 0.5, 2.0)),
                ).out
            ).out,
        ),
    ),
}
PARAMETERS = {
    "LeakyRelu": (0.1,),
    "Clip": (-0.5, 0.8),
    "HardSigmoid": (0.3, 0.4),
    "Elu": (0.7,),
    "Selu": (1.6, 1.1),
    "Celu": (0.7,),
    "ThresholdedRelu": (0.4,),
}
ONLY_POSITIVE = ("Log", "Sqrt", "Reciprocal")
for _function in ops.UNARY_FUNCTIONS:

    def _build(x: Value, function: str = _function) -> Node:
        return ops.Unary(_positive(x) if function in ONLY_POSITIVE else x, function, PARAMETERS.get(function, ()))

    CASES[_function] = (FLAT, _build)
