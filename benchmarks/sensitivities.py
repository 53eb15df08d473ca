"""`python -m benchmarks.sensitivities`: how well each sensitivity predicts what fewer bits cost, and what it takes.

Sensitivities are measured on the first samples (64), the losses that they are to predict on the others: the divergence
of the network with one layer in few bits, and of whole networks whose bits an integer program chose by the sensitivity,
for a budget of bits a weight. Samples are calibration samples: the keyword network's first 200 inputs (its other 400,
which judge finished models, are not read), the digits networks' first 200 training images. Labels are not used.
Weights are rounded to nearest, symmetric, one scale for each output channel; activations stay in float, or are rounded
between their extremes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.assignment.problem import Assignment, Choice, problem_of
from subbyte.compiler.assignment.solve import solve
from subbyte.compiler.importer import import_model
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.sensitivity import SENSITIVITIES, Network, Sensitivities
from subbyte.compiler.sensitivity.agreement import spearman

Array = NDArray[Any]
MODELS = Path(__file__).resolve().parent.parent / "models"
SHARED = MODELS.parent.parent / "shared" / "models"
FLOAT = 32
WEIGHT_BITS = (2, 3, 4, 5, 6, 8)
RANKED = (Choice(2, FLOAT), Choice(4, FLOAT), Choice(FLOAT, 4))
AVERAGES = (3.0, 4.0)
AROUND = ("kl", "mse", "pairs")


@dataclass(frozen=True)
class Subject:
    """A float network and its calibration samples, [n, ...] of its one input."""

    name: str
    graph: Graph
    samples: Array

    def network(self, which: slice, choices: Sequence[Choice]) -> Network:
        return Network(self.graph, {self.graph.inputs[0].name: self.samples[which]}, choices)


def subject_of(name: str) -> Subject:
    """`kws_float` of ../shared/models, or a model of the folder models/."""
    if name == "kws_float":
        with np.load(SHARED / "kws_float_labelled.npz") as archive:
            samples = archive["input"][:200].astype(np.float32) * archive["input_scale"]
        return Subject(name, import_model(SHARED / f"{name}.onnx", dims={"batch": 1}), samples)
    with np.load(MODELS / "digits_calibration.npz") as archive:
        samples = archive["input"][:200, 0]
    return Subject(name, import_model(MODELS / f"{name}.onnx"), samples)


def row_of(kind: str, subject: Subject, count: int, measured: Sensitivities) -> dict[str, str]:
    """Seconds, rank correlations, and the losses of the networks that it chose."""
    first, others = slice(0, count), slice(count, None)
    start = time.perf_counter()
    ranked = SENSITIVITIES[kind](subject.network(first, RANKED))
    seconds = time.perf_counter() - start
    row = {"sensitivity": kind, "seconds": f"{seconds:.1f}"}
    for choice in RANKED:
        rho = spearman([of[choice] for of in ranked.values()], [of[choice] for of in measured.values()])
        row[_short(choice)] = f"{rho:.2f}"
    choices = tuple(Choice(bits, FLOAT) for bits in WEIGHT_BITS)
    found = SENSITIVITIES[kind](subject.network(first, choices))
    whole = subject.network(others, choices)
    for average in AVERAGES:
        chosen = _chosen(whole, found, average).choices
        row[f"mean {average:g}"] = _judged(whole, chosen)
    return row


def around_row(kind: str, subject: Subject, count: int) -> dict[str, str]:
    """The losses of networks chosen by what is measured around uniform bits, one above the budget."""
    choices = tuple(Choice(bits, FLOAT) for bits in WEIGHT_BITS)
    seen, whole = subject.network(slice(0, count), choices), subject.network(slice(count, None), choices)
    row = {"sensitivity": f"{kind}, around", "seconds": "", **{_short(choice): "" for choice in RANKED}}
    for average in AVERAGES:
        found = SENSITIVITIES[kind](seen, around=Choice(int(average) + 1, FLOAT))
        row[f"mean {average:g}"] = _judged(whole, _chosen(whole, found, average).choices)
    return row


def uniform_row(subject: Subject, count: int) -> dict[str, str]:
    """All layers in the same bits."""
    choices = tuple(Choice(bits, FLOAT) for bits in WEIGHT_BITS)
    whole = subject.network(slice(count, None), choices)
    row = {"sensitivity": "uniform", "seconds": "", **{_short(choice): "" for choice in RANKED}}
    for average in AVERAGES:
        row[f"mean {average:g}"] = _judged(whole, dict.fromkeys(whole.choices, Choice(int(average), FLOAT)))
    return row


def _chosen(network: Network, found: Sensitivities, average: float) -> Assignment:
    """The bits of least loss with at most so many bits a weight on average."""
    sizes = {layer.name: layer.weights.size for layer in network.layers}
    bits = {
        name: {choice: sizes[name] * choice.weight_bits for choice in network.choices_of(layer)}
        for name, layer in zip(sizes, network.layers, strict=True)
    }
    budget = {"bits": average * sum(sizes.values())}
    return solve(problem_of(found.losses, {"bits": bits}, budget, pairs=found.pairs))


def _judged(network: Network, chosen: Mapping[str, Choice]) -> str:
    """KL in nats, and on how many samples the largest output is the float network's."""
    outputs = network.run(network.quantized(chosen))
    same = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(outputs, network.reference, strict=True))
    return f"{network.divergence(outputs):.4f} ({same}/{network.count})"


def _short(choice: Choice) -> str:
    if choice.activation_bits == FLOAT:
        return f"rho W{choice.weight_bits}"
    return f"rho A{choice.activation_bits}"


def as_markdown(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", default=["digits_resnet", "kws_float"])
    parser.add_argument("--kinds", nargs="*", default=list(SENSITIVITIES))
    parser.add_argument("--samples", type=int, default=64, help="how many samples the sensitivities see")
    arguments = parser.parse_args()
    for name in arguments.models:
        subject = subject_of(name)
        measured = SENSITIVITIES["kl"](subject.network(slice(arguments.samples, None), RANKED))
        rows = [uniform_row(subject, arguments.samples)]
        rows += [row_of(kind, subject, arguments.samples, measured) for kind in arguments.kinds]
        rows += [around_row(kind, subject, arguments.samples) for kind in AROUND if kind in arguments.kinds]
        print(f"\n{name}: {arguments.samples} samples seen, {len(subject.samples) - arguments.samples} others\n")
        print(as_markdown(rows), flush=True)


if __name__ == "__main__":
    main()
