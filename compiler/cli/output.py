"""What commands print: JSON for programs, tables and one-paragraph errors for people, progress while one is slow."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import typer


def print_json(content: Any) -> None:
    """One JSON document on standard output; infinities and NaN, which JSON lacks, as null."""
    typer.echo(json.dumps(_plain(content), indent=1, allow_nan=False))


def _plain(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(item) for item in content]
    if isinstance(content, float) and (content != content or content in (float("inf"), float("-inf"))):
        return None
    return content


def print_error(error: BaseException) -> None:
    """`UnsupportedError: ...` on standard error, in one paragraph."""
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip()) or "no details are known"
    typer.echo(f"{type(error).__name__}: {text}", err=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table as wide as the terminal; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(_is_numeric(row[index]) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)


def number(value: float | None) -> str:
    """A number in a column where some rows have none."""
    return "-" if value is None else f"{value:.4g}"


def _is_numeric(value: object) -> bool:
    """Numbers, and `-`, which stands where there is none."""
    return value == "-" or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _cell(value: object) -> str:
    from rich.markup import escape

    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """A spinner on standard error while the body runs, on a terminal only."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(doing):
        yield


@contextmanager
def stages() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each stage of long work, on standard error, on a terminal only.

    What is yielded is called with the stage, how much of it is done, and how much there is where that is known.
    """
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        known: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in known:
                known[what] = bars.add_task(what, total=total)
            bars.update(known[what], completed=done, total=total)

        yield show


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that stands at `path` when the body is done, and not before: it is written beside, then renamed.

    Raises ModelError: it cannot be written.
    """
    from subbyte.compiler.errors import ModelError

    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
            os.chmod(beside, 0o666 & ~_umask())  # mkstemp's files are for their owner alone
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ModelError(f"'{path}' cannot be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
