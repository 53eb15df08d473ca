"""`subbyte list`: targets, kernels, passes, ops, boards, parts, knobs."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

from subbyte.compiler.cli.options import Json
from subbyte.compiler.cli.output import print_json, print_table


class What(str, Enum):
    """What can be listed."""

    TARGETS = "targets"
    KERNELS = "kernels"
    PASSES = "passes"
    OPS = "ops"
    BOARDS = "boards"
    PARTS = "parts"
    KNOBS = "knobs"


def list_command(
    what: Annotated[What, typer.Argument(help="What to list.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Whose kernels.")] = "native",
    json: Json = False,
) -> None:
    """List what this installation knows."""
    rows = _ROWS[what](target)
    if json:
        print_json(rows)
    elif rows:
        columns = list(rows[0])
        print_table("", columns, [[_shown(row[column]) for column in columns] for row in rows])
    else:
        typer.echo(f"This installation has no {what.value}.")


def _shown(content: Any) -> Any:
    """A cell of a table: lists of knobs as `name 1,2,4`."""
    if not isinstance(content, list):
        return content
    return "; ".join(f"{knob['name']} {','.join(map(str, knob['values']))}" for knob in content)


def _targets(_: str) -> list[dict[str, Any]]:
    from subbyte.compiler.target import families, find_target

    rows = []
    for family in families().values():
        for name in family.names:
            goal = find_target(name)
            rows.append(
                {
                    "name": name,
                    "family": family.name,
                    "runs_here": goal.runs_here,
                    "features": " ".join(sorted(goal.features)),
                    "kernels": len(goal.kernels),
                }
            )
    return rows


def _kernels(target: str) -> list[dict[str, Any]]:
    from subbyte.compiler.target import find_target

    return [
        {
            "op": kernel.op.__name__,
            "kernel": kernel.symbol,
            "operands": kernel.operands,
            "tile": "x".join(map(str, kernel.tile)),
            "storage": kernel.storage.name.lower(),
            "features": " ".join(sorted(kernel.features)),
            "header": kernel.header.name,
            "version": kernel.version,
            "knobs": [
                {"name": knob.name, "meaning": knob.meaning, "values": list(knob.values)} for knob in kernel.knobs
            ],
        }
        for kernel in find_target(target).kernels
    ]


def _passes(_: str) -> list[dict[str, Any]]:
    from subbyte.compiler.pipeline import all_passes

    return [
        {
            "name": each.name,
            "requires": each.requires.value,
            "ensures": each.ensures.value,
            "exactness": str(each.exactness),
            "does": each.summary,
        }
        for each in all_passes()
    ]


def _ops(_: str) -> list[dict[str, Any]]:
    import subbyte.compiler.importer  # noqa: F401 - its converters register themselves
    from subbyte.compiler.importer.functions import EXPANDED
    from subbyte.compiler.importer.operator import convertible_operators

    read = sorted({*convertible_operators(), *(("", name) for name in EXPANDED)})
    return [{"domain": domain or "ai.onnx", "operator": name} for domain, name in read]


def _boards(_: str) -> list[dict[str, Any]]:
    from subbyte.compiler.target import families

    return [
        {"name": board.name, "target": board.target, "ram_bytes": board.ram_bytes, "flash_bytes": board.flash_bytes}
        for family in families().values()
        for board in family.boards
    ]


def _parts(_: str) -> list[dict[str, Any]]:
    from subbyte.targets.hls.parts import PARTS

    return [
        {"name": part.name, "full_name": part.full_name, "clock_mhz": part.typical_clock_mhz} | part.resources.as_dict()
        for part in PARTS
    ]


def _knobs(_: str) -> list[dict[str, Any]]:
    from subbyte.compiler.knobs import KNOBS

    return [{"name": knob.name, "default": str(knob.default), "meaning": knob.meaning} for knob in KNOBS]


_ROWS = {
    What.TARGETS: _targets,
    What.KERNELS: _kernels,
    What.PASSES: _passes,
    What.OPS: _ops,
    What.BOARDS: _boards,
    What.PARTS: _parts,
    What.KNOBS: _knobs,
}
