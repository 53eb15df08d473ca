"""`python -m benchmarks.transformer_reparameterization`: the passes for transformers, before and after rounding.

For every row as `benchmarks.reparameterization` has it: the largest difference of the float results, relative to the
largest magnitude, and the error sum (y' - y)^2 / sum y^2 of the rounded network without and with the passes, on samples
that nothing was calibrated with. Then what grids of 4 bits for the weights of attention cost its results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.float_networks import Network
from benchmarks.float_transformers import TRANSFORMERS
from benchmarks.reparameterization import error, with_rounded_activations, with_weights
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate
from subbyte.compiler.ir.layers import layers
from subbyte.compiler.pass_manager import Pass
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Grid
from subbyte.passes.logarithms.codes import on_grid
from subbyte.passes.quantize_softmax import best_scale
from subbyte.passes.rotate_features import rotate_features
from subbyte.passes.scale_salient_weights import scale_salient_weights_for
from subbyte.passes.smooth_activations import smooth_activations, smooth_activations_by
from subbyte.passes.unify_normalization_scales import unify_normalization_scales_for

Array = NDArray[Any]
Per = Literal["tensor", "channel"]


@dataclass(frozen=True)
class Row:
    """One comparison. weights: bits and what shares a scale, None for float; activation_bits: per tensor, or float."""

    network: str
    name: str
    passes: tuple[Pass, ...]
    weights: Grid | None
    activation_bits: int | None

    @property
    def bits(self) -> str:
        """As W4 per tensor, A8."""
        weights = "W32" if self.weights is None else f"W{self.weights.bits} per {self.weights.per}"
        return f"{weights}, A{self.activation_bits or 32}"


@dataclass(frozen=True)
class Result:
    """float_difference: of the passes, relative. without, with_: error of the rounded network."""

    row: Row
    float_difference: float
    without: float
    with_: float


def rows_of(network: str) -> tuple[Row, ...]:
    """What is compared on one network."""
    per_tensor, per_channel = Grid(4, per="tensor"), Grid(4)
    return (
        Row(network, "smooth_activations", (smooth_activations,), None, 8),
        Row(network, "smooth_activations", (smooth_activations,), per_tensor, 8),
        Row(network, "smooth_activations", (smooth_activations,), per_channel, 8),
        Row(network, "smooth_activations by 0.75", (smooth_activations_by(0.75),), per_channel, 4),
        Row(network, "scale_salient_weights", (scale_salient_weights_for(per_tensor),), per_tensor, None),
        Row(network, "scale_salient_weights", (scale_salient_weights_for(per_channel),), per_channel, None),
        Row(network, "unify_normalization_scales", (unify_normalization_scales_for(8),), per_tensor, 8),
        Row(network, "unify_normalization_scales", (unify_normalization_scales_for(4),), None, 4),
        Row(network, "unify_normalization_scales", (unify_normalization_scales_for(4),), per_tensor, 4),
        Row(network, "unify_normalization_scales", (unify_normalization_scales_for(4),), per_channel, 4),
        Row(network, "rotate_features", (rotate_features,), per_tensor, None),
        Row(network, "rotate_features", (rotate_features,), per_tensor, 8),
        Row(network, "rotate_features", (rotate_features,), per_channel, 4),
    )


def measure(row: Row, network: Network) -> Result:
    """Both sides of one row."""
    data = Data({name: array[np.newaxis] for name, array in network.calibration.items()}, executor="interpreter")
    changed = network.graph
    for one in row.passes:
        changed = one(changed, None, data if "data" in one.asks else None)
    expected, reached = (evaluate(graph, network.judging) for graph in (network.graph, changed))
    largest = max(float(np.abs(y).max()) for y in expected.values())
    difference = max(float(np.abs(reached[name] - y).max()) for name, y in expected.items()) / largest
    without, with_ = (error(expected, rounded(row, graph, network)) for graph in (network.graph, changed))
    return Result(row, difference, without, with_)


def rounded(row: Row, graph: Graph, network: Network) -> dict[str, Array]:
    """The outputs with weights rounded to nearest, and the operands of layers rounded over their range."""
    grid = row.weights
    if grid is not None:
        found = layers(graph)
        weights = {one.name: one.from_matrix(nearest(one.matrix().astype(np.float64), grid).values()) for one in found}
        graph = with_weights(graph, weights)
    if row.activation_bits is not None:
        graph = with_rounded_activations(graph, network.calibration, row.activation_bits)
    return evaluate(graph, network.judging)


def table(results: Iterable[Result]) -> str:
    """The results as a table in Markdown."""
    lines = [
        "| network | pass | bits | float difference | error without | error with | ratio |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for result in results:
        numbers = (result.without, result.with_, result.without / result.with_)
        cells = [result.row.network, result.row.name, result.row.bits, f"{result.float_difference:.1e}"]
        lines.append("| " + " | ".join([*cells, *(f"{number:.3g}" for number in numbers)]) + " |")
    return "\n".join(lines)


# Attention ------------------------------------------------------------------------------------------------------------


def attention_errors(tokens: int, sharpness: float) -> dict[str, float]:
    """Error of softmax(sharpness * N(0, 1)) @ N(0, 1) with weights on grids of 4 bits, relative to its power.

    The uniform grid has the best of 40 scales.
    """
    random = np.random.default_rng(1)
    shares = np.exp(sharpness * random.normal(size=(3, tokens, tokens)))
    shares /= shares.sum(axis=-1, keepdims=True)
    values = random.normal(size=(3, tokens, 32))
    exact = shares @ values
    scale = best_scale(shares.astype(np.float32), 4)
    codes = np.rint(shares * 255) / 255

    def relative(made: Array) -> float:
        return float(np.square(made @ values - exact).sum() / np.square(exact).sum())

    steps = shares.max() / 15 * np.linspace(0.025, 1, 40)
    return {
        "uniform": min(relative(np.clip(np.rint(shares / step), 0, 15) * step) for step in steps),
        "base 2": relative(on_grid(shares, scale, 4, 1)),
        "base sqrt(2)": relative(on_grid(shares, scale, 4)),
        "base sqrt(2) of codes of 8 bits": relative(on_grid(codes, scale, 4)),
    }


def attention_table(tokens: Sequence[int] = (17, 50, 197), sharpness: Sequence[float] = (1.0, 2.0, 4.0)) -> str:
    """The errors as a table in Markdown."""
    found = {(n, sharp): attention_errors(n, sharp) for n in tokens for sharp in sharpness}
    names = list(next(iter(found.values())))
    lines = ["| tokens | deviation of scores | " + " | ".join(names) + " |", "|---:|---:|" + "---:|" * len(names)]
    for (n, sharp), errors in found.items():
        lines.append(f"| {n} | {sharp:g} | " + " | ".join(f"{errors[name]:.2g}" for name in names) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print both tables."""
    made = {name: make() for name, make in TRANSFORMERS.items()}
    typer.echo(table([measure(row, made[name]) for name in made for row in rows_of(name)]))
    typer.echo("\n" + attention_table())


if __name__ == "__main__":
    typer.run(main)
