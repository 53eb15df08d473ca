"""The command line's frame: the commands, their exit codes, and how errors are told."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from subbyte.compiler.cli.bench import bench
from subbyte.compiler.cli.compile import compile_command
from subbyte.compiler.cli.doctor import doctor
from subbyte.compiler.cli.explain import explain
from subbyte.compiler.cli.list import list_command
from subbyte.compiler.cli.opt import opt
from subbyte.compiler.cli.output import print_error
from subbyte.compiler.cli.quantize import quantize_command
from subbyte.compiler.cli.run import run
from subbyte.compiler.cli.score import score
from subbyte.compiler.cli.verify import verify
from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.version import VERSION

app = typer.Typer(
    name="subbyte",
    help="Quantize float ONNX models, and compile quantized ones ahead of time into small native code. Exit codes: 0, "
    "1 (the model or the check failed), 2 (usage).",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("quantize")(quantize_command)
app.command("compile")(compile_command)
app.command("run")(run)
app.command("verify")(verify)
app.command("bench")(bench)
app.command("score")(score)
app.command("explain")(explain)
app.command("opt")(opt)
app.command("list")(list_command)
app.command("doctor")(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"subbyte {VERSION}")
        raise typer.Exit


@app.callback()
def _frame(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Holds the options that stand before the command."""


def main() -> None:
    """Run the command line; errors that subbyte raises on purpose become one paragraph and exit code 1."""
    try:
        app()
    except SubbyteError as error:
        print_error(error)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (MemoryError, OSError) as error:
        print_error(error)
        sys.exit(1)
