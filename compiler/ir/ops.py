"""Operations of ONNX, after the importer has made every attribute explicit.

Data movement and order (Reshape, Transpose, Concat, Split, Slice, Pad, Gather, MaxPool, ResizeNearest, DepthToSpace,
SpaceToDepth, ReduceMax, ReduceMin) works on integer codes as on floats, and keeps their scale.

Float arithmetic follows design.md N8, and these docstrings are its written order:

* Every operation rounds once to float32, half to even; nothing is contracted. f32(...) marks one rounding; an attribute
  such as alpha is rounded to float32 before it is used.
* `tree over k of t_k` is numerics/float32.tree_sum: eight lanes start at +0.0, lane k mod 8 adds its t_k, k ascending,
  and the lanes are added as ((l0 + l4) + (l2 + l6)) + ((l1 + l5) + (l3 + l7)). The order of k is that of the logical
  (ONNX) axes, however a tensor is stored.
* A term that falls into padding is left out: nothing is added, and the other terms keep their k and with it their lane.
* float16 operands widen to float32, exactly; the operation works in float32 and rounds its result once to float16.
  float64 moves and casts, and has +, -, *, /, Minimum and Maximum, each rounded once to float64; nothing else.
* NaN: an operation on a NaN gives a NaN unless its docstring says otherwise; which NaN is not defined.
  Where -0.0 and +0.0 compete (Maximum, MaxPool, ...), the docstring says what comes out.
* Integers without scale wrap modulo 2^bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from subbyte.compiler.dtype import BOOL, FLOAT16, FLOAT32, FLOAT64, INT32, INT64, DType
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
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
from subbyte.compiler.numerics import resize
from subbyte.compiler.numerics.rounding import Rounding


def _need_float(node: Node) -> DType:
    """The common float type of all operands; float64 has no arithmetic of this kind (design.md N8)."""
    found = {operand.type.dtype for operand in node.operands}
    if len(found) != 1 or next(iter(found)) not in (FLOAT16, FLOAT32):
        raise GraphError(f"operands are {_listed(node)}; float32, or float16, is needed for all of them")
    return next(iter(found))


def _listed(node: Node) -> str:
    return ", ".join(str(operand.type) for operand in node.operands)


def need_same_grid(values: tuple[Value, ...]) -> None:
    """Check that all dtypes are equal, and that there is either no quant or the same grid."""
    first = values[0].type
    for value in values[1:]:
        same = first.quant is value.type.quant is None or (
            first.quant is not None and value.type.quant is not None and first.quant.same_grid(value.type.quant)
        )
        if value.type.dtype != first.dtype or not same:
            raise GraphError(
                f"operands {first} and {value.type} differ in dtype or scale; requantize one of them first"
            )


def _per_tensor(node: Node, x: Value) -> QuantParams | None:
    """The quant of an operation that moves elements across axes; per axis only where nothing depends on the axis."""
    if x.type.quant is not None and not x.type.quant.is_per_tensor:
        raise GraphError(f"{x.type} is quantized per axis, which {type(node).__name__} does not keep")
    return x.type.quant


# Quantization ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class QuantizeLinear(Node):
    """saturate(rne(x / scale) + zero_point) into `dtype`; scale, zero point, axis and range stand in `quant`.

    rounding: a name of numerics/rounding.py. Bipolar codes have rounding BIPOLAR (+1 where x >= 0, else -1) and zero
    point 0, and no other codes have either.  Source: design.md N2; ONNX QuantizeLinear; QONNX Quant, BipolarQuant.
    """

    x: Value
    dtype: DType
    quant: QuantParams
    rounding: str = "HALF_EVEN"
    zero_point_first: bool = False

    def infer_type(self) -> TensorType:
        if self.x.type.dtype not in (FLOAT16, FLOAT32):
            raise GraphError(f"x is {self.x.type}; float32, or float16, is needed")
        if self.rounding not in Rounding.__members__:
            raise GraphError(f"there is no rounding '{self.rounding}'; there are {', '.join(Rounding.__members__)}")
        if self.quant.levels is not None:
            raise GraphError("real numbers are not rounded to the codes of a codebook")
        bipolar = self.dtype.kind == "bipolar"
        if bipolar != (self.rounding == Rounding.BIPOLAR.name):
            raise GraphError(f"{self.dtype} codes are made with rounding {self.rounding}; BIPOLAR is for bipolar codes")
        if bipolar and (not self.quant.is_static or self.quant.static()[1].any()):
            raise GraphError("the zero point of bipolar codes is not the constant 0")
        return TensorType(self.dtype, self.x.type.shape, self.quant)


@dataclass(frozen=True, eq=False, repr=False)
class DequantizeLinear(Node):
    """f32(f32(x - zero_point) * scale), the scale and zero point of x; float16 rounds that once more.

    Source: design.md N1; ONNX DequantizeLinear.
    """

    x: Value
    dtype: DType = FLOAT32

    def infer_type(self) -> TensorType:
        if self.x.type.quant is None or self.dtype not in (FLOAT16, FLOAT32):
            raise GraphError(f"{self.x.type} cannot become {self.dtype}; codes with a scale become float32, or float16")
        return TensorType(self.dtype, self.x.type.shape)


# Sums of products -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Conv(Node):
    """Float convolution: x [N, C, spatial...], w [O, C / group, kernel...], b [O]; pads: begins, then ends.

    y[n, o, p] = f32(tree over k of f32(x * w) + b[o]); without b there is no addition. Channels-last order:
    k = (kernel position, row-major) * (C / group) + (channel within the group).  Source: ONNX Conv.
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
    """Float transposed convolution: x [N, C, spatial...], w [C, O / group, kernel...], b [O]; pads crop the result.

    Gathered: y[n, o, p] = f32(tree over k of f32(x[n, c, i] * w[c, o, q]) + b[o]); without b there is no addition.
    k = (kernel position q, row-major in w) * (C / group) + (channel c within the group), and on each spatial axis
    i = (p + pad_begin - q * dilation) / stride; a term whose i is no whole number, or outside x, is left out.
    Source: ONNX ConvTranspose.
    """

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
            self.x.type.shape,
            self.w.type.shape,
            self.strides,
            self.pads,
            self.dilations,
            self.group,
            self.output_padding,
        )
        if self.b is not None and self.b.type.shape != (shape[1],):
            raise GraphError(f"b is {self.b.type}; [{shape[1]}] is needed")
        return TensorType(dtype, shape)


