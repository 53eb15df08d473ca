"""Cases of quantization at run time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.dtype import FLOAT32, INT8, UINT8
from subbyte.compiler.ir import qops_dynamic
from tests.conformance.cases import SPECIALS, Case, Operand, cases, codes, reals

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
