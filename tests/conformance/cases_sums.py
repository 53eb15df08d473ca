"""Cases of exact sums of products: QConv, QConvTranspose, QGemm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from subbyte.compiler.dtype import BIPOLAR, INT2, INT4, INT8, INT16, INT32, INT64, TERNARY, UINT4, UINT8, UINT16, DType
from subbyte.compiler.ir.interpret import evaluate_node
from subbyte.compiler.ir.node import Constant, Node, Value
from subbyte.compiler.ir.qops import QConv, QConvTranspose, QGemm
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.numerics.requantize import Requantization
from tests.conformance.cases import Array, Case, Operand, cases, codes, generator, quantized


@dataclass(frozen=True)
class Numbers:
    """The types of a sum of products, and how its sums end."""

    x: DType = UINT8
    w: DType = INT8
    y: DType = UINT8
    x_zero: int = 3
    w_zero: int | None = 0  # None: another for each channel
    per_channel: bool = True
    shift: bool = False
    bias: DType | None = INT32
    negative: bool = False
    spread: float = 40.0  # how many output steps the sums spread over
    tie: bool = False  # a power of two as multiplier: some sums end halfway between two codes
    small: bool = False  # few codes of x and w, multiplier 1/2: every other sum ends halfway between two codes
    x_fill: str = "random"
    w_fill: str = "random"
    qmin: int | None = None
    qmax: int | None = None
    levels: tuple[int, ...] | None = None  # of a codebook: w is of codes into it

    @property
    def is_raw(self) -> bool:
        return self.y in (INT32, INT64)


NUMBERS = {
    "u8s8u8": Numbers(),
    "s8s8s8": Numbers(x=INT8, y=INT8, x_zero=-5),
    "u8u8u8": Numbers(w=UINT8, w_zero=131),
    "u8u8u8_zeros": Numbers(w=UINT8, w_zero=None),
    "u8s8s8_zeros": Numbers(y=INT8, w_zero=None),
    "s8u8s8": Numbers(x=INT8, w=UINT8, y=INT8, x_zero=7, w_zero=127),
    "one_multiplier": Numbers(per_channel=False),
    "ties": Numbers(per_channel=False, tie=True, x_zero=128),
    "halves": Numbers(per_channel=False, small=True, x_zero=77),
    "halves_s8": Numbers(x=INT8, y=INT8, per_channel=False, small=True, x_zero=-77),
    "negative": Numbers(negative=True),
    "shift": Numbers(shift=True, bias=None),
    "no_bias": Numbers(bias=None),
    "relu": Numbers(qmin=3, qmax=200),
    "highest": Numbers(x_fill="highest", w_fill="highest", x_zero=0),
    "lowest": Numbers(x_fill="highest", w_fill="lowest", x_zero=0),
    "extremes": Numbers(x_fill="extremes", w_fill="extremes", x_zero=0),
    "extremes_s8": Numbers(x=INT8, y=INT8, x_zero=0, x_fill="extremes", w_fill="extremes"),
    "raw": Numbers(y=INT32, bias=None),
    "raw_highest": Numbers(y=INT32, bias=None, x_fill="highest", w_fill="highest", x_zero=0),
    "raw_lowest": Numbers(y=INT32, bias=None, x_fill="highest", w_fill="lowest", x_zero=0),
    "raw_extremes": Numbers(y=INT32, bias=None, x_fill="extremes", w_fill="extremes", x_zero=0),
    "raw_zeros": Numbers(w=UINT8, y=INT32, bias=None, w_zero=None, x_fill="extremes"),
    "raw64": Numbers(y=INT64, bias=INT64),
    "wide_bias": Numbers(bias=INT64),
    "u8s8u16": Numbers(y=UINT16, spread=9000.0),
    "s16s8s16": Numbers(x=INT16, y=INT16, x_zero=0, spread=9000.0),
    "s16s8s16_extremes": Numbers(x=INT16, y=INT16, x_zero=0, spread=9000.0, x_fill="extremes", w_fill="extremes"),
    "s16s16s16": Numbers(x=INT16, w=INT16, y=INT16, x_zero=0, spread=9000.0, x_fill="extremes", w_fill="extremes"),
    "s16u16s16": Numbers(x=INT16, w=UINT16, y=INT16, x_zero=0, w_zero=0, spread=9000.0),
    "u16s8u16": Numbers(x=UINT16, y=UINT16, x_zero=40001, spread=9000.0),
    "u16s16u16": Numbers(x=UINT16, w=INT16, y=UINT16, x_zero=32769, spread=9000.0),
    "u16u16u16": Numbers(x=UINT16, w=UINT16, y=UINT16, x_zero=32001, w_zero=None, spread=9000.0),
    "u16s8raw": Numbers(x=UINT16, y=INT32, bias=None, x_fill="highest", w_fill="highest", x_zero=0),
    "u8s4u8": Numbers(w=INT4),
    "u8s4raw": Numbers(w=INT4, y=INT32, bias=None),
    "u4s4u4": Numbers(x=UINT4, w=INT4, y=UINT4, spread=5.0),
    "u4s2u4": Numbers(x=UINT4, w=INT2, y=UINT4, spread=5.0),
    "s8_ternary": Numbers(x=INT8, w=TERNARY, y=INT8),
    "s8_bipolar": Numbers(x=INT8, w=BIPOLAR, y=INT8),
}


Make = Callable[[Value, Value, Value | None, Requantization | None, DType, QuantParams | None], Node]


def _case(name: str, n: Numbers, make: Make, x: Operand, w: Operand, axis: int) -> Case:
    """The case of `make`: bias and requantization are such that the results spread over the codes, along `axis` alike.

    A bias off the sums of the case would leave nothing but codes at the ends of the range.
    """
    known = Constant(x.values, x.type).out, Constant(w.values, w.type).out
    raw = make(*known, None, None, INT64, None)
    sums = np.moveaxis(evaluate_node(raw, [x.values, w.values])[0], axis, 0)
    sums = sums.reshape(sums.shape[0], -1).astype(np.float64)
    random = generator(name)
    if n.x_fill == "random":  # centred by the bias, each channel alone where it has enough sums to tell
        along = 1 if sums.shape[1] >= 8 else None
        bias, reach = (np.broadcast_to(part, len(sums)) for part in (-sums.mean(axis=along), sums.std(axis=along)))
    else:  # as large as they are
        bias, reach = np.zeros(len(sums)), np.abs(sums).max(axis=1)
    reach = np.full(len(sums), 2.0**40) if n.bias == INT64 else np.maximum(reach, 1.0)
    bias = np.rint(bias + reach * random.uniform(-0.5, 0.5, len(sums)))
    if n.bias is not None:
        bias = np.clip(bias, max(n.bias.min, -(2.0**50)), min(n.bias.max, 2.0**50))
    requantization, quant = (None, None) if n.is_raw else _requantization(random, n, bias, reach)

    def build(data: Value, weights: Value, added: Value | None = None) -> Node:
        return make(data, weights, added, requantization, n.y, quant)

    held = () if n.bias is None else (Operand(bias.astype(n.bias.numpy), n.bias, None, True),)
    return Case(name, build, (x, w, *held))


def _requantization(
    random: np.random.Generator, n: Numbers, bias: Array, reach: Array
) -> tuple[Requantization, QuantParams]:
    """Steps of such a size that `reach` is `spread` of them, or 1/2."""
    multiplier: Any = random.uniform(0.5, 2.0, len(reach)) * n.spread / reach
    if not n.per_channel:
        multiplier = multiplier.min()
    if n.tie:
        multiplier = 2.0 ** np.round(np.log2(multiplier))
    if n.small:
        multiplier = 0.5
    if n.negative:
        multiplier = multiplier * random.choice([-1.0, 1.0], len(reach))
    zero_point = int(random.integers(3 * n.y.min + n.y.max, n.y.min + 3 * n.y.max) // 4) | 1
    shift = np.asarray(bias * multiplier + random.normal(0, 3, len(reach)), np.float32) if n.shift else None
    quant = quantized(n.y, 0.037, zero_point, qmin=n.qmin, qmax=n.qmax)
    return Requantization(np.asarray(multiplier, np.float32), shift, zero_point, quant.qmin, quant.qmax), quant


def _weights(name: str, n: Numbers, shape: tuple[int, ...], axis: int) -> Operand:
    zero: Any = n.w_zero
    scale: Any = 0.01
    if zero is None:
        zero = generator(f"{name} zero").integers(n.w.min, n.w.max, shape[axis], endpoint=True)
        scale = np.full(shape[axis], 0.01, np.float32)
    if n.levels is not None:
        indices = generator(f"{name} weights").integers(0, len(n.levels), shape)
        table = QuantParams(np.float32(0.01), np.int64(0), 0, len(n.levels) - 1, levels=tuple(map(float, n.levels)))
        return Operand(indices.astype(n.w.numpy), n.w, table, True)
    if n.w is BIPOLAR:
        random = generator(f"{name} weights").choice([-1, 1], shape)
        return Operand(random.astype(np.int8), n.w, quantized(n.w, scale, zero), True)
    reach = (-2, 2) if n.small else (None, None)
    quant = quantized(n.w, scale, zero, axis if np.ndim(zero) else None, *reach)
    return codes(f"{name} weights", shape, n.w, quant, n.w_fill, constant=True)


def _x(name: str, n: Numbers, shape: tuple[int, ...]) -> Operand:
    reach = (n.x_zero - 5, n.x_zero + 5) if n.small else (None, None)
    return codes(f"{name} x", shape, n.x, quantized(n.x, 0.02, n.x_zero, None, *reach), n.x_fill)


def conv(
    name: str,
    n: Numbers,
    x: tuple[int, ...],
    outputs: int,
    kernel: tuple[int, ...],
    *,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    group: int = 1,
) -> Case:
    """A QConv over x [N, C, spatial...]."""
    rank = len(kernel)
    w = (outputs, x[1] // group, *kernel)

    def make(data: Value, weights: Value, *rest: Any) -> Node:
        return QConv(
            data, weights, *rest,
            strides or (1,) * rank, pads or (0,) * 2 * rank, dilations or (1,) * rank, group,
        )  # fmt: skip

    return _case(name, n, make, _x(name, n, x), _weights(name, n, w, 0), axis=1)


def conv_transpose(
    name: str,
    n: Numbers,
    x: tuple[int, ...],
    outputs: int,
    kernel: tuple[int, ...],
    *,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    group: int = 1,
    output_padding: tuple[int, ...] = (),
) -> Case:
    """A QConvTranspose over x [N, C, spatial...]."""
    rank = len(kernel)
    w = (x[1], outputs // group, *kernel)

    def make(data: Value, weights: Value, *rest: Any) -> Node:
        return QConvTranspose(
            data, weights, *rest,
            strides or (1,) * rank, pads or (0,) * 2 * rank, dilations or (1,) * rank, group,
            output_padding or (0,) * rank,
        )  # fmt: skip

    return _case(name, n, make, _x(name, n, x), _weights(name, n, w, 1), axis=1)


def gemm(name: str, n: Numbers, a: tuple[int, ...], b: tuple[int, ...], *, constant: bool = True) -> Case:
    """A QGemm of a [..., M, K] and b [..., K, N]."""
    weights = _weights(name, n, b, len(b) - 1)
    right = Operand(weights.values, weights.dtype, weights.quant, constant)
    return _case(name, n, QGemm, _x(name, n, a), right, axis=-1)


@cases
def convolutions() -> Iterator[Case]:
    same, valid = (1, 1, 1, 1), ()
    for label, n in NUMBERS.items():
        yield conv(f"conv_{label}", n, (1, 5, 6, 7), 9, (3, 3), pads=same)
        yield conv(f"depthwise_{label}", n, (1, 37, 5, 6), 37, (3, 3), pads=same, group=37)
    for extent in (1, 3, 4, 5, 15, 16, 17, 31, 33, 63, 64, 65):
        yield conv(f"conv_outputs_{extent}", NUMBERS["u8s8u8"], (1, 4, 3, 5), extent, (3, 3), pads=same)
        yield conv(f"conv_inputs_{extent}", NUMBERS["u8s8u8"], (1, extent, 3, 5), 6, (3, 3), pads=same)
        yield conv(f"conv_width_{extent}", NUMBERS["s8s8s8"], (1, 4, 2, extent), 5, (1, 3), pads=(0, 1, 0, 1))
        yield conv(f"pointwise_{extent}", NUMBERS["u8s8u8"], (2, extent, 2, 3), 33, (1, 1))
        yield conv(
            f"depthwise_channels_{extent}",
            NUMBERS["u8s8u8"],
            (1, extent, 4, 3),
            extent,
            (3, 3),
            pads=same,
            group=extent,
        )
    n = NUMBERS["u8u8u8"]
    yield conv("conv_stride", n, (2, 3, 9, 8), 5, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1))
    yield conv("conv_strides_differ", n, (1, 3, 9, 8), 5, (3, 2), strides=(1, 3), pads=(2, 0, 1, 1))
    yield conv("conv_dilated", n, (1, 3, 9, 9), 5, (3, 3), dilations=(2, 3), pads=(2, 3, 2, 3))
    yield conv("conv_groups", n, (1, 12, 5, 5), 8, (3, 3), group=4, pads=same)
    for group, inputs, outputs in ((2, 5, 3), (2, 16, 16), (3, 1, 2), (4, 4, 4), (5, 8, 17), (16, 4, 4), (2, 3, 33)):
        label = f"{group}_of_{inputs}_to_{outputs}"
        shape, own = (2, group * inputs, 5, 7), NUMBERS["u8s8u8"]
        yield conv(f"conv_groups_{label}", own, shape, group * outputs, (3, 3), group=group, pads=same)
        yield conv(f"pointwise_groups_{label}", n, shape, group * outputs, (1, 1), group=group)
    yield conv("conv_groups_halved", n, (1, 32, 9, 8), 32, (3, 3), strides=(2, 2), pads=same, group=8)
    yield conv("conv_groups_dilated", n, (1, 32, 9, 8), 32, (3, 3), dilations=(1, 2), pads=(1, 2, 1, 2), group=4)
    yield conv("conv_groups_extremes", NUMBERS["extremes"], (1, 64, 3, 4), 32, (3, 3), pads=same, group=2)
    yield conv("conv_groups_shift", NUMBERS["shift"], (1, 12, 4, 5), 20, (3, 3), pads=same, group=4)
    yield conv("conv_groups_1d", n, (2, 12, 11), 24, (3,), pads=(1, 1), group=4)
    yield conv("conv_group_of_one_output", n, (1, 6, 5, 5), 3, (3, 3), group=3, pads=same)
    yield conv("conv_channel_multiplier", n, (1, 5, 5, 5), 15, (3, 3), group=5, pads=same)
    yield conv("conv_large_kernel", n, (1, 2, 9, 9), 3, (7, 5), pads=(6, 4, 6, 4))
    yield conv("conv_one_pixel", n, (1, 3, 1, 1), 4, (3, 3), pads=same)
    yield conv("conv_whole_image", n, (1, 3, 6, 5), 4, (6, 5), pads=valid)
    yield conv("conv_1d", n, (2, 3, 11), 4, (3,), pads=(1, 1))
    yield conv("conv_1d_stride", n, (1, 3, 40), 8, (8,), strides=(2,), pads=(3, 4))
    yield conv("conv_1d_dilated_depthwise", n, (1, 6, 40), 6, (5,), dilations=(3,), pads=(12, 0), group=6)
    yield conv("conv_pointwise_stride", NUMBERS["s8s8s8"], (1, 8, 6, 7), 4, (1, 1), strides=(2, 2))
    yield conv("depthwise_stride", n, (1, 20, 9, 8), 20, (3, 3), strides=(2, 2), pads=(0, 0, 1, 1), group=20)
    yield conv("depthwise_dilated", n, (1, 20, 9, 8), 20, (3, 3), dilations=(2, 2), pads=(2, 2, 2, 2), group=20)
    yield conv("depthwise_5x5", n, (1, 20, 6, 6), 20, (5, 5), pads=(2, 2, 2, 2), group=20)
    yield conv("depthwise_one", n, (1, 1, 6, 6), 1, (3, 3), pads=same, group=1)
    yield conv("depthwise_1x9", n, (1, 17, 1, 12), 17, (1, 9), group=17)
    for channels in (31, 32, 33, 48, 63, 64, 65, 96, 128):
        yield conv(f"depthwise_row_{channels}", n, (2, channels, 5, 3), channels, (3, 3), pads=same, group=channels)
        yield conv(
            f"depthwise_halved_{channels}", NUMBERS["u8s8u8"], (1, channels, 6, 7), channels, (3, 3),
            strides=(2, 2), pads=same, group=channels,
        )  # fmt: skip
    for height, width in ((1, 1), (1, 9), (2, 2), (3, 1), (9, 2)):
        label = f"{height}x{width}"
        yield conv(f"depthwise_image_{label}", n, (2, 64, height, width), 64, (3, 3), pads=same, group=64)
        yield conv(f"depthwise_narrow_image_{label}", n, (2, 24, height, width), 24, (3, 3), pads=same, group=24)
    yield conv("depthwise_5x5_blocks", n, (1, 64, 7, 6), 64, (5, 5), pads=(2, 2, 2, 2), group=64)
    yield conv("depthwise_7x7_blocks", n, (1, 64, 7, 6), 64, (7, 7), pads=(3, 3, 3, 3), group=64)
    yield conv("depthwise_5x5_halved", n, (1, 64, 9, 8), 64, (5, 5), strides=(2, 2), pads=(2, 1, 2, 2), group=64)
    yield conv("depthwise_wide_stride", n, (1, 64, 9, 11), 64, (2, 3), strides=(3, 4), group=64)
    yield conv("depthwise_dilated_blocks", n, (1, 64, 9, 8), 64, (3, 3), dilations=(2, 3), pads=(2, 3, 2, 3), group=64)
    yield conv("depthwise_far_pads", n, (1, 64, 3, 4), 64, (3, 3), pads=(4, 5, 4, 5), group=64)
    yield conv("depthwise_rows_extremes", NUMBERS["extremes"], (1, 64, 6, 6), 64, (3, 3), pads=same, group=64)
    yield conv("depthwise_rows_shift", NUMBERS["shift"], (1, 40, 6, 6), 40, (3, 3), pads=same, group=40)
    deep = NUMBERS["highest"]
    yield conv("conv_deep_highest", deep, (1, 512, 3, 3), 4, (3, 3), pads=same)
    yield conv("conv_deep_lowest", NUMBERS["lowest"], (1, 512, 3, 3), 4, (3, 3), pads=same)
    yield conv("conv_deep_extremes", NUMBERS["extremes"], (1, 256, 3, 3), 4, (3, 3), pads=same)
    yield conv("conv_deep_raw", NUMBERS["raw_extremes"], (1, 256, 3, 3), 4, (3, 3), pads=same)
    yield conv("conv_deep_raw_lowest", NUMBERS["raw_lowest"], (1, 256, 3, 3), 4, (3, 3), pads=same)


@cases
def transposed_convolutions() -> Iterator[Case]:
    for label, numbers in NUMBERS.items():
        yield conv_transpose(f"conv_transpose_{label}", numbers, (1, 5, 4, 3), 6, (3, 3), strides=(2, 2))
    n = NUMBERS["u8u8u8_zeros"]
    yield conv_transpose("conv_transpose_plain", n, (2, 3, 4, 5), 4, (3, 3))
    yield conv_transpose("conv_transpose_pads", n, (1, 3, 4, 5), 4, (4, 4), strides=(2, 2), pads=(1, 1, 1, 1))
    yield conv_transpose(
        "conv_transpose_output_padding", n, (1, 3, 4, 5), 4, (3, 3), strides=(2, 3), pads=(1, 0, 0, 1),
        output_padding=(1, 2),
    )  # fmt: skip
    yield conv_transpose("conv_transpose_dilated", n, (1, 3, 4, 5), 4, (3, 2), strides=(2, 1), dilations=(2, 3))
    yield conv_transpose("conv_transpose_stride_beyond_kernel", n, (1, 3, 3, 3), 4, (2, 2), strides=(3, 3))
    yield conv_transpose("conv_transpose_1d", n, (1, 3, 7), 4, (4,), strides=(2,), pads=(1, 1))
    plain = NUMBERS["u8s8u8"]
    yield conv_transpose("conv_transpose_groups", plain, (1, 6, 4, 3), 9, (3, 3), strides=(2, 2), group=3)
    yield conv_transpose("conv_transpose_depthwise", plain, (1, 6, 4, 3), 6, (2, 2), strides=(2, 2), group=6)


@cases
def matrix_products() -> Iterator[Case]:
    for label, n in NUMBERS.items():
        yield gemm(f"gemm_{label}", n, (3, 19), (19, 21))
    for label in (
        "u8s8u8",
        "s8s8s8",
        "u8u8u8_zeros",
        "raw",
        "raw64",
        "ties",
        "shift",
        "s16s16s16",
        "u16u16u16",
        "u4s4u4",
    ):
        yield gemm(f"gemm_run_time_{label}", NUMBERS[label], (3, 19), (19, 70), constant=False)
    for extent in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129):
        yield gemm(f"gemm_depth_{extent}", NUMBERS["u8s8u8"], (2, extent), (extent, 9))
        yield gemm(f"gemm_columns_{extent}", NUMBERS["s8s8s8"], (2, 10), (10, extent))
        yield gemm(f"gemm_rows_{extent}", NUMBERS["u8u8u8"], (extent, 10), (10, 9))
        yield gemm(f"gemm_vector_{extent}", NUMBERS["u8s8u8"], (1, extent), (extent, 33))
    n = NUMBERS["u8u8u8_zeros"]
    yield gemm("gemm_batch", n, (4, 3, 10), (4, 10, 9))
    yield gemm("gemm_batch_of_a", n, (2, 4, 3, 10), (10, 9))
    yield gemm("gemm_batches_broadcast", n, (2, 1, 3, 10), (4, 10, 9))
    yield gemm("gemm_batches_broadcast_run_time", NUMBERS["s8s8s8"], (2, 1, 3, 10), (4, 10, 9), constant=False)
    yield gemm("gemm_batch_of_b", NUMBERS["s8s8s8"], (3, 10), (4, 10, 9), constant=False)
    yield gemm("gemm_deep_highest", NUMBERS["highest"], (1, 4096), (4096, 5))
    yield gemm("gemm_deep_lowest", NUMBERS["lowest"], (1, 4096), (4096, 5))
    yield gemm("gemm_deep_extremes", NUMBERS["extremes"], (2, 4096), (4096, 5))
    yield gemm("gemm_deep_raw", NUMBERS["raw_extremes"], (2, 4096), (4096, 5))
    yield gemm("gemm_deep_raw_lowest", NUMBERS["raw_lowest"], (2, 4096), (4096, 5))
