"""`subbyte quantize`: a float model and samples become a quantized model within a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subbyte.compiler.cli.options import Dims, Json, ModelPath, TargetName, parse_dims
from subbyte.compiler.cli.output import print_json, print_table, stages, whole_file

if TYPE_CHECKING:
    from subbyte.compiler.calibration.images import Preprocessing
    from subbyte.compiler.quantize.quantize import Goal, Quantized
    from subbyte.compiler.quantize.recipe import Recipe

_BITS = "BITS[,BITS...]"


def quantize_command(
    model: ModelPath,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="NPZ|DIR",
            help="Samples: an .npz file, or a folder of .npy, .npz or images. None: made up "
            "from the statistics of the model's batch normalizations.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="ONNX", help="The model to write; MODEL_quantized.onnx.")
    ] = None,
    weight_bits: Annotated[
        int | None, typer.Option("--weight-bits", metavar="BITS", help="Of every layer's weights.")
    ] = None,
    activation_bits: Annotated[
        int | None, typer.Option("--activation-bits", metavar="BITS", help="Of every layer's input.")
    ] = None,
    average_bits: Annotated[
        float | None, typer.Option("--average-bits", metavar="N", help="Budget: bits of all weights by their number.")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="20KB", help="Budget: bytes of all weights.")] = None,
    latency: Annotated[
        str | None, typer.Option("--latency", metavar="5ms", help="Budget: of an inference on --target, one thread.")
    ] = None,
    bops: Annotated[
        str | None, typer.Option("--bops", metavar="1.5G", help="Budget: MACs times weight bits times activation bits.")
    ] = None,
    instructions: Annotated[
        str | None,
        typer.Option(
            "--instructions", metavar="2M", help="Budget: of an inference, counted under --target's emulator."
        ),
    ] = None,
    choose_weights: Annotated[
        str | None, typer.Option("--choose-weights", metavar=_BITS, help="What a budget chooses from for each layer.")
    ] = None,
    choose_activations: Annotated[
        str | None, typer.Option("--choose-activations", metavar=_BITS, help="The same for the inputs of layers.")
    ] = None,
    sensitivity: Annotated[
        str | None,
        typer.Option("--sensitivity", help="How the loss of a choice is measured (docs/mixed-precision.md)."),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME|JSON", help="default, learned, nearest, or a file of choices.")
    ] = "default",
    choices: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A choice of the recipe; may be repeated.")
    ] = None,
    search: Annotated[
        int | None, typer.Option("--search", metavar="TRIALS", min=1, help="Try so many recipes, and take the best.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option("--study", metavar="FILE|URL", help="Where the search keeps its trials, to go on later."),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="NAME=VALUE",
            help="How pixels become numbers: scale, mean, std, layout, bgr, resize (docs/calibration.md); repeated.",
        ),
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Use the first so many samples.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, max=256, help="That run the calibration.")] = 1,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Keeps the calibration's state, to go on after a stop."),
    ] = None,
    style: Annotated[str, typer.Option("--style", help="qdq, qcdq or qonnx.")] = "qdq",
    report: Annotated[Path | None, typer.Option("--report", metavar="HTML", help="A page on what was traded.")] = None,
    target: TargetName = "native",
    dim: Dims = None,
    json: Json = False,
) -> None:
    """Quantize the float MODEL: calibrate, choose bits for each layer within the budgets, round, and write ONNX."""
    dims = parse_dims(dim)

    from subbyte.compiler.quantize.report import report_page
    from subbyte.compiler.quantize.request import Request, Search, run_request

    goal = _goal(
        {
            "average_bits": average_bits,
            "weight_bytes": size,
            "latency": latency,
            "bops": bops,
            "instructions": instructions,
        },
        choose_weights,
        choose_activations,
        sensitivity,
        target,
    )
    chosen = _recipe(recipe, choices or [], weight_bits, activation_bits)
    request = Request(
        model=model,
        samples=data,
        recipe=chosen,
        goal=goal,
        style=style,
        dims=dims,
        limit=samples,
        processes=processes,
        checkpoint=checkpoint,
        search=None if search is None else Search(search, study),
        images=_images(image or []),
    )
    with stages() as show:
        result = run_request(request, show)
    path = output or model.with_name(f"{model.stem}_quantized.onnx")
    with whole_file(path) as stream:
        stream.write(result.model.SerializeToString())
    if report is not None:
        with whole_file(report) as stream:
            stream.write(report_page(model.stem, result, goal).encode())
    _print(result, path, report, json)


def _goal(
    budgets: dict[str, Any], weights: str | None, activations: str | None, sensitivity: str | None, target: str
) -> Goal:
    """The goal of the options; those of a choice are of no use without a budget."""
    from subbyte.compiler.quantize import budgets as read
    from subbyte.compiler.quantize.quantize import DEFAULT_SENSITIVITY, Goal
    from subbyte.compiler.target import find_target

    readers = {"weight_bytes": read.size, "latency": read.seconds, "bops": read.number, "instructions": read.number}
    given = {name: value for name, value in budgets.items() if value is not None}
    limits = {name: readers[name](value) if name in readers else float(value) for name, value in given.items()}
    if not limits and (weights or activations or sensitivity):
        raise typer.BadParameter(
            "--choose-weights, --choose-activations and --sensitivity say how a budget is met, and there is none; give "
            "--average-bits, --size, --latency, --instructions or --bops"
        )
    goal = find_target(target)
    if "latency" in limits:  # measured where it can be
        limits["measured_latency" if goal.runs_here else "modelled_time"] = limits.pop("latency")
    return Goal(
        limits,
        _bits(weights, "--choose-weights"),
        _bits(activations, "--choose-activations"),
        sensitivity or DEFAULT_SENSITIVITY,
        goal,
    )


def _bits(text: str | None, option: str) -> tuple[int, ...] | None:
    from subbyte.compiler.quantize.recipe import BITS

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) in BITS for part in parts):
        known = ", ".join(map(str, BITS))
        raise typer.BadParameter(
            f"'{text}' is not a list of widths such as 2,4,8; there are {known}", param_hint=option
        )
    return tuple(sorted({int(part) for part in parts}))


def _images(settings: list[str]) -> Preprocessing | None:
    """Of mean=0.485,0.456,0.406 and the like."""
    from dataclasses import fields

    from subbyte.compiler.calibration.images import Preprocessing

    if not settings:
        return None
    known = {field.name: field.type for field in fields(Preprocessing)}
    found: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        if name not in known:
            raise typer.BadParameter(
                f"'{setting}' is not NAME=VALUE with one of {', '.join(known)}", param_hint="--image"
            )
        try:
            found[name] = _READ_IMAGE[str(known[name])](text)
        except (ValueError, KeyError):
            raise typer.BadParameter(f"'{text}' cannot be the {name} of images", param_hint="--image") from None
    return Preprocessing(**found)


_READ_IMAGE: dict[str, Callable[[str], Any]] = {
    "float": float,
    "tuple[float, ...]": lambda text: tuple(float(part) for part in text.split(",")),
    "str | None": str,
    "bool": {"true": True, "false": False}.__getitem__,
    "int | None": int,
}


def _recipe(name: str, changes: list[str], weight_bits: int | None, activation_bits: int | None) -> Recipe:
    """The recipe of that name or file, with the choices that other options change."""
    import json

    from subbyte.compiler.errors import ModelError
    from subbyte.compiler.quantize.recipe import RECIPES, Recipe

    if name in RECIPES:
        recipe = RECIPES[name]
    else:
        try:
            recipe = Recipe.from_json(Path(name).read_text())
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ModelError(
                f"there is no recipe '{name}': it is none of {', '.join(RECIPES)}, and as a file it cannot be read "
                f"({reason})."
            ) from error
    changed: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{change}' is not NAME=VALUE", param_hint="--set")
        try:
            changed[key] = json.loads(text)
        except ValueError:
            changed[key] = text
    given = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    return recipe.replace(**changed, **{key: bits for key, bits in given.items() if bits is not None})


def _print(result: Quantized, path: Path, report: Path | None, json: bool) -> None:
    from subbyte.compiler.quantize.summary import summary

    content = {"model": str(path), "report": None if report is None else str(report), **summary(result)}
    if json:
        print_json(content)
        return
    rows = [
        (layer["name"], layer["weights"], f"W{layer['weight_bits']}A{layer['activation_bits']}", layer["snr_db"])
        for layer in content["layers"]
    ]
    print_table(f"{path.name}: {content['samples']} samples", ("layer", "weights", "bits", "weights' SNR in dB"), rows)
    for name, cost in content["costs"].items():
        typer.echo(f"{name}: {cost['value']:.6g} of {cost['limit']:.6g}")
    typer.echo(f"{content['average_weight_bits']:.3g} bits a weight, {content['weight_bytes']:,} bytes -> {path}")
    for note in content["notes"]:
        typer.echo(f"note: {note}")
