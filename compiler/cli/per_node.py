"""`subbyte verify --per-node`: each tensor from onnxruntime's own tensors before it, and its differences by ties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from subbyte.compiler.cli.output import number, print_json, print_table
from subbyte.compiler.errors import ModelError
from subbyte.compiler.oracle import compare_per_node
from subbyte.compiler.trace import TensorTrace, trace

if TYPE_CHECKING:
    from subbyte.compiler.compare import Comparison
    from subbyte.compiler.ir.graph import Graph
    from subbyte.compiler.pipeline import Options

_ONE_STEP = 1.0


@dataclass(frozen=True)
class NodeReport:
    """One tensor: as a node of the graph (`compared`), as codes or outputs with a bound on float32 (`traced`), or both.

    Both begin at onnxruntime's tensors: the one at the nearest of the graph, the other at the nearest codes.
    """

    compared: Comparison | None
    traced: TensorTrace | None

    def is_within(self, max_steps: float | None) -> bool:
        """Every difference at a tie where that is known, else one step; with max_steps, so many for all."""
        if max_steps is not None or self.traced is None or self.traced.reason:
            limit = _ONE_STEP if max_steps is None else max_steps
            if self.compared is not None:
                return self.compared.is_within(limit)
            return self.traced is None or not self.traced.is_codes or self.traced.max_abs <= limit
        return self.traced.untraced == self.traced.stray == 0

    def as_dict(self) -> dict[str, Any]:
        """The keys of a comparison of outputs, and those of the trace; null where the one or the other is missing."""
        if self.compared is not None:
            found = self.compared.as_dict()
        else:
            assert self.traced is not None, "a report is made of one of the two"
            found = {
                "count": self.traced.count,
                "different": self.traced.different,
                "max_steps": self.traced.max_abs if self.traced.is_codes else None,
                "max_abs": self.traced.max_abs,
                "top1_agreement": None,
            }
        known = self.traced if self.traced is not None and not self.traced.reason else None
        return found | {
            "at_ties": None if known is None else known.at_ties,
            "tie_distance": None if known is None else known.largest_distance,
            "tie_bound": None if known is None else known.largest_bound,
        }


def compare_nodes(
    graph: Graph, model: Path, samples: Iterable[Mapping[str, NDArray[Any]]], options: Options
) -> dict[str, NodeReport]:
    """Each tensor by its ONNX name.

    Raises: ModelError: no tensor could be compared by itself.
    """
    stimulus = list(samples)
    found: list[ModelError] = []
    traced: dict[str, TensorTrace] = {}
    compared: dict[str, Comparison] = {}
    try:
        traced = {one.tensor: one for one in trace(model, stimulus, options=options)}
    except ModelError as error:
        found.append(error)
    try:
        compared = compare_per_node(graph, model, stimulus)
    except ModelError as error:
        found.append(error)
    if len(found) == 2:  # one alone: a float model has no codes to trace, QONNX names no codes but their reals
        raise found[1]
    return {name: NodeReport(compared.get(name), traced.get(name)) for name in dict.fromkeys([*traced, *compared])}


def report_nodes(target: str, nodes: Mapping[str, NodeReport], passed: bool, json: bool) -> None:
    """Print them as JSON, or as a table."""
    rows = {name: node.as_dict() for name, node in nodes.items()}
    if json:
        print_json({"target": target, "ok": passed, "nodes": rows})
        return
    print_table(
        f"{target}: {'agrees' if passed else 'DIFFERS'}",
        ("node", "values", "different", "at ties", "max steps", "max abs", "tie distance", "tie bound"),
        [
            [name, row["count"], row["different"], *(number(row[key]) for key in ("at_ties", "max_steps")),
             row["max_abs"], *(number(row[key]) for key in ("tie_distance", "tie_bound"))]
            for name, row in rows.items()
        ],
    )  # fmt: skip
