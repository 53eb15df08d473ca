"""Types are inferred as nodes are built, and an ill-typed node raises where it is written, naming itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import Layout, QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization

HALF = Requantization(np.float32(0.5), None, 0, -128, 127)


def x(*shape: int, dtype: DType = FLOAT32, quant: QuantParams | None = None) -> Value:
    return Input("x", TensorType(dtype, shape, quant)).out


def q(
    *shape: int, dtype: DType = INT8, scale: float = 0.5, zero_point: int = 0, qmin: int = -128, qmax: int = 127
) -> Value:
    quant = QuantParams(np.float32(scale), np.int64(zero_point), max(qmin, dtype.min), min(qmax, dtype.max))
    return x(*shape, dtype=dtype, quant=quant)


def by_channel(*shape: int, axis: int = 1) -> Value:
    channels = shape[axis]
    quant = QuantParams(np.ones(channels, np.float32), np.zeros(channels, np.int64), -128, 127, axis=axis)
    return x(*shape, dtype=INT8, quant=quant)


GRID = QuantParams(np.float32(0.5), np.int64(0), -128, 127)
CODEBOOK = QuantParams(np.float32(0.5), np.int64(0), 0, 1, levels=(0.0, 1.5))
BLOCKS = QuantParams(np.ones((4, 2), np.float32), np.zeros((4, 2), np.int64), -128, 127, axis=1, block=8)
POOL = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1), "ceil_mode": False}
CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
SUM = {"bias": None, "requantization": None, "dtype": INT32, "quant": None}

ILL_TYPED: dict[str, Callable[[], Node]] = {
    "quantize integers": lambda: ops.QuantizeLinear(x(2, dtype=INT8), INT8, GRID),
    "quantize float64": lambda: ops.QuantizeLinear(x(2, dtype=FLOAT64), INT8, GRID),
    "round to bipolar": lambda: ops.QuantizeLinear(x(2), BIPOLAR, GRID.replace(qmin=-1, qmax=1)),
    "take the sign as int8": lambda: ops.QuantizeLinear(x(2), INT8, GRID, rounding="BIPOLAR"),
    "quantize to a codebook": lambda: ops.QuantizeLinear(x(2), UINT8, CODEBOOK),
    "round in no known way": lambda: ops.QuantizeLinear(x(2), INT8, GRID, rounding="HALF_ODD"),
    "dequantize without scale": lambda: ops.DequantizeLinear(x(2, dtype=INT8)),
    "dequantize to integers": lambda: ops.DequantizeLinear(q(2), INT8),
    "multiply matrices of integers": lambda: ops.MatMul(x(2, 2, dtype=INT8), x(2, 2, dtype=INT8)),
    "multiply matrices of float64": lambda: ops.MatMul(x(2, 2, dtype=FLOAT64), x(2, 2, dtype=FLOAT64)),
    "mix float types": lambda: ops.MatMul(x(2, 2), x(2, 2, dtype=FLOAT16)),
    "inner dimensions differ": lambda: ops.MatMul(x(2, 3), x(2, 3)),
    "a vector in a matrix product": lambda: ops.MatMul(x(3), x(3, 2)),
    "batches differ": lambda: ops.MatMul(x(2, 2, 3), x(3, 3, 2)),
    "gemm of more than matrices": lambda: ops.Gemm(x(1, 2, 2), x(2, 2), None, 1.0, 1.0, False, False),
    "gemm whose c is too large": lambda: ops.Gemm(x(1, 2), x(2, 3), x(2, 3), 1.0, 1.0, False, False),
    "channels of w differ": lambda: ops.Conv(x(1, 3, 4, 4), x(2, 4, 3, 3), None, **CONV),
    "bias of the wrong length": lambda: ops.Conv(x(1, 3, 4, 4), x(2, 3, 3, 3), x(3), **CONV),
    "kernel larger than x": lambda: ops.Conv(x(1, 3, 2, 2), x(2, 3, 3, 3), None, **CONV),
    "stride of zero": lambda: ops.Conv(x(1, 3, 4, 4), x(2, 3, 3, 3), None, **(CONV | {"strides": (0, 1)})),
    "groups do not divide": lambda: ops.Conv(x(1, 4, 4, 4), x(3, 2, 3, 3), None, **(CONV | {"group": 2})),
    "negative pads": lambda: ops.Conv(x(1, 3, 4, 4), x(2, 3, 3, 3), None, **(CONV | {"pads": (-1, 0, 0, 0)})),
    "too few pads": lambda: ops.Conv(x(1, 3, 4, 4), x(2, 3, 3, 3), None, **(CONV | {"pads": (0, 0)})),
    "transposed: pads too large": lambda: ops.ConvTranspose(
        x(1, 3, 1, 1), x(3, 2, 1, 1), None, **(CONV | {"pads": (1, 1, 0, 0)}), output_padding=(0, 0)
    ),
    "transposed: negative output padding": lambda: ops.ConvTranspose(
        x(1, 3, 4, 4), x(3, 2, 1, 1), None, **CONV, output_padding=(-1, 0)
    ),
    "add with a scale": lambda: ops.Add(q(2), q(2)),
    "add different types": lambda: ops.Add(x(2), x(2, dtype=INT32)),
    "add bools": lambda: ops.Add(x(2, dtype=BOOL), x(2, dtype=BOOL)),
    "shapes cannot be broadcast": lambda: ops.Add(x(2), x(3)),
    "slope larger than x": lambda: ops.PRelu(x(2), x(3, 2)),
    "no such function": lambda: ops.Unary(x(2), "Sinh"),
    "parameters are missing": lambda: ops.Unary(x(2), "LeakyRelu"),
    "cast what has a scale": lambda: ops.Cast(q(2), FLOAT32),
    "cast to bipolar": lambda: ops.Cast(x(2), BIPOLAR),
    "softmax along no axis": lambda: ops.Softmax(x(2), 1),
    "log softmax along no axis": lambda: ops.LogSoftmax(x(2), -1),
    "normalize other channels": lambda: ops.BatchNormalization(x(1, 3, 2), x(2), x(3), x(3), x(3), 1e-5),
    "pool windows of padding": lambda: ops.MaxPool(x(1, 1, 4, 4), **(POOL | {"pads": (2, 0, 0, 0)})),
    "pool windows beyond the end": lambda: ops.MaxPool(
        x(1, 1, 4, 4), **(POOL | {"pads": (0, 0, 2, 0), "strides": (1, 1)})
    ),
    "pool windows that step over x": lambda: ops.AveragePool(
        x(1, 1, 1, 4), **(POOL | {"dilations": (3, 1), "pads": (2, 0, 2, 0), "strides": (1, 1)}), count_include_pad=True
    ),
    "pool by channel": lambda: ops.MaxPool(by_channel(1, 4, 4, 4), **POOL),
    "reduce twice": lambda: ops.ReduceMax(x(2, 2), (0, 0), True),
    "reduce no axis": lambda: ops.ReduceMax(x(2, 2), (2,), True),
    "sum codes with a scale": lambda: ops.ReduceSum(q(2), (0,), True),
    "sum bools": lambda: ops.ReduceSum(x(2, dtype=BOOL), (0,), True),
    "reduce nothing": lambda: ops.ReduceMax(x(2, 0), (0,), True),
    "reshape to another size": lambda: ops.Reshape(x(2, 3), (4,)),
    "reshape a channel away": lambda: ops.Reshape(by_channel(2, 3, 4), (2, 12)),
    "transpose by no permutation": lambda: ops.Transpose(x(2, 3), (0, 0)),
    "concat nothing": lambda: ops.Concat((), 0),
    "concat on two grids": lambda: ops.Concat((q(2), q(2, scale=0.25)), 0),
    "concat codes and numbers": lambda: ops.Concat((q(2), x(2, dtype=INT8)), 0),
    "concat other extents": lambda: ops.Concat((x(2, 3), x(2, 4)), 0),
    "concat along no axis": lambda: ops.Concat((x(2), x(2)), 1),
    "split into too much": lambda: ops.Split(x(4), 0, (2, 3)),
    "split into negative pieces": lambda: ops.Split(x(4), 0, (5, -1)),
    "slice past the end": lambda: ops.Slice(x(4), (0,), (5,), (1,)),
    "slice before the begin": lambda: ops.Slice(x(4), (3,), (-2,), (-1,)),
    "slice without moving": lambda: ops.Slice(x(4), (0,), (4,), (0,)),
    "pad in no known mode": lambda: ops.Pad(x(4), (1, 1), "mirror", 0.0),
    "pad codes with no code": lambda: ops.Pad(q(4), (1, 1), "constant", 200),
    "reflect more than there is": lambda: ops.Pad(x(3), (3, 0), "reflect", 0.0),
    "wrap more than there is": lambda: ops.Pad(x(3), (0, 4), "wrap", 0.0),
    "crop more than there is": lambda: ops.Pad(x(3), (-2, -2), "constant", 0.0),
    "repeat the edge of nothing": lambda: ops.Pad(x(0), (1, 0), "edge", 0.0),
    "gather with floats": lambda: ops.Gather(x(3), x(1), 0),
    "gather along no axis": lambda: ops.Gather(x(3), x(1, dtype=INT64), 1),
    "depth does not divide": lambda: ops.DepthToSpace(x(1, 3, 2, 2), 2, "DCR"),
    "depth in no known order": lambda: ops.DepthToSpace(x(1, 4, 2, 2), 2, "RDC"),
    "space does not divide": lambda: ops.SpaceToDepth(x(1, 3, 3, 2), 2),
    "space of three axes": lambda: ops.SpaceToDepth(x(3, 4, 4), 2),
    "resize with too few scales": lambda: ops.ResizeNearest(x(2, 2), (4, 4), (2.0,), "asymmetric", "floor"),
    "resize by nothing": lambda: ops.ResizeLinear(x(2, 2), (4, 4), (2.0, 0.0), "asymmetric"),
    "resize by no known rule": lambda: ops.ResizeLinear(x(2), (4,), (2.0,), "centered"),
    "resize to no nearest": lambda: ops.ResizeNearest(x(2), (4,), (2.0,), "asymmetric", "round"),
    "resize integers linearly": lambda: ops.ResizeLinear(x(2, dtype=INT8), (4,), (2.0,), "asymmetric"),
    "convolve floats as codes": lambda: qops.QConv(x(1, 3, 4, 4), q(2, 3, 3, 3), **SUM, **CONV),
    "convolve a codebook": lambda: qops.QConv(q(1, 3, 4, 4), x(2, 3, 3, 3, dtype=UINT8, quant=CODEBOOK), **SUM, **CONV),
    "a sum in int8": lambda: qops.QGemm(q(2, 2), q(2, 2), None, None, INT8, None),
    "a bias of floats": lambda: qops.QGemm(q(2, 2), q(2, 2), x(2), None, INT32, None),
    "a bias of the wrong length": lambda: qops.QGemm(q(2, 2), q(2, 2), x(3, dtype=INT32), None, INT32, None),
    "multipliers of other channels": lambda: qops.QGemm(
        q(2, 2), q(2, 2), None, Requantization(np.ones(3, np.float32), None, 0, -128, 127), INT8, GRID
    ),
    "shifts of other channels": lambda: qops.QGemm(
        q(2, 2), q(2, 2), None, Requantization(np.float32(1), np.ones(3, np.float32), 0, -128, 127), INT8, GRID
    ),
    "a clamp wider than the result": lambda: qops.QGemm(q(2, 2), q(2, 2), None, HALF, INT8, GRID.replace(qmin=0)),
    "a table of stray codes": lambda: qops.Lookup(q(2), np.zeros(256, np.int8), INT8, GRID.replace(qmin=1)),
    "two zero points": lambda: qops.QGemm(q(2, 2), q(2, 2), None, HALF, INT8, GRID.replace(zero_point=np.int64(1))),
    "blocks in a sum": lambda: qops.QGemm(q(2, 4), x(4, 16, dtype=INT8, quant=BLOCKS), None, HALF, INT8, GRID),
    "add codes without scale": lambda: qops.QAdd(x(2, dtype=INT8), q(2), INT8, GRID),
    "average codes without scale": lambda: qops.QAveragePool(
        x(1, 1, 4, 4, dtype=INT8), INT8, GRID, **POOL, count_include_pad=False
    ),
    "average codes by channel": lambda: qops.QReduceMean(by_channel(2, 3), INT8, GRID, (1,), True),
    "a table that is too short": lambda: qops.Lookup(q(2), np.zeros(255, np.int8), INT8, GRID),
    "a table of another type": lambda: qops.Lookup(q(2), np.zeros(256, np.uint8), INT8, GRID),
    "a table of 32-bit codes": lambda: qops.Lookup(q(2, dtype=INT32), np.zeros(1, np.int8), INT8, GRID),
    "tables along no axis": lambda: qops.Lookup(q(2), np.zeros((2, 256), np.int8), INT8, GRID, axis=1),
    "a softmax table that is too short": lambda: qops.QSoftmax(q(2), np.zeros(2, np.uint32), INT8, GRID, 0),
    "softmax of codes along no axis": lambda: qops.QSoftmax(q(2), np.zeros(256, np.uint32), INT8, GRID, 1),
    "clamp to nothing": lambda: qops.Clamp(q(2), 3, 2),
    "clamp without scale": lambda: qops.Clamp(x(2, dtype=INT8), 0, 2),
    "offset floats": lambda: qops.OffsetCodes(x(2)),
    "a constant of another shape": lambda: Constant(np.zeros(2, np.int8), TensorType(INT8, (3,))),
    "a constant of another container": lambda: Constant(np.zeros(2, np.int16), TensorType(INT8, (2,))),
    "a constant with stray codes": lambda: Constant(np.array([8], np.int8), TensorType(DType("int", 4), (1,))),
    "a layout of other rank": lambda: ops.Reshape(x(2, 2), (4,), layout=Layout((1, 0))),
}


@pytest.mark.parametrize("build", ILL_TYPED.values(), ids=ILL_TYPED)
def test_an_ill_typed_node_raises_as_it_is_built(build: Callable[[], Node]) -> None:
    with pytest.raises(GraphError):
        build()


def test_the_error_names_the_operation_and_its_onnx_nodes() -> None:
    expected = "MatMul '/fc + /add': inner dimensions differ: a is (2, 3), b is (4, 5)"
    with pytest.raises(GraphError, match=f"^{re.escape(expected)}$"):
        ops.MatMul(x(2, 3), x(4, 5), sources=("/fc", "/add"))


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (ops.Conv(x(2, 6, 9, 8), x(4, 3, 3, 2), x(4), (2, 1), (1, 0, 2, 1), (1, 2), 2), (2, 4, 5, 7)),
        (ops.Conv(x(1, 3, 9), x(4, 3, 3), None, (2,), (1, 1), (1,), 1), (1, 4, 5)),
        (
            ops.ConvTranspose(x(2, 4, 5, 6), x(4, 3, 3, 2), None, (2, 1), (1, 0, 0, 1), (1, 2), 2, (1, 0)),
            (2, 6, 11, 7),
        ),
        (ops.MatMul(x(5, 1, 2, 3), x(7, 3, 4)), (5, 7, 2, 4)),
        (ops.Gemm(x(3, 2), x(4, 3), None, 1.0, 1.0, True, True), (2, 4)),
        (ops.MaxPool(x(1, 2, 5, 5), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), True), (1, 2, 3, 3)),
        (ops.MaxPool(x(1, 2, 5, 5), (2, 2), (3, 3), (1, 1, 1, 1), (1, 1), True), (1, 2, 2, 2)),
        (ops.ReduceMean(x(2, 3, 4), (0, 2), False), (3,)),
        (ops.ReduceMean(x(2, 3, 4), (0, 2), True), (1, 3, 1)),
        (ops.Slice(x(5, 4), (4, 0), (-1, 4), (-2, 3)), (3, 2)),
        (ops.Pad(x(3, 3), (1, -1, 2, 0), "constant", 0.0), (6, 2)),
        (ops.Gather(x(4, 5, 6), x(2, 3, dtype=INT64), 1), (4, 2, 3, 6)),
        (ops.DepthToSpace(x(1, 8, 2, 3), 2, "CRD"), (1, 2, 4, 6)),
        (ops.SpaceToDepth(x(1, 2, 4, 6), 2), (1, 8, 2, 3)),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Node) else "",
)
def test_shapes_follow_onnx(node: Node, shape: tuple[int, ...]) -> None:
    assert node.type.shape == shape


def test_split_has_an_output_for_each_piece() -> None:
    node = ops.Split(x(5, 2), 0, (2, 0, 3))
    assert [t.shape for t in node.types] == [(2, 2), (0, 2), (3, 2)]
    assert Value(node, 2).type.shape == (3, 2)


def test_data_movement_keeps_the_grid() -> None:
    codes = q(1, 4, 4, 4, zero_point=3)
    moved = [
        ops.Reshape(codes, (4, 16)),
        ops.MaxPool(codes, **POOL),
        ops.Slice(codes, (0, 0, 0, 0), (1, 2, 4, 4), (1, 1, 1, 1)),
        ops.DepthToSpace(codes, 2, "DCR"),
        ops.ResizeNearest(codes, (1, 4, 8, 8), (1.0, 1.0, 2.0, 2.0), "asymmetric", "floor"),
        ops.ReduceMax(codes, (2, 3), False),
    ]
    assert all(node.type.quant == codes.type.quant and node.type.dtype == INT8 for node in moved)


def test_concat_and_pad_widen_the_range_of_codes_to_what_they_hold() -> None:
    narrow, other = q(2, qmin=0, qmax=5), q(3, qmin=-3, qmax=2)
    assert ops.Concat((narrow, other), 0).type.code_range() == (-3, 5)
    assert ops.Pad(narrow, (1, 0), "constant", 9).type.code_range() == (0, 9)
    assert ops.Pad(narrow, (1, 0), "edge", 9).type.code_range() == (0, 5)


def test_the_axis_of_a_quantization_moves_with_its_channels() -> None:
    codes = by_channel(2, 3, 4)
    assert quant_axis(ops.Transpose(codes, (1, 2, 0))) == 0
    assert quant_axis(ops.Reshape(codes, (2, 1, 3, 4))) == 2


def test_clamp_narrows_the_range_and_offset_moves_it() -> None:
    assert qops.Clamp(q(2), 0, 200).type.code_range() == (0, 127)
    offset = qops.OffsetCodes(q(2, zero_point=-3, qmin=-100))
    assert (offset.type.dtype, offset.type.code_range()) == (UINT8, (28, 255))
    assert offset.type.quant is not None
    assert offset.type.quant.scalar() == (0.5, 125)
    assert qops.OffsetCodes(offset.out).type == q(2, zero_point=-3, qmin=-100).type


def test_a_layout_is_part_of_the_type_and_not_of_the_meaning() -> None:
    stored = ops.Repack(x(1, 2, 3, 4), layout=Layout((0, 2, 3, 1)))
    assert stored.type.stored_shape == (1, 3, 4, 2)
    assert stored.type.shape == (1, 2, 3, 4)
    assert ops.Repack(stored.out).type.layout is None


def test_run_time_scales_are_operands() -> None:
    scale, zero_point = x(), x(dtype=INT64)
    node = ops.QuantizeLinear(x(3), INT8, QuantParams(scale, zero_point, -128, 127))
    assert node.operands[1:] == (scale, zero_point)
    other = x()
    changed = node.map_operands(lambda value: other if value == scale else value)
    assert changed.operands == (node.x, other, zero_point)


def quant_axis(node: Node) -> Any:
    assert node.type.quant is not None
    return node.type.quant.axis
