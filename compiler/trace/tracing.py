"""The trace itself: region by region, from the engine's own tensors, each code that differs beside its exact value."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_node
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.qops_dynamic import DynamicQuantize, DynamicRange
from subbyte.compiler.numerics.affine import spread
from subbyte.compiler.oracle import OnnxRuntime, read_proto
from subbyte.compiler.pipeline import Options, quantized
from subbyte.compiler.trace import rules, unary  # noqa: F401  (each registers the enclosures of its operations)
from subbyte.compiler.trace.enclosure import Doubles, Enclosure, Operand, U, enclose, operand_of
from subbyte.compiler.trace.executors import Executor, Simulation
from subbyte.compiler.trace.points import Cut, Point, cut_at, find_points
from subbyte.passes.fold_constants import fold_constants
from subbyte.passes.recognize_fake_quantize import recognize_fake_quantize

if TYPE_CHECKING:
    import onnx

    Model = str | os.PathLike[str] | bytes | onnx.ModelProto

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


def trace(
    model: Model,
    samples: Iterable[Mapping[str, Array]],
    executor: Executor | str = "onnxruntime",
    options: Options | None = None,
) -> list[TensorTrace]:
    """Each quantized tensor of `model`, in topological order, then its outputs: ours beside those of `executor`.

    The imported graph is cut at every tensor of codes that the ONNX model names. Each region between the cuts is
    computed three times from the executor's own tensors at its border, so that no difference adds to another: by the
    passes and the interpreter (what compiled code equals), by the executor, and exactly, with a bound on what float32
    may make of it (`enclosure`). A code that differs must have the rounding's step within that bound.

    Args:
        model: as `quantized` takes it; a graph is not, since an executor needs the ONNX model.
        samples: arrays by input name, one mapping a sample, of the graph's shapes.
        executor: "onnxruntime" (its optimizations off; QONNX operators written out for it), "simulation" (the imported
            float graph in our interpreter), or an engine that shows the tensors of `traced_tensors`.
    Returns: one entry a tensor. A trace without fault has no `untraced` and no `stray` numbers.
    Raises: ModelError: nothing could be compared; the executor's reals are no codes. UnsupportedError, ToolchainError.
    """
    tracer = Tracer(model, options)
    engine = tracer.executor(executor) if isinstance(executor, str) else executor
    found: dict[str, TensorTrace] = {}
    for sample in samples:
        for one in tracer.sample(sample, engine.run(sample)):
            found[one.tensor] = found[one.tensor].plus(one) if one.tensor in found else one
    if not found:
        raise ModelError("no tensor of the model holds codes that an engine shows, so that there is nothing to trace.")
    return list(found.values())


class Tracer:
    """A model, cut for tracing; `sample` traces one sample."""

    def __init__(self, model: Model, options: Options | None = None) -> None:
        options = options or Options()
        self._model = model
        self._proto = read_proto(model)
        imported = import_model(model, dims=dict(options.dims))
        self.graph: Graph = recognize_fake_quantize(fold_constants(imported))
        names = {output for node in self._proto.graph.node for output in node.output}
        dynamic = (node.output for node in self._proto.graph.node if node.op_type == "DynamicQuantizeLinear")
        scales = {codes: (scale, zero_point) for codes, scale, zero_point in dynamic}
        self.points: list[Point] = [p for p in find_points(self.graph, scales) if p.tensor in names]
        self.cut: Cut = cut_at(self.graph, self.points)
        self.folded: Graph = quantized(self.cut.graph, options)
        self._whole: dict[Value, str] = {
            node.out: node.tensor
            for node in self.graph.operations()
            if node.tensor in names and len(node.types) == 1 and node.type.dtype.is_integer and node.type.quant is None
        }

    @property
    def tensors(self) -> tuple[str, ...]:
        """The ONNX tensors that an executor must show beside the outputs."""
        return tuple(dict.fromkeys([*(point.tensor for point in self.points), *self._whole.values()]))

    def executor(self, name: str) -> Executor:
        """The executor called "onnxruntime" or "simulation"."""
        if name == "simulation":
            named = {node.tensor: Value(node, 0) for node in self.graph.operations()}
            named |= {point.tensor: point.value for point in self.points if not point.is_dequantized}
            return Simulation(self.graph, {tensor: named[tensor] for tensor in self.tensors})
        return OnnxRuntime(self._proto, self.tensors)

    def joined(self) -> Graph:
        """The folded regions put together again: it computes what the folded model does, if cutting changes nothing."""
        return self.cut.joined(self.folded, len(self.graph.outputs))

    def ours(self, sample: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, Array]:
        """What our integer operations make of the engine's tensors: each region by the name of its point, and outputs.

        theirs: all tensors of `tensors`, from the engine.
        """
        own = {node.name: sample[node.name] for node in self.graph.inputs}
        given = {name: point.of(theirs) for name, point in zip(self.cut.names, self.points, strict=True)}
        return evaluate(self.folded, {**own, **given})

    def sample(self, sample: Mapping[str, Array], theirs: Mapping[str, Array]) -> Iterator[TensorTrace]:
        """Each tensor of one sample: ours beside `theirs`, what the engine has for it."""
        ours = self.ours(sample, theirs)
        at = {point.value: (name, point) for name, point in zip(self.cut.names, self.points, strict=True)}
        rounded_by = {point.made_by: point for point in self.points}
        shown = {output.name: output.value for output in self.graph.outputs}
        known: dict[Value, Operand] = {}
        why: dict[Value, str] = {}
        behind: dict[Node, Enclosure | str] = {}
        users = {value: len(nodes) for value, nodes in self.graph.users().items()}
        for node in self.graph.nodes():
            if isinstance(node, Constant):
                continue
            if isinstance(node, Input):
                array = sample[node.name]
                known[node.out] = Enclosure.exact(array) if node.type.dtype.is_float else array
                continue
            unknown = next((why[o] for o in node.operands if o in why), None)
            if isinstance(node, (ops.QuantizeLinear, DynamicQuantize, DynamicRange)) and node in rounded_by:
                behind[node] = unknown or _as_enclosure(operand_of(node.operands[0], known))
            elif unknown is None:
                unknown = self._compute(node, known)
            for index in range(len(node.types)):
                value = Value(node, index)
                if value in at:
                    name, point = at[value]
                    found = point.of(theirs)
                    yield _compared(point, ours[name], found, behind[point.made_by], theirs, known)
                    known[value] = Enclosure.exact(found) if value.type.dtype.is_float else found
                elif value not in known:
                    why[value] = unknown or f"{node.label} is rounded to codes that the engine does not show"
                elif value in self._whole:
                    yield _identical(self._whole[value], known[value], theirs[self._whole[value]])
            for operand in node.operands:
                users[operand] -= 1
                if not users[operand] and operand not in shown.values():
                    known.pop(operand, None)
        traced = {point.tensor for point in self.points}
        for output, value in shown.items():
            if output not in traced:
                yield _output(output, ours[output], theirs[output], known.get(value), why.get(value, ""))

    def _compute(self, node: Node, known: dict[Value, Operand]) -> str | None:
        """Enter the results of `node`; the reason where it has no enclosure."""
        operands = [operand_of(operand, known) for operand in node.operands]
        try:
            if all(t.dtype.is_float for t in node.types):
                results: tuple[Operand, ...] = enclose(node, operands)
            elif any(isinstance(operand, Enclosure) for operand in operands):
                return f"{node.label} makes integers of floats, which has no bound"
            else:
                results = evaluate_node(node, [np.asarray(operand) for operand in operands])
        except UnsupportedError as error:
            return str(error)
        known.update((Value(node, index), result) for index, result in enumerate(results))
        return None


def _as_enclosure(operand: Operand) -> Enclosure:
    assert isinstance(operand, Enclosure), "what is quantized is a float"
    return operand


# What differs ---------------------------------------------------------------------------------------------------------


def _compared(
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
        scale = _as_enclosure(operand_of(node.scale, dict(known))).real
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


def _identical(tensor: str, exact: Operand, theirs: Array) -> TensorTrace:
    """Integers without a scale, exact sums: nothing about them is rounded."""
    found = np.asarray(exact).reshape(theirs.shape)
    return TensorTrace(tensor, int(theirs.size), int(np.count_nonzero(found != theirs)))


def _output(name: str, ours: Array, theirs: Array, exact: Operand | None, reason: str) -> TensorTrace:
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
