"""Random integer graphs with what range analysis meets: dead filters, saturating biases, padding, zero weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from subbyte.compiler.dtype import INT8, INT32, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph, Output, Stage
from subbyte.compiler.ir.node import Constant, Input, Value
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization


def random_graph(seed: int, operations: int = 9) -> Graph:
    """A graph of stage quantized of about so many operations, the same for the same seed."""
    return _Builder(np.random.default_rng(seed)).graph(operations)


@dataclass
class _Builder:
    random: np.random.Generator
    values: list[Value] = field(default_factory=list)

    def graph(self, operations: int) -> Graph:
        channels, extent = int(self.random.integers(1, 5)), int(self.random.integers(3, 7))
        batch = int(self.random.integers(1, 3))
        x = Input("x", TensorType(self._dtype(), (batch, channels, extent, extent), None))
        x = Input("x", TensorType(x.type.dtype, x.type.shape, self._grid(x.type.dtype)))
        self.values.append(x.out)
        for _ in range(operations):
            made = self._operation(self._recent())
            self.values.extend(made)
        outputs = [self.values[-1]]
        if self.random.random() < 0.3:
            outputs.append(self._recent())
        return Graph("random", (x,), tuple(Output(f"y{i}", v) for i, v in enumerate(outputs)), Stage.QUANTIZED)

    def _recent(self) -> Value:
        return self.values[-1 - int(self.random.integers(0, min(3, len(self.values))))]

    def _dtype(self) -> DType:
        return INT8 if self.random.random() < 0.5 else UINT8

    def _grid(self, dtype: DType) -> QuantParams:
        """Often the zero point is the smallest code, as behind a ReLU."""
        low, high = dtype.min, dtype.max
        if self.random.random() < 0.3:
            low, high = sorted(int(v) for v in self.random.integers(low, high + 1, 2))
        zero_point = low if self.random.random() < 0.5 else int(self.random.integers(dtype.min, dtype.max + 1))
        return QuantParams(np.float32(2.0 ** self.random.uniform(-6, -2)), np.int64(zero_point), low, high)

    def _operation(self, x: Value) -> tuple[Value, ...]:
        rank = x.type.rank
        if rank == 2:
            return (self._gemm(x),) if self.random.random() < 0.7 else (self._narrow(x),)
        kinds = ("conv", "conv", "depthwise", "narrow", "narrow", "binary", "concat", "split", "pool", "move", "flat")
        kind = str(self.random.choice(kinds))
        match kind:
            case "conv":
                return (self._conv(x, 1),)
            case "depthwise":
                return (self._conv(x, x.type.shape[1]),)
            case "narrow":
                return (self._narrow(x),)
            case "binary":
                return (self._binary(x),)
            case "concat":
                return (ops.Concat((x, self._alike(x)), int(self.random.integers(1, 3))).out,)
            case "split" if x.type.shape[1] > 1:
                node = ops.Split(x, 1, (1, x.type.shape[1] - 1))
                return node_values(node)
            case "pool":
                return (self._pool(x),)
            case "move":
                return (self._move(x),)
            case "flat":
                batch = x.type.shape[0]
                return (self._gemm(ops.Reshape(x, (batch, x.type.elements // batch)).out),)
        return (self._narrow(x),)

    def _weights(self, shape: tuple[int, ...]) -> Value:
        """Small weights; now and then an output, an input or a tap of zeros."""
        zero_point = int(self.random.integers(-1, 2))
        w = self.random.integers(-20, 21, shape) + zero_point
        if self.random.random() < 0.5:
            w[self.random.random(shape[0]) < 0.3] = zero_point
        if self.random.random() < 0.5:
            w[:, self.random.random(shape[1]) < 0.3] = zero_point
        if self.random.random() < 0.4:
            w[self.random.integers(0, shape[0])] = w[0]
        grid = QuantParams(np.float32(0.05), np.int64(zero_point), -128, 127)
        return Constant.of(w, INT8, quant=grid).out

    def _epilogue(self, channels: int) -> tuple[Value | None, Requantization, DType, QuantParams]:
        """Biases large enough to saturate some channels; multipliers of either sign."""
        dtype = self._dtype()
        grid = self._grid(dtype)
        bias = None
        if self.random.random() < 0.8:
            spread = np.where(self.random.random(channels) < 0.4, 200_000, 2000)
            bias = Constant.of(self.random.integers(-spread, spread + 1), INT32).out
        multiplier = (2.0 ** self.random.uniform(-8, -4, channels)).astype(np.float32)
        multiplier *= np.where(self.random.random(channels) < 0.2, -1, 1).astype(np.float32)
        if self.random.random() < 0.4:
            multiplier[:] = multiplier[0]
            bias = None
        shift = self.random.normal(0, 100, channels).astype(np.float32) if self.random.random() < 0.2 else None
        r = Requantization(multiplier, shift, grid.scalar()[1], grid.qmin, grid.qmax)
        return bias, r, dtype, grid

    def _conv(self, x: Value, group: int) -> Value:
        made = x.type.shape[1] * int(self.random.integers(1, 3)) if group > 1 else int(self.random.integers(1, 6))
        kernel = 3 if min(x.type.shape[2:]) >= 3 and self.random.random() < 0.6 else 1
        pad = int(self.random.integers(0, 2)) if kernel == 3 else 0
        stride = int(self.random.integers(1, 3))
        w = self._weights((made, x.type.shape[1] // group, kernel, kernel))
        bias, r, dtype, grid = self._epilogue(made)
        return qops.QConv(x, w, bias, r, dtype, grid, (stride,) * 2, (pad,) * 4, (1, 1), group).out

    def _gemm(self, x: Value) -> Value:
        made = int(self.random.integers(1, 6))
        bias, r, dtype, grid = self._epilogue(made)
        w = self._weights((x.type.shape[1], made))
        return qops.QGemm(x, w, bias, r, dtype, grid).out

    def _narrow(self, x: Value) -> Value:
        low, high = sorted(int(v) for v in self.random.integers(x.type.dtype.min, x.type.dtype.max + 1, 2))
        if self.random.random() < 0.5:
            return qops.Clamp(x, low, high).out
        dtype = self._dtype()
        grid = self._grid(dtype)
        axis = 1 if self.random.random() < 0.5 else None
        shape = (256,) if axis is None else (x.type.shape[1], 256)
        steps = np.sort(self.random.integers(grid.qmin, grid.qmax + 1, shape))
        if self.random.random() < 0.5:
            steps = self.random.permutation(steps.reshape(-1)).reshape(shape)
        return qops.Lookup(x, steps.astype(dtype.numpy), dtype, grid, axis).out

    def _alike(self, x: Value) -> Value:
        """Another value of the type of x."""
        others = [v for v in self.values if v.type == x.type]
        return others[int(self.random.integers(0, len(others)))]

    def _binary(self, x: Value) -> Value:
        dtype = self._dtype()
        kind = (qops.QAdd, qops.QSub, qops.QMul, qops.QDiv)[int(self.random.integers(0, 4))]
        other = self._alike(x)
        if self.random.random() < 0.3:
            other = Constant.of(self.random.normal(0, 2, (x.type.shape[1], 1, 1)).astype(np.float32)).out
        elif self.random.random() < 0.3:
            other = self._narrow(x)
        return kind(x, other, dtype, self._grid(dtype)).out

    def _pool(self, x: Value) -> Value:
        if min(x.type.shape[2:]) < 2:
            return self._narrow(x)
        if self.random.random() < 0.5:
            return ops.MaxPool(x, (2, 2), (1, 1), (1, 0, 0, 1), (1, 1), False).out
        dtype = self._dtype()
        return qops.QAveragePool(
            x, dtype, self._grid(dtype), (2, 2), (2, 2), (0, 1, 0, 1), (1, 1), False, bool(self.random.integers(0, 2))
        ).out

    def _move(self, x: Value) -> Value:
        code = int(self.random.integers(x.type.dtype.min, x.type.dtype.max + 1))
        n, c, h, w = x.type.shape
        match int(self.random.integers(0, 5)):
            case 0:
                return ops.Pad(x, (0, 0, 1, 0, 0, 0, 0, 1), "constant", code).out
            case 1:
                return ops.Slice(x, (0, 0, 0, w - 1), (n, c, max(h - 1, 1), -1), (1, 1, 1, -1)).out
            case 2:
                return qops.OffsetCodes(x).out
            case 3:
                return ops.ResizeNearest(x, (n, c, 2 * h, w), (1.0, 1.0, 2.0, 1.0), "asymmetric", "floor").out
        dtype = self._dtype()
        return qops.QReduceMean(x, dtype, self._grid(dtype), (2,), True).out


def node_values(node: ops.Split) -> tuple[Value, ...]:
    return tuple(Value(node, index) for index in range(len(node.types)))
