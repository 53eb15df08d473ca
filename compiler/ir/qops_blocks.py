"""Matrix products with weights that have one scale for each block of a column (design.md N10, N11).

The weights are codes [K, N] with quant.axis 0 and quant.block B: scale and zero point [ceil(K / B), N]; the last block
may be shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, UINT8
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.shapes import matmul_shape
from subbyte.compiler.ir.types import QuantParams, TensorType
from subbyte.compiler.numerics.dynamic import BLOCK_CODES

_CODES = QuantParams(np.ones((), np.float32), np.zeros((), np.int64), -BLOCK_CODES, BLOCK_CODES)


def _block_of(b: Value) -> int:
    """The length of the blocks of the weights b, checked."""
    of_type, quant = b.type, b.type.quant
    if quant is None or not quant.is_static or quant.block is None or quant.axis != 0 or of_type.rank != 2:
        raise GraphError(f"b is {of_type}; codes [K, N] with one scale for each block along K are needed")
    expected = (-(-of_type.shape[0] // quant.block), of_type.shape[1])
    if quant.static()[0].shape != expected:
        raise GraphError(
            f"b is {of_type} in blocks of {quant.block} with scales {quant.static()[0].shape}; {expected} is needed"
        )
    return quant.block


@dataclass(frozen=True, eq=False, repr=False)
class WeightOnlyMatMul(Node):
    """y[..., m, n] = tree over k of f32(a[..., m, k] * f32(f32(b - b_zero) * b_scale)): floats times codes.

    The order of N8, so it equals MatMul(a, DequantizeLinear(b)); a kernel keeps b packed.
    a: float32 [..., M, K]; b: codes of at most 8 bits in blocks.  Source: design.md N11.
    """

    a: Value
    b: Value

    def infer_type(self) -> TensorType:
        _block_of(self.b)
        if self.a.type.dtype != FLOAT32:
            raise GraphError(f"a is {self.a.type}; float32 is needed")
        return TensorType(FLOAT32, matmul_shape(self.a.type.shape, self.b.type.shape))


@dataclass(frozen=True, eq=False, repr=False)
class QuantizeBlocks(Node):
    """(int8 codes [..., K], float32 scales [..., ceil(K / block)]) of floats, each block with a scale of its own.

    Source: numerics/dynamic.quantize_blocks; design.md N9 and N10.
    """

    x: Value
    block: int

    def infer_type(self) -> tuple[TensorType, ...]:
        x = self.x.type
        if x.dtype != FLOAT32 or x.rank < 1 or self.block < 1:
            raise GraphError(f"x is {x} in blocks of {self.block}; float32 [..., K], blocks of 1 or more, are needed")
        scales = (*x.shape[:-1], -(-x.shape[-1] // self.block))
        return TensorType(INT8, x.shape, _CODES), TensorType(FLOAT32, scales)


@dataclass(frozen=True, eq=False, repr=False)
class QBlockGemm(Node):
    """y = sum over blocks, ascending, of f32(f32(sum over k of (a - a_zero) * (b - b_zero)) * f32(s_a * s_b)).

    a: codes [..., M, K] of at most 16 bits; a_scale: float32 [..., M, ceil(K / block)], a scale for each block of a
    row, or [], one for all, or None: the scale of a's type. b: codes of at most 8 bits in blocks. a_zero: the zero
    point [] of plain 8-bit codes, computed at run time, or None: that of a's type. The sums are exact integers.
    Source: design.md N10; numerics/dynamic.block_products.
    """

    a: Value
    a_scale: Value | None
    b: Value
    a_zero: Value | None = None

    def infer_type(self) -> TensorType:
        a, block = self.a.type, _block_of(self.b)
        if self.a_zero is not None:
            zero = self.a_zero.type
            if a.dtype not in (UINT8, INT8) or a.quant is not None or self.a_scale is None:
                raise GraphError(f"a is {a}, its zero point computed; plain codes of 8 bits and a_scale are needed")
            if (zero.dtype, zero.shape) != (a.dtype, ()):
                raise GraphError(f"a_zero is {zero}; {TensorType(a.dtype, ())} is needed")
        elif not a.dtype.is_integer or a.quant is None or not a.quant.is_static or not a.quant.is_per_tensor:
            raise GraphError(f"a is {a}; codes with one scale and zero point are needed")
        shape = matmul_shape(a.shape, self.b.type.shape)
        scales = (*a.shape[:-1], -(-a.shape[-1] // block))
        if self.a_scale is not None:
            scale = self.a_scale.type
            if scale.dtype != FLOAT32 or scale.shape not in (scales, ()):
                raise GraphError(f"a_scale is {scale}; {TensorType(FLOAT32, scales)} or one scale is needed")
        return TensorType(FLOAT32, shape)
