"""How far two engines' answers lie apart, in steps of the output's scale."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops, qops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.lowered import Wrapper
from subbyte.compiler.ir.node import Node, Value


@dataclass(frozen=True)
class Comparison:
    """Of `count` values `different` differ, by at most `max_steps` steps of the scale (None: no scale) and `max_abs`.

    top1_agreement: the share of samples whose largest value is at the same place, a tie counted as agreement; None
        where the output is no vector of scores.
    """

    count: int
    different: int
    max_steps: float | None
    max_abs: float
    top1_agreement: float | None

    def is_within(self, limit: float) -> bool:
        """At most `limit` steps away; 0 where no number may differ. Without a scale, any distance is within a limit."""
        if limit == float("inf"):
            return True
        if self.max_steps is None:
            return limit > 0 or self.different == 0
        return self.max_steps <= limit and (limit > 0 or self.different == 0)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(reference: NDArray[Any], found: NDArray[Any], scale: float | None) -> Comparison:
    """Compare [samples, ...] of one output. scale: what one step is worth; codes are their own steps; None: no scale.

    Two NaN are equal; a NaN beside a number counts as different and infinitely far.
    """
    if reference.shape != found.shape:
        raise ValueError(f"shapes differ: {reference.shape} and {found.shape}")
    wide_reference, wide_found = reference.astype(np.float64), found.astype(np.float64)
    both_nan = np.isnan(wide_reference) & np.isnan(wide_found)
    same = (wide_reference == wide_found) | both_nan
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0.0, np.abs(wide_reference - wide_found))
    distance = np.where(np.isnan(distance), np.inf, distance)
    max_abs = float(distance.max(initial=0.0))
    if reference.dtype.kind in "iub":
        scale = 1.0
    steps = None
    if scale is not None:
        steps = round(max_abs / scale, 3) if np.isfinite(max_abs) else float("inf")
        steps = float(round(steps)) if reference.dtype.kind in "iub" or abs(steps - round(steps)) < 0.01 else steps
    return Comparison(int(reference.size), int((~same).sum()), steps, max_abs, _top1(wide_reference, wide_found))


def _top1(reference: NDArray[np.float64], found: NDArray[np.float64]) -> float | None:
    if reference.ndim < 2 or not len(reference):
        return None
    flat_reference, flat_found = (array.reshape(len(array), -1) for array in (reference, found))
    if not 1 < flat_reference.shape[1] <= 5000:
        return None
    chosen = flat_reference[np.arange(len(flat_reference)), flat_found.argmax(axis=1)]
    return float((chosen >= flat_reference.max(axis=1)).mean())


def output_scales(graph: Graph) -> dict[str, float | None]:
    """What one step of each output is worth: 1 for codes, the scale of its DequantizeLinear, else None."""
    return {output.name: _scale_of(output.value) for output in graph.outputs}


def _scale_of(value: Value) -> float | None:
    """The step behind `value`, looked for through operations that only move elements."""
    while True:
        node: Node = value.node.op if isinstance(value.node, Wrapper) else value.node
        if value.type.dtype.is_integer:
            return 1.0
        if isinstance(node, ops.DequantizeLinear):
            quant = node.x.type.quant
            return quant.scalar()[0] if quant is not None and quant.is_static and quant.is_per_tensor else None
        if isinstance(node, qops.Lookup) or not isinstance(
            node, (ops.Reshape, ops.Transpose, ops.Repack, ops.DepthToSpace)
        ):
            return None
        value = node.x
