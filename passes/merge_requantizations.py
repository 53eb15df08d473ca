"""Make wanted codes at once: what a table makes of the codes of a sum becomes part of its requantization."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from subbyte.compiler.errors import NumericsError
from subbyte.compiler.ir.accumulators import result_range_of
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops import Lookup, QConv, QConvTranspose, QGemm
from subbyte.compiler.ir.rewrite import Rewriter, union_sources
from subbyte.compiler.numerics.arrays import Codes, Floats
from subbyte.compiler.numerics.requantize import Requantization, requantize
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.thresholds import proved, staircase
from subbyte.compiler.pass_manager import graph_pass
from subbyte.compiler.target import Target

SumOfProducts = QConv | QConvTranspose | QGemm
_STEPS = 255  # of a result of 8 bits
_SAMPLES = 257
_ULPS = 2  # how far from the quotient of the scales a multiplier is looked for


@graph_pass(requires=Stage.QUANTIZED, ensures=Stage.QUANTIZED)
def merge_requantizations(graph: Graph, target: Target) -> Graph:
    """Lookup(sum) -> sum, where nobody else reads the codes between them.

    Where one N4 is proved to step at the same sums to the same codes, it takes the place of both. Else the table
    becomes part of the requantization, if the target has a kernel that knows it and that costs less than both.
    Exact. A table behind a table was made one by fuse_activation.
    """
    users = graph.users()
    shown = {output.value for output in graph.outputs}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        if isinstance(current, Lookup) and len(users[node.operands[0]]) == 1 and node.operands[0] not in shown:
            current = _merged(current, target) or current
        rewriter.replace(node, current)
    return rewriter.finish()


def _merged(table: Lookup, target: Target) -> Node | None:
    """`table` and the sum that it reads as one sum."""
    made = table.x.node
    if not isinstance(made, (QConv, QConvTranspose, QGemm)) or not table.dtype.is_integer:
        return None
    r = made.requantization
    channels = made.type.rank - 1 if isinstance(made, QGemm) else 1
    if r is None or made.layout != table.layout or table.axis not in (None, channels):
        return None
    one = made.replace(
        requantization=_followed_by(r, table),
        dtype=table.dtype,
        quant=table.quant,
        sources=union_sources(made, table),
        tensor=table.tensor,
    )
    plain = _without_table(one, made)
    if plain is not None:
        return plain
    merged, apart = target.cost(one), (target.cost(made), target.cost(table))
    return one if merged is not None and (None in apart or merged <= sum(filter(None, apart))) else None


def _followed_by(r: Requantization, table: Lookup) -> Requantization:
    """The codes of `r` as indices of `table`."""
    codes: Codes = np.arange(r.qmin, r.qmax + 1) if r.table is None else r.table
    indices, entries = codes - table.x.type.dtype.min, table.table.astype(np.int64)
    if table.axis is None:
        made = entries[indices]
    else:
        made = np.take_along_axis(entries, np.broadcast_to(indices, (len(entries), indices.shape[-1])), axis=1)
    return replace(r, table=made, staircase=None)


def _without_table(one: SumOfProducts, made: SumOfProducts) -> Node | None:
    """`one` with a multiplier and a zero point instead of its table, where these are proved to do the same."""
    r, before, after = one.requantization, made.type.quant, one.type.quant
    if r is None or r.shift is not None or before is None or after is None:
        return None
    if not (before.is_static and after.is_static and before.is_per_tensor and after.is_per_tensor):
        return None
    (scale_before, _), (scale_after, zero_point) = before.scalar(), after.scalar()
    try:
        low, high = result_range_of(one)
        (qmin, qmax), stairs = r.results(), None
        for multiplier in _near(r.multiplier * np.float32(np.float32(scale_before) / np.float32(scale_after))):
            found = Requantization(multiplier, None, zero_point, qmin, qmax)
            if not _alike(r, found, low, high):
                continue
            stairs = stairs or staircase(r, low, high, _STEPS)
            if stairs is not None and _equal(stairs, found):
                return one.replace(requantization=found)
    except NumericsError:  # sums without a bound
        return None
    return None


def _alike(one: Requantization, other: Requantization, low: Codes, high: Codes) -> bool:
    """Whether both agree on some sums: most multipliers fail here, before a proof is tried."""
    rows = one.channels or 1
    share = np.linspace(0, 1, _SAMPLES)
    sums = np.floor(low[:, None] + share * (high - low)[:, None].astype(np.float64)).astype(np.int64)
    sums = np.broadcast_to(sums, (rows, _SAMPLES)) if one.channels else sums[:1]
    return bool((requantize(sums, one, axis=0) == requantize(sums, other, axis=0)).all())


def _near(multiplier: Floats) -> list[Floats]:
    """It, and its neighbours in float32, nearest first."""
    found, above, below = [np.asarray(multiplier, np.float32)], multiplier, multiplier
    for _ in range(_ULPS):
        above, below = np.nextafter(above, np.float32(np.inf)), np.nextafter(below, np.float32(-np.inf))
        found += [np.asarray(above, np.float32), np.asarray(below, np.float32)]
    return [m for m in found if np.isfinite(m).all() and (m != 0).all()]


def _equal(stairs: Staircase, r: Requantization) -> bool:
    try:
        proved(stairs, r)
    except NumericsError:
        return False
    return True
