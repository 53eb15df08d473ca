"""What the command line asks for: files become samples, a search becomes a recipe, and both a quantized model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.distilled import distilled_inputs
from subbyte.compiler.calibration.files import file_source
from subbyte.compiler.calibration.images import Preprocessing
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.quantize.costs.cost import Progress
from subbyte.compiler.quantize.judge import answers, distance
from subbyte.compiler.quantize.prepare import import_float
from subbyte.compiler.quantize.quantize import Goal, Quantized, quantize
from subbyte.compiler.quantize.recipe import Recipe
from subbyte.compiler.quantize.search.features import graph_statistics
from subbyte.compiler.quantize.search.space import Space
from subbyte.compiler.quantize.search.study import Found, search

DISTILLED_SAMPLES = 128
SEARCH_SAMPLES = 1024
CALIBRATING_SHARE = 0.75
SPACE = Space.of(
    {
        "calibration": ("minmax", "percentile", "kl", "mse"),
        "activations": ("asymmetric", "symmetric"),
        "equalize": (False, True),
        "correct_biases": ("none", "empirical"),
        "rounding": ("nearest", "mse", "gptq", "coordinate_descent"),
    }
)
"""What `--search` tries: fields of Recipe; all others are the given recipe's."""


@dataclass(frozen=True)
class Search:
    """How many recipes are tried, and where the study is kept: a file, the URL of a storage, or None."""

    trials: int
    storage: str | None = None


@dataclass(frozen=True)
class Request:
    """One call of `subbyte quantize`.

    samples: an .npz file or a folder; None: inputs made up to match the model's batch normalizations.
    limit: so many samples are used. images: how pixels become numbers.
    """

    model: Path
    samples: Path | None
    recipe: Recipe
    goal: Goal
    style: str = "qdq"
    dims: Mapping[str, int] = field(default_factory=dict)
    limit: int | None = None
    processes: int = 1
    checkpoint: Path | None = None
    search: Search | None = None
    images: Preprocessing | None = None


def run_request(request: Request, show: Progress) -> Quantized:
    """The quantized model.  Raises: as `quantize` and `search`."""
    graph = import_float(request.model, request.dims)
    data = _data(request, graph, show)
    recipe = request.recipe
    if request.search is not None:
        found = _searched(request, request.search, graph, data, show)
        recipe = recipe.replace(**found.best)
    return quantize(
        graph, data, recipe, request.goal, style=request.style, checkpoint=request.checkpoint, progress=show
    )


def _data(request: Request, graph: Graph, show: Progress) -> Data:
    limit = request.limit if request.limit is not None else request.recipe.samples
    if request.samples is not None:
        return Data(file_source(request.samples, request.images), processes=request.processes, limit=limit)
    made = distilled_inputs(
        graph,
        limit or DISTILLED_SAMPLES,
        seed=request.recipe.seed,
        progress=lambda done, total: show("distilling samples", done, total),
    )
    return Data(made, processes=request.processes)


# Search ---------------------------------------------------------------------------------------------------------------


def _searched(request: Request, wanted: Search, graph: Graph, data: Data, show: Progress) -> Found:
    """Recipes are judged by how near the answers are to the float network's, on samples that did not calibrate them."""
    arrays = _stacked(graph, data)
    count = len(next(iter(arrays.values())))
    calibrating = int(count * CALIBRATING_SHARE)
    if not 0 < calibrating < count:
        raise ModelError(f"a search needs samples to calibrate with and others to judge by; there is {count} sample.")
    first = {name: array[:calibrating] for name, array in arrays.items()}
    rest = {name: array[calibrating:] for name, array in arrays.items()}
    expected = answers(graph, rest)

    def score(choices: dict[str, Any]) -> float:
        recipe = request.recipe.replace(**choices)
        result = quantize(graph, Data(first, processes=request.processes), recipe, request.goal)
        return -distance(expected, answers(result.graph, rest))

    return search(
        SPACE,
        score,
        trials=wanted.trials,
        study=f"{request.model.stem}:{request.recipe.as_json()}:{sorted(request.goal.budgets.items())}",
        storage=wanted.storage,
        statistics=graph_statistics(graph),
        seed=request.recipe.seed,
        progress=lambda done, total, _: show("trying recipes", done, total),
    )


def _stacked(graph: Graph, data: Data) -> dict[str, NDArray[Any]]:
    """At most SEARCH_SAMPLES samples, one more axis in front."""
    samples = list(islice(data.samples(graph), SEARCH_SAMPLES))
    return {node.name: np.stack([sample[node.name] for sample in samples]) for node in graph.inputs}
