"""The figures as Markdown, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.arm.cores import CORES
from benchmarks.arm.rows import LAYERS
from benchmarks.arm.verdicts import Verdict, verdicts
from benchmarks.report import table

Row = Mapping[str, Any]
_MISSING = "-"


def as_markdown(data: Mapping[str, Any]) -> str:
    """What `data`, as benchmarks.arm writes it, says."""
    parts = [_conditions(data)]
    if found := verdicts(data):
        parts += ["### What was asked for", _verdicts(found)]
    for layer, title in LAYERS.items():
        if any(row["layer"] == layer for row in data["layers"]):
            parts += [f"### {title}"]
            parts += ["Cycles / instructions per multiply-accumulate, the whole step:", _layer(data, layer, _whole)]
            parts += ["Cycles (bound) of the loops alone:", _layer(data, layer, _loop)]
    if data["models"]:
        parts += ["### Whole models", "Millions of instructions; of cycles, all steps:", _models(data["models"])]
    if data["peers"]:
        parts += ["### Where the peers' loops were read", _sources(data["peers"])]
    return "\n\n".join(parts) + "\n"


def _conditions(data: Mapping[str, Any]) -> str:
    programs = data["programs"]
    pipelines = ", ".join(f"{core.target}: {core.model or 'none'}" for core in CORES.values())
    return f"{programs}. Models of llvm-mca: {pipelines}."


def _verdicts(found: Sequence[Verdict]) -> str:
    heading = ("", "where", "core", "beside", "of", "ratio", "floor", "goal", "")
    lines = [
        (
            each.what,
            LAYERS.get(each.where, each.where),
            each.core,
            each.beside,
            each.measure,
            f"**{each.ratio:.2f}**",
            f"{each.floor:.2f}",
            _MISSING if each.goal is None else f"{each.goal:g}",
            each.word,
        )
        for each in found
    ]
    return table(heading, lines, "lllllrrrl")


def _layer(data: Mapping[str, Any], layer: str, figure: Callable[[Row], str]) -> str:
    """A line for each precision and kernel, then the peers; what the costs choose is bold."""
    rows = [row for row in data["layers"] if row["layer"] == layer]
    kinds = list(dict.fromkeys((row["precision"], row["kernel"]) for row in rows))
    kinds.sort(key=lambda kind: [row["precision"] for row in rows].index(kind[0]))
    lines = []
    for precision, kernel in kinds:
        cells = []
        for core in CORES:
            row = next((r for r in rows if (r["precision"], r["kernel"], r["core"]) == (precision, kernel, core)), None)
            cells.append(_MISSING if row is None else figure(row))
        if any(cell != _MISSING for cell in cells):
            lines.append((precision.upper(), f"`{kernel.removeprefix('subbyte_arm_')}`", *cells))
    for title in dict.fromkeys(peer["title"] for peer in data["peers"]):
        of_peer = {peer["core"]: peer for peer in data["peers"] if peer["title"] == title}
        cells = [figure(of_peer[core]) if core in of_peer else _MISSING for core in CORES]
        if any(cell != _MISSING for cell in cells):
            bits = next(iter(of_peer.values()))["bits"]
            lines.append((f"W{bits}A{bits}", f"loop of {title}", *cells))
    return table(("", "kernel", *CORES), lines, "ll" + "r" * len(CORES))


def _whole(row: Row) -> str:
    """Of a peer, its loop: no more is known."""
    figures = row.get("all", row["inner"])
    cycles = _MISSING if figures["cycles"] is None else f"{figures['cycles']:.3f}"
    cell = f"{cycles} / {figures['instructions']:.3f}"
    return f"**{cell}**" if row.get("chosen") else cell


def _loop(row: Row) -> str:
    inner = row["inner"]
    return _MISSING if inner["cycles"] is None else f"{inner['cycles']:.3f} ({inner['bound']:.3f})"


def _models(models: Sequence[Row]) -> str:
    cores = [core for core in CORES if any(row["core"] == core for row in models)]
    lines = []
    for title in dict.fromkeys(row["title"] for row in models):
        of_model = {row["core"]: row for row in models if row["title"] == title}
        macs = next(iter(of_model.values()))["macs"]
        cells = [_model_cell(of_model.get(core)) for core in cores]
        lines.append((title, f"{macs / 1e6:.1f}", *cells))
    return table(("", "M MAC", *cores), lines, "lr" + "r" * len(cores))


def _model_cell(row: Row | None) -> str:
    if row is None:
        return _MISSING
    cycles = "" if row["cycles"] is None else f"; {row['cycles'] / 1e6:.1f}"
    return f"{row['instructions'] / 1e6:.1f}{cycles}"


def _sources(peers: Sequence[Row]) -> str:
    known = dict.fromkeys((peer["title"], peer["source"]) for peer in peers)
    return "\n".join(f"* {title}: {source}" for title, source in known)
