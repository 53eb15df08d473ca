"""Cases of pools, reductions and resizing, on codes and on floats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from subbyte.compiler.dtype import FLOAT16, FLOAT32, INT8, INT16, INT32, UINT4, UINT8, UINT16, DType
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops import QAveragePool, QReduceMean, QReduceSum, QResizeLinear
from subbyte.compiler.ir.types import Layout
from tests.conformance.cases import Case, Operand, cases, codes, quantized, reals

CODES = (UINT8, INT8, UINT16, INT16, UINT4)


def _numbers(name: str, shape: tuple[int, ...], dtype: DType) -> Operand:
    """Codes with a scale, plain integers, or floats."""
    if dtype.is_float:
        return reals(name, shape, dtype, specials=True)
    return codes(
        name, shape, dtype, quantized(dtype, 0.05, (dtype.min + dtype.max) // 2 | 1) if dtype != INT32 else None
    )


POOLS: dict[str, dict[str, Any]] = {
    "2x2": {"kernel": (2, 2), "strides": (2, 2)},
    "3x3": {"kernel": (3, 3), "pads": (1, 1, 1, 1)},
    "3x3_stride": {"kernel": (3, 3), "strides": (2, 2), "pads": (0, 0, 1, 1)},
    "ceil": {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 0, 0), "ceil_mode": True},
    "dilated": {"kernel": (2, 3), "dilations": (2, 2), "pads": (1, 0, 0, 1)},
    "image": {"kernel": (6, 7)},
    "rows": {"kernel": (1, 7)},
    "one": {"kernel": (1, 1)},
}


def _pool(kernel: tuple[int, ...], **given: Any) -> dict[str, Any]:
    rank = len(kernel)
    plain = {"strides": (1,) * rank, "pads": (0,) * 2 * rank, "dilations": (1,) * rank, "ceil_mode": False}
    return {"kernel": kernel, **plain, **given}


@cases
def pools() -> Iterator[Case]:
    for label, given in POOLS.items():
        pool = _pool(**given)
        for dtype in (*CODES, INT32, FLOAT32, FLOAT16):
            x = _numbers(f"max_pool_{label}_{dtype}", (2, 5, 6, 7), dtype)
            yield Case(f"max_pool_{label}_{dtype}", lambda v, p=pool: ops.MaxPool(v, **p), (x,))
        for with_pads in (False, True):
            counted = {**pool, "count_include_pad": with_pads}
            for dtype in (FLOAT32, FLOAT16):
                name = f"average_pool_{label}_{dtype}_{with_pads}"
                x = _numbers(name, (2, 5, 6, 7), dtype)
                yield Case(name, lambda v, p=counted: ops.AveragePool(v, **p), (x,))
            for dtype in CODES:
                name = f"qaverage_pool_{label}_{dtype}_{with_pads}"
                x = _numbers(name, (2, 5, 6, 7), dtype)
                quant = quantized(dtype, 0.05, dtype.max // 2 | 1)
                yield Case(name, lambda v, p=counted, d=dtype, q=quant: QAveragePool(v, d, q, **p), (x,))
    for channels in (1, 15, 16, 17, 31, 33, 63, 64, 65, 129):
        pool = _pool((3, 3), pads=(1, 1, 1, 1), strides=(2, 1))
        x = _numbers(f"pool_channels_{channels}", (1, channels, 4, 5), UINT8)
        yield Case(f"max_pool_channels_{channels}", lambda v, p=pool: ops.MaxPool(v, **p), (x,))
        counted, quant = {**pool, "count_include_pad": False}, quantized(UINT8, 0.05, 3)
        yield Case(
            f"qaverage_pool_channels_{channels}", lambda v, p=counted, q=quant: QAveragePool(v, UINT8, q, **p), (x,)
        )
    line = _pool((4,), strides=(3,), pads=(1, 2), ceil_mode=True)
    x = _numbers("pool_1d", (2, 5, 21), INT8)
    yield Case("max_pool_1d", lambda v: ops.MaxPool(v, **line), (x,))
    counted, meaning = {**line, "count_include_pad": True}, quantized(INT8, 0.05, 3)
    yield Case("qaverage_pool_1d", lambda v, p=counted: QAveragePool(v, INT8, meaning, **p), (x,))
    yield Case("average_pool_1d", lambda v, p=counted: ops.AveragePool(v, **p), (_numbers("1d", (2, 5, 21), FLOAT32),))
    # equal scales and windows of 4: every other mean is a tie
    ties = codes("average_ties", (1, 40, 8, 8), UINT8, quantized(UINT8, 0.25, 1))
    counted, grid = {**_pool((2, 2), strides=(2, 2)), "count_include_pad": False}, quantized(UINT8, 0.25, 1)
    yield Case("qaverage_pool_ties", lambda v, p=counted: QAveragePool(v, UINT8, grid, **p), (ties,))
    for fill in ("lowest", "highest"):
        x = codes(f"average_{fill}", (1, 40, 24, 24), UINT8, quantized(UINT8, 0.25, 1), fill)
        whole = {**_pool((24, 24)), "count_include_pad": False}
        yield Case(f"qaverage_pool_{fill}", lambda v, p=whole: QAveragePool(v, UINT8, grid, **p), (x,))


AXES = {
    "all": (0, 1, 2, 3),
    "spatial": (2, 3),
    "channels": (1,),
    "outer_and_inner": (0, 3),
    "first": (0,),
    "last": (3,),
}


@cases
def reductions() -> Iterator[Case]:
    for label, axes in AXES.items():
        for keepdims in (False, True):
            for dtype in (*CODES, INT32, FLOAT32, FLOAT16):
                name = f"{label}_{keepdims}_{dtype}"
                x = _numbers(f"reduce_{name}", (2, 5, 6, 7), dtype)
                yield Case(f"reduce_max_{name}", lambda v, a=axes, k=keepdims: ops.ReduceMax(v, a, k), (x,))
                yield Case(f"reduce_min_{name}", lambda v, a=axes, k=keepdims: ops.ReduceMin(v, a, k), (x,))
                if dtype.is_float:
                    x = reals(f"reduce_{name} finite", (2, 5, 6, 7), dtype)
                    yield Case(f"reduce_sum_{name}", lambda v, a=axes, k=keepdims: ops.ReduceSum(v, a, k), (x,))
                    yield Case(f"reduce_mean_{name}", lambda v, a=axes, k=keepdims: ops.ReduceMean(v, a, k), (x,))
                elif dtype != INT32:
                    for op in (QReduceSum, QReduceMean):
                        quant = quantized(dtype, 0.07 if op is QReduceMean else 1.0, dtype.max // 2)
                        yield Case(
                            f"{op.__name__.lower()}_{name}",
                            lambda v, o=op, d=dtype, q=quant, a=axes, k=keepdims: o(v, d, q, a, k),
                            (x,),
                        )
    for extent in (1, 7, 8, 9, 63, 64, 65, 1000):
        x = reals(f"tree_{extent}", (3, extent), FLOAT32, spread=1e3)
        yield Case(f"reduce_sum_rows_{extent}", lambda v: ops.ReduceSum(v, (1,), False), (x,))
        yield Case(f"reduce_mean_columns_{extent}", lambda v: ops.ReduceMean(v, (0,), True), (x,))


RESIZES = {
    "double": ((2, 5, 12, 14), (1.0, 1.0, 2.0, 2.0)),
    "odd": ((2, 5, 11, 10), (1.0, 1.0, 11 / 6, 10 / 7)),
    "smaller": ((2, 5, 3, 4), (1.0, 1.0, 0.5, 4 / 7)),
    "one_axis": ((2, 5, 6, 21), (1.0, 1.0, 1.0, 3.0)),
    "channels": ((2, 10, 6, 7), (1.0, 2.0, 1.0, 1.0)),
}


@cases
def resizes() -> Iterator[Case]:
    one = reals("resize_one", (1, 3, 1, 1), FLOAT32)
    last = Layout((0, 2, 3, 1))
    yield Case(
        "resize_other_order",  # axes of extent 1 have no order of their own
        lambda v: ops.ResizeLinear(v, (1, 3, 2, 3), (1.0, 1.0, 2.0, 3.0), "half_pixel", layout=last),
        (one,),
    )
    for channels in (1, 31, 32, 33, 63, 64, 65, 130):
        deep = _numbers(f"resize_deep_{channels}", (1, channels, 3, 4), UINT8)
        yield Case(
            f"qresize_linear_channels_{channels}",
            lambda v, c=channels: QResizeLinear(
                v, UINT8, quantized(UINT8, 0.05, 3), (1, c, 7, 8), (1.0, 1.0, 7 / 3, 2.0), "half_pixel"
            ),
            (deep,),
        )
    for label, (sizes, given) in RESIZES.items():
        scales = tuple(float(np.float32(s)) for s in given)
        for coordinates in ops.COORDINATES:
            name = f"{label}_{coordinates}"
            x = _numbers(f"resize_{name}", (2, 5, 6, 7), UINT8)

            def linear(v: Value, s: Any = sizes, f: Any = scales, c: str = coordinates) -> Node:
                return QResizeLinear(v, UINT8, quantized(UINT8, 0.05, 3), s, f, c)

            def linear_floats(v: Value, s: Any = sizes, f: Any = scales, c: str = coordinates) -> Node:
                return ops.ResizeLinear(v, s, f, c)

            yield Case(f"qresize_linear_{name}", linear, (x,))
            specials = label == "double"
            floats = reals(f"resize_{name}", (2, 5, 6, 7), FLOAT32, specials=specials)
            yield Case(f"resize_linear_{name}", linear_floats, (floats,))
            for mode in ops.NEAREST_MODES:

                def nearest(v: Value, s: Any = sizes, f: Any = scales, c: str = coordinates, m: str = mode) -> Node:
                    return ops.ResizeNearest(v, s, f, c, m)

                yield Case(f"resize_nearest_{name}_{mode}", nearest, (x,))
