"""Operations of ONNX, after the importer has made every attribute explicit.

Float arithmetic follows design.md N8. Data movement and order (Reshape, Transpose, Concat, Split, Slice, Pad, Gather,
MaxPool, ResizeNearest, DepthToSpace, SpaceToDepth, ReduceMax) works on integer codes as on floats, and keeps their scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from subbyte.compiler.dtype import BOOL, FLOAT16, FLOAT32, FLOAT64, INT32, INT64, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import broadcast, conv_shape, conv_transpose_shape, matmul_shape, pool_shape, reduce_shape
from subbyte.compiler.ir.types import QuantParams, TensorType

FLOATS = (FLOAT16, FLOAT32, FLOAT64)


def _need_float(node: Node) -> DType:
    """The common float type of all operands."""
    found = {operand.type.dtype for operand in node.operands}
    if len(found) != 1 or not next(iter(found)).is_float:
        raise GraphError(f"operands are {', '.join(str(v.type) for v in node.operands)}; one float type is needed")
    return next(iter(found))


def _same_grid(values: tuple[Value, ...]) -> None:
    """All dtypes equal, and either no quant or the same grid."""
    first = values[0].type
    for value in values[1:]:
        same = first.quant is value.type.quant is None or (
            first.quant is not None and value.type.quant is not None and first.quant.same_grid(value.type.quant)
        )
        if value.type.dtype != first.dtype or not same:
            raise GraphError(f"operands {first} and {value.type} differ in dtype or scale; requantize one of them first")


def _per_tensor(node: Node, x: Value) -> QuantParams | None:
    """The quant of an operation that moves elements across axes; per axis only where nothing depends on the axis."""
    if x.type.quant is not None and not x.type.quant.is_per_tensor:
        raise GraphError(f"{x.type} is quantized per axis, which {type(node).__name__} does not keep")
    return x.type.quant


# Quantization ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class QuantizeLinear(Node):
    """saturate(rne(x / scale) + zero_point) into `dtype`; scale, zero point, axis and range stand in `quant`.

    Source: design.md N2; ONNX QuantizeLinear.
    """

    x: Value
    dtype: DType
    quant: QuantParams
    rounding: str = "HALF_EVEN"
    zero_point_first: bool = False

    def infer_type(self) -> TensorType:
        if not self.x.type.dtype.is_float:
            raise GraphError(f"x is {self.x.type}; floats are needed")
        return TensorType(self.dtype, self.x.type.shape, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class DequantizeLinear(Node):
    """f32(f32(x - zero_point) * scale), scale and zero point those of x.  Source: design.md N1; ONNX DequantizeLinear."""

    x: Value
    dtype: DType = FLOAT32

    def infer_type(self) -> TensorType:
        if self.x.type.quant is None or self.dtype not in FLOATS:
            raise GraphError(f"x is {self.x.type} without a scale; codes with a scale are needed")
        return TensorType(self.dtype, self.x.type.shape)


# Sums of products -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Conv(Node):
    """Float convolution: x [N, C, spatial...], w [O, C / group, kernel...], b [O]; pads: begins, then ends.

    The sum runs over k = (kernel..., channel) in N8's tree, then b is added.  Source: ONNX Conv.
    """

    x: Value
    w: Value
    b: Value | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        shape = conv_shape(self.x.type.shape, self.w.type.shape, self.strides, self.pads, self.dilations, self.group)
        if self.b is not None and self.b.type.shape != (shape[1],):
            raise GraphError(f"b is {self.b.type}; [{shape[1]}] is needed")
        return TensorType(dtype, shape)


@dataclass(frozen=True, eq=False, repr=False)
class ConvTranspose(Node):
    """Float transposed convolution: x [N, C, spatial...], w [C, O / group, kernel...], b [O].  Source: ONNX."""

    x: Value
    w: Value
    b: Value | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int
    output_padding: tuple[int, ...]

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        shape = conv_transpose_shape(
            self.x.type.shape, self.w.type.shape, self.strides, self.pads, self.dilations, self.group, self.output_padding
        )
        if self.b is not None and self.b.type.shape != (shape[1],):
            raise GraphError(f"b is {self.b.type}; [{shape[1]}] is needed")
        return TensorType(dtype, shape)


@dataclass(frozen=True, eq=False, repr=False)
class MatMul(Node):
    """a [..., M, K] @ b [..., K, N] in N8's tree; operands of rank 1 were reshaped by the importer.  Source: ONNX."""

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        return TensorType(_need_float(self), matmul_shape(self.a.type.shape, self.b.type.shape))


