"""Cases of float islands and plain integers: sums of products, elementwise functions, casts, softmax."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbyte.compiler.dtype import (
    BOOL,
    FLOAT16,
    FLOAT32,
    INT8,
    INT16,
    INT32,
    INT64,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    DType,
)
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from tests.conformance.cases import SPECIALS, Case, Operand, cases, codes, generator, reals
from tests.conformance.cases_codes import SHAPES

FLOATS = (FLOAT32, FLOAT16)

# Sums of products -----------------------------------------------------------------------------------------------------


def conv(
    name: str,
    x: Operand,
    outputs: int,
    kernel: tuple[int, ...],
    *,
    bias: bool = True,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    group: int = 1,
    output_padding: tuple[int, ...] | None = None,
    specials: bool = False,
) -> Case:
    """A Conv over x, or a ConvTranspose where there is an output_padding."""
    rank, channels = len(kernel), x.values.shape[1]
    numbers = (strides or (1,) * rank, pads or (0,) * 2 * rank, dilations or (1,) * rank, group)
    shape = (outputs, channels // group, *kernel) if output_padding is None else (channels, outputs // group, *kernel)
    w = reals(f"{name} w", shape, x.dtype, specials=specials, constant=True)
    b = (reals(f"{name} b", (outputs,), x.dtype, constant=True),) if bias else ()

    def build(data: Value, weights: Value, added: Value | None = None) -> Node:
        if output_padding is None:
            return ops.Conv(data, weights, added, *numbers)
        return ops.ConvTranspose(data, weights, added, *numbers, output_padding)

    return Case(name, build, (x, w, *b))


@cases
def float_convolutions() -> Iterator[Case]:
    for dtype in FLOATS:
        x = reals(f"conv {dtype}", (2, 6, 7, 8), dtype)
        yield conv(f"float_conv_{dtype}", x, 5, (3, 3), pads=(1, 1, 1, 1))
        yield conv(f"float_conv_transpose_{dtype}", x, 6, (3, 3), strides=(2, 2), output_padding=(1, 0))
    x = reals("conv", (2, 6, 7, 8), FLOAT32)
    weird = reals("conv specials", (2, 6, 7, 8), FLOAT32, specials=True)
    yield conv("float_conv_no_bias", x, 5, (3, 3), bias=False)
    yield conv("float_conv_specials", weird, 5, (3, 3), pads=(1, 2, 0, 1))
    yield conv("float_conv_special_weights", x, 5, (3, 3), pads=(1, 2, 0, 1), specials=True)
    yield conv("float_conv_strides", x, 5, (3, 2), strides=(2, 3), pads=(1, 0, 0, 1), dilations=(2, 1))
    yield conv("float_conv_groups", x, 9, (3, 3), group=3, pads=(1, 1, 1, 1))
    yield conv("float_conv_depthwise", x, 6, (3, 3), group=6, pads=(1, 1, 1, 1))
    yield conv("float_conv_transpose_groups", x, 9, (3, 3), group=3, strides=(2, 1), output_padding=(0, 0))
    yield conv(
        "float_conv_transpose_special_weights", x, 4, (3, 3), strides=(2, 2), output_padding=(0, 1), specials=True
    )
    yield conv("float_conv_transpose_dilated", x, 4, (3, 2), dilations=(2, 3), pads=(1, 2, 0, 1), output_padding=(0, 0))
    yield conv("float_conv_1d", reals("1d", (2, 6, 20), FLOAT32), 5, (5,), strides=(2,), pads=(2, 1))
    for extent in (1, 31, 32, 33, 63, 64, 65):
        x = reals(f"conv {extent}", (1, extent, 3, 4), FLOAT32)
        yield conv(f"float_conv_inputs_{extent}", x, 3, (2, 2))
        yield conv(f"float_conv_outputs_{extent}", reals("outputs", (1, 3, 3, 4), FLOAT32), extent, (2, 2))


@cases
def float_matrix_products() -> Iterator[Case]:
    for dtype in FLOATS:
        a, b = reals(f"a {dtype}", (5, 19), dtype), reals(f"b {dtype}", (19, 21), dtype)
        yield Case(f"matmul_{dtype}", ops.MatMul, (a, b))
    for extent in (1, 7, 8, 9, 31, 32, 33, 63, 64, 65):
        a, b = reals("a", (2, extent), FLOAT32, spread=1e3), reals("b", (extent, 3), FLOAT32)
        yield Case(f"matmul_depth_{extent}", ops.MatMul, (a, b))
        a, b = reals("a", (3, 10), FLOAT32), reals("b", (10, extent), FLOAT32, constant=True)
        yield Case(f"matmul_columns_{extent}", ops.MatMul, (a, b))
    for extent in (1, 3, 4, 5, 7, 8, 9, 17):  # around the rows of a register tile
        for constant in (False, True):
            a, b = reals("a", (extent, 11), FLOAT32), reals("b", (11, 35), FLOAT32, constant=constant)
            yield Case(f"matmul_rows_{extent}_{constant}", ops.MatMul, (a, b))
    for c in ((21,), (1, 21), (1,), ()):
        a, b = reals("a", (5, 19), FLOAT32), reals("b", (19, 21), FLOAT32, constant=True)
        constant_c = reals("c", c, FLOAT32, constant=True)
        yield Case(f"gemm_constant_{c}", lambda a, b, c: ops.Gemm(a, b, c, 1.0, 1.0, False, False), (a, b, constant_c))
    batches = {"both": ((4, 3, 5), (4, 5, 6)), "a": ((2, 4, 3, 5), (5, 6)), "cross": ((2, 1, 3, 5), (4, 5, 6))}
    for label, (left, right) in batches.items():
        yield Case(f"matmul_batch_{label}", ops.MatMul, (reals("a", left, FLOAT32), reals("b", right, FLOAT32)))
    weird = reals("a", (5, 19), FLOAT32, specials=True), reals("b", (19, 21), FLOAT32, specials=True)
    yield Case("matmul_specials", ops.MatMul, weird)
    for transposed in ((False, False), (True, False), (False, True), (True, True)):
        for alpha, beta in ((1.0, 1.0), (0.3, 1.7)):
            for c in (None, (21,), (5, 1), (1,), (5, 21), ()):
                a = reals("a", (19, 5) if transposed[0] else (5, 19), FLOAT32)
                b = reals("b", (21, 19) if transposed[1] else (19, 21), FLOAT32, constant=True)

                def build(
                    a: Value, b: Value, c: Value | None = None, n: Any = (alpha, beta), t: Any = transposed
                ) -> Node:
                    return ops.Gemm(a, b, c, *n, *t)

                added = () if c is None else (reals("c", c, FLOAT32),)
                yield Case(f"gemm_{transposed}_{alpha}_{c}", build, (a, b, *added))


# Elementwise ----------------------------------------------------------------------------------------------------------

BINARIES: tuple[type[ops.Binary], ...] = (ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Pow, ops.Minimum, ops.Maximum)


@cases
def float_binaries() -> Iterator[Case]:
    for op in BINARIES:
        label = op.__name__.lower()
        for shapes, (left, right) in SHAPES.items():
            pair = reals(f"{label} a", left, FLOAT32), reals(f"{label} b", right, FLOAT32)
            yield Case(f"{label}_{shapes}", op, pair)
        for dtype in FLOATS:
            pair = (
                reals(f"{label} specials", (500,), dtype, specials=True),
                reals(f"{label} more", (500,), dtype, specials=True),
            )
            yield Case(f"{label}_specials_{dtype}", op, pair)
        if op in (ops.Div, ops.Pow):
            continue
        for dtype in (INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64):
            pair = codes(f"{label} a", (3, 70), dtype), codes(f"{label} b", (70,), dtype, fill="extremes")
            yield Case(f"{label}_{dtype}", op, pair)
    for shapes in ("same", "scalar", "channels", "row", "long"):
        left, right = SHAPES[shapes]
        pair = reals("prelu", left, FLOAT32, specials=True), reals("slope", right, FLOAT32, constant=True)
        yield Case(f"prelu_{shapes}", ops.PRelu, pair)


PARAMETERS = {
    "LeakyRelu": (0.01,),
    "Clip": (-1.5, 2.25),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.3,),
    "Selu": (1.6732632, 1.0507009),
    "Celu": (1.3,),
    "ThresholdedRelu": (0.7,),
}


@cases
def unaries() -> Iterator[Case]:
    for function in ops.UNARY_FUNCTIONS:
        parameters = PARAMETERS.get(function, ())
        for dtype in FLOATS:
            random = reals(f"{function} {dtype}", (3, 700), dtype, spread=6.0, specials=True)
            yield Case(f"unary_{function}_{dtype}", lambda v, f=function, p=parameters: ops.Unary(v, f, p), (random,))
    random = generator("float bits").integers(0, 2**32, 5000, dtype=np.uint32).view(np.float32)
    for function in ("Exp", "Log", "Tanh", "Sqrt", "Erf", "Sigmoid", "Round"):
        anything = Operand(random, FLOAT32)
        yield Case(f"unary_bits_{function}", lambda v, f=function: ops.Unary(v, f), (anything,))
    limits = reals("clip", (70,), FLOAT32, specials=True)
    yield Case("unary_clip_open", lambda v: ops.Unary(v, "Clip", (float("-inf"), 6.0)), (limits,))


@cases
def batch_normalizations() -> Iterator[Case]:
    for dtype in FLOATS:
        for channels in (1, 5, 65):
            x = reals(f"batch {dtype}", (2, channels, 4, 5), dtype, specials=True)
            numbers = [reals(f"batch {role}", (channels,), dtype, constant=True) for role in ("scale", "bias", "mean")]
            variance = reals("batch variance", (channels,), dtype, constant=True)
            positive = Operand(np.abs(variance.values), dtype, None, True)
            yield Case(
                f"batch_normalization_{channels}_{dtype}",
                lambda *v: ops.BatchNormalization(*v, 1e-5),
                (x, *numbers, positive),
            )


@cases
def casts() -> Iterator[Case]:
    integers = (INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64)
    for source in (*integers, BOOL, *FLOATS):
        for target in (*integers, BOOL, *FLOATS):
            if source.is_float and target == UINT64:
                continue
            yield Case(f"cast_{source}_{target}", lambda v, t=target: ops.Cast(v, t), (_cast_operand(source),))


def _cast_operand(dtype: DType) -> Operand:
    if dtype == BOOL:
        return Operand(np.arange(7) % 2 == 0, BOOL)
    if dtype.is_float:
        ends = [
            sign * 2.0**bits + step for bits in (7, 8, 15, 16, 31, 32, 63) for sign in (-1, 1) for step in (-1, 0, 1)
        ]
        values = np.concatenate([np.array(SPECIALS), ends, generator("cast").normal(0, 1e5, 50)])
        with np.errstate(over="ignore"):
            return Operand(values.astype(dtype.numpy), dtype)
    random = codes(f"cast {dtype}", (60,), dtype) if dtype != UINT64 else None
    values = random.values if random else generator("cast").integers(0, 2**64 - 1, 60, dtype=np.uint64)
    near = [v for v in (0, 1, -1, 2**24 + 1, 2**25 - 1, 2**53 + 1, dtype.min, dtype.max) if dtype.min <= v <= dtype.max]
    return Operand(np.concatenate([values, np.array(near, dtype.numpy)]), dtype)


@cases
def float_softmaxes() -> Iterator[Case]:
    for op in (ops.Softmax, ops.LogSoftmax):
        label = op.__name__.lower()
        for extent in (1, 2, 7, 8, 9, 64, 65, 300):
            x = reals(f"{label} {extent}", (3, extent), FLOAT32)
            yield Case(f"{label}_{extent}", lambda v, o=op: o(v, 1), (x,))
        for axis in range(4):
            for dtype in FLOATS:
                x = reals(f"{label} {axis}", (2, 5, 7, 9), dtype, spread=20.0)
                yield Case(f"{label}_axis_{axis}_{dtype}", lambda v, o=op, a=axis: o(v, a), (x,))
        rows = np.array([[np.inf, 1, 2], [-np.inf] * 3, [np.nan, 0, 0], [-np.inf, 0, 1], [3e38, -3e38, 0]], np.float32)
        yield Case(f"{label}_specials", lambda v, o=op: o(v, 1), (Operand(rows, FLOAT32),))
