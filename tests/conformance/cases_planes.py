"""Cases of planes that become pixels, and back: copies of bytes, and conversions that write another order."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.compiler.dtype import FLOAT32, UINT4, UINT8
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.types import Layout
from tests.conformance.cases import Case, cases, codes, quantized, reals

PIXELS = Layout((0, 2, 3, 1))  # of planes [N, C, H, W]
PLANES = Layout((0, 3, 1, 2))  # of pixels [N, H, W, C]
CHANNELS = (1, 2, 3, 4, 15, 16, 17, 33)
EXTENTS = ((1, 1), (3, 5), (4, 4), (1, 17), (5, 7), (7, 9), (8, 8), (5, 13), (17, 33))


@cases
def planes() -> Iterator[Case]:
    grid, narrow = quantized(UINT8, 0.05, 114), quantized(UINT4, 0.3, 6, qmin=1)
    shapes = [(2, c, 5, 7) for c in CHANNELS] + [(1, c, h, w) for c in (3, 5) for h, w in EXTENTS]
    for n, c, h, w in dict.fromkeys(shapes):
        label, pixels = f"{n}_{c}_{h}_{w}", (n, h, w, c)
        x = codes(f"planes_{label}", (n, c, h, w), UINT8, grid)
        yield Case(f"planes_repack_{label}", lambda v: ops.Repack(v, layout=PIXELS), (x,))
        yield Case(f"planes_transpose_{label}", lambda v: ops.Transpose(v, (0, 2, 3, 1)), (x,))
        back = codes(f"pixels_{label}", pixels, UINT8, grid)
        yield Case(f"pixels_repack_{label}", lambda v: ops.Repack(v, layout=PLANES), (back,))
        yield Case(f"pixels_transpose_{label}", lambda v: ops.Transpose(v, (0, 3, 1, 2)), (back,))
        real = reals(f"planes_{label}", (n, c, h, w), FLOAT32, specials=True)
        yield Case(f"planes_quantize_{label}", lambda v: ops.QuantizeLinear(v, UINT8, grid, layout=PIXELS), (real,))
        yield Case(
            f"planes_quantize_narrow_{label}", lambda v: ops.QuantizeLinear(v, UINT4, narrow, layout=PIXELS), (real,)
        )
        yield Case(f"pixels_dequantize_{label}", lambda v: ops.DequantizeLinear(v, FLOAT32, layout=PLANES), (back,))
    large = reals("planes_large", (2, 3, 90, 97), FLOAT32)
    yield Case("planes_quantize_tiles", lambda v: ops.QuantizeLinear(v, UINT8, grid, layout=PIXELS), (large,))
    many = codes("planes_many", (2, 70, 31, 17), UINT8, grid)
    yield Case("planes_repack_tiles", lambda v: ops.Repack(v, layout=PIXELS), (many,))
    deep = codes("pixels_many", (2, 31, 17, 70), UINT8, grid)
    yield Case("pixels_dequantize_tiles", lambda v: ops.DequantizeLinear(v, FLOAT32, layout=PLANES), (deep,))