@dataclass(frozen=True, eq=False, repr=False)
class Gemm(Node):
    """alpha * op(a) @ op(b) + beta * c, op a transpose where asked.  Source: ONNX Gemm.

    Float steps: p = tree sum; f32(alpha * p) where alpha is not 1; plus f32(beta * c), the product only where beta is not 1.
    """

    a: Value
    b: Value
    c: Value | None
    alpha: float
    beta: float
    transpose_a: bool
    transpose_b: bool

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        a = self.a.type.shape[::-1] if self.transpose_a else self.a.type.shape
        b = self.b.type.shape[::-1] if self.transpose_b else self.b.type.shape
        if len(a) != 2 or len(b) != 2:
            raise GraphError(f"a is {self.a.type} and b is {self.b.type}; matrices are needed")
        shape = matmul_shape(a, b)
        if self.c is not None and broadcast(self.c.type.shape, shape) != shape:
            raise GraphError(f"c is {self.c.type}, which cannot be broadcast to {shape}")
        return TensorType(dtype, shape)


# Elementwise ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Node):
    """An elementwise operation of two operands of one dtype (floats, or plain integers), broadcast as in NumPy."""

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        a, b = self.a.type, self.b.type
        if a.dtype != b.dtype or a.quant is not None or b.quant is not None:
            raise GraphError(f"operands are {a} and {b}; one dtype, without scales, is needed")
        return TensorType(a.dtype, broadcast(a.shape, b.shape))


class Add(Binary):
    """a + b."""


class Sub(Binary):
    """a - b."""


class Mul(Binary):
    """a * b."""


class Div(Binary):
    """a / b; integers are divided toward zero."""


class Pow(Binary):
    """a ** b."""


class Minimum(Binary):
    """The smaller of a and b; NaN where either is (ONNX Min)."""


class Maximum(Binary):
    """The larger of a and b; NaN where either is (ONNX Max)."""


@dataclass(frozen=True, eq=False, repr=False)
class PRelu(Node):
    """x where x >= 0, else slope * x; slope is broadcast to x.  Source: ONNX PRelu."""

    x: Value
    slope: Value

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        if broadcast(self.x.type.shape, self.slope.type.shape) != self.x.type.shape:
            raise GraphError(f"slope {self.slope.type} cannot be broadcast to x {self.x.type}")
        return TensorType(dtype, self.x.type.shape)


UNARY_FUNCTIONS: dict[str, int] = {
    # ONNX operator -> number of float parameters, in the order of the ONNX attributes named beside it
    "Relu": 0,
    "LeakyRelu": 1,  # alpha
    "Clip": 2,  # min, max; -inf and inf where absent
    "Sigmoid": 0,
    "HardSigmoid": 2,  # alpha, beta
    "HardSwish": 0,
    "Tanh": 0,
    "Gelu": 0,  # approximate="none"
    "GeluTanh": 0,  # Gelu with approximate="tanh"
    "Erf": 0,
    "Exp": 0,
    "Log": 0,
    "Sqrt": 0,
    "Reciprocal": 0,
    "Neg": 0,
    "Abs": 0,
    "Floor": 0,
    "Ceil": 0,
    "Round": 0,
    "Sign": 0,
    "Softplus": 0,
    "Softsign": 0,
    "Elu": 1,  # alpha
    "Selu": 2,  # alpha, gamma
    "Celu": 1,  # alpha
    "ThresholdedRelu": 1,  # alpha
    "Mish": 0,
}


