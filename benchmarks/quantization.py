"""`python -m benchmarks.quantization`: right answers of float networks in few bits, by the nearest and the best recipe.

Calibration samples choose everything: ranges, codes, bits of layers, and the recipe of `best`. That is the default
(compensated codes, corrected biases) or, at 4 bits a weight and fewer, one of three: the default, with biases corrected
layer after layer, or learned. Each is made with three quarters of the calibration samples; the one nearest to the float
network on the last quarter is made anew with all. Judging samples are read once for each finished model, by compiled
code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import subbyte
from benchmarks.suite.__main__ import between_marks
from subbyte.compiler.calibration.data import Data
from subbyte.compiler.metrics.paired import compare_right
from subbyte.compiler.metrics.shares import top1_right
from subbyte.compiler.quantize.judge import answers, distance
from subbyte.compiler.quantize.prepare import import_float
from subbyte.compiler.quantize.quantize import Goal, Quantized, quantize
from subbyte.compiler.quantize.recipe import NEAREST, RECIPES, Recipe

Array = NDArray[Any]
MODELS = Path(__file__).resolve().parent.parent / "models"
SHARED = MODELS.parent.parent / "shared" / "models"
UNIFORM = (8, 6, 5, 4, 3, 2)
AVERAGES = (5.0, 4.5, 4.0, 3.5, 3.0)
LEARNED_FROM = 4.0  # bits a weight and fewer
CALIBRATING_SHARE = 0.75
CHOICES = (2, 3, 4, 5, 6, 8)
CANDIDATES = {
    "default": RECIPES["default"],
    "sequential": RECIPES["default"].replace(correct_biases="sequential"),
    "learned": RECIPES["learned"],
}


@dataclass(frozen=True)
class Subject:
    """A float network, samples to calibrate with, and labelled samples to judge by, [n, *shape of the input]."""

    name: str
    path: Path
    calibration: Array
    judging: Array
    labels: Array


def subjects() -> Iterator[Subject]:
    """The keyword network of ../shared/models, where it is, and the digits of models/."""
    if (SHARED / "kws_float.onnx").exists():
        with np.load(SHARED / "kws_float_labelled.npz") as archive:
            inputs = (archive["input"].astype(np.float32) * archive["input_scale"])[:, np.newaxis]
            yield Subject("kws", SHARED / "kws_float.onnx", inputs[:200], inputs[200:], archive["label"][200:])
    with np.load(MODELS / "digits_calibration.npz") as calibration, np.load(MODELS / "digits_test.npz") as test:
        for name in ("digits_cnn", "digits_resnet"):
            yield Subject(name, MODELS / f"{name}.onnx", calibration["input"], test["input"], test["label"])


def made(subject: Subject, samples: Array, recipe: Recipe, average: float | None) -> Quantized:
    goal = None if average is None else Goal({"average_bits": average}, CHOICES)
    graph = import_float(subject.path)
    return quantize(graph, Data({graph.inputs[0].name: samples}), recipe, goal)


def best(subject: Subject, bits: float, average: float | None) -> tuple[str, Quantized]:
    """The best of the recipes by samples that did not calibrate them, and what it makes of all."""
    names = list(CANDIDATES) if bits <= LEARNED_FROM else ["default"]
    calibrating = int(len(subject.calibration) * CALIBRATING_SHARE)
    graph = import_float(subject.path)
    rest = {graph.inputs[0].name: subject.calibration[calibrating:]}
    expected = answers(graph, rest)

    def far(name: str) -> float:
        result = made(subject, subject.calibration[:calibrating], recipe_of(name, bits, average), average)
        return distance(expected, answers(result.graph, rest))

    chosen = names[0] if len(names) == 1 else min(names, key=far)
    return chosen, made(subject, subject.calibration, recipe_of(chosen, bits, average), average)


def recipe_of(name: str, bits: float, average: float | None) -> Recipe:
    return CANDIDATES[name] if average is not None else CANDIDATES[name].replace(weight_bits=int(bits))


def right(model: Any, subject: Subject) -> NDArray[np.bool_]:
    """Which judging samples the model answers as labelled, compiled for this machine."""
    module = subbyte.compile(model, target="native", dims=_batch(subject.path) if isinstance(model, Path) else None)
    entry, output = module.inputs[0].name, module.outputs[0].name
    logits = np.stack([module.run({entry: x})[output].reshape(-1) for x in subject.judging])
    return top1_right(logits, subject.labels)


def _batch(path: Path) -> dict[str, int]:
    """{name: 1} of a leading dimension that is open."""
    import onnx

    first = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0]
    return {first.dim_param: 1} if first.dim_param else {}


def measured(subject: Subject) -> dict[str, Any]:
    """All rows of one network."""
    reference = right(subject.path, subject)
    rows = []
    for bits, average in [*((float(b), None) for b in UNIFORM), *((a, a) for a in AVERAGES)]:
        start = time.perf_counter()
        nearest = made(subject, subject.calibration, NEAREST.replace(weight_bits=8 if average else int(bits)), average)
        name, result = best(subject, bits, average)
        row: dict[str, Any] = {"bits": bits, "mixed": average is not None, "recipe": name}
        for label, one in (("nearest", nearest), ("best", result)):
            answered = right(one.model, subject)
            paired = compare_right(answered, reference)
            row[label] = {
                "right": int(answered.sum()),
                "only_quantized": paired.only_first,
                "only_float": paired.only_second,
                "p_value": paired.p_value,
                "layers": [choice.weight_bits for choice in one.choices.values()],
                "average": _average(one),
            }
        rows.append(row)
        typer.echo(f"{subject.name} {row} {time.perf_counter() - start:.0f} s", err=True)
    return {"count": len(subject.labels), "float": int(reference.sum()), "rows": rows}


def _average(result: Quantized) -> float:
    weights = {name: found.codes.size for name, found in result.plan.weights.items()}
    return sum(weights[n] * c.weight_bits for n, c in result.choices.items()) / sum(weights.values())


def table(name: str, found: dict[str, Any]) -> str:
    """Markdown: counts beside percentages, and the samples that only one of float and quantized answers right."""
    count = found["count"]
    lines = [
        f"**{name}**: float {found['float']} of {count} ({found['float'] / count:.2%})",
        "",
        "| bits a weight | nearest | best recipe | only it / only float right | p | recipe | bits of its layers |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        best_of = row["best"]
        shown = [f"{row[k]['right']} ({row[k]['right'] / count:.2%})" for k in ("nearest", "best")]
        bits = f"{best_of['average']:.2f} of {row['bits']:g} mixed" if row["mixed"] else f"{row['bits']:g}"
        pair = f"{best_of['only_quantized']} / {best_of['only_float']}"
        layers = " ".join(map(str, best_of["layers"])) if row["mixed"] else ""
        lines.append(
            f"| {bits} | {shown[0]} | {shown[1]} | {pair} | {best_of['p_value']:.2g} | {row['recipe']} | {layers} |"
        )
    return "\n".join(lines)


def main(
    only: Annotated[str | None, typer.Option(help="kws, digits_cnn or digits_resnet; all where not given.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Figures: read, added to, written.")] = None,
    render: Annotated[bool, typer.Option(help="Measure nothing; print what the --json file holds.")] = False,
    into: Annotated[Path | None, typer.Option(help="A page whose part between marks is replaced.")] = None,
) -> None:
    """Quantize, compile, and count right answers."""
    found: dict[str, Any] = json.loads(json_file.read_text()) if json_file is not None and json_file.exists() else {}
    for subject in [] if render else subjects():
        if only in (None, subject.name):
            found[subject.name] = measured(subject)
            if json_file is not None:
                json_file.write_text(json.dumps(found, indent=1))
    text = "\n\n".join(table(name, part) for name, part in found.items())
    typer.echo(text)
    if into is not None:
        into.write_text(between_marks(into.read_text(), "benchmarks.quantization", text))


if __name__ == "__main__":
    typer.run(main)
