"""The rows of a suite as Markdown, each table ready to be pasted into docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import known_instruction_sets, table

Data = Mapping[str, Any]
_APART = 0.15


def as_markdown(data: Data) -> str:
    """What `data`, as benchmarks.suite writes it, says: conditions, ratios, times, answers, notes."""
    rows = data["rows"]
    notes = [f"* {row['title']}, {row['isa']}: {note}" for row in rows for note in [*row["notes"], *doubts(row)]]
    failures = [f"* {name} was not measured: {reason}" for name, reason in data["failures"].items()]
    parts = [conditions(rows, data["suite"])] if rows else []
    parts += [ratios(rows), times(rows), answers(rows)] if rows else []
    return "\n\n".join(filter(None, [*parts, "\n".join(notes + failures)])) + "\n"


def doubts(row: Data) -> list[str]:
    """What speaks against a row's ratios: neighbours interrupt long inferences more often than short ones."""
    if any(entrant["threads"] > 1 for entrant in row["entrants"].values()):
        return []
    apart = [found for found in row["comparisons"] if abs(found["cpu_ratio"] / found["ratio"] - 1) > _APART]
    return [
        f"{found['ours']} beside {found['peer']} is {found['ratio']:.2f} by the clock and {found['cpu_ratio']:.2f} by "
        "processor time; the machine was busy, measure again."
        for found in apart
    ]


def conditions(rows: Sequence[Data], suite: str) -> str:
    """The machine, and for each level of instruction sets the flags and what the peers may know of."""
    machine, programs = rows[0]["machine"], rows[0]["programs"]
    megahertz = "frequency not told" if machine["megahertz"] is None else f"{machine['megahertz']:.0f} MHz"
    governor = f"governor {machine['governor'] or 'not told'}{', virtual machine' if machine['virtual'] else ''}"
    vectors = " ".join(name for name in machine["features"] if name.startswith(("avx", "fma", "amx")))
    loads = [row["machine"]["load"] for row in rows]
    load = f"load {min(loads):.2f} to {max(loads):.2f}"
    versions = {**programs["peers"], "Python": programs["python"]}
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    processor = f"{machine['processor']}, {machine['cores']} cores, {megahertz}, {governor}"
    lines = [
        f"Machine: {processor}, {machine['system']}, {load}; {vectors}.",
        f"subbyte {programs['subbyte']}, {programs['compiler']}; {peers}.",
    ]
    for row in {row["isa"]: row for row in rows}.values():
        seen = known_instruction_sets(row["isa"], row["hidden_by"])
        lines.append(f"{row['isa']}: `{row['programs']['target']}`, `{row['programs']['flags']}`; peers know {seen}.")
    verified = sum(row["verified"] for row in rows)
    lines.append(f"Of {len(rows)} rows, {verified} had subbyte's answers compared with its interpreter, bit for bit.")
    commands = dict.fromkeys(_command(suite, row["settings"]) for row in rows)
    return "\n\n".join([*lines, "A process for each row: " + ", ".join(f"`{command}`" for command in commands)])


def _command(suite: str, settings: Data) -> str:
    """What repeats a row's measurement, but for where it is written."""
    words = ["python -m benchmarks.suite", suite]
    words += [f"--rounds {settings['rounds']}", f"--block-ms {settings['block_ms']:g}"]
    words += [] if settings["cpu"] is None else [f"--cpu {settings['cpu']}"]
    words += [] if settings["compiler"] is None else [f"--compiler '{settings['compiler']}'"]
    return " ".join(words)


def ratios(rows: Sequence[Data]) -> str:
    """A line for each comparison: times, ratio, floor, goal."""
    peers = list(dict.fromkeys(e["engine"] for row in rows for e in _plain_peers(row).values()))
    lines = []
    for row in rows:
        for index, found in enumerate(row["comparisons"]):
            ours = row["entrants"][found["ours"]]
            plain = _plain_peers(row)
            best = "" if row["fastest_peer"] is None else row["fastest_peer"]
            lines.append(
                (
                    row["title"] if not index else "",
                    row["isa"],
                    _macs(ours, list(plain.values())) if not index else "",
                    f"{found['ours']}: {_time(ours)}" if found["ours"] != "subbyte" else _time(ours),
                    *(_time(plain[name]) if name in plain else "-" for name in peers),
                    found["peer"],
                    f"**{found['ratio']:.2f}** ({min(found['by_round']):.2f} to {max(found['by_round']):.2f})",
                    f"{found['cpu_ratio']:.2f}",
                    *("-" if found[name] is None else f"{found[name]:g}" for name in ("floor", "goal")),
                    found["verdict"],
                    best if not index else "",
                )
            )
    known = ("", "level", "M MAC, ours / peers'", "subbyte", *peers)
    heading = (*known, "beside", "ratio (rounds)", "of CPU time", "floor", "goal", "", "fastest peer")
    return table(heading, lines, "llrr" + "r" * len(peers) + "llrrrll")


def times(rows: Sequence[Data]) -> str:
    """A line for each engine of each row."""
    lines = []
    for row in rows:
        for index, (name, entrant) in enumerate(row["entrants"].items()):
            figures = (f"{entrant[key]:.2f}" for key in ("median_us", "p10_us", "p90_us", "cpu_us"))
            title = f"{row['title']}, {row['isa']}" if not index else ""
            lines.append((title, name, entrant["model"], *figures, f"{entrant['gmac_per_s']:.1f}"))
    heading = ("", "engine", "model", "median µs", "p10", "p90", "CPU µs", "GMAC/s")
    return table(heading, lines, "lllrrrrr")


def answers(rows: Sequence[Data]) -> str:
    """How far each peer's answers lie from subbyte's on the same model."""
    lines = []
    for row in rows:
        for found in row["agreement"]:
            steps = f"{found['max_abs']:.2g} (float)" if found["max_steps"] is None else f"{found['max_steps']:g}"
            top1 = "-" if found["top1"] is None else f"{100 * found['top1']:.4g} %"
            differ = f"{found['different']} of {found['values']}"
            lines.append((found["model"], row["isa"], found["engine"], str(found["samples"]), differ, steps, top1))
    unique = list(dict.fromkeys(lines))
    heading = ("model", "level", "beside subbyte", "samples", "values that differ", "largest step", "same top-1")
    return table(heading, unique, "lllrrrr") if unique else ""


def _plain_peers(row: Data) -> dict[str, Data]:
    """The row's peers that go by their engine's name alone, by it."""
    return {name: e for name, e in row["entrants"].items() if e["engine"] == name and name != "subbyte"}


def _macs(ours: Data, peers: Sequence[Data]) -> str:
    theirs = dict.fromkeys(f"{peer['macs'] / 1e6:.2f}" for peer in peers)
    return " / ".join([f"{ours['macs'] / 1e6:.2f}", *theirs])


def _time(entrant: Data) -> str:
    median = entrant["median_us"]
    return f"{median / 1000:.2f} ms" if median >= 1000 else f"{median:.2f} µs"
