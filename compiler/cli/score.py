"""`subbyte score`: how good a model's answers are, on labelled samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subbyte.compiler.cli.options import CompilerCommand, Dims, Json, ModelOrBundle, Threads, parse_dims
from subbyte.compiler.cli.output import print_json, print_table

if TYPE_CHECKING:
    from subbyte.compiler.cli.scoring import Paired
    from subbyte.compiler.metrics.intervals import Interval
    from subbyte.compiler.metrics.score import Score

_NAMES = ("top1", "mAP", "auc", "psnr", "agreement")


def score(
    model: ModelOrBundle,
    data: Annotated[
        Path, typer.Option("--data", "-d", metavar="LABELLED.npz", help="Inputs by name, and `label` or `labels`.")
    ],
    metric: Annotated[str, typer.Option("--metric", "-m", metavar="|".join(_NAMES), help="What is counted.")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="NAME", help="The array that holds the labels.")
    ] = None,
    output: Annotated[
        list[str] | None, typer.Option("--output", metavar="NAME", help="The output that is judged; of mAP, each.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="What to compile a MODEL for; native.")] = None,
    on: Annotated[
        str, typer.Option("--on", metavar="compiled|interpreter|onnxruntime", help="Who computes the answers.")
    ] = "compiled",
    against: Annotated[
        Path | None, typer.Option("--against", metavar="OTHER|DIR", help="A model to compare with, sample by sample.")
    ] = None,
    skip: Annotated[int, typer.Option("--skip", min=0, metavar="N", help="Leave out the first N samples.")] = 0,
    first: Annotated[
        int | None, typer.Option("--first", min=1, metavar="N", help="Score N samples, behind the skipped ones; all.")
    ] = None,
    level: Annotated[float, typer.Option("--level", help="Of the confidence intervals.")] = 0.95,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of intervals that are drawn.")] = 0,
    peak: Annotated[float, typer.Option("--peak", help="psnr: the largest value there can be.")] = 1.0,
    dim: Dims = None,
    threads: Threads = 1,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Run labelled samples through MODEL and say how many it gets right, with an interval and for each class.

    Codes NAME in the file become what a float input is given by NAME_scale (and NAME_zero_point). A model with float
    weights is scored as well as a quantized one. With --against both models answer the same samples, on the same
    engine, and the table says what only one of them gets right.
    """
    dims = parse_dims(dim)
    if metric not in _NAMES:
        raise typer.BadParameter(f"'{metric}' is none of {', '.join(_NAMES)}", param_hint="--metric")
    if not 0 < level < 1:
        raise typer.BadParameter(f"{level} is not between 0 and 1", param_hint="--level")

    from subbyte.compiler.cli.answers import ENGINES, answering
    from subbyte.compiler.cli.labelled import read_labelled
    from subbyte.compiler.cli.scoring import METRICS, Asked

    if on not in ENGINES:
        raise typer.BadParameter(f"'{on}' is none of {', '.join(ENGINES)}", param_hint="--on")
    if target is not None and on != "compiled":
        raise typer.BadParameter(f"--target {target} is for compiled code, not for --on {on}", param_hint="--target")
    ours = answering(model, on, target, dims, threads, compiler)
    labelled = read_labelled(data, list(ours.inputs), skip, first)
    samples = labelled.samples(ours.inputs)
    judge = METRICS[metric](labelled, samples, Asked(labels, tuple(output or ()), level, seed, peak))
    answers = ours.answers(samples)
    notes = list(ours.notes)
    theirs, reference, paired, other = None, None, None, None
    if against is not None:
        other = answering(against, on if not against.is_dir() else "compiled", target, dims, threads, compiler)
        notes += other.notes
        theirs = other.answers(labelled.samples(other.inputs))
    found = judge.score(answers, theirs)
    if theirs is not None:
        paired = judge.compare(answers, theirs)
        reference = None if paired is None else judge.score(theirs)
    if json:
        document: dict[str, Any] = {
            "model": str(model),
            "engine": ours.engine,
            "data": str(data),
            "first_sample": labelled.first,
            "score": found.as_dict(),
            "against": None,
            "notes": notes,
        }
        if other is not None:
            document["against"] = {
                "model": str(against),
                "engine": other.engine,
                "score": None if reference is None else reference.as_dict(),
                "paired": None if paired is None else paired.as_dict(),
            }
        print_json(document)
        return
    for note in notes:
        typer.echo(note, err=True)
    _print_classes(found)
    typer.echo(_sentence(ours.name, ours.engine, found))
    if other is not None and reference is not None and paired is not None:
        typer.echo(_sentence(other.name, other.engine, reference))
        _print_paired(ours.name, other.name, found.metric, paired)
    elif other is not None:
        typer.echo(f"the reference is {other.name}, {other.engine}")


def _sentence(name: str, engine: str, found: Score) -> str:
    """`kws.onnx, interpreter: top1 92.50 % (185 of 200), 95 % interval 88.00 to 95.39 % (Wilson)`."""
    if found.numerator is not None:
        text = f"{_figure(found.metric, found.value)} ({found.numerator} of {found.count})"
    else:
        text = f"{_figure(found.metric, found.value)} ({found.count} samples)"
    details = "".join(f", {key} {value:.6g}" for key, value in found.details.items())
    return f"{name}, {engine}: {found.metric} {text}, {_range(found.metric, found.interval)}{details}"


def _print_classes(found: Score) -> None:
    shown = [each for each in found.classes if each.count]
    if not shown:
        return
    boxes = found.metric == "mAP"
    rows = [
        [
            each.label,
            _figure(found.metric, each.value or 0.0),
            *([] if boxes else [each.numerator]),
            each.count,
            *([] if boxes else [_range(found.metric, each.interval)]),
        ]
        for each in shown
    ]
    columns = ("class", found.metric, "true boxes") if boxes else ("class", found.metric, "right", "of", "interval")
    print_table("", columns, rows)


def _print_paired(ours: str, theirs: str, metric: str, paired: Paired) -> None:
    from subbyte.compiler.metrics.paired import PairedShares

    if isinstance(paired, PairedShares):
        columns = ("both right", f"only {ours}", f"only {theirs}", "neither", "difference", "p (McNemar, exact)")
        cells = (paired.both, paired.only_first, paired.only_second, paired.neither, paired.difference, paired.p_value)
        print_table("", columns, [cells])
        return
    difference = paired.difference if paired.first != paired.second else 0.0
    typer.echo(f"difference {_figure(metric, difference)}, {_range(metric, paired.interval)}: the same samples drawn")


def _figure(metric: str, value: float) -> str:
    return f"{value:.2f} dB" if metric == "psnr" else f"{value:.4f}" if metric == "auc" else f"{100 * value:.2f} %"


def _range(metric: str, interval: Interval | None) -> str:
    if interval is None:
        return "no interval"
    low, high = (_figure(metric, value) for value in (interval.low, interval.high))
    return f"{100 * interval.level:g} % interval {low} to {high} ({interval.method})"
