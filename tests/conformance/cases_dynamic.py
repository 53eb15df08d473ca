"""Cases of quantization at run time and of weights in blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, INT16, UINT8, DType
from subbyte.compiler.ir import ops, qops_blocks, qops_dynamic
from subbyte.compiler.ir.types import QuantParams
from tests.conformance.cases import SPECIALS, Case, Operand, cases, codes, generator, quantized, reals

SCALES = (1.0, 0.037, 0.0, np.inf, 1e-40)
EXTENTS = (1, 63, 64, 65, 5000)


@cases
def dynamic_ranges() -> Iterator[Case]:
    yield Case("dynamic_range_map", qops_dynamic.DynamicRange, (reals("range", (2, 3, 5, 7), FLOAT32),))
    yield Case("dynamic_range_scalar", qops_dynamic.DynamicRange, (reals("range", (), FLOAT32),))
    for extent in EXTENTS:
        x = reals(f"range {extent}", (extent,), FLOAT32, spread=1e-3)
        yield Case(f"dynamic_range_{extent}", qops_dynamic.DynamicRange, (x,))
        shifted = Operand(x.values + np.float32(1.5), FLOAT32)
        yield Case(f"dynamic_range_positive_{extent}", qops_dynamic.DynamicRange, (shifted,))
    for number, first in enumerate(SPECIALS):
        for second in SPECIALS[number:]:
            x = Operand(np.array([first, second, first], np.float32), FLOAT32)
            yield Case(f"dynamic_range_of_{number}_{second}", qops_dynamic.DynamicRange, (x,))


@cases
def dynamic_quantizations() -> Iterator[Case]:
    for extent in EXTENTS:
        for number, scale in enumerate(SCALES):
            x = reals(f"dynamic {extent}", (extent,), FLOAT32, specials=True)
            grid = Operand(np.array(scale, np.float32), FLOAT32), Operand(np.array(37 * number, np.uint8), UINT8)
            yield Case(f"dynamic_quantize_{extent}_{number}", qops_dynamic.DynamicQuantize, (x, *grid))
    x = reals("dynamic tiles", (32769,), FLOAT32, specials=True)
    grid = Operand(np.array(0.1, np.float32), FLOAT32), Operand(np.array(131, np.uint8), UINT8)
    yield Case("dynamic_quantize_tiles", qops_dynamic.DynamicQuantize, (x, *grid))
    x = reals("dynamic map", (2, 3, 5, 7), FLOAT32)
    grid = Operand(np.array(0.1, np.float32), FLOAT32), Operand(np.array(255, np.uint8), UINT8)
    yield Case("dynamic_quantize_map", qops_dynamic.DynamicQuantize, (x, *grid))


@cases
def centred_codes() -> Iterator[Case]:
    for dtype in (UINT8, INT8):
        for extent in EXTENTS:
            for zero in (dtype.min, 3, dtype.max):
                pair = codes("centre", (extent,), dtype, fill="extremes"), Operand(np.array(zero, dtype.numpy), dtype)
                yield Case(f"centre_{dtype}_{extent}_{zero}", qops_dynamic.Centre, pair)
        pair = codes("centre", (2, 3, 5, 7), dtype), Operand(np.array(7, dtype.numpy), dtype)
        yield Case(f"centre_{dtype}_map", qops_dynamic.Centre, pair)


# Weights in blocks ----------------------------------------------------------------------------------------------------

WEIGHTS = tuple(DType(kind, bits) for kind in ("int", "uint") for bits in (2, 3, 4, 8))
DEPTHS = (1, 15, 16, 17, 130)


def weights(name: str, dtype: DType, depth: int, columns: int, block: int, *, one_zero: bool = False) -> Operand:
    """Codes [depth, columns] at their extremes in blocks, every block with a scale and a zero point of its own."""
    random, shape = generator(f"{name} {dtype}"), (-(-depth // block), columns)
    scale = random.uniform(0.01, 0.1, shape).astype(np.float32)
    zero = np.full(shape, dtype.min) if one_zero else random.integers(dtype.min, dtype.max, shape, endpoint=True)
    quant = QuantParams(scale, zero, dtype.min, dtype.max, axis=0, block=block)
    fill = codes(name, (depth, columns), dtype, fill="extremes", constant=True)
    return Operand(fill.values, dtype, quant, constant=True)


@cases
def weight_only_products() -> Iterator[Case]:
    for dtype in WEIGHTS:
        pair = reals("a", (3, 37), FLOAT32), weights("b", dtype, 37, 5, 16)
        yield Case(f"weight_only_{dtype}", qops_blocks.WeightOnlyMatMul, pair)
    for depth in DEPTHS:
        pair = reals("a", (2, 2, depth), FLOAT32, specials=True), weights("b", DType("uint", 4), depth, 3, 32)
        yield Case(f"weight_only_depth_{depth}", qops_blocks.WeightOnlyMatMul, pair)
    pair = reals("a", (3, 16), FLOAT32), weights("b", DType("int", 4), 16, 65, 16, one_zero=True)
    yield Case("weight_only_one_zero_point", qops_blocks.WeightOnlyMatMul, pair)


@cases
def products_of_blocks() -> Iterator[Case]:
    def static(a: object, b: object) -> qops_blocks.QBlockGemm:
        return qops_blocks.QBlockGemm(a, None, b)  # type: ignore[arg-type]

    for dtype in WEIGHTS:
        a = codes("a", (3, 37), INT8, quantized(INT8, 0.02, -7), fill="extremes")
        yield Case(f"block_gemm_{dtype}", static, (a, weights("b", dtype, 37, 5, 16)))
    for depth in DEPTHS:
        a = codes("a", (2, 2, depth), UINT8, quantized(UINT8, 0.02, 131))
        yield Case(f"block_gemm_depth_{depth}", static, (a, weights("b", DType("uint", 4), depth, 3, 32)))
        a = codes("a", (2, depth), INT8, quantized(INT8, 1.0, 0, qmin=-127))
        scales = reals("scales", (2, -(-depth // 32)), FLOAT32)
        operands = (a, Operand(np.abs(scales.values), FLOAT32), weights("b", UINT8, depth, 3, 32))
        yield Case(f"block_gemm_run_time_scales_{depth}", qops_blocks.QBlockGemm, operands)
    wide = codes("a", (2, 4000), INT16, quantized(INT16, 1e-4, -32768), fill="highest")
    yield Case("block_gemm_beyond_int32", static, (wide, weights("b", UINT8, 4000, 2, 4000)))


@cases
def quantized_blocks() -> Iterator[Case]:
    for depth in DEPTHS:
        for label, specials in (("finite", False), ("specials", True)):
            x = reals(f"blocks {depth}", (3, 2, depth), FLOAT32, specials=specials)
            yield Case(f"quantize_blocks_{label}_{depth}", lambda v: qops_blocks.QuantizeBlocks(v, 16), (x,))
    zeros = Operand(np.array([[0.0, -0.0, 1e-45, -1e-45], [0, 0, 0, 0]], np.float32), FLOAT32)
    yield Case("quantize_blocks_zeros", lambda v: qops_blocks.QuantizeBlocks(v, 2), (zeros,))


@cases
def grids_of_blocks() -> Iterator[Case]:
    shape, axis, block = (2, 3, 5, 7), 2, 2
    random = generator("grids of blocks")
    scale = random.uniform(0.01, 0.1, (2, 3, 3, 7)).astype(np.float32)
    for dtype in (INT8, DType("uint", 4)):
        zero = random.integers(dtype.min, dtype.max, scale.shape, endpoint=True)
        quant = QuantParams(scale, zero, dtype.min, dtype.max, axis=axis, block=block)
        yield Case(f"dequantize_blocks_{dtype}", ops.DequantizeLinear, (codes("blocks", shape, dtype, quant),))
        x = reals("blocks", shape, FLOAT32, specials=True)
        yield Case(f"quantize_linear_blocks_{dtype}", lambda v, d=dtype, q=quant: ops.QuantizeLinear(v, d, q), (x,))