@dataclass(frozen=True, eq=False, repr=False)
class Unary(Node):
    """An elementwise float function named as in ONNX, with its float parameters (UNARY_FUNCTIONS).  Source: design.md N8."""

    x: Value
    function: str
    parameters: tuple[float, ...] = ()

    def infer_type(self) -> TensorType:
        if UNARY_FUNCTIONS.get(self.function) != len(self.parameters):
            raise GraphError(f"there is no function '{self.function}' of {len(self.parameters)} parameters")
        return TensorType(_need_float(self), self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Cast(Node):
    """x as another dtype: float to integer truncates and saturates, integer to float rounds once.  Source: ONNX Cast."""

    x: Value
    dtype: DType

    def infer_type(self) -> TensorType:
        if self.x.type.quant is not None:
            raise GraphError(f"{self.x.type} carries a scale; dequantize it instead")
        return TensorType(self.dtype, self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Node):
    """exp(x - max) / sum(exp(x - max)) along `axis`, the sum in N8's tree.  Source: ONNX Softmax-13."""

    x: Value
    axis: int

    def infer_type(self) -> TensorType:
        if not 0 <= self.axis < self.x.type.rank:
            raise GraphError(f"axis {self.axis} does not exist in {self.x.type}")
        return TensorType(_need_float(self), self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class BatchNormalization(Node):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias along axis 1.  Source: ONNX, inference."""

    x: Value
    scale: Value
    bias: Value
    mean: Value
    variance: Value
    epsilon: float

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        channels = self.x.type.shape[1:2]
        if any(v.type.shape != channels for v in (self.scale, self.bias, self.mean, self.variance)):
            raise GraphError(f"scale, bias, mean and variance must each have shape {channels}, the channels of {self.x.type}")
        return TensorType(dtype, self.x.type.shape)


# Windows and reductions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class MaxPool(Node):
    """The largest element of each window, padding left out; on floats or codes.  Source: ONNX MaxPool."""

    x: Value
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool

    def infer_type(self) -> TensorType:
        shape = pool_shape(self.x.type.shape, self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        return TensorType(self.x.type.dtype, shape, _per_tensor(self, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class AveragePool(Node):
    """The mean of each window, the sum in N8's tree over (window position); n as in QAveragePool.  Source: ONNX."""

    x: Value
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool
    count_include_pad: bool

    def infer_type(self) -> TensorType:
        shape = pool_shape(self.x.type.shape, self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        return TensorType(_need_float(self), shape)


@dataclass(frozen=True, eq=False, repr=False)
class Reduce(Node):
    """A reduction over `axes`; sums and means in N8's tree over the reduced elements in row-major order."""

    x: Value
    axes: tuple[int, ...]
    keepdims: bool

    def infer_type(self) -> TensorType:
        quant = _per_tensor(self, self.x)
        if quant is not None and not isinstance(self, (ReduceMax, ReduceMin)):
            raise GraphError(f"{self.x.type} carries a scale; only the largest and smallest code keep their meaning")
        return TensorType(self.x.type.dtype, reduce_shape(self.x.type.shape, self.axes, self.keepdims), quant)


class ReduceSum(Reduce):
    """The sum."""


class ReduceMean(Reduce):
    """The sum divided by the number of elements."""


class ReduceMax(Reduce):
    """The largest element; on floats or codes."""


class ReduceMin(Reduce):
    """The smallest element; on floats or codes."""


# Data movement --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Reshape(Node):
    """The same elements in row-major order under another shape."""

    x: Value
    shape: tuple[int, ...]

    def infer_type(self) -> TensorType:
        if math.prod(self.shape) != self.x.type.elements:
            raise GraphError(f"{self.x.type} has {self.x.type.elements} elements; shape {self.shape} has {math.prod(self.shape)}")
        return TensorType(self.x.type.dtype, self.shape, self._quant())

    def _quant(self) -> QuantParams | None:
        """Per axis survives where the axis keeps its extent and what stands before and after it."""
        quant = self.x.type.quant
        if quant is None or quant.axis is None:
            return quant
        x = self.x.type.shape
        before = math.prod(x[: quant.axis])
        for axis, extent in enumerate(self.shape):
            if math.prod(self.shape[:axis]) == before and extent == x[quant.axis]:
                return QuantParams(quant.scale, quant.zero_point, quant.qmin, quant.qmax, axis, quant.block, quant.levels)
        raise GraphError(f"{self.x.type} is quantized along axis {quant.axis}, which shape {self.shape} does not have any more")


@dataclass(frozen=True, eq=False, repr=False)
class Transpose(Node):
    """Axis i of the result is axis perm[i] of x."""

    x: Value
    perm: tuple[int, ...]

    def infer_type(self) -> TensorType:
        if sorted(self.perm) != list(range(self.x.type.rank)):
            raise GraphError(f"perm {self.perm} is not a permutation of the axes of {self.x.type}")
        quant = self.x.type.quant
        if quant is not None and quant.axis is not None:
            axis = self.perm.index(quant.axis)
            quant = QuantParams(quant.scale, quant.zero_point, quant.qmin, quant.qmax, axis, quant.block, quant.levels)
        return TensorType(self.x.type.dtype, tuple(self.x.type.shape[axis] for axis in self.perm), quant)


@dataclass(frozen=True, eq=False, repr=False)
class Concat(Node):
    """The operands one after the other along `axis`; all on one grid, the code range the union of theirs."""

    values: tuple[Value, ...]
    axis: int

    def infer_type(self) -> TensorType:
        _same_grid(self.values)
        first = self.values[0].type
        if not 0 <= self.axis < first.rank:
            raise GraphError(f"axis {self.axis} does not exist in {first}")
        for value in self.values[1:]:
            x, y = list(first.shape), list(value.type.shape)
            if len(x) != len(y) or x[: self.axis] + x[self.axis + 1 :] != y[: self.axis] + y[self.axis + 1 :]:
                raise GraphError(f"{value.type} cannot follow {first} along axis {self.axis}")
        extent = sum(value.type.shape[self.axis] for value in self.values)
        quant = _per_tensor(self, self.values[0])
        if quant is not None:
            ranges = [value.type.code_range() for value in self.values]
            low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
            quant = QuantParams(quant.scale, quant.zero_point, low, high, None, None, quant.levels)
        return TensorType(first.dtype, (*first.shape[: self.axis], extent, *first.shape[self.axis + 1 :]), quant)


@dataclass(frozen=True, eq=False, repr=False)
class Split(Node):
    """Pieces of x along `axis`, of the extents `sizes`: one output each."""

    x: Value
    axis: int
    sizes: tuple[int, ...]

    def infer_type(self) -> tuple[TensorType, ...]:
        x = self.x.type
        if not 0 <= self.axis < x.rank or sum(self.sizes) != x.shape[self.axis]:
            raise GraphError(f"{x} cannot be split into {self.sizes} along axis {self.axis}")
        quant = _per_tensor(self, self.x)
        return tuple(
            TensorType(x.dtype, (*x.shape[: self.axis], size, *x.shape[self.axis + 1 :]), quant) for size in self.sizes
        )


@dataclass(frozen=True, eq=False, repr=False)
class Slice(Node):
    """x[starts[i] : ends[i] : steps[i]] on every axis i: starts and ends clipped to x; a negative step ends at -1 or above."""

    x: Value
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]

    def infer_type(self) -> TensorType:
        x = self.x.type
        if not len(self.starts) == len(self.ends) == len(self.steps) == x.rank or 0 in self.steps:
            raise GraphError(f"starts {self.starts}, ends {self.ends} and steps {self.steps} do not fit {x}")
        spans = zip(self.starts, self.ends, self.steps, strict=True)
        return TensorType(x.dtype, tuple(len(range(a, b, c)) for a, b, c in spans), _per_tensor(self, self.x))


PAD_MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True, eq=False, repr=False)
class Pad(Node):
    """x with borders: pads = begins of every axis, then ends; negative pads crop. `value` is a real number for floats, a code
    for integers, used by mode constant.  Source: ONNX Pad."""

    x: Value
    pads: tuple[int, ...]
    mode: str
    value: float | int

    def infer_type(self) -> TensorType:
        x = self.x.type
        if self.mode not in PAD_MODES or len(self.pads) != 2 * x.rank:
            raise GraphError(f"pads {self.pads} with mode '{self.mode}' do not fit {x}; modes are {', '.join(PAD_MODES)}")
        quant = _per_tensor(self, self.x)
        if not x.dtype.is_float and x.dtype != BOOL and not x.dtype.min <= self.value <= x.dtype.max:
            raise GraphError(f"the padding {self.value} is no code of {x.dtype}")
        if quant is not None and self.mode == "constant":
            low, high = min(quant.qmin, int(self.value)), max(quant.qmax, int(self.value))
            quant = QuantParams(quant.scale, quant.zero_point, low, high, None, None, quant.levels)
        spans = (begin + extent + end for begin, extent, end in zip(self.pads, x.shape, self.pads[x.rank :], strict=False))
        return TensorType(x.dtype, tuple(spans), quant)


@dataclass(frozen=True, eq=False, repr=False)
class Gather(Node):
    """x with axis `axis` replaced by the shape of `indices`; a negative index counts from the end.  Source: ONNX Gather."""

    x: Value
    indices: Value
    axis: int

    def infer_type(self) -> TensorType:
        x = self.x.type
        if self.indices.type.dtype not in (INT32, INT64) or not 0 <= self.axis < x.rank:
            raise GraphError(f"indices are {self.indices.type} for axis {self.axis} of {x}; int32 or int64 indices are needed")
        shape = (*x.shape[: self.axis], *self.indices.type.shape, *x.shape[self.axis + 1 :])
        return TensorType(x.dtype, shape, _per_tensor(self, self.x))


def _spatial(node: Node, x: TensorType, block: int) -> tuple[int, int, int, int]:
    if x.rank != 4 or block < 1:
        raise GraphError(f"x is {x} with block {block}; [N, C, H, W] and a block of at least 1 are needed")
    n, c, h, w = x.shape
    return n, c, h, w


@dataclass(frozen=True, eq=False, repr=False)
class DepthToSpace(Node):
    """[N, C, H, W] -> [N, C / block^2, H * block, W * block]; mode DCR or CRD.  Source: ONNX DepthToSpace."""

    x: Value
    block: int
    mode: str

    def infer_type(self) -> TensorType:
        n, c, h, w = _spatial(self, self.x.type, self.block)
        if c % self.block**2 or self.mode not in ("DCR", "CRD"):
            raise GraphError(f"{c} channels cannot become blocks of {self.block}x{self.block} (mode '{self.mode}')")
        shape = (n, c // self.block**2, h * self.block, w * self.block)
        return TensorType(self.x.type.dtype, shape, _per_tensor(self, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class SpaceToDepth(Node):
    """[N, C, H, W] -> [N, C * block^2, H / block, W / block].  Source: ONNX SpaceToDepth."""

    x: Value
    block: int

    def infer_type(self) -> TensorType:
        n, c, h, w = _spatial(self, self.x.type, self.block)
        if h % self.block or w % self.block:
            raise GraphError(f"{h}x{w} does not divide into blocks of {self.block}")
        shape = (n, c * self.block**2, h // self.block, w // self.block)
        return TensorType(self.x.type.dtype, shape, _per_tensor(self, self.x))


COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric", "tf_half_pixel_for_nn")
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@dataclass(frozen=True, eq=False, repr=False)
class ResizeNearest(Node):
    """Each element of the result is the nearest of x; on floats or codes.

    sizes: the result's shape; scales: float32 per axis; coordinates and rounding: as in ONNX Resize.
    """

    x: Value
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    coordinates: str
    rounding: str

    def infer_type(self) -> TensorType:
        if len(self.sizes) != self.x.type.rank or self.coordinates not in COORDINATES or self.rounding not in NEAREST_MODES:
            raise GraphError(f"sizes {self.sizes}, '{self.coordinates}' and '{self.rounding}' do not fit {self.x.type}")
        return TensorType(self.x.type.dtype, self.sizes, _per_tensor(self, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class ResizeLinear(Node):
    """Linear interpolation, one axis after the other, in float32.  Source: ONNX Resize, mode linear; numerics/resize.py."""

    x: Value
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    coordinates: str

    def infer_type(self) -> TensorType:
        if len(self.sizes) != self.x.type.rank or self.coordinates not in COORDINATES:
            raise GraphError(f"sizes {self.sizes} and '{self.coordinates}' do not fit {self.x.type}")
        return TensorType(_need_float(self), self.sizes)


# Storage: appears while a graph is lowered ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Repack(Node):
    """The same tensor stored as this node's `layout` says; no layout is row-major."""

    x: Value

    def infer_type(self) -> TensorType:
        return self.x.type.with_layout(None)
