"""`subbyte explain`: what runs in how many bits, what stays float, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from subbyte.compiler.cli.options import Dims, Json, ModelPath, parse_dims
from subbyte.compiler.cli.output import print_json, print_table, progress


def explain(
    model: ModelPath,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Name the kernels that this target would use.")
    ] = None,
    dim: Dims = None,
    json: Json = False,
) -> None:
    """Account for every multiply-accumulate of MODEL, and give the reason for every part that stays float."""
    dims = parse_dims(dim)

    from subbyte.compiler.explain import explain as explain_graph
    from subbyte.compiler.pipeline import Options, lowered, quantized
    from subbyte.compiler.target import find_target

    with progress(f"explaining {model.name}"):
        graph = quantized(model, Options(dims=dims))
        if target is not None:
            goal = find_target(target)
            explanation = explain_graph(graph, lowered(graph, goal, Options(dims=dims)), goal)
        else:
            explanation = explain_graph(graph)
    content = explanation.as_dict()
    if json:
        print_json(content)
        return
    layers = content["layers"]
    if layers:
        columns = list(layers[0])
        print_table("", columns, [[_text(layer[column]) for column in columns] for layer in layers])
    share = 100 * content["integer_macs"] / content["macs"] if content["macs"] else 100.0
    typer.echo(f"{content['integer_macs']:,} of {content['macs']:,} multiply-accumulates ({share:.4g} %) are integer.")
    for island in content["float_islands"]:
        typer.echo(f"float: {island['op']} '{island['node']}': {island['reason']} ({island['macs']:,} MACs)")


def _text(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value)) or "scalar"
    return "-" if value is None else value
