"""`python -m benchmarks.suite x86`: a table of rows, a process for each, and their ratios beside floors and goals.

A row's process sees no more of the processor than the row says (benchmarks/isa_mask.py). Models and bundles stay in a
cache; `--prepare` makes them and measures nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.isa_mask import MaskError, mask, mask_folder
from benchmarks.suite.cache import default_folder
from benchmarks.suite.measure_row import Settings
from benchmarks.suite.rows import SUITES, Row
from benchmarks.suite.table import as_markdown

FORMAT = 1


def main(
    suite: Annotated[str, typer.Argument(help=f"{' | '.join(SUITES)}")],
    row: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated.")] = None,
    list_rows: Annotated[bool, typer.Option("--list", help="Say what the rows are, and measure nothing.")] = False,
    prepare: Annotated[bool, typer.Option(help="Build models and bundles, and measure nothing.")] = False,
    rounds: Annotated[int, typer.Option(min=5, help="Rounds of one block for each engine.")] = 11,
    block_ms: Annotated[float, typer.Option(min=1, help="Milliseconds a block.")] = 100,
    cpu: Annotated[int | None, typer.Option(help="The processor that rows of one thread are pinned to.")] = None,
    compiler: Annotated[str | None, typer.Option(help="The C compiler for subbyte; found by default.")] = None,
    verify: Annotated[bool, typer.Option(help="Compare subbyte with its interpreter first: minutes.")] = False,
    cache: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where models and bundles stay.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")] = None,
    update: Annotated[bool, typer.Option(help="Keep the rows of the --json file that are not measured now.")] = False,
    render: Annotated[bool, typer.Option(help="Measure nothing; print what the --json file holds.")] = False,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables here too.")] = None,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the tables between the marks that FILE has for SUITE.")
    ] = None,
) -> None:
    """Measure SUITE and print its tables as Markdown; exit 1 where a row could not be measured."""
    if suite not in SUITES:
        raise typer.BadParameter(f"'{suite}' is none of {', '.join(SUITES)}", param_hint="SUITE")
    known = {one.name: one for one in SUITES[suite]}
    if unknown := [name for name in row or () if name not in known]:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(known)}", param_hint="--row")
    if (update or render) and json_file is None:
        raise typer.BadParameter("is missing; it names the file whose rows are kept or printed", param_hint="--json")
    chosen = [known[name] for name in row] if row else list(known.values())
    if list_rows:
        for one in chosen:
            typer.echo(f"{one.name}: {one.title}, {one.isa}; {', '.join(e.name for e in one.entrants)}")
        return
    settings = Settings(rounds, block_ms, cpu, compiler, str((cache or default_folder()).resolve()), verify, prepare)
    kept = update or render
    before = json.loads(json_file.read_text()) if kept and json_file is not None and json_file.is_file() else None
    measured: dict[str, Any] = {}
    failures: dict[str, str] = dict(before["failures"]) if before is not None else {}
    for one in [] if render else chosen:
        typer.echo(f"{one.name} ...", err=True)
        try:
            measured[one.name] = run_row(suite, one, settings)
            failures.pop(one.name, None)
        except RowFailure as failure:
            typer.echo(f"{one.name}: {failure}", err=True)
            failures[one.name] = str(failure)
        if json_file is not None and not prepare:  # after each row: what was measured outlives an interrupt
            json_file.write_text(json.dumps(gathered(suite, measured, failures, before), indent=1) + "\n")
    if not prepare:
        text = as_markdown(gathered(suite, measured, failures, before))
        typer.echo(text, nl=False)
        if markdown is not None:
            markdown.write_text(text)
        if into is not None:
            into.write_text(between_marks(into.read_text(), f"benchmarks.suite {suite}", text))
    if not render and any(one.name in failures for one in chosen):
        raise typer.Exit(1)


def between_marks(page: str, program: str, text: str) -> str:
    """`page` with `text` in place of what stands between its marks for `program`.  Raises ValueError: it has none."""
    first, last = (f"<!-- {end} of python -m {program} -->\n" for end in ("begin", "end"))
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"the page has no lines '{first.strip()}' and '{last.strip()}'")
    return f"{before}{first}\n{text}\n{last}{after}"


class RowFailure(Exception):
    """A row's process ended without a result."""


def run_row(suite: str, row: Row, settings: Settings) -> dict[str, Any]:
    """What the row's process found.  Raises: RowFailure: the last lines that it wrote."""
    environment = dict(os.environ)
    if row.isa != "native":
        try:
            environment |= mask(row.isa, mask_folder())
        except MaskError as error:
            raise RowFailure(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "row.json"
        command = [sys.executable, "-m", "benchmarks.suite.measure_row"]
        arguments = [suite, row.name, json.dumps(asdict(settings)), str(output)]
        done = subprocess.run([*command, *arguments], env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0 or not output.is_file():
            raise RowFailure(" ".join(done.stderr.strip().splitlines()[-1:]) or f"it ended with {done.returncode}")
        found: dict[str, Any] = json.loads(output.read_text())
        return found


def gathered(
    suite: str, measured: dict[str, Any], failures: dict[str, str], before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The suite's data in the order of its rows: those measured now, else those of `before`."""
    kept = {row["row"]: row for row in before["rows"]} if before is not None else {}
    rows = kept | measured
    ordered = [rows[one.name] for one in SUITES[suite] if one.name in rows]
    return {"format": FORMAT, "suite": suite, "rows": ordered, "failures": failures}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(main)

if __name__ == "__main__":
    app(prog_name="python -m benchmarks.suite")
