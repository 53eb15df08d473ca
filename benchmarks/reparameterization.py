"""`python -m benchmarks.reparameterization`: what each reparameterization does to float results and to rounded ones.

A row is a network of `float_networks`, prepared; the passes; the largest difference of the float results, relative to
the largest magnitude; and the error of the network with rounded weights (symmetric, to the nearest, one scale a tensor)
and, where the row says so, rounded activations, without and with the passes. The error is sum (y' - y)^2 / sum y^2, on
other samples than the passes and the ranges of activations have seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.float_networks import NETWORKS, Network
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.dtype import FLOAT32, UINT8
from subbyte.compiler.ir import ops
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.interpret import evaluate, evaluate_values
from subbyte.compiler.ir.layers import Layer, layers
from subbyte.compiler.ir.node import Node, Value
from subbyte.compiler.ir.rewrite import Rewriter
from subbyte.compiler.ir.types import QuantParams
from subbyte.compiler.pass_manager import run_passes
from subbyte.compiler.pipeline import find_pass
from subbyte.passes.bias_correction.corrected import corrected_biases, with_biases
from subbyte.passes.bias_correction.means import Means, input_means, normal_input_means

Array = NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    passes: what is compared, in order. before: passes that run on both sides. activation_bits: None for float.
    bias: with the passes, biases are corrected by the means of "samples" or of "normal" variables (BatchNormalization).
    """

    network: str
    passes: tuple[str, ...]
    before: tuple[str, ...] = ("fold_batch_norm",)
    weight_bits: int = 4
    activation_bits: int | None = None
    bias: str = ""


@dataclass(frozen=True)
class Result:
    """float_difference: of the passes, relative, on the samples that they have seen, and on others.

    without, with_passes: error of the rounded network.
    """

    row: Row
    float_difference: tuple[float, float]
    without: float
    with_passes: float


_FOLD = ("fold_batch_norm",)
_EQUALIZED = (*_FOLD, "equalize_layers")
ROWS: tuple[Row, ...] = (
    *(Row("mobilenet_v2", ("equalize_layers",), weight_bits=bits) for bits in (8, 6, 4)),
    Row("mobilenet_v2", ("equalize_layers",), activation_bits=8),
    Row("mobilenet_v2_relu6", ("equalize_layers",)),
    Row("mobilenet_v2_relu6", ("split_clips", "equalize_layers")),
    *(Row("mobilenet_v2", (), _EQUALIZED, bias=kind) for kind in ("samples", "normal")),
    Row("mobilenet_v2", ("equalize_layers",), bias="samples"),
    Row("high_biases", ("absorb_biases",), weight_bits=8, activation_bits=4),
    Row("high_biases", ("absorb_normal_biases",), (), weight_bits=8, activation_bits=4),
    Row("inception", ("equalize_concat",), weight_bits=8, activation_bits=4),
    Row("repvgg", ("merge_branches",)),
    Row("repvgg", ("merge_branches", "equalize_layers"), _EQUALIZED),
    Row("linear_pairs", ("merge_products",)),
    Row("linear_pairs", ("merge_products", "equalize_layers"), _EQUALIZED),
    Row("dense_blocks", ("fold_affine",), ()),
    Row("dense_blocks", ("fold_affine", "equalize_layers"), ()),
)


def rounded_weights(graph: Graph, bits: int) -> dict[str, Array]:
    """What the weights of each layer mean after rounding to the nearest of 2^bits - 1 symmetric codes of one scale."""
    largest = 2 ** (bits - 1) - 1
    found = {}
    for layer in layers(graph):
        scale = np.abs(layer.weights).max() / largest or np.float32(1)
        found[layer.name] = (np.rint(layer.weights / scale) * scale).astype(np.float32)
    return found


def with_weights(graph: Graph, weights: Mapping[str, Array]) -> Graph:
    """`graph` with other weights, by the layer's name."""
    named: dict[Node, str] = {layer.node: layer.name for layer in layers(graph)}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current: Any = rewriter.rebuilt(node)
        if node in named:
            current = Layer(named[node], current).with_parameters(weights[named[node]])
        rewriter.replace(node, current)
    return rewriter.finish()


