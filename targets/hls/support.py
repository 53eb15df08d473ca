"""Which operations become hardware: for each, None, or the reason why not and the way on."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir import ops, ops_indexing, qops
from subbyte.compiler.ir.accumulators import accumulator_range_of
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import window_counts

MOST_BITS = 16
"""Of the codes that streams carry between layers; sums that leave the design may have more."""
_MOST_TABLE_BITS = 12
_MOST_PAIR_BITS = 8


@singledispatch
def reason_against(op: Node) -> str | None:
    """Why `op` is not built in hardware, as the end of a sentence; None where it is."""
    if any(of_type.dtype.is_float for of_type in (*op.types, *(operand.type for operand in op.operands))):
        return "it takes or gives floats, and inside the design there are integers only"
    return f"target 'hls' has no hardware for {type(op).__name__}"


def _codes(name: str, value: Value, most: int = MOST_BITS) -> str | None:
    dtype = value.type.dtype
    if not dtype.is_integer:
        return f"{name} is {value.type}, and inside the design there are integers only; quantize it"
    quant = value.type.quant
    if quant is not None and not quant.is_static:
        return f"{name} has a scale that is computed at run time; use static quantization"
    bits = dtype.bits if quant is None else max(abs(quant.qmin), abs(quant.qmax)).bit_length()
    return f"{name} is {value.type}; streams carry codes of up to {most} bits" if bits > most else None


def _image(name: str, value: Value) -> str | None:
    shape = value.type.shape
    if len(shape) not in (3, 4):
        return f"{name} is {value.type}; windows are built over [1, C, W] and [1, C, H, W]"
    if shape[0] != 1:
        return f"{name} is {value.type}; a design works on one sample at a time: --dim or export with batch 1"
    return None if value.type.elements else f"{name} is {value.type}, which is empty"


def _first(*reasons: str | None) -> str | None:
    return next((reason for reason in reasons if reason is not None), None)


def _sums(op: qops.QConv | qops.QGemm, weights: Value) -> str | None:
    if weights.constant is None:
        return f"its weights {weights.type} are computed at run time; products of two streams are not built"
    if op.bias is not None and op.bias.constant is None:
        return "its bias is computed at run time"
    try:
        low, high = accumulator_range_of(op)
    except NumericsError as error:
        return str(error)
    if max(abs(int(low.min())), abs(int(high.max()))) >= 1 << 47:
        return "its sums need more than 48 bits"
    return None


@reason_against.register
def _(op: qops.QConv) -> str | None:
    return _first(_codes("x", op.x), _image("x", op.x), _sums(op, op.w))


@reason_against.register
def _(op: qops.QGemm) -> str | None:
    if op.a.constant is not None:
        return "its left operand is constant; only the right one may be"
    if op.b.type.rank != 2 and int(np.prod(op.b.type.shape[:-2])) != 1:
        return f"its weights are {op.b.type}, a matrix for each batch; one matrix is built"
    return _first(_codes("a", op.a), _sums(op, op.b))


@reason_against.register
def _(op: qops.QBinary) -> str | None:
    if isinstance(op, qops.QDiv) and op.b.constant is None:
        return "division of two streams is not built"
    varying = [value for value in (op.a, op.b) if value.constant is None]
    if len(varying) == 1:
        return _mapped("its operand", varying[0])
    if op.a.type.shape != op.b.type.shape:
        return f"its operands are {op.a.type} and {op.b.type}; two streams of one shape are combined"
    return _first(_codes("a", op.a, _MOST_PAIR_BITS), _codes("b", op.b, _MOST_PAIR_BITS))


def _mapped(name: str, value: Value) -> str | None:
    return _codes(name, value, _MOST_TABLE_BITS)


@reason_against.register
def _(op: qops.Lookup) -> str | None:
    if op.dtype.is_float:
        return "its results are floats"
    return _mapped("x", op.x)


@reason_against.register
def _(op: qops.Clamp) -> str | None:
    return _mapped("x", op.x)


@reason_against.register
def _(op: qops.OffsetCodes) -> str | None:
    return _mapped("x", op.x)


@reason_against.register
def _(op: qops.QAveragePool) -> str | None:
    found = _first(_codes("x", op.x), _image("x", op.x))
    if found is not None:
        return found
    if len(window_sizes(op)) != 1:
        return "its windows have different numbers of pixels at the borders; count_include_pad or no pads are built"
    return None


def window_sizes(op: qops.QAveragePool) -> set[int]:
    """The numbers of positions that its windows divide by."""
    rank = len(op.kernel)
    sizes = {1}
    for i, (extent, windows) in enumerate(zip(op.x.type.shape[2:], op.type.shape[2:], strict=True)):
        along = window_counts(
            extent,
            windows,
            op.kernel[i],
            op.strides[i],
            op.pads[i],
            op.pads[rank + i],
            op.dilations[i],
            with_pads=op.count_include_pad,
        )
        sizes = {size * count for size in sizes for count in set(along)}
    return sizes


@reason_against.register
def _(op: qops.QReduce) -> str | None:
    return _first(_codes("x", op.x), _image("x", op.x), _whole_frame(op.axes, op.x))


@reason_against.register
def _(op: ops.ReduceMax) -> str | None:
    return _first(_codes("x", op.x), _image("x", op.x), _whole_frame(op.axes, op.x))


def _whole_frame(axes: tuple[int, ...], x: Value) -> str | None:
    if axes != tuple(range(2, x.type.rank)):
        return f"it reduces axes {axes} of {x.type}; all spatial axes together are built"
    return None


@reason_against.register
def _(op: ops.MaxPool) -> str | None:
    return _first(_codes("x", op.x), _image("x", op.x))


@reason_against.register
def _(op: ops.Reshape) -> str | None:
    return _codes("x", op.x, 48)


@reason_against.register
def _(op: ops.Transpose) -> str | None:
    return _codes("x", op.x, 48)


@reason_against.register
def _(op: ops.Repack) -> str | None:
    return _codes("x", op.x, 48)


def _along_channels(op: ops.Concat | ops.Split, value: Value) -> str | None:
    rank = value.type.rank
    if rank in (3, 4) and op.axis == 1:
        return _image("an operand", value)
    if op.axis == rank - 1 and value.type.elements == value.type.shape[-1]:
        return None
    return f"it works along axis {op.axis} of {value.type}; channels are joined and separated"


@reason_against.register
def _(op: ops.Concat) -> str | None:
    if any(value.constant is not None for value in op.values):
        return "one of its operands is constant"
    return _first(*(_codes("an operand", v, _MOST_TABLE_BITS) for v in op.values), _along_channels(op, op.values[0]))


@reason_against.register
def _(op: ops.Split) -> str | None:
    return _first(_codes("x", op.x), _along_channels(op, op.x))


@reason_against.register
def _(op: ops.ResizeNearest) -> str | None:
    found = _first(_codes("x", op.x), _image("x", op.x))
    if found is None and op.sizes[:2] != op.x.type.shape[:2]:
        found = f"it resizes {op.x.type} to {op.sizes}; spatial axes are resized"
    return found


@reason_against.register
def _(op: ops.Pad) -> str | None:
    rank = op.x.type.rank
    if op.mode != "constant" or min(op.pads) < 0:
        return f"its mode is '{op.mode}' with pads {op.pads}; constants around a frame are built"
    if any(op.pads[:2]) or any(op.pads[rank : rank + 2]):
        return f"it pads batch or channels of {op.x.type}; spatial axes are padded"
    return _first(_codes("x", op.x), _image("x", op.x))


@reason_against.register
def _(op: ops_indexing.ArgExtreme) -> str | None:
    if not op.largest:
        return "the smallest element is asked for; the largest is built"
    shape = op.x.type.shape
    if not (op.axis == len(shape) - 1 and len(shape) < 3) and not (op.axis == 1 and len(shape) in (3, 4)):
        return f"it searches axis {op.axis} of {op.x.type}; channels are searched"
    return _codes("x", op.x, 48)
