"""Cases of codes that share bytes: operations on codes of 1 to 4 bits whose rows fill whole bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT2, INT4, INT8, UINT2, UINT4, UINT8, DType
from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.node import Input, Node
from subbyte.compiler.ir.types import Layout
from subbyte.targets.common.geometry import is_packed
from tests.conformance.cases import Case, Operand, cases, codes, quantized, reals
from tests.conformance.cases_sums import Numbers, conv, conv_transpose, gemm

INT1, UINT1, INT3, UINT3 = (DType(kind, bits) for bits in (1, 3) for kind in ("int", "uint"))
NARROW = (UINT1, INT1, UINT2, INT2, UINT3, INT3, UINT4, INT4)


def packed_forms(op: Node) -> Iterator[tuple[str, Node]]:
    """`op` with each choice of its operands and its result packed, but none."""
    inputs = dict.fromkeys(value.node for value in op.operands if isinstance(value.node, Input))
    layouts = {node: layout for node in inputs if (layout := _layout(node)) is not None}
    result = _layout(op) if len(op.types) == 1 else None
    for count in range(len(layouts) + 1):
        for packed in combinations(layouts, count):
            over = {node: Input(node.name, node.of_type.with_layout(layouts[node])).out for node in packed}
            form = op.map_operands(lambda value, over=over: over.get(value.node, value))
            names = [node.name for node in packed]
            if names:
                yield f", packed {' '.join(names)}", form
            if result is not None:
                yield f", packed {' '.join([*names, 'y'])}", form.replace(layout=result)


def _layout(node: Node) -> Layout | None:
    """How the codes of `node` share bytes; None where they do not fill whole ones."""
    of_type = node.types[0]
    if of_type.dtype.kind not in ("int", "uint") or of_type.dtype.bits > 4 or of_type.rank == 0:
        return None
    layout = Layout(of_type.order, bits=next(bits for bits in (1, 2, 4) if of_type.dtype.bits <= bits))
    return layout if is_packed(of_type.with_layout(layout)) else None


def _numbers(dtype: DType) -> Numbers:
    zero = 0 if dtype.is_signed or dtype.bits == 1 else 1
    return Numbers(x=dtype, w=INT4 if dtype.is_signed else INT8, y=dtype, x_zero=zero, spread=1.2 * 2**dtype.bits)


@cases
def sums() -> Iterator[Case]:
    for dtype in NARROW:
        n, name = _numbers(dtype), f"stored_{dtype}"
        yield gemm(f"{name}_gemm", n, (3, 24), (24, 16))
        yield gemm(f"{name}_gemm_wide", n, (2, 8), (8, 136))
        yield conv(f"{name}_conv", n, (2, 8, 5, 4), 16, (3, 3), pads=(1, 1, 1, 1))
        yield conv(f"{name}_groups", n, (1, 16, 5, 4), 24, (3, 2), strides=(2, 1), group=4)
        yield conv(f"{name}_depthwise", n, (1, 72, 5, 4), 72, (3, 3), pads=(1, 1, 1, 1), group=72)
    for dtype in (UINT2, INT4):
        yield conv_transpose(f"stored_{dtype}_transpose", _numbers(dtype), (1, 8, 4, 3), 16, (3, 3), strides=(2, 2))


@cases
def elementwise_and_pools() -> Iterator[Case]:
    for dtype in NARROW:
        quant = quantized(dtype, 0.3, 0 if dtype.is_signed else dtype.max // 2)
        x = codes(f"stored {dtype}", (1, 16, 7, 6), dtype, quant)
        yield Case(
            f"stored_{dtype}_max_pool", lambda v: ops.MaxPool(v, (3, 2), (2, 2), (1, 1, 0, 0), (1, 1), False), (x,)
        )
        yield Case(f"stored_{dtype}_dequantize", lambda v: ops.DequantizeLinear(v, FLOAT32), (x,))
        floats = reals(f"stored reals {dtype}", (2, 16, 3, 24), FLOAT32)
        yield Case(
            f"stored_{dtype}_quantize",
            lambda v, dtype=dtype, quant=quant: ops.QuantizeLinear(v, dtype, quant),
            (floats,),
        )


ROWS = (1, 3, 4, 5, 7, 8, 9, 2049)
"""Of eight codes each: a register of 32 or 64 of them less one row, full and one more; and more than a tile."""


@cases
def codes_of_unsigned_types() -> Iterator[Case]:
    """Elementwise operations, as many elements as registers hold and some more or fewer."""
    for bits in (1, 2, 3, 4):
        dtype, top = DType("uint", bits), (1 << bits) - 1
        quant = quantized(dtype, 0.3, top // 2)
        for rows in ROWS:
            x = codes(f"rows {dtype}", (rows, 8), dtype, quant)
            name = f"stored_{dtype}_rows_{rows}"
            yield Case(f"{name}_clamp", lambda v, top=top: qops.Clamp(v, top // 2, top - (top > 1)), (x,))
            yield Case(f"{name}_dequantize", lambda v: ops.DequantizeLinear(v, FLOAT32), (x,))
            floats = reals(f"rows reals {dtype}", (rows, 8), FLOAT32, specials=True)
            yield Case(f"{name}_quantize", lambda v, d=dtype, q=quant: ops.QuantizeLinear(v, d, q), (floats,))
            for other in (1, 2, 4, 8):
                yield _table(f"{name}_to_{other}", x, DType("uint", other))
            wide = codes(f"rows wide {rows}", (rows, 8), UINT8, quantized(UINT8, 0.1, 0))
            yield _table(f"{name}_from_8", wide, dtype)


def _table(name: str, x: Operand, dtype: DType) -> Case:
    """A table from few steps: it rises, falls and rises again."""
    entries, top = 1 << x.dtype.bits, (1 << dtype.bits) - 1
    places = np.arange(entries) * 4 // entries
    table = np.array([0, top, top // 2, top], np.uint8)[places]
    quant = quantized(dtype, 0.5, 0)
    return Case(name, lambda v: qops.Lookup(v, table, dtype, quant), (x,))


@cases
def pairs_of_unsigned_types() -> Iterator[Case]:
    """Sums, differences and products of codes of all widths."""
    for widths in ((1, 1, 1), (2, 2, 2), (2, 1, 1), (1, 2, 2), (3, 2, 2), (4, 4, 4), (2, 2, 8), (8, 2, 4)):
        a, b, y = (DType("uint", bits) for bits in widths)
        for rows in ROWS if widths in ((1, 1, 1), (2, 2, 2), (2, 1, 1)) else (1, 9, 2049):
            left = codes(f"pairs {rows} a", (rows, 8), a, quantized(a, 0.5, a.max // 2))
            right = codes(f"pairs {rows} b", (rows, 8), b, quantized(b, 0.3, b.max // 3))
            name = f"stored_{'_'.join(map(str, widths))}_rows_{rows}"
            quant = quantized(y, 0.7, y.max // 2)
            for op in (qops.QAdd, qops.QSub, qops.QMul) if rows in (1, 9) else (qops.QAdd,):
                yield Case(f"{name}_{op.__name__}", lambda v, w, op=op, y=y, q=quant: op(v, w, y, q), (left, right))


CHANNELS = (8, 24, 32, 40, 56, 64, 72, 136)


@cases
def channels_of_unsigned_types() -> Iterator[Case]:
    """Pools and sums of as many channels as registers hold and some more or fewer, and results of odd widths."""
    for bits in (1, 2, 4):
        dtype = DType("uint", bits)
        quant = quantized(dtype, 0.3, dtype.max // 2)
        n = _numbers(dtype)
        for channels in CHANNELS:
            x = codes(f"channels {dtype}", (2, channels, 5, 3), dtype, quant)
            name = f"stored_{dtype}_channels_{channels}"
            window = ((3, 2), (2, 2), (1, 1, 0, 0), (1, 1), False)
            yield Case(f"{name}_max_pool", lambda v, window=window: ops.MaxPool(v, *window), (x,))
            for result in (dtype, UINT8):
                mean = quantized(result, 0.1, 0)
                yield Case(
                    f"{name}_average_to_{result}",
                    lambda v, window=window, d=result, q=mean: qops.QAveragePool(v, d, q, *window, True),
                    (x,),
                )
        for channels in (8, 24, 72):
            name = f"stored_{dtype}_channels_{channels}"
            yield conv(f"{name}_conv", n, (1, channels, 4, 3), channels, (2, 2), pads=(1, 0, 0, 1))
        yield conv(f"stored_{dtype}_pointwise", n, (1, 24, 3, 3), 40, (1, 1))
        yield gemm(f"stored_{dtype}_matrix", n, (5, 40), (40, 56))
        if bits > 1:
            for outputs in (4, 12, 20, 36):
                yield conv(f"stored_{dtype}_outputs_{outputs}", n, (1, 8, 3, 7), outputs, (1, 3))
                yield gemm(f"stored_{dtype}_columns_{outputs}", n, (3, 8), (8, outputs))
