"""`subbyte opt`: run passes by name and print the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subbyte.compiler.cli.options import Dims, Json, ModelPath, parse_dims
from subbyte.compiler.cli.output import print_json


def opt(
    model: ModelPath,
    passes: Annotated[
        list[str] | None,
        typer.Option("--pass", "-p", metavar="PASS[,PASS...]", help="Passes to run, in order (`subbyte list passes`)."),
    ] = None,
    target: Annotated[str, typer.Option("--target", "-t", help="What passes may ask.")] = "native",
    data: Annotated[
        Path | None, typer.Option("--data", metavar="NPZ|DIR", help="Samples, for passes that ask them.")
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the graph as text.")] = False,
    dot: Annotated[bool, typer.Option("--dot", help="Print the graph for graphviz.")] = False,
    dim: Dims = None,
    json: Json = False,
) -> None:
    """Import MODEL, or read a graph that this command printed (.sb), run passes on it, and print what became of it."""
    dims = parse_dims(dim)

    from subbyte.compiler.errors import GraphError, ModelError
    from subbyte.compiler.importer import import_model
    from subbyte.compiler.ir.dot import to_dot
    from subbyte.compiler.ir.text import parse_graph, print_graph
    from subbyte.compiler.pass_manager import Step, run_passes
    from subbyte.compiler.pipeline import find_pass
    from subbyte.compiler.target import find_target

    chosen = [find_pass(name) for group in passes or [] for name in group.split(",") if name]
    if model.suffix == ".sb":
        try:
            graph = parse_graph(model.read_text())
        except (OSError, UnicodeDecodeError, GraphError) as error:
            raise ModelError(f"'{model}' cannot be read as a graph: {error}") from error
    else:
        graph = import_model(model, dims=dims)
    steps: list[Step] = []
    samples = None
    if data is not None:
        from subbyte.compiler.calibration.data import Data
        from subbyte.compiler.calibration.files import file_source

        samples = Data(file_source(data))
    graph = run_passes(graph, chosen, find_target(target), data=samples, on_step=steps.append)
    if json:
        print_json(
            {
                "graph": graph.name,
                "stage": graph.stage.value,
                "operations": len(graph.operations()),
                "passes": [
                    {
                        "name": step.name,
                        "seconds": step.seconds,
                        "nodes_before": step.nodes_before,
                        "nodes_after": step.nodes_after,
                    }
                    for step in steps
                ],
                "text": print_graph(graph) if show else None,
            }
        )
    elif dot:
        typer.echo(to_dot(graph), nl=False)
    elif show or not chosen:
        typer.echo(print_graph(graph), nl=False)
    else:
        typer.echo(f"{graph.name}: {graph.stage.value}, {len(graph.operations())} operations; --print shows them")
