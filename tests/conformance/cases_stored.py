"""Cases of codes that share bytes: operations on codes of 1 to 4 bits whose rows fill whole bytes."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.compiler.dtype import FLOAT32, INT2, INT4, INT8, UINT2, UINT4, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Input, Node
from subbyte.compiler.ir.types import Layout
from subbyte.targets.common.geometry import is_packed
from tests.conformance.cases import Case, cases, codes, quantized, reals
from tests.conformance.cases_sums import Numbers, conv, conv_transpose, gemm

INT1, UINT1, INT3, UINT3 = (DType(kind, bits) for bits in (1, 3) for kind in ("int", "uint"))
NARROW = (UINT1, INT1, UINT2, INT2, UINT3, INT3, UINT4, INT4)


def packed_forms(op: Node) -> Iterator[tuple[str, Node]]:
    """`op` with its first operand packed, with its result packed, and with both."""
    x = op.operands[0].node if op.operands else None
    layouts = {"x": None if x is None else _layout(x), "y": _layout(op) if len(op.types) == 1 else None}
    given = layouts["x"]
    over = None
    if isinstance(x, Input) and given is not None:
        stored = Input(x.name, x.of_type.with_layout(given)).out
        over = op.map_operands(lambda value: stored if value.node is x else value)
    if over is not None:
        yield ", packed x", over
    if layouts["y"] is not None:
        yield ", packed y", op.replace(layout=layouts["y"])
        if over is not None:
            yield ", packed x and y", over.replace(layout=layouts["y"])


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
