"""What differs between an engine and us in one tensor, and how far each difference lies from a place where the rounding
steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.qops_dynamic import DynamicQuantize, DynamicRange
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.trace.enclosure import Doubles, Enclosure, Operand, U, operand_of
from subbyte.compiler.trace.points import Point

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorTrace:
    """One tensor of the model over all samples, each region computed from the engine's own tensors before it.

    tensor: its ONNX name. count: how many numbers were compared. different: how many differ, ours and the engine's.
    at_ties: how many of these lie within the bound of float32 of a place where the rounding steps (of a float: within
        the bound of the exact value).
    stray: numbers, equal or not, ours or the engine's, that no float32 computation within the bound gives.
    largest_distance: of the differing numbers from the exact place of the tie, in steps of the tensor's scale (of a
        float: between the two). largest_bound: what float32 may make of it there, in the same units.
    reason: why the tensor has no bound, "" where it has.
    """

    tensor: str
    count: int = 0
    different: int = 0
    at_ties: int = 0
    stray: int = 0
    largest_distance: float = 0.0
    largest_bound: float = 0.0
    reason: str = ""

    @property
    def untraced(self) -> int:
        """How many differences are not at ties."""
        return self.different - self.at_ties

    def plus(self, other: TensorTrace) -> TensorTrace:
        """Both together, of one tensor."""
        return TensorTrace(
            self.tensor,
            self.count + other.count,
            self.different + other.different,
            self.at_ties + other.at_ties,
            self.stray + other.stray,
            max(self.largest_distance, other.largest_distance),
            max(self.largest_bound, other.largest_bound),
            self.reason or other.reason,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def as_enclosure(operand: Operand) -> Enclosure:
    assert isinstance(operand, Enclosure), "what is quantized is a float"
    return operand


def compared(
    point: Point,
    ours: Array,
    theirs: Array,
    behind: Enclosure | str,
    tensors: Mapping[str, Array],
    known: Mapping[Value, Operand],
) -> TensorTrace:
    different = ours != theirs
    empty = TensorTrace(point.tensor, int(ours.size), int(np.count_nonzero(different)))
    if isinstance(behind, str):
        return replace(empty, reason=behind)
    if isinstance(point.made_by, DynamicRange):
        return _range(point, ours, theirs, behind, empty)
    steps = _steps(point.made_by, behind, known)
    low, high = _reachable(point, steps)
    stray = sum(int(np.count_nonzero((codes < low) | (codes > high))) for codes in (ours, theirs))
    if not different.any():
        return replace(empty, stray=stray)
    where = np.nonzero(different)
    pair = np.stack([ours[where], theirs[where]]).astype(np.float64)
    distance = np.abs(steps.at[where] - _tie(point, pair, steps, where))
    bound = steps.error[where]
    tied = (distance <= bound) & (np.ptp(pair, axis=0) <= _step(point))
    return replace(
        empty,
        at_ties=int(np.count_nonzero(tied)),
        stray=stray,
        largest_distance=float(distance.max()),
        largest_bound=float(bound.max()),
    )


@dataclass(frozen=True, eq=False)
class _Steps:
    """x / scale in exact arithmetic, its bound, and the zero points that are added to it; of the tensor's shape."""

    at: Doubles
    error: Doubles
    zero_point: Doubles


def _steps(node: Node, x: Enclosure, known: Mapping[Value, Operand]) -> _Steps:
    """In steps of the scale; the division rounds, and QONNX's addition of the zero point."""
    shape = x.real.shape
    if isinstance(node, DynamicQuantize):
        scale = as_enclosure(operand_of(node.scale, dict(known))).real
        zero = np.asarray(operand_of(node.zero_point, dict(known)), np.float64)
    else:
        assert isinstance(node, ops.QuantizeLinear)
        scale, zero = (np.asarray(spread(one, shape, node.quant.axis, node.quant.block), np.float64)
                       for one in node.quant.static())  # fmt: skip
    with np.errstate(all="ignore"):
        steps = Enclosure(x.real / scale, x.error / scale)
        steps = steps.widened(4, steps.largest + np.abs(zero))
    return _Steps(steps.real, steps.error, np.broadcast_to(zero, shape))


def _rounding(point: Point) -> str:
    return point.made_by.rounding if isinstance(point.made_by, ops.QuantizeLinear) else "HALF_EVEN"


def _step(point: Point) -> int:
    """By how much neighbouring codes differ."""
    return 2 if _rounding(point) == "BIPOLAR" else 1


