"""Rows for convolutions of several groups: each group, or some of them together, as one convolution of its own.

Groups with few outputs are taken together, as many as fill a vector: their weights are the blocks of a matrix that is
zero elsewhere, and a vector of outputs costs the same whether its groups are one or several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.dtype import INT8, INT32
from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import accumulator_of
from subbyte.compiler.ir.node import Constant, Input
from subbyte.compiler.ir.qops import QConv
from subbyte.compiler.ir.types import Layout, TensorType
from subbyte.compiler.target import (
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
from subbyte.targets.common.c_types import is_unsigned_byte
from subbyte.targets.common.constants import centred, constant_of, is_constant, is_signed_weights, operand, zero_point
from subbyte.targets.common.geometry import is_channels_last
from subbyte.targets.common.sums import may_reach_int32, weights_of
from subbyte.targets.common.tiles import ceil_div, padded_to
from subbyte.targets.common.windows import is_spatial
from subbyte.targets.x86.dots import DOTS
from subbyte.targets.x86.kernels_sums import Cut, Plan, conv_struct, plan
from subbyte.targets.x86.packing import layout_id, pack_weights
from subbyte.targets.x86.registers import Dot
from subbyte.targets.x86.rows import is_unsigned_grid, row

_BYTES_PER_NS = 4.0  # copied to scratch and back, in pieces


@lru_cache(maxsize=8)
def _weights(op: QConv) -> NDArray[np.int64]:
    """[outputs, channels of a group, kernel...], less the zero points."""
    return centred(op.w, axis=0).reshape(op.w.type.shape)


@dataclass(frozen=True)
class Joint:
    """Groups taken together: `count` convolutions of `groups` groups, of `channels` channels and `outputs` outputs."""

    count: int
    groups: int
    channels: int
    outputs: int

    def filled(self, lanes: int) -> float:
        """How many products are made for each that is wanted, zeros and empty lanes counted."""
        return self.groups * ceil_div(self.outputs, lanes) * lanes / self.outputs


def joint_of(op: QConv, dot: Dot) -> Joint:
    """The fewest products; of equals the most groups together, whose copies are the longest pieces."""
    channels, outputs = op.x.type.shape[1] // op.group, op.type.shape[1] // op.group
    sizes = (size for size in range(1, op.group + 1) if op.group % size == 0)
    joints = [Joint(op.group // size, size, size * channels, size * outputs) for size in sizes]
    return min(joints, key=lambda joint: (joint.filled(dot.lanes), -joint.groups))


def single(op: QConv, joint: Joint, index: int) -> QConv:
    """Convolution `index` of the joint ones: a QConv of one group, over the blocks of weights of its groups."""
    inputs, outputs = joint.channels // joint.groups, joint.outputs // joint.groups
    mine = slice(index * joint.outputs, (index + 1) * joint.outputs)
    weights = np.zeros((joint.outputs, joint.channels, *op.w.type.shape[2:]), np.int8)
    for group in range(joint.groups):
        of_group = slice(group * outputs, (group + 1) * outputs)
        weights[of_group, group * inputs : (group + 1) * inputs] = _weights(op)[mine][of_group]
    x, rank = op.x.type, op.x.type.rank
    pixels = Layout((0, *range(2, rank), 1))
    shape = (1, joint.channels, *x.shape[2:])
    bias = None if op.bias is None else Constant.of(constant_of(op.bias)[mine], op.bias.type.dtype).out
    r = op.requantization
    return op.replace(
        x=Input("group", TensorType(x.dtype, shape, x.quant, pixels)).out,
        w=Constant.of(weights, INT8).out,
        bias=bias,
        requantization=None if r is None else r.of_channels(mine),
        group=1,
        layout=pixels,
    )


@dataclass(frozen=True, eq=False)
class Grouped:
    """What a call needs: the first of the joint convolutions as planned, and the parameters of all of them."""

    joint: Joint
    first: QConv
    plan: Plan
    weights: NDArray[np.int8]
    bias: NDArray[np.int32]


@lru_cache(maxsize=4)
def _grouped(op: QConv, dot: Dot) -> Grouped:
    joint = joint_of(op, dot)
    singles = [single(op, joint, index) for index in range(joint.count)]
    chosen = plan(singles[0], dot)
    packed, biases = [], []
    for one in singles:
        weights = weights_of(one)
        packed.append(pack_weights(weights, dot, chosen.register_tile.vectors, one.x.type.code_range()[1]).main)
        bias = np.zeros(joint.outputs, np.int64) if one.bias is None else constant_of(one.bias).astype(np.int64)
        biases.append(padded_to(bias - zero_point(one.x.type) * weights.sum(axis=(1, 2)), 0, dot.lanes))
    return Grouped(joint, singles[0], chosen, np.concatenate(packed), np.concatenate(biases).astype(np.int32))


def _whole_lines(size: int) -> int:
    return ceil_div(size, 64) * 64


def _call(op: QConv, dot: Dot) -> Call:
    found, r = _grouped(op, dot), op.requantization
    assert r is not None
    joint, p, tiles = found.joint, found.plan, found.plan.tiles
    in_pixels, out_pixels = math.prod(op.x.type.shape[2:]), math.prod(op.type.shape[2:])
    one = conv_struct(found.first, Cut(p.geometry, p.register_tile, p.tiles, p.in_window))
    fields = tuple((name, int(may_reach_int32(op)) if name == "wide" else value) for name, value in one.fields)
    # The rows of a convolution in place are read in groups of four: what lies behind them is scratch memory too.
    in_bytes, out_bytes = _whole_lines(in_pixels * joint.channels + 4), _whole_lines(out_pixels * joint.outputs)

    def per_output(role: str, values: NDArray[Any]) -> ConstantArray:
        apart = np.broadcast_to(values, (op.type.shape[1],)).reshape(joint.count, joint.outputs)
        return ConstantArray(role, as_array(padded_to(apart, 1, dot.lanes), np.float32))

    groups = ConstantStruct(
        "subbyte_x86_groups",
        (
            ("count", joint.count),
            ("channels", joint.channels),
            ("outputs", joint.outputs),
            ("in_pixels", in_pixels),
            ("out_pixels", out_pixels),
            ("in_bytes", in_bytes),
            ("out_bytes", out_bytes),
            ("lanes", ceil_div(joint.outputs, dot.lanes) * dot.lanes),
            ("weight_bytes", found.weights.size // joint.count),
            ("tiles", tiles.rows * tiles.columns * tiles.panels),
        ),
    )
    return Call(
        _symbol(dot),
        (
            operand(op, op.x),
            ConstantArray("weights", as_array(found.weights, np.int8), layout_id(dot.lanes, dot.group)),
            ConstantArray("bias", as_array(found.bias, np.int32)),
            per_output("multiplier", r.multiplier),
            Integer(0) if r.shift is None else per_output("shift", r.shift),
            ResultPointer(),
            groups,
            ConstantStruct(one.c_struct, fields),
            Special.TILE_BEGIN,
            Special.TILE_END,
            Special.SCRATCH,
        ),
        tiles=op.type.shape[0] * joint.count,
        scratch_bytes=in_bytes + out_bytes + tiles.scratch_bytes,
        proof="N4 in float32",
    )


def _symbol(dot: Dot) -> str:
    return f"subbyte_x86_groups_u8s8u8_{dot.name}"


def _accepts(op: QConv) -> bool:
    if op.group == 1 or op.requantization is None or op.requantization.table is not None:
        return False
    if not is_unsigned_byte(op.dtype) or not is_unsigned_grid(op.x.type) or not is_signed_weights(op.w):
        return False
    if op.bias is not None and not is_constant(op.bias):
        return False
    if (
        min(op.pads) < 0
        or not is_spatial(op.x.type)
        or not is_channels_last(op.x.type)
        or not is_channels_last(op.type)
    ):
        return False
    try:
        if accumulator_of(op) != INT32:
            return False
    except NumericsError:
        return False
    weights = _weights(op)
    return bool(weights.min() >= -128 and weights.max() <= 127)


def _cost(op: QConv, facts: TargetFacts, dot: Dot) -> float:
    """The products with those that fill the vectors, and the copies."""
    del facts
    joint = joint_of(op, dot)
    products = math.prod(op.type.shape) * math.prod(op.w.type.shape[1:]) * joint.filled(dot.lanes)
    return products / dot.rate * 1e-9 + (op.x.type.elements + op.type.elements) / _BYTES_PER_NS * 1e-9


def _rows() -> Iterator[Kernel]:
    for dot in DOTS:
        if dot.saturates:
            continue  # what is left of weights would differ from group to group
        yield row(
            QConv,
            _symbol(dot),
            f"x86_groups_{dot.name}.h",
            Storage.CHANNELS_LAST,
            partial(_call, dot=dot),
            _accepts,
            "u8 s8 -> u8, groups",
            dot.features,
            partial(_cost, dot=dot),
        )


ROWS = tuple(_rows())