def with_rounded_activations(graph: Graph, inputs: Mapping[str, Array], bits: int) -> Graph:
    """`graph` with the operands of its layers rounded to unsigned codes over the range that `inputs` show."""
    operands = list(dict.fromkeys(layer.x for layer in layers(graph)))
    seen = evaluate_values(graph, inputs, keep=operands)
    grids = {value: _grid(seen[value], bits) for value in operands}
    read: set[Node] = {layer.node for layer in layers(graph)}
    made: dict[Value, Value] = {}
    rewriter = Rewriter(graph)
    for node in graph.nodes():
        current = rewriter.rebuilt(node)
        if node in read:
            x = node.operands[0]
            if x not in made:
                codes = ops.QuantizeLinear(rewriter[x], UINT8, grids[x])
                made[x] = ops.DequantizeLinear(codes.out, FLOAT32).out
            current = current.map_operands(lambda value, x=x: made[x] if value == rewriter[x] else value)  # type: ignore[misc]
        rewriter.replace(node, current)
    return rewriter.finish()


def _grid(values: Array, bits: int) -> QuantParams:
    """Asymmetric, from the smallest to the largest value and zero."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    scale = np.float32((high - low) / (2**bits - 1) or 1.0)
    return QuantParams(scale, np.int64(round(-low / float(scale))), 0, 2**bits - 1)


def error(expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """sum (y' - y)^2 / sum y^2 over all outputs."""
    differences = sum(float(np.square(found[name] - y, dtype=np.float64).sum()) for name, y in expected.items())
    return differences / sum(float(np.square(y, dtype=np.float64).sum()) for y in expected.values())


def relative_difference(expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """The largest difference over all outputs, relative to the largest magnitude."""
    largest = max(float(np.abs(y).max()) for y in expected.values())
    return max(float(np.abs(found[name] - y).max()) for name, y in expected.items()) / largest


def measure(row: Row, network: Network) -> Result:
    """Both sides of one row."""
    data = Data({name: array[np.newaxis] for name, array in network.calibration.items()}, executor="interpreter")
    plain = _run(network.graph, row.before, data)
    changed = _run(plain, row.passes, data)
    expected = evaluate(plain, network.judging)
    differences = tuple(
        relative_difference(evaluate(plain, inputs), evaluate(changed, inputs))
        for inputs in (network.calibration, network.judging)
    )
    without = _rounded(row, plain, network, None)
    with_passes = _rounded(row, changed, network, _means(row, network.graph, changed, data))
    return Result(row, (differences[0], differences[1]), error(expected, without), error(expected, with_passes))


def _run(graph: Graph, names: Sequence[str], data: Data) -> Graph:
    return run_passes(graph, [find_pass(name) for name in names], data=data)


def _means(row: Row, graph: Graph, changed: Graph, data: Data) -> Means | None:
    """The means of what the layers of the changed graph multiply, where biases are corrected."""
    if row.bias == "samples":
        return input_means(changed, data)
    return normal_input_means(graph, changed) if row.bias == "normal" else None


def _rounded(row: Row, graph: Graph, network: Network, means: Means | None) -> dict[str, Array]:
    """The outputs of the network with rounded weights, corrected biases and rounded activations."""
    weights = rounded_weights(graph, row.weight_bits)
    rounded = with_weights(graph, weights)
    if means is not None:
        rounded = with_biases(rounded, corrected_biases(graph, weights, means))
    if row.activation_bits is not None:
        rounded = with_rounded_activations(rounded, network.calibration, row.activation_bits)
    return evaluate(rounded, network.judging)


def table(results: Sequence[Result]) -> str:
    """The results as a table in Markdown."""
    lines = [
        "| network | passes | after | bits | float difference | on others | error without | with | ratio |",
        "|---|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        row = result.row
        names = [*row.passes, *(["correct biases: " + row.bias] if row.bias else [])]
        activations = "" if row.activation_bits is None else f"A{row.activation_bits}"
        cells = [
            row.network,
            ", ".join(names),
            ", ".join(row.before) or "-",
            f"W{row.weight_bits}{activations}",
            *(f"{difference:.0e}" if difference else "0" for difference in result.float_difference),
            f"{result.without:.2g}",
            f"{result.with_passes:.2g}",
            f"{result.without / result.with_passes:.2g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    network: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"May be repeated: {', '.join(NETWORKS)}. Default: all.")
    ] = None,
) -> None:
    """Print the table of reparameterizations."""
    for name in network or ():
        if name not in NETWORKS:
            raise typer.BadParameter(f"'{name}' is none of {', '.join(NETWORKS)}", param_hint="--network")
    rows = [row for row in ROWS if not network or row.network in network]
    made = {name: NETWORKS[name]() for name in dict.fromkeys(row.network for row in rows)}
    typer.echo(table([measure(row, made[row.network]) for row in rows]))


if __name__ == "__main__":
    typer.run(main)
