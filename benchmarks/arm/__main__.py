"""`python -m benchmarks.arm layers --json FILE`: counts under emulation and llvm-mca's cycles, as tables.

`peers`, `layers` and `models` measure one part each and leave the others in FILE as they are; `all` measures all three;
`steps --model MODEL` shows one model step by step, with the code of its hottest blocks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.arm.cores import CORES, Core
from benchmarks.arm.disassembly import ToolError, find_tool
from benchmarks.arm.measure import measure_layer, measure_model, measure_peer, show_steps
from benchmarks.arm.peers import PEERS
from benchmarks.arm.rows import EACH_KERNEL, LAYERS, MODELS, PRECISIONS
from benchmarks.arm.table import as_markdown
from benchmarks.suite.__main__ import between_marks
from benchmarks.suite.cache import MissingModel, default_folder, model_file
from benchmarks.suite.rows import Network
from subbyte.compiler.errors import SubbyteError
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.toolchain.instruction_counts import EmulationError
from subbyte.compiler.version import VERSION

FORMAT = 1
PARTS = ("peers", "layers", "models")
_KEYS = {"peers": ("peer", "core"), "layers": ("layer", "precision", "core", "kernel"), "models": ("name", "core")}


def main(
    part: Annotated[str, typer.Argument(help=f"{' | '.join(PARTS)} | all | steps")],
    core: Annotated[list[str] | None, typer.Option(help=f"May be repeated: {', '.join(CORES)}.")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Only the rows that NAME is part of the name of.")] = None,
    precision: Annotated[list[str] | None, typer.Option(help="Of layers; may be repeated.")] = None,
    kernels: Annotated[
        bool | None,
        typer.Option(
            help=f"Layers with every kernel that can, or with the chosen one; {', '.join(EACH_KERNEL)}: every."
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="For `steps`: an ONNX model.")] = None,
    cache: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where built models stay.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Keep all figures here.")] = None,
    render: Annotated[bool, typer.Option(help="Measure nothing; print what the --json file holds.")] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the tables between the marks that FILE has for arm.")
    ] = None,
) -> None:
    """Measure and print the tables; exit 1 where something could not be measured."""
    if part not in (*PARTS, "all", "steps"):
        raise typer.BadParameter(f"'{part}' is none of {', '.join(PARTS)}, all, steps", param_hint="PART")
    if unknown := [name for name in core or () if name not in CORES]:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(CORES)}", param_hint="--core")
    if part == "steps" and model is None:
        raise typer.BadParameter("is missing; it names the model whose steps are shown", param_hint="--model")
    cores = [CORES[name] for name in core or CORES]
    if part == "steps" and model is not None:
        for one in cores:
            typer.echo(show_steps(model, one))
        return
    data = _read(json_file) if render else _read(json_file) | {"programs": _programs()}
    precisions, folder, failures = precision or list(PRECISIONS), cache or default_folder(), 0
    for name in [] if render else PARTS if part == "all" else (part,):
        for found in _measured(name, cores, row or [], precisions, kernels, folder):
            if isinstance(found, str):
                typer.echo(found, err=True)
                failures += 1
                continue
            _keep(data[name], found, _KEYS[name])
            if json_file is not None:  # after each row: what was measured outlives an interrupt
                json_file.write_text(json.dumps(data, indent=1) + "\n")
    text = as_markdown(data)
    typer.echo(text, nl=False)
    if into is not None:
        into.write_text(between_marks(into.read_text(), "benchmarks.arm", text))
    if failures:
        raise typer.Exit(1)


def _measured(
    part: str, cores: list[Core], names: list[str], precisions: list[str], kernels: bool | None, cache: Path
) -> Iterator[dict[str, Any] | str]:
    """The rows of a part one by one; a text for each that could not be measured."""
    for core in cores:
        for name, rows in _subjects(part, core, precisions, kernels, cache):
            if names and not any(each in name for each in names):
                continue
            typer.echo(f"{part} {name} {core.target} ...", err=True)
            try:
                yield from rows
            except (SubbyteError, EmulationError, ToolError, MissingModel) as error:
                yield f"{part} {name} {core.target}: {error}"


def _subjects(
    part: str, core: Core, precisions: list[str], kernels: bool | None, cache: Path
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """What is measured of `part` on `core`: names, and the rows, measured as they are asked for."""
    if part == "peers":
        for peer in PEERS:
            if peer.state == core.processor.state and peer.features <= core.processor.features:
                yield peer.name, (measure_peer(one, core) for one in (peer,))
    elif part == "layers":
        for layer in LAYERS:
            for precision in precisions:
                about = {"layer": layer, "precision": precision}
                network, each = Network(layer, precision), precision in EACH_KERNEL if kernels is None else kernels
                yield network.name, (about | found for found in _layer(network, core, each, cache))
    else:
        for network, title in MODELS.items():
            yield network.name, _model(network, title, core, cache)


def _layer(network: Network, core: Core, kernels: bool | None, cache: Path) -> Iterator[dict[str, Any]]:
    yield from measure_layer(model_file(network, cache / "models"), core, kernels)


def _model(network: Network, title: str, core: Core, cache: Path) -> Iterator[dict[str, Any]]:
    yield {"name": network.name, "title": title} | measure_model(model_file(network, cache / "models"), core)


def _keep(rows: list[dict[str, Any]], found: dict[str, Any], key: tuple[str, ...]) -> None:
    """Put a row in the place of what was measured before; the first of a layer in that of all its kernels."""
    if found.get("chosen"):
        key = key[:-1]
    rows[:] = [row for row in rows if any(row[name] != found[name] for name in key)]
    rows.append(found)
    order = {name: index for index, name in enumerate([*LAYERS, *PRECISIONS, *(m.name for m in MODELS)])}
    rows.sort(key=lambda row: [order.get(row.get(name, ""), 0) for name in ("name", "layer", "precision")])


def _read(file: Path | None) -> dict[str, Any]:
    """What `file` holds; nothing where there is none."""
    known = json.loads(file.read_text()) if file is not None and file.is_file() else {}
    return {"format": FORMAT, "programs": known.get("programs", ""), **{part: known.get(part, []) for part in PARTS}}


def _programs() -> str:
    """Versions of all that the figures depend on."""
    if shutil.which("qemu-aarch64") is None:
        raise EmulationError("there is no `qemu-aarch64`; on Debian `apt install qemu-user` brings it")
    llvm = next(line.strip() for line in _says(find_tool("llvm-mca")) if "LLVM version" in line)
    compiler = find_compiler(find_target("cortex-a53"), libc="musl")
    return f"subbyte {VERSION}, zig {compiler.version}, {_says('qemu-aarch64')[0]}, {llvm}"


def _says(command: str) -> list[str]:
    """The lines that tell a program's version."""
    return subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(main)


def run() -> None:
    try:
        app(prog_name="python -m benchmarks.arm")
    except (SubbyteError, EmulationError, ToolError) as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
