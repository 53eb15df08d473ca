"""`subbyte explain`: what runs in how many bits, what stays float, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from subbyte.compiler.cli.options import (
    ActivationBits,
    Dims,
    IntegerOnly,
    Json,
    ModelPath,
    parse_activation_bits,
    parse_dims,
)
from subbyte.compiler.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from subbyte.compiler.ir.graph import Graph
    from subbyte.compiler.target import Target

_PICTURES = (".svg", ".html", ".dot")
_COLUMNS = (
    "op", "name", "bits", "accumulator", "sum_bits", "shape", "macs", "bytes", "requantization", "proof", "kernel"
)  # fmt: skip


def explain(
    model: ModelPath,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Name the kernels that this target would use.")
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="FILE", help="Draw the graph, coloured by bits: FILE.svg, .html or .dot."),
    ] = None,
    dim: Dims = None,
    activation_bits: ActivationBits = None,
    integer_only: IntegerOnly = False,
    json: Json = False,
) -> None:
    """Account for every multiply-accumulate of MODEL, and give the reason for every part that stays float."""
    dims = parse_dims(dim)
    if draw is not None and draw.suffix not in _PICTURES:
        raise typer.BadParameter(f"'{draw}' ends in none of {', '.join(_PICTURES)}", param_hint="--draw")

    from subbyte.compiler.explain import explain as explain_graph
    from subbyte.compiler.hls.partition import partition
    from subbyte.compiler.pass_manager import run_passes
    from subbyte.compiler.pipeline import Options, lowered, quantized, work_passes
    from subbyte.compiler.target import find_target
    from subbyte.passes.recognize_codebooks import recognize_codebooks
    from subbyte.targets.hls.support import reason_against

    bits = parse_activation_bits(activation_bits)
    options = Options(dims=dims, activation_bits=bits, integer_only=integer_only)
    processor: list[dict[str, str]] = []
    with progress(f"explaining {model.name}"):
        shown = graph = quantized(model, options)
        reduced = run_passes(graph, work_passes(options))
        goal = None if target is None else find_target(target)
        if goal is None:
            shown = recognize_codebooks(graph)
            explanation = explain_graph(graph, reduced=reduced)
        elif goal.language == "hls":
            parts = partition(graph, reason_against)
            shown = lowered(parts.core, goal, options)
            explanation = explain_graph(parts.core, shown, goal, reduced=run_passes(parts.core, work_passes(options)))
            processor = [{"node": node, "reason": reason} for node, reason in parts.reasons]
        else:
            shown = lowered(graph, goal, options)
            explanation = explain_graph(graph, shown, goal, reduced=reduced)
    content = explanation.as_dict() | ({"processor": processor} if processor else {})
    if draw is not None:
        draw.write_text(_picture(draw.suffix, shown, goal, content), encoding="utf-8")
    if json:
        print_json(content)
        return
    layers = content["layers"]
    if layers:
        rows = [[_text(layer[column]) for column in _COLUMNS] for layer in layers]
        print_table("", [column.replace("_", " ") for column in _COLUMNS], rows)
    share = 100 * content["integer_macs"] / content["macs"] if content["macs"] else 100.0
    typer.echo(f"{content['integer_macs']:,} of {content['macs']:,} multiply-accumulates ({share:.4g} %) are integer.")
    saved = content["saved"]
    if any(saved.values()):
        typer.echo(
            f"Compiling leaves out {saved['macs']:,} multiply-accumulates, {saved['weights']:,} of "
            f"{content['weights']:,} weights and {saved['operations']:,} operations that change no number."
        )
    for island in content["float_islands"]:
        typer.echo(
            f"float: {island['op']} '{island['node']}': {island['reason']} ({island['macs']:,} MACs); "
            f"to change it, {island['remedy']}"
        )
    for node in processor:
        typer.echo(f"on the processor: {node['node']}: {node['reason']}")
    if draw is not None:
        typer.echo(f"drawn: {draw}")


def _picture(suffix: str, graph: Graph, target: Target | None, content: dict[str, Any]) -> str:
    """The graph as the file name asks."""
    if suffix == ".dot":
        from subbyte.compiler.ir.dot import to_dot

        return to_dot(graph)
    from subbyte.compiler.draw.page import to_page
    from subbyte.compiler.draw.svg import to_svg

    svg = to_svg(graph, target)
    return svg if suffix == ".svg" else to_page(graph.name, svg, content)


def _text(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value)) or "scalar"
    return "-" if value is None else value
