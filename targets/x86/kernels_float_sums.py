"""Rows for float sums of products: Conv, MatMul and Gemm, with floats or indices into a codebook as weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import FLOAT32
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.ops import Conv, Gemm, MatMul
from subbyte.compiler.ir.qops_codebooks import CodebookConv, CodebookMatMul
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.numerics.affine import to_real
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    ResultPointer,
    Special,
    Storage,
    TargetFacts,
    as_array,
)
from subbyte.targets.common.constants import constant_of, is_constant, operand
from subbyte.targets.common.geometry import (
    broadcast_strides,
    is_channels_last,
    is_plain,
    is_row_major,
    pieces,
    stored_strides,
)
from subbyte.targets.common.packing import pack_rows
from subbyte.targets.common.tiles import padded_to
from subbyte.targets.common.windows import is_spatial, spatial
from subbyte.targets.x86.registers import REGISTERS
from subbyte.targets.x86.rows import row

FloatSum = Conv | MatMul | Gemm | CodebookConv | CodebookMatMul
_PRODUCTS = (MatMul, Gemm, CodebookMatMul)
PIXELS, VECTORS = {"avx512": 8, "avx2": 4}, 2  # of a register tile; at most those of kernels/x86_float_sums.h
_MOST_PIXELS = 8
_LANES_OF_TREE = 8
_LEAST_OUTPUTS = 4  # of a group: fewer leave most of a register empty
_OVERREAD = 4  # bytes behind packed indices
_RATES = {"avx512": 40.0, "avx2": 20.0}  # products a nanosecond


@dataclass(frozen=True)
class Geometry:
    """A convolution as the kernels see it, a matrix product as one of a row of pixels; pairs are (height, width)."""

    images: int
    extents: tuple[int, int]
    channels: int  # of a group
    results: tuple[int, int]
    outputs: int  # of a group
    groups: int = 1
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    begins: tuple[int, int] = (0, 0)

    @property
    def rows(self) -> int:
        return self.images * self.results[0] * self.results[1]

    @property
    def depth(self) -> int:
        return self.kernel[0] * self.kernel[1] * self.channels

    @property
    def in_place(self) -> bool:
        """The window of a pixel is one pixel, the same one."""
        one = (1, 1)
        return self.kernel == one and self.strides == one and self.begins == (0, 0) and self.extents == self.results


def geometry(op: FloatSum) -> Geometry:
    if isinstance(op, _PRODUCTS):
        columns = op.type.shape[-1]
        rows = op.type.elements // columns
        return Geometry(1, (1, rows), op.a.type.shape[-1], (1, rows), columns)
    s, group = spatial(op), op.group
    images, channels = op.x.type.shape[:2]
    outputs = op.type.shape[1] // group
    sizes = (s.kernel, s.strides, s.dilations, s.begins)
    return Geometry(images, s.extents, channels // group, s.results, outputs, group, *sizes)


def _data(op: FloatSum) -> Value:
    return op.a if isinstance(op, _PRODUCTS) else op.x


def _weights_of(op: FloatSum) -> Value:
    return op.b if isinstance(op, _PRODUCTS) else op.w


def _panels(op: FloatSum, values: NDArray[Any], g: Geometry, columns: int) -> NDArray[Any]:
    """Weights [K, N] or [O, I, kernel...] as [groups, panels, depth, columns]: rows of lane 0 of the tree, of lane 1...

    Behind the last output there are zeros.
    """
    if isinstance(op, _PRODUCTS):
        apart = values.T[None] if isinstance(op, Gemm) and op.transpose_b else values[None]
    else:
        split = values.reshape(g.groups, g.outputs, g.channels, -1)  # [groups, outputs, channels, taps]
        apart = split.transpose(0, 3, 2, 1).reshape(g.groups, g.depth, g.outputs)
    by_lane = np.argsort(np.arange(g.depth) % _LANES_OF_TREE, kind="stable")
    padded = padded_to(apart[:, by_lane], 2, columns)
    return padded.reshape(g.groups, g.depth, -1, columns).swapaxes(1, 2)


def _per_output(role: str, values: NDArray[Any], g: Geometry, columns: int) -> ConstantArray:
    spread = np.broadcast_to(values, (g.groups * g.outputs,)).reshape(g.groups, g.outputs)
    return ConstantArray(role, as_array(padded_to(spread, 1, columns), np.float32))


def _arrays(op: FloatSum, g: Geometry, columns: int) -> tuple[int, tuple[Argument, ...]]:
    """(bits of a weight, (weights, table, scales))."""
    weights = _weights_of(op)
    quant, values = weights.type.quant, constant_of(weights)
    if isinstance(op, (Conv, MatMul, Gemm)):
        floats = as_array(_panels(op, values, g, columns), np.float32)
        return 32, (ConstantArray("weights", floats, f"o{columns}"), Integer(0), Integer(0))
    assert quant is not None, "a codebook has levels"
    assert quant.levels is not None, "a codebook has levels"
    bits = weights.type.dtype.bits if weights.type.dtype.bits <= 4 else 8
    rows = pack_rows(_panels(op, values.astype(np.int64), g, columns), bits).reshape(-1)
    table = np.asarray(quant.levels, np.float32)
    scales: Argument = Integer(0)
    if quant.axis is None:
        table = np.asarray(to_real(np.arange(table.size), quant), np.float32)
    else:
        scales = _per_output("scales", quant.static()[0], g, columns)
    whole = np.resize(padded_to(table, 0, 1 << bits), max(16, 1 << bits))  # repeats itself
    return bits, (
        ConstantArray("weights", as_array(np.pad(rows, (0, _OVERREAD)), np.uint8), f"o{columns}_table{bits}"),
        ConstantArray("levels", as_array(whole, np.float32)),
        scales,
    )


def _is_plain_gemm(op: Gemm) -> bool:
    """a * b + c with factors of 1 and a c for each column."""
    c = op.c
    per_column = c is None or (is_constant(c) and c.type.elements in (1, c.type.shape[-1] if c.type.rank else 1))
    return op.alpha == 1 and op.beta == 1 and not op.transpose_a and per_column


def _bias(op: FloatSum) -> Value | None:
    match op:
        case Conv(b=b) | CodebookConv(b=b) | Gemm(c=b):
            return b
    return None


def _accepts(op: FloatSum) -> bool:
    weights, data = _weights_of(op), _data(op)
    if op.type.dtype != FLOAT32 or data.type.dtype != FLOAT32 or not is_constant(weights):
        return False
    if isinstance(op, _PRODUCTS):
        stored = weights.type.rank == 2 and is_row_major(data.type) and is_row_major(op.type)
        stored = stored and (not isinstance(op, Gemm) or _is_plain_gemm(op))
    else:
        stored = is_spatial(data.type) and is_channels_last(data.type) and is_channels_last(op.type)
        stored = stored and (op.b is None or is_constant(op.b)) and geometry(op).outputs >= _LEAST_OUTPUTS
    floats = isinstance(op, (Conv, MatMul, Gemm))
    return stored and (not floats or bool(np.isfinite(constant_of(weights)).all()))  # padding is multiplied by them


def _call(op: FloatSum, isa: str) -> Call:
    g, columns = geometry(op), VECTORS * REGISTERS[isa].bytes // 4
    bits, arrays = _arrays(op, g, columns)
    bias: Argument = Integer(0)
    if (added := _bias(op)) is not None:
        bias = _per_output("bias", constant_of(added).reshape(-1), g, columns)
    pixels = min(PIXELS[isa], g.rows)
    fields = (
        ("height", g.extents[0]),
        ("width", g.extents[1]),
        ("channels", g.channels),
        ("out_height", g.results[0]),
        ("out_width", g.results[1]),
        ("outputs", g.outputs),
        ("groups", g.groups),
        ("kernel_height", g.kernel[0]),
        ("kernel_width", g.kernel[1]),
        ("stride_height", g.strides[0]),
        ("stride_width", g.strides[1]),
        ("dilation_height", g.dilations[0]),
        ("dilation_width", g.dilations[1]),
        ("pad_top", g.begins[0]),
        ("pad_left", g.begins[1]),
        ("pixels", pixels),
        ("rows", g.rows),
        ("in_place", int(g.in_place)),
        ("bits", bits),
    )
    return Call(
        f"subbyte_x86_float_sums_{isa}",
        (
            operand(op, _data(op)),
            *arrays,
            bias,
            ResultPointer(),
            ConstantStruct("subbyte_x86_float_sums", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=pieces(g.rows, pixels),
        scratch_bytes=4 * (8 * _MOST_PIXELS * columns + (0 if g.in_place else pixels * g.depth)),
    )


def _cost(op: FloatSum, facts: TargetFacts, isa: str) -> float:
    del facts
    return multiply_accumulates(op) / _RATES[isa] * 1e-9


# Products of two run-time matrices ------------------------------------------------------------------------------------


def _accepts_product(op: MatMul) -> bool:
    if op.type.dtype != FLOAT32 or op.a.type.dtype != FLOAT32 or min(op.a.type.rank, op.b.type.rank) < 2:
        return False
    stored = all(map(is_plain, (op.a.type, op.b.type))) and is_row_major(op.type)
    return stored and (stored_strides(op.a.type)[-1] == 1 or op.a.type.shape[-1] == 1)


def _firsts(of_type: TensorType, batches: tuple[int, ...], role: str) -> ConstantArray:
    """Where the matrix of each batch begins."""
    starts = np.zeros(batches, np.int64)
    for axis, stride in enumerate(broadcast_strides(of_type, len(batches) + 2)[:-2]):
        along = [-1 if axis == other else 1 for other in range(len(batches))]
        starts = starts + (np.arange(batches[axis]) * stride).reshape(along)
    return ConstantArray(role, as_array(starts.reshape(-1), np.int32))


def _product_call(op: MatMul, isa: str) -> Call:
    lanes, batches = VECTORS * REGISTERS[isa].bytes // 4, op.type.shape[:-2]
    rows, columns = op.type.shape[-2:]
    depth = op.a.type.shape[-1]
    b_depth, b_column = stored_strides(op.b.type)[-2:]
    fields = (
        ("rows", rows),
        ("columns", columns),
        ("depth", depth),
        ("a_row", stored_strides(op.a.type)[-2]),
        ("b_depth", b_depth),
        ("b_column", b_column),
        ("tile_rows", min(PIXELS[isa], rows)),
    )
    return Call(
        f"subbyte_x86_float_product_{isa}",
        (
            operand(op, op.a),
            operand(op, op.b),
            ResultPointer(),
            _firsts(op.a.type, batches, "firsts_of_a"),
            _firsts(op.b.type, batches, "firsts_of_b"),
            ConstantStruct("subbyte_x86_float_product", fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=math.prod(batches) * pieces(columns, lanes),
        scratch_bytes=4 * lanes * (8 * _MOST_PIXELS + depth),
    )


def _product_cost(op: MatMul, facts: TargetFacts, isa: str) -> float:
    """The products, and the copies of b."""
    del facts
    return (multiply_accumulates(op) / _RATES[isa] + op.b.type.elements) * 1e-9


def _rows() -> Iterator[Kernel]:
    floats, indices = "f32 f32 -> f32", "f32, indices into a table of f32 -> f32"
    operations: tuple[tuple[type[Node], Storage, str], ...] = (
        (Conv, Storage.CHANNELS_LAST, floats),
        (MatMul, Storage.ROW_MAJOR, floats),
        (Gemm, Storage.ROW_MAJOR, floats),
        (CodebookConv, Storage.CHANNELS_LAST, indices),
        (CodebookMatMul, Storage.ROW_MAJOR, indices),
    )
    for isa, registers in REGISTERS.items():
        for operation, storage, operands in operations:
            yield row(
                operation,
                f"subbyte_x86_float_sums_{isa}",
                f"x86_float_sums_{isa}.h",
                storage,
                partial(_call, isa=isa),
                _accepts,
                operands,
                registers.features,
                partial(_cost, isa=isa),
            )
        yield row(
            MatMul,
            f"subbyte_x86_float_product_{isa}",
            f"x86_float_sums_{isa}.h",
            Storage.ROW_MAJOR,
            partial(_product_call, isa=isa),
            _accepts_product,
            "f32 f32 -> f32, both at run time",
            registers.features,
            partial(_product_cost, isa=isa),
        )


ROWS = tuple(_rows())
