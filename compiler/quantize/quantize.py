"""A float model and samples become a quantized model: the whole of `subbyte quantize`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from subbyte.compiler.assignment.problem import Choice
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.exporter import export_model, need_style
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.plan import Plan
from subbyte.compiler.pipeline import quantized as quantized_graph
from subbyte.compiler.quantize.activations import activation_bits, activation_grids
from subbyte.compiler.quantize.assign import DEFAULT_WEIGHT_BITS, Assigned, assign, layer_choices
from subbyte.compiler.quantize.correct import corrected
from subbyte.compiler.quantize.costs import COSTS
from subbyte.compiler.quantize.costs.cost import Progress
from subbyte.compiler.quantize.learn import learn
from subbyte.compiler.quantize.prepare import import_float, prepared
from subbyte.compiler.quantize.recipe import BITS, LEARNED, Recipe
from subbyte.compiler.quantize.statistics import Statistics, gather
from subbyte.compiler.quantize.weights import rounded_weights, wants_moments
from subbyte.compiler.sensitivity import SENSITIVITIES
from subbyte.compiler.target import Target
from subbyte.compiler.torch_graph.tensors import need_torch
from subbyte.compiler.version import VERSION
from subbyte.passes.bias_correction.corrected import with_biases
from subbyte.passes.insert_quantizers import insert_quantizers

if TYPE_CHECKING:
    from onnx import ModelProto

    from subbyte.compiler.quantize.prepare import Model

DEFAULT_SENSITIVITY = "kl"
FEW_SAMPLES = 16
PRODUCTS = (ops.Conv, ops.ConvTranspose, ops.Gemm, ops.MatMul)


@dataclass(frozen=True)
class Goal:
    """What the quantized model is to meet, and between what a layer may choose.

    budgets: {name of a cost: limit} (compiler/quantize/costs); none: every layer has the recipe's bits.
    weight_bits, activation_bits: to choose from; None: DEFAULT_WEIGHT_BITS, and the recipe's.
    sensitivity: how the loss of a choice is measured. target: what costs of kernels are of.
    Raises UnsupportedError: there is no such cost, sensitivity or width.
    """

    budgets: Mapping[str, float]
    weight_bits: tuple[int, ...] | None = None
    activation_bits: tuple[int, ...] | None = None
    sensitivity: str = DEFAULT_SENSITIVITY
    target: Target | None = None

    def __post_init__(self) -> None:
        bits = {str(width): width for width in BITS}
        for what, names, known in (
            ("cost", self.budgets, COSTS),
            ("sensitivity", (self.sensitivity,), SENSITIVITIES),
            ("width", map(str, (*(self.weight_bits or ()), *(self.activation_bits or ()))), bits),
        ):
            for name in names:
                if name not in known:
                    raise UnsupportedError(f"there is no {what} '{name}'; there are {', '.join(known)}")


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized model, and how it came about.

    model: ONNX, ready to be saved and compiled. graph: the same at stage imported. float_graph: what was rounded.
    choices: bits by layer. assigned: what was decided among what; None where every layer has the recipe's bits.
    digest, samples: of the calibration. notes: sentences on what the user may not expect.
    """

    model: ModelProto
    graph: Graph
    float_graph: Graph
    plan: Plan
    recipe: Recipe
    choices: Mapping[str, Choice]
    assigned: Assigned | None
    digest: str
    samples: int
    notes: tuple[str, ...]