def _reachable(point: Point, steps: _Steps) -> tuple[Doubles, Doubles]:
    """The smallest and the largest code that a number within the bound may round to, ties either way."""
    low, high = steps.at - steps.error, steps.at + steps.error
    match _rounding(point):
        case "BIPOLAR":
            return np.where(low >= 0, 1.0, -1.0), np.where(high >= 0, 1.0, -1.0)
        case "FLOOR":
            ends = np.floor(low), np.floor(high)
        case "CEIL":
            ends = np.ceil(low), np.ceil(high)
        case "DOWN":
            ends = np.trunc(low), np.trunc(high)
        case "UP":
            ends = np.copysign(np.ceil(np.abs(low)), low), np.copysign(np.ceil(np.abs(high)), high)
        case _:  # to nearest
            ends = np.ceil(low - 0.5), np.floor(high + 0.5)
    smallest, largest = point.value.type.code_range()
    first, last = (np.clip(end + steps.zero_point, smallest, largest) for end in ends)
    return np.asarray(first), np.asarray(last)


def _tie(point: Point, pair: Doubles, steps: _Steps, where: tuple[Array, ...]) -> Doubles:
    """Where, in steps, the rounding goes from the one code of each pair to the next."""
    lower, upper = pair.min(axis=0) - steps.zero_point[where], pair.max(axis=0) - steps.zero_point[where]
    match _rounding(point):
        case "BIPOLAR":
            return np.zeros_like(steps.at[where])
        case "FLOOR":
            return np.asarray(upper, np.float64)
        case "CEIL":
            return np.asarray(lower, np.float64)
        case "DOWN":
            return np.asarray(np.where(upper > 0, upper, lower))
        case "UP":
            return np.asarray(np.where(upper > 0, lower, upper))
    return np.asarray(lower + 0.5, np.float64)


def _range(point: Point, ours: Array, theirs: Array, x: Enclosure, empty: TensorTrace) -> TensorTrace:
    """The run-time scale or zero point of codes 0..255 that cover x and 0."""
    low, high = min(float(x.real.min()), 0.0), max(float(x.real.max()), 0.0)
    error = float(x.error.max())
    scale = (high - low) / 255 or 1.0
    of_scale = (2 * error + 4 * U * (high - low)) / 255
    if point.value.index == 0:
        bound, exact = of_scale, scale
        stray = sum(int(abs(float(one) - exact) > bound) for one in (ours, theirs))
        distance = abs(float(ours) - float(theirs))
    else:
        exact = -low / scale
        bound = error / scale + exact * of_scale / scale + 4 * U * exact
        tie = min(float(ours), float(theirs)) + 0.5
        distance = abs(exact - tie) if empty.different else 0.0
        stray = sum(int(abs(float(one) - exact) > 0.5 + bound) for one in (ours, theirs))
    traced = empty.different if not stray else 0
    return replace(
        empty, at_ties=traced, stray=stray, largest_distance=distance, largest_bound=bound if distance else 0.0
    )


def identical(tensor: str, exact: Operand, theirs: Array) -> TensorTrace:
    """Integers without a scale, exact sums: nothing about them is rounded."""
    found = np.asarray(exact).reshape(theirs.shape)
    return TensorTrace(tensor, int(theirs.size), int(np.count_nonzero(found != theirs)))


def output_trace(name: str, ours: Array, theirs: Array, exact: Operand | None, reason: str) -> TensorTrace:
    """An output of the model that is no point: floats beside their bound, or integers."""
    theirs = theirs.reshape(ours.shape)
    different = (ours != theirs) & ~((ours != ours) & (theirs != theirs))
    empty = TensorTrace(name, int(ours.size), int(np.count_nonzero(different)))
    if not isinstance(exact, Enclosure):
        return replace(empty, reason=reason)
    with np.errstate(invalid="ignore"):
        far = [np.abs(one.astype(np.float64) - exact.real) > exact.error for one in (ours, theirs)]
    distance = np.abs(ours.astype(np.float64) - theirs)[different]
    return replace(
        empty,
        at_ties=int(np.count_nonzero(different & ~far[0] & ~far[1])),
        stray=int(np.count_nonzero(far[0]) + np.count_nonzero(far[1])),
        largest_distance=float(distance.max(initial=0.0)),
        largest_bound=float(exact.error[different].max(initial=0.0)),
    )
