"""What differs between an engine and us in one tensor, and how far each difference lies from a place where the rounding
steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.qops_dynamic import DynamicRange
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.trace.enclosure import Doubles, Enclosure, Operand, U
from subbyte.compiler.trace.points import Point

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorTrace:
    """One tensor of the model over all samples, each region computed from the engine's own tensors before it.

    tensor: its ONNX name. is_codes: integers, codes or exact sums; else floats.
    count: how many numbers were compared. different: how many differ, ours and the engine's.
    at_ties: how many of these lie within the bound of float32 of a place where the rounding steps (of a float: within
        the bound of the exact value).
    stray: numbers, equal or not, ours or the engine's, that no float32 computation within the bound gives.
    max_abs: the largest difference, of codes in steps.
    largest_distance: of the differing numbers from the exact place of the tie, in steps of the tensor's scale (of a
        float: between the two). largest_bound: what float32 may make of it there, in the same units.
    reason: why the tensor has no bound, "" where it has.
    """

    tensor: str
    is_codes: bool
    count: int = 0
    different: int = 0
    at_ties: int = 0
    stray: int = 0
    max_abs: float = 0.0
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
            self.is_codes,
            self.count + other.count,
            self.different + other.different,
            self.at_ties + other.at_ties,
            self.stray + other.stray,
            max(self.max_abs, other.max_abs),
            max(self.largest_distance, other.largest_distance),
            max(self.largest_bound, other.largest_bound),
            self.reason or other.reason,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Steps:
    """x / scale in exact arithmetic, its bound, and the zero points that are added to it; of the tensor's shape."""

    at: Doubles
    error: Doubles
    zero_point: Doubles


@dataclass(frozen=True, eq=False)
class Region:
    """What is computed between the engine's tensors: name is that of the point in the cut graph, or an ONNX tensor's.

    exact: the steps behind a point's rounding, the reals behind a run-time scale, the enclosure of a float output,
    integers; or the reason why none of these is known.
    """

    name: str
    point: Point | None
    exact: Steps | Operand | str


def steps_of(node: Node, operands: Sequence[Operand]) -> Steps | Enclosure:
    """What `node` rounds, in steps of its scale: the division rounds once, and QONNX's addition of the zero point.

    Of a DynamicRange the reals themselves, which it takes the extremes of.
    """
    x = operands[0]
    assert isinstance(x, Enclosure), "what is quantized is a float"
    shape = x.real.shape
    if isinstance(node, DynamicRange):
        return x
    if isinstance(node, ops.QuantizeLinear):
        parts = [spread(one, shape, node.quant.axis, node.quant.block) for one in node.quant.static()]
    else:
        parts = [one.real if isinstance(one, Enclosure) else one for one in operands[1:]]
    scale, zero_point = (np.asarray(part, np.float64) for part in parts)
    with np.errstate(all="ignore"):
        steps = Enclosure(x.real / scale, x.error / scale)
        steps = steps.widened(4, steps.largest + np.abs(zero_point))
    return Steps(steps.real, steps.error, np.broadcast_to(zero_point, shape))


def compared(point: Point, ours: Array, theirs: Array, exact: Steps | Operand | str) -> TensorTrace:
    """The codes of a point, or the run-time scale or zero point of some."""
    different = ours != theirs
    empty = TensorTrace(point.tensor, ours.dtype.kind in "iu", int(ours.size), int(np.count_nonzero(different)))
    if isinstance(exact, Enclosure):
        return _range(point, ours, theirs, exact, _far(empty, ours, theirs))
    if not isinstance(exact, Steps):
        return replace(_far(empty, ours, theirs), reason=str(exact))
    low, high = _reachable(point, exact)
    stray = sum(int(np.count_nonzero((codes < low) | (codes > high))) for codes in (ours, theirs))
    empty = replace(_far(empty, ours, theirs), stray=stray)
    if not different.any():
        return empty
    where = np.nonzero(different)
    pair = np.stack([ours[where], theirs[where]]).astype(np.float64)
    distance, bound = np.abs(exact.at[where] - _tie(point, pair, exact, where)), exact.error[where]
    tied = (distance <= bound) & (bound < 0.5) & (np.ptp(pair, axis=0) <= _step(point))
    return replace(
        empty,
        at_ties=int(np.count_nonzero(tied)),
        largest_distance=float(distance.max()),
        largest_bound=float(bound.max()),
    )


def _far(empty: TensorTrace, ours: Array, theirs: Array) -> TensorTrace:
    """With the largest difference of any two numbers."""
    if not empty.different:
        return empty
    with np.errstate(invalid="ignore"):
        distance = np.abs(ours.astype(np.float64) - theirs)
    return replace(empty, max_abs=float(np.nanmax(distance, initial=0.0)))


def certain_codes(node: ops.QuantizeLinear, operands: Sequence[Operand]) -> Array | None:
    """The codes that every engine makes; None where numbers within the bound of the operand round to several."""
    steps = steps_of(node, operands)
    assert isinstance(steps, Steps), "a QuantizeLinear rounds steps of its scale"
    low, high = _reachable(Point(node, node.out, ""), steps)
    return low.astype(node.type.dtype.numpy) if np.array_equal(low, high) else None


def _rounding(point: Point) -> str:
    return point.made_by.rounding if isinstance(point.made_by, ops.QuantizeLinear) else "HALF_EVEN"


def _step(point: Point) -> int:
    """By how much neighbouring codes differ."""
    return 2 if _rounding(point) == "BIPOLAR" else 1


def _reachable(point: Point, steps: Steps) -> tuple[Doubles, Doubles]:
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


def _tie(point: Point, pair: Doubles, steps: Steps, where: tuple[Array, ...]) -> Doubles:
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


def identical(tensor: str, exact: Array, theirs: Array) -> TensorTrace:
    """Integers without a scale, as exact sums are: nothing about them is rounded."""
    found = exact.reshape(theirs.shape)
    return _far(TensorTrace(tensor, True, int(theirs.size), int(np.count_nonzero(found != theirs))), found, theirs)


def output_trace(name: str, ours: Array, theirs: Array, exact: Steps | Operand | str) -> TensorTrace:
    """An output of the model that is no point: floats beside their bound, or integers."""
    theirs = theirs.reshape(ours.shape)
    different = (ours != theirs) & ~((ours != ours) & (theirs != theirs))
    empty = _far(
        TensorTrace(name, ours.dtype.kind in "iu", int(ours.size), int(np.count_nonzero(different))), ours, theirs
    )
    if not isinstance(exact, Enclosure):
        return replace(empty, reason=exact if isinstance(exact, str) else "")
    with np.errstate(invalid="ignore"):
        far = [np.abs(one.astype(np.float64) - exact.real) > exact.error for one in (ours, theirs)]
    return replace(
        empty,
        at_ties=int(np.count_nonzero(different & ~far[0] & ~far[1])),
        stray=int(np.count_nonzero(far[0]) + np.count_nonzero(far[1])),
        largest_distance=empty.max_abs,
        largest_bound=float(exact.error[different].max(initial=0.0)),
    )