def quantize(
    model: Model | Graph,
    data: Data,
    recipe: Recipe | None = None,
    goal: Goal | None = None,
    *,
    style: str = "qdq",
    dims: Mapping[str, int] | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Quantized:
    """Quantize a float model.

    Args:
        model: a path, bytes, a ModelProto, or an imported float graph.
        data: samples of the inputs, without labels.
        recipe: every choice that is made; the default is a good one.
        goal: budgets, where each layer is to get bits of its own.
        style: how quantization is written: "qdq", "qcdq" or "qonnx" (docs/quantized-output.md).
        checkpoint: a file that keeps the calibration's state, so that it continues where it was stopped.
    Raises: ModelError, UnsupportedError, NumericsError, ToolchainError; Infeasible: the budgets cannot be met.
    """
    recipe, show = recipe or Recipe(), progress or _silent
    need_style(style)  # what cannot be had is refused before the work
    if recipe.rounding == LEARNED:
        need_torch()
    data = data.like(limit=recipe.samples, progress=partial(show, "calibration"))
    imported = model if isinstance(model, Graph) else import_float(model, dims)
    graph = prepared(imported, recipe, data)
    statistics = gather(graph, data, second_moments=wants_moments(recipe), seed=recipe.seed, checkpoint=checkpoint)
    assigned = None if goal is None or not goal.budgets else _assigned(graph, data, statistics, recipe, goal, show)
    choices = dict(assigned.assignment.choices) if assigned else _uniform(graph, recipe)
    plan = _start(graph, statistics, recipe, choices, show)
    if recipe.rounding == LEARNED:
        steps = {"steps": recipe.steps, "seed": recipe.seed}
        learned = learn(graph, plan, statistics.samples, **steps, progress=partial(show, "learning"))
        plan, biases = learned.plan, learned.biases
    else:
        biases = corrected(imported, graph, plan, data, recipe)
    result = insert_quantizers(plan, zero_point_first=style == "qonnx")(with_biases(graph, biases))
    digest = data.digest()
    written = export_model(result, style=style, metadata=_metadata(recipe, choices, assigned, goal, digest))
    return Quantized(
        written, result, graph, plan, recipe, choices, assigned, digest, data.count or 0, _notes(result, data)
    )


def _assigned(graph: Graph, data: Data, statistics: Statistics, recipe: Recipe, goal: Goal, show: Progress) -> Assigned:
    weight_bits = goal.weight_bits or DEFAULT_WEIGHT_BITS
    choices = layer_choices(graph, recipe, weight_bits, goal.activation_bits or (recipe.activation_bits,))
    return assign(
        graph,
        data,
        statistics,
        recipe,
        choices,
        goal.budgets,
        sensitivity=goal.sensitivity,
        target=goal.target,
        show=show,
    )


def _uniform(graph: Graph, recipe: Recipe) -> dict[str, Choice]:
    choices = layer_choices(graph, recipe, (recipe.weight_bits,), (recipe.activation_bits,))
    return {name: only for name, (only,) in choices.items()}


def _start(graph: Graph, statistics: Statistics, recipe: Recipe, choices: Mapping[str, Choice], show: Progress) -> Plan:
    """Codes of all weights and grids of all activations, layer by layer."""
    bits = {name: choice.weight_bits for name, choice in choices.items()}
    read = activation_bits(graph, {name: choice.activation_bits for name, choice in choices.items()})
    weights = rounded_weights(graph, bits, recipe, statistics, partial(show, "rounding"))
    return Plan(weights, activation_grids(graph, statistics, recipe, read))


def _notes(graph: Graph, data: Data) -> tuple[str, ...]:
    """What is worth a sentence: products that stay float, and samples that are few."""
    notes = []
    operations = quantized_graph(graph).operations()  # what cannot be compiled is refused here, not when it is
    floats = [node for node in operations if isinstance(node, PRODUCTS)]
    if floats:
        macs, left = (sum(map(multiply_accumulates, nodes)) for nodes in (operations, floats))
        named = ", ".join(node.label for node in floats[:4]) + (", ..." if len(floats) > 4 else "")
        notes.append(f"{left:,} of {macs:,} multiply-accumulates stay float: {named}; `subbyte explain` says why")
    if data.count is not None and data.count < FEW_SAMPLES:
        notes.append(f"ranges come from {data.count} sample{'s' * (data.count != 1)} alone; some hundred are usual")
    return tuple(notes)


def _metadata(
    recipe: Recipe, choices: Mapping[str, Choice], assigned: Assigned | None, goal: Goal | None, digest: str
) -> dict[str, str]:
    """What the model says about how it was made, as JSON by key."""
    found: dict[str, object] = {
        "version": VERSION,
        "recipe": recipe.as_dict(),
        "calibration": digest,
        "bits": {name: [choice.weight_bits, choice.activation_bits] for name, choice in choices.items()},
    }
    if assigned is not None and goal is not None:
        problem = assigned.problem
        found["budgets"] = dict(goal.budgets)
        found["sensitivity"] = goal.sensitivity
        found["sensitivities"] = {
            layer: {str(choice): loss for choice, loss in zip(of, row, strict=True)}
            for layer, of, row in zip(problem.layers, problem.choices, problem.loss, strict=True)
        }
    return {f"subbyte.{key}": json.dumps(value) for key, value in found.items()}


def _silent(what: str, done: int, total: int | None) -> None:
    """No progress is shown."""
