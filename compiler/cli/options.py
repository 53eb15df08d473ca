"""The options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subbyte.compiler.target import families

if TYPE_CHECKING:
    from subbyte.compiler.ir.plan import ActivationGrid


def _complete_target(incomplete: str) -> list[str]:
    known = families().values()
    boards = [board.name for family in known for board in family.boards]
    names = ["native", *(name for family in known for name in family.names), *boards]
    return [name for name in names if name.startswith(incomplete)]


ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)]
ModelOrBundle = Annotated[
    Path, typer.Argument(metavar="MODEL|DIR", help="An ONNX file, or a bundle.", show_default=False)
]
TargetName = Annotated[
    str,
    typer.Option(
        "--target", "-t", help="What to compile for (`subbyte list targets|boards`).", autocompletion=_complete_target
    ),
]
Dims = Annotated[
    list[str] | None, typer.Option("--dim", metavar="NAME=N", help="Bind a symbolic dimension; may be repeated.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="Threads of the runtime.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail where a portable kernel stands in for a missing one.")]
IntegerOnly = Annotated[
    bool,
    typer.Option(
        "--integer-only",
        help="Compute normalizations and functions of 16-bit codes in integers, at most 1 step from the real ones; "
        "fail where a part of the model stays float.",
    ),
]
NoRemoveWork = Annotated[
    bool, typer.Option("--no-remove-work", help="Compute constant channels and zero weights too, to compare.")
]
ActivationBits = Annotated[
    int | None,
    typer.Option(
        "--activation-bits",
        metavar="8",
        help="Quantize the activations of weight-only matrix products while the model runs; other numbers, within "
        "half of a block's largest magnitude / 127.",
    ),
]
InputGrids = Annotated[
    list[str] | None,
    typer.Option(
        "--input-grid",
        metavar="NAME=GRID",
        help="Quantize a float input first, so that what follows is integer: fixed<16,6>, ufixed<8,0> or "
        "int8:SCALE[:ZERO_POINT]; may be repeated.",
    ),
]
Tuning = Annotated[
    Path | None,
    typer.Option("--tuning", metavar="FILE", help="Tuning records: kernels and values of their knobs, by node."),
]
CompilerCommand = Annotated[
    str | None, typer.Option("--compiler", metavar="COMMAND", help="The C compiler; found where it is not given.")
]


def parse_dims(dims: list[str] | None) -> dict[str, int]:
    """{"batch": 1} from ["batch=1"]; a usage error names what does not fit."""
    bound = {}
    for dim in dims or []:
        name, equals, extent = dim.partition("=")
        if not name or not equals or not extent.isascii() or not extent.isdigit() or not 0 < int(extent) <= 1 << 31:
            raise typer.BadParameter(f"'{dim}' is not NAME=N with N a positive whole number", param_hint="--dim")
        bound[name] = int(extent)
    return bound


def parse_grids(grids: list[str] | None) -> dict[str, ActivationGrid]:
    """{"input": grid} from ["input=fixed<16,6>"]; a usage error names what does not fit."""
    if not grids:
        return {}
    from subbyte.compiler.errors import GraphError
    from subbyte.compiler.ir.grids import parse_grid

    found: dict[str, ActivationGrid] = {}
    for text in grids:
        name, equals, grid = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"'{text}' is not NAME=GRID", param_hint="--input-grid")
        try:
            found[name] = parse_grid(grid)
        except GraphError as error:
            raise typer.BadParameter(str(error), param_hint="--input-grid") from None
    return found


def parse_activation_bits(bits: int | None) -> int | None:
    """8, or None where it is not asked for."""
    if bits not in (8, None):
        raise typer.BadParameter(f"{bits} is not 8, the width there are kernels for", param_hint="--activation-bits")
    return bits


def is_bundle(path: Path) -> bool:
    """A folder is taken for a bundle, everything else for a model."""
    return path.is_dir()
