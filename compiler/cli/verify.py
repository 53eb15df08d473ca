"""`subbyte verify`: compiled code beside the interpreter, onnxruntime, or recorded answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subbyte.compiler.cli.options import (
    ActivationBits,
    CompilerCommand,
    Dims,
    InputGrids,
    IntegerOnly,
    Json,
    ModelPath,
    TargetName,
    parse_activation_bits,
    parse_dims,
    parse_grids,
)
from subbyte.compiler.cli.output import number, print_json, print_table, progress

if TYPE_CHECKING:
    from subbyte.compiler.compare import Comparison


def verify(
    model: ModelPath,
    target: TargetName = "native",
    inputs: Annotated[
        Path | None,
        typer.Option("--inputs", "-i", metavar="IN.npz", help="Samples; random codes and extremes by default."),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="interpreter|onnxruntime|OUT.npz", help="Whose answers are taken as reference.")
    ] = "interpreter",
    max_steps: Annotated[
        float | None, typer.Option("--max-steps", min=0, help="Largest accepted distance; 0 against the interpreter.")
    ] = None,
    per_node: Annotated[
        bool, typer.Option("--per-node", help="Each node, from onnxruntime's own inner tensors; differences by ties.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="How many random samples where --inputs is not given.")] = 8,
    dim: Dims = None,
    activation_bits: ActivationBits = None,
    integer_only: IntegerOnly = False,
    input_grid: InputGrids = None,
    compiler: CompilerCommand = None,
    json: Json = False,
) -> None:
    """Compile MODEL, run samples, and compare with a reference. Exit code 1 where they differ by more than is accepted.

    Against the interpreter nothing may differ. Against onnxruntime, distances from end to end are reported, and judged
    only where --max-steps is given. With --per-node each tensor is computed from onnxruntime's own tensors before it,
    and each code that differs must lie at a tie of the rounding, as exactly as float32 can tell; what has no such
    bound may be 1 step away. --max-steps sets one limit for all instead.
    """
    dims, bits, grids = parse_dims(dim), parse_activation_bits(activation_bits), parse_grids(input_grid)

    from subbyte.compiler.pipeline import Options, quantized
    from subbyte.compiler.samples import random_samples, read_samples
    from subbyte.compiler.target import find_target
    from subbyte.compiler.toolchain.emulators import find_emulator, needs_emulator

    goal = find_target(target)
    if not per_node and needs_emulator(goal):
        find_emulator(goal)  # before the work, not after it
    with progress(f"importing {model.name}"):
        options = Options(dims=dims, activation_bits=bits, integer_only=integer_only, input_grids=grids)
        graph = quantized(model, options)
    types = {node.name: node.type for node in graph.inputs}
    stimulus = read_samples(inputs, types) if inputs is not None else random_samples(types, samples)
    if goal.language == "hls" and compiler is not None:
        raise typer.BadParameter("it belongs to a target that C is built for", param_hint="--compiler")
    if goal.language == "hls" and not per_node:
        from subbyte.compiler.cli.fpga import verify_project
        from subbyte.compiler.hls.options import HlsOptions

        passed = verify_project(model, options, HlsOptions(), stimulus, against, max_steps, json)
    elif per_node:
        from subbyte.compiler.cli.per_node import compare_nodes, report_nodes

        with progress(f"comparing each node over {stimulus.count} samples"):
            nodes = compare_nodes(graph, model, stimulus, options)
        passed = all(node.is_within(max_steps) for node in nodes.values())
        report_nodes(goal.name, nodes, passed, json)
    else:
        from subbyte.compiler.api import compile
        from subbyte.compiler.cli.loaded import prepare
        from subbyte.compiler.cli.reference import compare_outputs
        from subbyte.compiler.ir.grids import grid_text

        with progress(f"compiling for {goal.name}"):
            module = compile(
                model,
                target=target,
                dims=dims,
                compiler=compiler,
                activation_bits=bits,
                integer_only=integer_only,
                input_grids={name: grid_text(grid) for name, grid in grids.items()},
            )
        prepare(module)
        with progress(f"comparing {stimulus.count} samples with {against}"):
            comparisons = compare_outputs(module, graph, model, stimulus, against)
        exact = against == "interpreter"
        limit = max_steps if max_steps is not None else 0.0 if exact else float("inf")
        passed = all(comparison.is_within(limit) for comparison in comparisons.values())
        _report(goal.name, comparisons, passed, json)
    if not passed:
        raise typer.Exit(1)


def _report(target: str, comparisons: dict[str, Comparison], passed: bool, json: bool) -> None:
    if json:
        outputs = {name: c.as_dict() for name, c in comparisons.items()}
        print_json({"target": target, "ok": passed, "outputs": outputs})
        return
    rows = [
        [
            name,
            c.count,
            c.different,
            number(c.max_steps),
            c.max_abs,
            _percent(c.top1_agreement),
        ]
        for name, c in comparisons.items()
    ]
    print_table(
        f"{target}: {'agrees' if passed else 'DIFFERS'}",
        ("output", "values", "different", "max steps", "max abs", "same top-1"),
        rows,
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g} %"
