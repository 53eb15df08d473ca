"""Runs passes: checks stages, verifies, times, prints, compares numbers before and after, stops where it is told."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.stages import verify as verify_graph
from subbyte.compiler.target import Target

if TYPE_CHECKING:
    from subbyte.compiler.calibration.data import Data

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Exactness:
    """How far a pass may move the numbers: `steps` of the scale of what it rewrites, and why; 0 steps is EXACT.

    None: as far as `reason` says, since the user asked for other numbers.
    """

    steps: int | None
    reason: str = ""

    def __str__(self) -> str:
        if self.steps is None:
            return f"on request: {self.reason}"
        return f"within {self.steps} step{'s' * (self.steps != 1)}: {self.reason}" if self.steps else "exact"


EXACT = Exactness(0)


def Within(*, steps: int, reason: str) -> Exactness:
    """The exactness of a pass that rounds in another place: each result it rewrites moves by at most `steps` steps."""
    return Exactness(steps, reason)


def Requested(reason: str) -> Exactness:
    """The exactness of a pass that runs only because the user asked for cheaper numbers; `reason` says how far."""
    return Exactness(None, reason)


@dataclass(frozen=True)
class Pass:
    """A function from graph to graph, the stages it stands between, and its exactness.

    asks: what else the function takes: "target", "data" (samples and what runs them; compiler/calibration).
    keeps_stage: it works on graphs of stage quantized as well, and leaves the stage as it is.
    """

    name: str
    function: Callable[..., Graph]
    requires: Stage
    ensures: Stage
    exactness: Exactness
    asks: tuple[str, ...] = ()
    keeps_stage: bool = False

    def __call__(self, graph: Graph, target: Target | None = None, data: Data | None = None) -> Graph:
        """Run it.  Raises GraphError: the graph is of another stage, or what the pass asks was not given."""
        later = self.keeps_stage and graph.stage is Stage.QUANTIZED
        if graph.stage is not self.requires and not later:
            raise GraphError(
                f"pass '{self.name}' needs a graph of stage {self.requires.value}; "
                f"graph '{graph.name}' is {graph.stage.value}"
            )
        if "target" in self.asks and target is None:
            raise GraphError(f"pass '{self.name}' asks the target, and none was given; name one, as --target does")
        if "data" in self.asks and data is None:
            raise GraphError(f"pass '{self.name}' asks samples, and none were given; name them, as --data does")
        given = {"target": target, "data": data}
        result = self.function(graph, **{name: given[name] for name in self.asks})
        ensured = graph.stage if later else self.ensures
        if result.stage is not ensured:
            raise GraphError(
                f"pass '{self.name}' left graph '{graph.name}' at stage {result.stage.value}; "
                f"it ensures {ensured.value}"
            )
        return result

    @property
    def summary(self) -> str:
        """The first line of its docstring, for lists of passes."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


def graph_pass(
    *, requires: Stage, ensures: Stage, exactness: Exactness = EXACT, keeps_stage: bool = False
) -> Callable[[Callable[..., Graph]], Pass]:
    """Declare a function of a graph, and of `target` and `data` where it has parameters of these names, as a pass."""

    def declare(function: Callable[..., Graph]) -> Pass:
        asks = tuple(inspect.signature(function).parameters)[1:]
        return Pass(function.__name__, function, requires, ensures, exactness, asks, keeps_stage)

    return declare


@dataclass(frozen=True)
class Step:
    """One pass as it was run.

    seconds: of the pass alone. nodes_before, nodes_after: operations, constants and inputs not counted.
    largest_difference: over all outputs, integers in steps and floats in their own units; None where not compared.
    """

    name: str
    seconds: float
    nodes_before: int
    nodes_after: int
    graph: Graph
    largest_difference: float | None = None


def run_passes(
    graph: Graph,
    passes: Sequence[Pass],
    target: Target | None = None,
    *,
    data: Data | None = None,
    verify: bool = True,
    compare_inputs: Arrays | None = None,
    print_after: Collection[str] = (),
    write: Callable[[str], None] = print,
    stop_after: str | int | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Graph:
    """Run `passes` one after the other.

    Args:
        data: for passes that ask samples.
        verify: check the rules of the stage after each pass.
        compare_inputs: arrays for the graph's inputs, evaluated before and after each pass; an EXACT pass must change
            no number, the distance of another is in its Step.
        print_after: names of passes whose result is printed through `write`; "all" for each.
        stop_after: a pass's name or how many to run; the rest is left out. It bisects: the first N that shows a fault
            names the pass.
        on_step: called after each pass.
    Raises: GraphError: a graph breaks a rule of its stage, or an EXACT pass changed a number; it names the pass.
    """
    expected = None if compare_inputs is None else _evaluate(graph, compare_inputs)
    for one in _until(passes, stop_after):
        start = time.perf_counter()
        result = one(graph, target, data)
        seconds = time.perf_counter() - start
        if verify:
            _verify(one, result)
        difference = None
        if compare_inputs is not None and expected is not None:
            found = expected if result is graph else _evaluate(result, compare_inputs)
            difference = _compare(one, expected, found)
            expected = found
        if one.name in print_after or "all" in print_after:
            from subbyte.compiler.ir.text import print_graph

            write(f"# after {one.name}\n{print_graph(result)}")
        if on_step is not None:
            on_step(Step(one.name, seconds, len(graph.operations()), len(result.operations()), result, difference))
        graph = result
    return graph


def _until(passes: Sequence[Pass], stop_after: str | int | None) -> Sequence[Pass]:
    if stop_after is None:
        return passes
    if isinstance(stop_after, int):
        return passes[:stop_after]
    names = [one.name for one in passes]
    if stop_after not in names:
        raise GraphError(f"there is no pass '{stop_after}' to stop after; the passes are {', '.join(names)}")
    return passes[: len(names) - names[::-1].index(stop_after)]


def _verify(one: Pass, graph: Graph) -> None:
    try:
        verify_graph(graph)
    except GraphError as error:
        raise GraphError(f"pass '{one.name}' broke graph '{graph.name}': {error}") from error


def _evaluate(graph: Graph, inputs: Arrays) -> dict[str, Any]:
    from subbyte.compiler.ir.interpret import evaluate

    return evaluate(graph, dict(inputs))


def _compare(one: Pass, expected: Arrays, found: Arrays) -> float:
    """The largest difference over all outputs; an error where an EXACT pass made one."""
    largest = 0.0
    for name, before in expected.items():
        after = found[name]
        differs = (before != after) & ~(_is_nan(before) & _is_nan(after))
        if not differs.any():
            continue
        distance = np.abs(before.astype(np.float64) - after.astype(np.float64))[differs]
        largest = max(largest, float(np.nanmax(distance, initial=0.0)))
        if one.exactness.steps == 0:
            where = tuple(int(i) for i in np.argwhere(differs)[0])
            raise GraphError(
                f"pass '{one.name}' is exact, but it changed {int(differs.sum())} of {differs.size} values of "
                f"output '{name}': the first, at {where}, was {before[where]} and is {after[where]}"
            )
    return largest


def _is_nan(array: Any) -> Any:
    return np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
