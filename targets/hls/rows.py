"""The kernel table: which operations have hardware, and in which header their class templates stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from subbyte.compiler.ir import ops, ops_indexing, qops
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Node
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps
from subbyte.compiler.target import Call, Kernel, Storage, TargetFacts
from subbyte.targets.hls.support import reason_against

HEADERS = Path(__file__).parent / "kernels"

_TABLE: tuple[tuple[type[Node], str, str, str], ...] = (
    (qops.QConv, "matrix_vector", "subbyte_hls_matrix_vector.h", "1..16 bits x 1..16 bits -> 1..16 bits, s48"),
    (qops.QGemm, "matrix_vector", "subbyte_hls_matrix_vector.h", "1..16 bits x 1..16 bits -> 1..16 bits, s48"),
    (qops.QAdd, "combine_codes", "subbyte_hls_combine.h", "1..8 bits, 1..8 bits -> 1..16 bits"),
    (qops.QSub, "combine_codes", "subbyte_hls_combine.h", "1..8 bits, 1..8 bits -> 1..16 bits"),
    (qops.QMul, "combine_codes", "subbyte_hls_combine.h", "1..8 bits, 1..8 bits -> 1..16 bits"),
    (qops.QDiv, "map_codes", "subbyte_hls_map.h", "1..12 bits, constant -> 1..16 bits"),
    (qops.Lookup, "map_codes", "subbyte_hls_map.h", "1..12 bits -> 1..16 bits"),
    (qops.Clamp, "map_codes", "subbyte_hls_map.h", "1..12 bits"),
    (qops.OffsetCodes, "map_codes", "subbyte_hls_map.h", "1..12 bits"),
    (qops.QAveragePool, "window_sum", "subbyte_hls_pool.h", "1..16 bits -> 1..16 bits"),
    (qops.QReduceMean, "global_sum", "subbyte_hls_pool.h", "1..16 bits -> 1..16 bits"),
    (qops.QReduceSum, "global_sum", "subbyte_hls_pool.h", "1..16 bits -> 1..16 bits"),
    (ops.ReduceMax, "global_max", "subbyte_hls_pool.h", "1..16 bits"),
    (ops.MaxPool, "window_max", "subbyte_hls_pool.h", "1..16 bits"),
    (ops.Reshape, "convert", "subbyte_hls_movement.h", "1..48 bits"),
    (ops.Repack, "convert", "subbyte_hls_movement.h", "1..48 bits"),
    (ops.Transpose, "convert", "subbyte_hls_movement.h", "1..48 bits"),
    (ops.Concat, "concat_channels", "subbyte_hls_movement.h", "1..12 bits"),
    (ops.Split, "split_channels", "subbyte_hls_movement.h", "1..16 bits"),
    (ops.ResizeNearest, "resize", "subbyte_hls_resize.h", "1..16 bits"),
    (ops.Pad, "sliding_window", "subbyte_hls_sliding_window.h", "1..16 bits"),
    (ops_indexing.ArgExtreme, "arg_max_codes", "subbyte_hls_argmax.h", "1..48 bits -> index"),
)


def _instantiated(symbol: str) -> Callable[..., Call]:
    """What a class template is called; the project prints its arguments (targets/hls/instance.py), and C has none."""

    def call(op: Node, **_: Any) -> Call:
        return Call(f"subbyte_hls::{symbol}", (), proof=_proof(op))

    return call


def _proof(op: Node) -> str:
    """How the requantization of a sum of products was shown equal to N4."""
    if not isinstance(op, (qops.QConv, qops.QGemm)) or op.requantization is None:
        return ""
    from subbyte.targets.hls.network.sums import requantization_of

    match requantization_of(op)[1]:
        case CompareSteps():
            return "N5 thresholds, compared at once"
        case SearchSteps():
            return "N5 thresholds, by binary search"
        case FixedPoint(at=at):
            return "N5 fixed point" + (f", at most {at.shape[1]} exceptions a channel" if at.shape[1] else "")
    return ""


def _cost(op: Node, facts: TargetFacts) -> float:
    """Nothing to choose between: the work itself."""
    return float(multiply_accumulates(op))


ROWS = tuple(
    Kernel(
        op=op,
        symbol=symbol,
        header=HEADERS / header,
        storage=Storage.ROW_MAJOR,
        call=_instantiated(symbol),
        cost=_cost,
        accepts=lambda node: reason_against(node) is None,
        operands=operands,
    )
    for op, symbol, header, operands in _TABLE
)