@dataclass(frozen=True, eq=False, repr=False)
class MatMul(Node):
    """y[..., m, n] = tree over k of f32(a[..., m, k] * b[..., k, n]), batches broadcast as in NumPy's matmul.

    Operands of rank 1 were reshaped by the importer.  Source: ONNX MatMul.
    """

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        return TensorType(_need_float(self), matmul_shape(self.a.type.shape, self.b.type.shape))


@dataclass(frozen=True, eq=False, repr=False)
class Gemm(Node):
    """alpha * op(a) @ op(b) + beta * c, op a transpose where asked.  Source: ONNX Gemm.

    p = tree over k of f32(a * b), as MatMul;  p = f32(alpha * p), only where alpha is not 1;
    t = f32(beta * c), only where beta is not 1, else c;  y = f32(p + t), only where there is a c.
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


def arithmetic_type(a: TensorType, b: TensorType) -> TensorType:
    """What arithmetic on a and b makes, broadcast as in NumPy.  Raises GraphError: not numbers of one plain dtype."""
    if a.dtype != b.dtype or a.quant is not None or b.quant is not None:
        raise GraphError(f"operands are {a} and {b}; one dtype, without scales, is needed")
    if a.dtype.kind not in ("int", "uint", "float"):
        raise GraphError(f"operands are {a}, which has no arithmetic; integers and floats have")
    return TensorType(a.dtype, broadcast(a.shape, b.shape))


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Node):
    """An elementwise operation of two operands of one dtype (floats, or plain integers), broadcast as in NumPy."""

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        return arithmetic_type(self.a.type, self.b.type)


class Add(Binary):
    """a + b."""


class Sub(Binary):
    """a - b."""


class Mul(Binary):
    """a * b."""


class Div(Binary):
    """a / b; integers are divided toward zero, the quotient wraps (int32 -2^31 / -1), and division by 0 is an error."""


class Pow(Binary):
    """a ** b: floats by numerics/float32.py; of integers, a negative exponent is an error."""


class Minimum(Binary):
    """b where b < a or b is NaN, else a: NaN where either is; of two zeros a stays.  Source: ONNX Min."""


class Maximum(Binary):
    """b where b > a or b is NaN, else a: NaN where either is; of two zeros a stays.  Source: ONNX Max."""


@dataclass(frozen=True, eq=False, repr=False)
class PRelu(Node):
    """f32(slope * x) where x < 0, else x (NaN and -0.0 stay); slope is broadcast to x.  Source: ONNX PRelu."""

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
    """An elementwise float function named as in ONNX, with its float parameters (UNARY_FUNCTIONS).

    Its float32 steps are those of numerics/unary.py. Relu: 0 where x < 0, else x. Clip: t = low where x < low, else x;
    high where t > high, else t. NaN and -0.0 stay.  Source: design.md N8.
    """

    x: Value
    function: str
    parameters: tuple[float, ...] = ()

    def infer_type(self) -> TensorType:
        if UNARY_FUNCTIONS.get(self.function) != len(self.parameters):
            raise GraphError(f"there is no function '{self.function}' of {len(self.parameters)} parameters")
        return TensorType(_need_float(self), self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Cast(Node):
    """x as another dtype.  Source: ONNX Cast.

    Float to integer truncates toward zero, saturates to the range of the dtype, and makes NaN 0. Float to a narrower
    float and integer to float round once, half to even. Integer to integer wraps modulo 2^bits. To bool: whether x is
    not 0 (NaN is true); from bool: 0 or 1.
    """

    x: Value
    dtype: DType

    def infer_type(self) -> TensorType:
        if self.x.type.quant is not None:
            raise GraphError(f"{self.x.type} carries a scale; dequantize it instead")
        if self.dtype.kind in ("bipolar", "ternary"):
            raise GraphError(f"{self.x.type} cannot be cast to {self.dtype}; quantize it instead")
        return TensorType(self.dtype, self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class Softmax(Node):
    """y_k = f32(e_k / (tree over k of e_k)), e_k = exp(f32(x_k - m)), m the largest x_k, k along `axis`.

    exp is numerics/float32.exp. A row with a NaN or +inf, or of nothing but -inf, is all NaN.  Source: ONNX Softmax-13.
    """

    x: Value
    axis: int

    def infer_type(self) -> TensorType:
        if not 0 <= self.axis < self.x.type.rank:
            raise GraphError(f"axis {self.axis} does not exist in {self.x.type}")
        return TensorType(_need_float(self), self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class LogSoftmax(Node):
    """d - log(sum(exp(d))) along `axis`, d = x - max(x); the sum in N8's tree.  Source: ONNX LogSoftmax-13.

    Steps: d = f32(x - max), s = the tree sum of exp(d), y = f32(d - log(s)).
    """

    x: Value
    axis: int

    def infer_type(self) -> TensorType:
        if not 0 <= self.axis < self.x.type.rank:
            raise GraphError(f"axis {self.axis} does not exist in {self.x.type}")
        return TensorType(_need_float(self), self.x.type.shape)


@dataclass(frozen=True, eq=False, repr=False)
class BatchNormalization(Node):
    """f32(f32(f32(f32(x - mean) * inverse) * scale) + bias), parameters along axis 1.

    inverse = f32(1 / f32(sqrt(f32(variance + epsilon)))).  Source: ONNX BatchNormalization, inference.
    """

    x: Value
    scale: Value
    bias: Value
    mean: Value
    variance: Value
    epsilon: float

    def infer_type(self) -> TensorType:
        dtype = _need_float(self)
        channels = self.x.type.shape[1:2]
        if not channels or any(v.type.shape != channels for v in (self.scale, self.bias, self.mean, self.variance)):
            raise GraphError(
                f"scale, bias, mean and variance must each have shape {channels}, the channels of {self.x.type}"
            )
        return TensorType(dtype, self.x.type.shape)


# Windows and reductions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class MaxPool(Node):
    """The largest element of each window, padding left out; on floats or codes.  Source: ONNX MaxPool.

    A window that holds NaN gives NaN; a float result of zero is +0.0, so that no order shows. Every window holds at
    least one element of x.
    """

    x: Value
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool

    def infer_type(self) -> TensorType:
        shape = pool_shape(self.x.type.shape, self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        need_filled_windows(self.x.type.shape, shape, self.kernel, self.strides, self.pads, self.dilations)
        return TensorType(self.x.type.dtype, shape, _per_tensor(self, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class AveragePool(Node):
    """The mean of each window: f32((tree over k of x) / n), k the position in the window, row-major.

    n counts the positions inside x; with count_include_pad those inside x and its pads (so not those that ceil_mode
    adds beyond the pads).  Source: ONNX AveragePool.
    """

    x: Value
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool
    count_include_pad: bool

    def infer_type(self) -> TensorType:
        shape = pool_shape(self.x.type.shape, self.kernel, self.strides, self.pads, self.dilations, self.ceil_mode)
        need_filled_windows(self.x.type.shape, shape, self.kernel, self.strides, self.pads, self.dilations)
        return TensorType(_need_float(self), shape)


@dataclass(frozen=True, eq=False, repr=False)
class Reduce(Node):
    """A reduction over `axes` (ascending); k numbers the reduced elements in row-major order of the logical axes."""

    x: Value
    axes: tuple[int, ...]
    keepdims: bool

    def infer_type(self) -> TensorType:
        shape = reduce_shape(self.x.type.shape, self.axes, self.keepdims)
        of_bools = self.x.type.dtype == BOOL and not isinstance(self, (ReduceMax, ReduceMin))
        if of_bools or self.x.type.dtype == FLOAT64 or self.x.type.elements == 0:
            raise GraphError(
                f"{self.x.type} cannot be reduced so; float32, float16 and integers can, of one element or more"
            )
        quant = _per_tensor(self, self.x)
        if quant is not None and not isinstance(self, (ReduceMax, ReduceMin)):
            raise GraphError(f"{self.x.type} carries a scale; only the largest and smallest code keep their meaning")
        return TensorType(self.x.type.dtype, shape, quant)


class ReduceSum(Reduce):
    """Floats: tree over k of x_k; integers: their sum, wrapped.  Source: ONNX ReduceSum."""


class ReduceMean(Reduce):
    """Floats: f32((tree over k of x_k) / n); integers: their exact sum / n, toward zero.  Source: ONNX ReduceMean."""


class ReduceProd(Reduce):
    """The product over k, one factor after the other: p_k = f32(p_(k-1) * x_k); integers wrap.  Source: ReduceProd."""


class ReduceMax(Reduce):
    """The largest element, on floats or codes; NaN and zero as in MaxPool.  Source: ONNX ReduceMax."""


class ReduceMin(Reduce):
    """The smallest element, on floats or codes; NaN and zero as in MaxPool.  Source: ONNX ReduceMin."""


# Data movement --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Reshape(Node):
    """The same elements in row-major order under another shape."""

    x: Value
    shape: tuple[int, ...]

    def infer_type(self) -> TensorType:
        if math.prod(self.shape) != self.x.type.elements:
            raise GraphError(
                f"{self.x.type} has {self.x.type.elements} elements; shape {self.shape} has {math.prod(self.shape)}"
            )
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
                return quant.replace(axis=axis)
        raise GraphError(
            f"{self.x.type} is quantized along axis {quant.axis}, which shape {self.shape} does not have any more"
        )


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
            quant = quant.replace(axis=self.perm.index(quant.axis))
        return TensorType(self.x.type.dtype, tuple(self.x.type.shape[axis] for axis in self.perm), quant)


@dataclass(frozen=True, eq=False, repr=False)
class Concat(Node):
    """The operands one after the other along `axis`; all on one grid, the code range the union of theirs."""

    values: tuple[Value, ...]
    axis: int

    def infer_type(self) -> TensorType:
        if not self.values:
            raise GraphError("there is nothing to concatenate; one operand or more is needed")
        need_same_grid(self.values)
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
            quant = quant.replace(qmin=low, qmax=high)
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
    """x[starts[i] : ends[i] : steps[i]] on every axis i, all inside x; a negative step ends at -1 or above."""

    x: Value
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    steps: tuple[int, ...]

    def infer_type(self) -> TensorType:
        x = self.x.type
        if not len(self.starts) == len(self.ends) == len(self.steps) == x.rank or 0 in self.steps:
            raise GraphError(f"starts {self.starts}, ends {self.ends} and steps {self.steps} do not fit {x}")
        spans = self.spans()
        ends = ((span[0], span[-1], extent) for span, extent in zip(spans, x.shape, strict=True) if span)
        if any(not (0 <= first < extent and 0 <= last < extent) for first, last, extent in ends):
            raise GraphError(f"starts {self.starts}, ends {self.ends} and steps {self.steps} leave {x}")
        return TensorType(x.dtype, tuple(map(len, spans)), _per_tensor(self, self.x))

    def spans(self) -> tuple[range, ...]:
        """The indices that are kept on each axis."""
        return tuple(range(a, b, c) for a, b, c in zip(self.starts, self.ends, self.steps, strict=True))


PAD_MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True, eq=False, repr=False)
class Pad(Node):
    """x with borders: pads = begins of every axis, then ends; negative pads crop, before the others add.

    value: what mode constant adds; a real number for floats, a code for integers. The other modes repeat what is left
    after cropping: edge its border, reflect its inside without the border (pads < extent), wrap its other end
    (pads <= extent).  Source: ONNX Pad.
    """

    x: Value
    pads: tuple[int, ...]
    mode: str
    value: float | int

    def infer_type(self) -> TensorType:
        x = self.x.type
        if self.mode not in PAD_MODES or len(self.pads) != 2 * x.rank:
            raise GraphError(
                f"pads {self.pads} with mode '{self.mode}' do not fit {x}; modes are {', '.join(PAD_MODES)}"
            )
        quant = _per_tensor(self, self.x)
        if not x.dtype.is_float and x.dtype != BOOL and not x.dtype.min <= self.value <= x.dtype.max:
            raise GraphError(f"the padding {self.value} is no code of {x.dtype}")
        if quant is not None and self.mode == "constant":
            low, high = min(quant.qmin, int(self.value)), max(quant.qmax, int(self.value))
            quant = quant.replace(qmin=low, qmax=high)
        for begin, extent, end in zip(self.pads[: x.rank], x.shape, self.pads[x.rank :], strict=True):
            left = extent + min(begin, 0) + min(end, 0)
            reach = {"reflect": left - 1, "wrap": left, "edge": math.inf if left else 0}.get(self.mode, math.inf)
            if left < 0 or max(begin, end) > max(reach, 0):
                raise GraphError(f"pads {self.pads} with mode '{self.mode}' reach beyond {x}")
        rank = x.rank
        return TensorType(x.dtype, tuple(self.pads[i] + x.shape[i] + self.pads[rank + i] for i in range(rank)), quant)


@dataclass(frozen=True, eq=False, repr=False)
class Gather(Node):
    """x with axis `axis` replaced by the shape of `indices`.  Source: ONNX Gather.

    An index in -extent..-1 counts from the end; any other outside 0..extent-1 is an error when the model runs.
    """

    x: Value
    indices: Value
    axis: int

    def infer_type(self) -> TensorType:
        x = self.x.type
        if self.indices.type.dtype not in (INT32, INT64) or not 0 <= self.axis < x.rank:
            raise GraphError(
                f"indices are {self.indices.type} for axis {self.axis} of {x}; int32 or int64 indices are needed"
            )
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


COORDINATES = resize.COORDINATES
NEAREST_MODES = resize.NEAREST_MODES


def need_resize(x: TensorType, sizes: tuple[int, ...], scales: tuple[float, ...], coordinates: str) -> None:
    """Check what ResizeNearest, ResizeLinear and QResizeLinear have in common."""
    if (
        not len(sizes) == len(scales) == x.rank
        or min((*sizes, *x.shape), default=1) < 1
        or not min(scales, default=1) > 0
    ):
        raise GraphError(f"sizes {sizes} and scales {scales} do not fit {x}; each axis needs one of each, above zero")
    if coordinates not in COORDINATES:
        raise GraphError(f"there is no coordinate rule '{coordinates}'; there are {', '.join(COORDINATES)}")


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
        need_resize(self.x.type, self.sizes, self.scales, self.coordinates)
        if self.rounding not in NEAREST_MODES:
            raise GraphError(f"there is no rounding '{self.rounding}'; there are {', '.join(NEAREST_MODES)}")
        return TensorType(self.x.type.dtype, self.sizes, _per_tensor(self, self.x))


@dataclass(frozen=True, eq=False, repr=False)
class ResizeLinear(Node):
    """Linear interpolation, one axis after the other, in float32.  Source: numerics/resize.py; ONNX Resize, linear."""

    x: Value
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    coordinates: str

    def infer_type(self) -> TensorType:
        need_resize(self.x.type, self.sizes, self.scales, self.coordinates)
        return TensorType(_need_float(self), self.sizes)


# Storage: appears while a graph is lowered ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Repack(Node):
    """The same tensor stored as this node's `layout` says; no layout is row-major."""

    x: Value

    def infer_type(self) -> TensorType:
        return self.x.type.with_layout(None)
