"""Integer operations: what a quantized model is made of once its QuantizeLinear and DequantizeLinear are folded away.

Operands carry their scale and zero point in their types; `quant` is the meaning of the result's codes. Data movement
(Reshape, Transpose, Concat, MaxPool, ...: ops.py) works on codes as it does on floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT32, INT64, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import need_resize
from subbyte.compiler.ir.shapes import (
    broadcast,
    conv_shape,
    conv_transpose_shape,
    matmul_shape,
    need_filled_windows,
    pool_shape,
    reduce_shape,
)
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.requantize import Requantization

_LARGEST_LEVEL = 1 << 15  # of codebooks: levels are what codes of 16 bits could be


def _need_codes(name: str, value: Value) -> None:
    if not value.type.dtype.is_integer:
        raise GraphError(f"{name} is {value.type}; integer codes are needed")


def _need_affine(name: str, value: Value) -> None:
    """A factor of a sum of products: real = scale * (code - zero point), one scale for each sum."""
    _need_codes(name, value)
    quant = value.type.quant
    if quant is not None and (quant.levels is not None or quant.block is not None):
        raise GraphError(f"{name} is {value.type} of a codebook or of blocks; sums of products need affine codes")


def _need_weights(name: str, value: Value) -> None:
    """A factor that may also be a constant codebook, whose levels are whole numbers: real = scale * levels[code]."""
    quant = value.type.quant
    if quant is None or quant.levels is None or value.constant is None or quant.block is not None:
        _need_affine(name, value)
        return
    _need_codes(name, value)
    whole = all(float(level).is_integer() and abs(level) <= _LARGEST_LEVEL for level in quant.levels)
    if not whole or quant.qmin < 0 or quant.qmax >= len(quant.levels):
        raise GraphError(
            f"{name} is {value.type} with codes {quant.qmin}..{quant.qmax} of the levels {quant.levels}; a level for "
            f"each code is needed, and sums of products need whole numbers up to {_LARGEST_LEVEL}"
        )


def _need_scale(name: str, value: Value) -> None:
    """Codes whose real numbers are known: one scale for the whole tensor."""
    _need_codes(name, value)
    if value.type.quant is None or not value.type.quant.is_per_tensor:
        raise GraphError(f"{name} is {value.type} without a scale for the whole tensor, which is needed")


def _accumulated(
    shape: tuple[int, ...],
    channels: int,
    bias: Value | None,
    requantization: Requantization | None,
    dtype: DType,
    quant: QuantParams | None,
) -> TensorType:
    """The type of a sum of products, checked: bias [C] of int32 or int64, multiplier [] or [C]."""
    if bias is not None and (bias.type.shape != (channels,) or bias.type.dtype not in (INT32, INT64)):
        raise GraphError(f"the bias is {bias.type}; int32[{channels}] or int64[{channels}] is needed")
    if requantization is None:
        if dtype not in (INT32, INT64):
            raise GraphError(f"without a requantization the result is the sum: int32 or int64, not {dtype}")
        return TensorType(dtype, shape, quant)
    for name, part in (("multiplier", requantization.multiplier), ("shift", requantization.shift)):
        if part is not None and part.shape not in ((), (channels,)):
            raise GraphError(f"the {name} has shape {part.shape}; [] or [{channels}] is needed")
    result = TensorType(dtype, shape, quant)
    if requantization.channels not in (None, channels):
        raise GraphError(f"the requantization is for {requantization.channels} channels; there are {channels}")
    (low, high), (least, most) = result.code_range(), requantization.results()
    if least < low or most > high:
        raise GraphError(f"the requantization gives {least}..{most}, the result's codes are {low}..{high}")
    if requantization.table is None and quant is not None and quant.scalar()[1] != requantization.zero_point:
        raise GraphError(
            f"the requantization adds zero point {requantization.zero_point}, the result's is {quant.zero_point}"
        )
    return result


@dataclass(frozen=True, eq=False, repr=False)
class QConv(Node):
    """Convolution of codes, 1-D or 2-D: y = requantize(sum (x - x_zero) * (w - w_zero) + bias); x_zero pads.

    x: [N, C, spatial...]; w: [O, C / group, kernel...], zero point [] or [O]; bias: int32 or int64 [O] in units of
    x_scale * w_scale. requantization: N4 per output channel (axis 1), or None: the result is the sum itself, modulo
    2^32 where dtype is int32.
    pads: begin of each spatial axis, then end of each.  Source: design.md N3 and N4; ONNX QLinearConv, ConvInteger.
    """

    x: Value
    w: Value
    bias: Value | None
    requantization: Requantization | None
    dtype: DType
    quant: QuantParams | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int

    def infer_type(self) -> TensorType:
        _need_affine("x", self.x)
        _need_weights("w", self.w)
        shape = conv_shape(self.x.type.shape, self.w.type.shape, self.strides, self.pads, self.dilations, self.group)
        return _accumulated(shape, shape[1], self.bias, self.requantization, self.dtype, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class QConvTranspose(Node):
    """Transposed convolution of codes: which products are summed says ops.ConvTranspose, the rest is as in QConv.

    x: [N, C, spatial...]; w: [C, O / group, kernel...], zero point [] or [O] along axis 1; the rest as QConv.
    """

    x: Value
    w: Value
    bias: Value | None
    requantization: Requantization | None
    dtype: DType
    quant: QuantParams | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int
    output_padding: tuple[int, ...]

    def infer_type(self) -> TensorType:
        _need_affine("x", self.x)
        _need_weights("w", self.w)
        shape = conv_transpose_shape(
            self.x.type.shape,
            self.w.type.shape,
            self.strides,
            self.pads,
            self.dilations,
            self.group,
            self.output_padding,
        )
        return _accumulated(shape, shape[1], self.bias, self.requantization, self.dtype, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class QGemm(Node):
    """Matrix product of codes: y = requantize(sum_k (a - a_zero) * (b - b_zero) + bias), batches as in NumPy's matmul.

    a: [..., M, K]; b: [..., K, N], zero point [] or [N] (last axis); bias: int32 or int64 [N].
    requantization: N4 along the last axis, or None: the result is the sum itself, modulo 2^32 where dtype is int32.
    Source: design.md N3 and N4; ONNX QLinearMatMul, MatMulInteger; ONNX Runtime QGemm.
    """

    a: Value
    b: Value
    bias: Value | None
    requantization: Requantization | None
    dtype: DType
    quant: QuantParams | None

    def infer_type(self) -> TensorType:
        _need_affine("a", self.a)
        _need_weights("b", self.b)
        shape = matmul_shape(self.a.type.shape, self.b.type.shape)
        return _accumulated(shape, shape[-1], self.bias, self.requantization, self.dtype, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class QBinary(Node):
    """Elementwise operation on the reals that two operands stand for, broadcast as in NumPy, each step in float32.

    An operand is integer codes with per-tensor quant, or float32 (a constant left in the model). `quant` is per tensor;
    its qmin and qmax clamp the result.  Source: design.md N6.
    """

    a: Value
    b: Value
    dtype: DType
    quant: QuantParams

    def infer_type(self) -> TensorType:
        for name, operand in (("a", self.a), ("b", self.b)):
            if operand.type.quant is None and not operand.type.dtype.is_float:
                raise GraphError(f"{name} is {operand.type} without scale; codes with a scale or float32 are needed")
        return TensorType(self.dtype, broadcast(self.a.type.shape, self.b.type.shape), self.quant)


class QAdd(QBinary):
    """quantize(f32(f32(s_a * A) + f32(s_b * B)))."""


class QSub(QBinary):
    """quantize(f32(f32(s_a * A) - f32(s_b * B)))."""


class QMul(QBinary):
    """quantize(f32(f32(s_a * A) * f32(s_b * B)))."""


class QDiv(QBinary):
    """quantize(f32(f32(s_a * A) / f32(s_b * B)))."""


@dataclass(frozen=True, eq=False, repr=False)
class QAveragePool(Node):
    """quantize(f32(f32(f32(sum A) * s_x) / n)) over each window, A = x - x_zero, the sum exact.

    n counts the positions inside x; with count_include_pad those inside x and its pads (so not those that ceil_mode
    adds beyond the pads).
    x: [N, C, spatial...]; pads: begins, then ends.  Source: design.md N6; ONNX AveragePool.
    """

    x: Value
    dtype: DType
    quant: QuantParams
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool
    count_include_pad: bool

    def infer_type(self) -> TensorType:
        _need_scale("x", self.x)
        shape = pool_shape(self.x.type.shape, self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        need_filled_windows(self.x.type.shape, shape, self.kernel, self.strides, self.pads, self.dilations)
        return TensorType(self.dtype, shape, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class QReduce(Node):
    """Sum or mean of codes over `axes`: quantize(f32(f32(sum A) * s_x)), the mean divided by n before it is quantized.

    Source: design.md N6; ONNX ReduceSum and ReduceMean.
    """

    x: Value
    dtype: DType
    quant: QuantParams
    axes: tuple[int, ...]
    keepdims: bool

    def infer_type(self) -> TensorType:
        _need_scale("x", self.x)
        return TensorType(self.dtype, reduce_shape(self.x.type.shape, self.axes, self.keepdims), self.quant)


class QReduceSum(QReduce):
    """quantize(f32(f32(sum A) * s_x))."""


class QReduceMean(QReduce):
    """quantize(f32(f32(f32(sum A) * s_x) / n))."""


@dataclass(frozen=True, eq=False, repr=False)
class Lookup(Node):
    """y = table[x - x.dtype.min]: every unary function of a tensor of at most 8 bits, and every requantization of one.

    table: [2^bits], or [C, 2^bits] with `axis`: the table of each channel. Its dtype is the result's: codes, or float32
    where the result leaves integers.  Source: design.md N7.
    """

    x: Value
    table: NDArray[Any]
    dtype: DType
    quant: QuantParams | None
    axis: int | None = None

    def infer_type(self) -> TensorType:
        _need_codes("x", self.x)
        if self.x.type.dtype.bits > 16:
            raise GraphError(f"x is {self.x.type}; a table serves codes of at most 16 bits")
        if self.axis is not None and not 0 <= self.axis < self.x.type.rank:
            raise GraphError(f"axis {self.axis} does not exist in {self.x.type}")
        entries = self.x.type.dtype.max - self.x.type.dtype.min + 1
        expected = (entries,) if self.axis is None else (self.x.type.shape[self.axis], entries)
        if self.table.shape != expected or self.table.dtype != self.dtype.numpy:
            raise GraphError(
                f"the table is {self.table.dtype}{list(self.table.shape)}; {self.dtype.numpy}{list(expected)} is needed"
            )
        result = TensorType(self.dtype, self.x.type.shape, self.quant)
        stray = result.stray_code(self.table)
        if stray is not None:
            low, high = result.code_range()
            raise GraphError(f"the table holds {stray}; the result's codes are {low}..{high}")
        return result


@dataclass(frozen=True, eq=False, repr=False)
class QSoftmax(Node):
    """Softmax of codes along `axis`: exponentials from a table, and one integer division.

    table: uint32 [2^bits], exp(-scale * d) in unsigned Q31, indexed by d = max - x.
    Source: design.md N7; numerics/softmax.py.
    """

    x: Value
    table: NDArray[np.uint32]
    dtype: DType
    quant: QuantParams
    axis: int

    def infer_type(self) -> TensorType:
        _need_codes("x", self.x)
        if not 0 <= self.axis < self.x.type.rank:
            raise GraphError(f"axis {self.axis} does not exist in {self.x.type}")
        entries = self.x.type.dtype.max - self.x.type.dtype.min + 1
        if self.table.shape != (entries,) or self.table.dtype != np.uint32:
            raise GraphError(f"the table is {self.table.dtype}{list(self.table.shape)}; uint32[{entries}] is needed")
        return TensorType(self.dtype, self.x.type.shape, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class QResizeLinear(Node):
    """Linear interpolation of codes, separable, one axis after the other in float32.

    `sizes`: the result's extents; `scales`: float32 per axis as the coordinate rule needs them.
    Source: design.md N6; numerics/resize.py; ONNX Resize, mode linear.
    """

    x: Value
    dtype: DType
    quant: QuantParams
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    coordinates: str

    def infer_type(self) -> TensorType:
        _need_scale("x", self.x)
        need_resize(self.x.type, self.sizes, self.scales, self.coordinates)
        return TensorType(self.dtype, self.sizes, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class Clamp(Node):
    """min(max(x, low), high) on codes; the grid stays, the code range narrows."""

    x: Value
    low: int
    high: int

    def infer_type(self) -> TensorType:
        _need_codes("x", self.x)
        quant = self.x.type.quant
        if quant is None or self.low > self.high:
            raise GraphError(f"codes of {self.x.type} cannot be clamped to {self.low}..{self.high}")
        qmin, qmax = (min(max(code, self.low), self.high) for code in (quant.qmin, quant.qmax))
        return TensorType(self.x.type.dtype, self.x.type.shape, quant.replace(qmin=qmin, qmax=qmax))


@dataclass(frozen=True, eq=False, repr=False)
class OffsetCodes(Node):
    """The same reals in the other signedness: int8 code c becomes uint8 code c + 128 (bits: c xor 0x80), or back."""

    x: Value

    def infer_type(self) -> TensorType:
        dtype = self.x.type.dtype
        if dtype.kind not in ("int", "uint"):
            raise GraphError(f"{self.x.type} has no other signedness; int and uint codes have")
        return TensorType(self.dtype, self.x.type.shape, self.moved(self.x.type.quant))

    @property
    def dtype(self) -> DType:
        """The result's type: uint for int, int for uint."""
        dtype = self.x.type.dtype
        return DType("uint" if dtype.kind == "int" else "int", dtype.bits)

    @property
    def offset(self) -> int:
        """What is added to each code."""
        dtype = self.x.type.dtype
        return (1 << (dtype.bits - 1)) * (1 if dtype.kind == "int" else -1)

    def moved(self, quant: QuantParams | None) -> QuantParams | None:
        """`quant` for the codes after the offset."""
        if quant is None:
            return None
        zero_point = quant.static()[1] + self.offset
        return quant.replace(zero_point=zero_point, qmin=quant.qmin + self.offset, qmax=quant.qmax + self.offset)
