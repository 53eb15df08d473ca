"""The measurements as Markdown for people and as plain data for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.agreement import Agreement
from benchmarks.measure import Timing, ratios
from benchmarks.subjects import Subject


@dataclass(frozen=True)
class Measured:
    """One model: its timings by engine, "subbyte" among them, and how the peers' answers lie beside subbyte's."""

    subject: Subject
    timings: Mapping[str, Timing]
    agreements: list[Agreement]
    notes: list[str]

    @property
    def peers(self) -> dict[str, Timing]:
        return {name: timing for name, timing in self.timings.items() if name != "subbyte"}

    @property
    def ratio(self) -> float:
        """The median over the rounds of (faster peer / subbyte)."""
        return float(np.median(ratios(self.timings["subbyte"], self.peers)[0]))


def as_data(measured: list[Measured], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, JSON-able."""
    return {"conditions": dict(conditions), "models": [_model_data(each) for each in measured]}


def _model_data(each: Measured) -> dict[str, Any]:
    per_round, fastest = ratios(each.timings["subbyte"], each.peers)
    return {
        "model": each.subject.name,
        "macs": each.subject.macs,
        "samples": each.subject.samples.count,
        "samples_from": each.subject.origin,
        "ratio": each.ratio,
        "ratio_by_round": per_round.tolist(),
        "faster_peer_by_round": fastest,
        "engines": {name: _timing_data(timing, each.subject.macs) for name, timing in each.timings.items()},
        "agreement": [asdict(agreement) for agreement in each.agreements],
        "notes": each.notes,
    }


def _timing_data(timing: Timing, macs: int) -> dict[str, Any]:
    low, median, high = timing.percentiles((10, 50, 90))
    return {
        "median_us": median / 1000,
        "p10_us": low / 1000,
        "p90_us": high / 1000,
        "cpu_us": float(np.median(timing.cpu)) / 1000,
        "gmac_per_s": macs / median,
        "inferences": timing.inferences,
        "median_us_by_round": (timing.medians / 1000).tolist(),
    }


def as_markdown(measured: list[Measured], conditions: Mapping[str, Any]) -> str:
    """The tables, under the conditions that they hold for."""
    parts = [_conditions(conditions), _speeds(measured), _answers(measured)]
    notes = [f"* {each.subject.name}: {note}" for each in measured for note in each.notes]
    return "\n\n".join(filter(None, [*parts, "\n".join(notes)])) + "\n"


def _conditions(conditions: Mapping[str, Any]) -> str:
    machine, programs, run = (conditions[name] for name in ("machine", "programs", "run"))
    megahertz = "frequency not told" if machine["megahertz"] is None else f"{machine['megahertz']:.0f} MHz"
    governor = f"governor {machine['governor'] or 'not told'}"
    virtual = ", virtual machine" if machine["virtual"] else ""
    vectors = " ".join(name for name in machine["features"] if name.startswith(("avx", "fma", "amx")))
    seen = f"{machine['system']}, load {machine['load']:.2f} at the start; {vectors}"
    plural = "s" if run["threads"] > 1 else ""
    rounds = f"{run['rounds']} rounds, blocks of {run['block_ms']:g} ms, one process"
    versions = {**programs["peers"], "Python": programs["python"]}
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [
        f"Machine: {machine['processor']}, {machine['cores']} cores, {megahertz}, {governor}{virtual}, {seen}.",
        f"subbyte {programs['subbyte']} for `{programs['target']}`, {programs['compiler']}, `{programs['flags']}`.",
        f"{peers}; they may know of these instruction sets: {known_instruction_sets(run['isa'], run['hidden_by'])}.",
        f"{run['threads']} thread{plural}, {rounds}: `{run['command']}`",
    ]
    return "\n\n".join(lines)


def known_instruction_sets(isa: str, hidden_by: str | None) -> str:
    """What the peers may use of the processor's, in words."""
    if hidden_by is None:
        return "all of the processor's"
    means = {"faulting": "CPUID faulting", "patched": "CPUID instructions that trap"}
    return f"up to {isa}, the others hidden by {means[hidden_by]}"


def _speeds(measured: list[Measured]) -> str:
    rows = []
    for each in measured:
        per_round, _ = ratios(each.timings["subbyte"], each.peers)
        for name, timing in each.timings.items():
            data = _timing_data(timing, each.subject.macs)
            ratio = f"**{each.ratio:.2f}** ({per_round.min():.2f} to {per_round.max():.2f})"
            rows.append(
                (
                    f"{each.subject.name}, {each.subject.macs / 1e6:.2f} M MAC" if name == "subbyte" else "",
                    name,
                    f"{data['median_us']:.2f}",
                    f"{data['p10_us']:.2f}",
                    f"{data['p90_us']:.2f}",
                    f"{data['cpu_us']:.2f}",
                    f"{data['gmac_per_s']:.1f}",
                    ratio if name == "subbyte" else "",
                )
            )
    heading = ("model", "engine", "median µs", "p10", "p90", "CPU µs", "GMAC/s", "faster peer / subbyte (rounds)")
    return table(heading, rows, "llrrrrrl")


def _answers(measured: list[Measured]) -> str:
    rows = []
    for each in measured:
        for found in each.agreements:
            samples = f"{each.subject.samples.count} from {each.subject.origin}"
            steps = "-" if found.max_steps is None else f"{found.max_steps:g}"
            top1 = "-" if found.top1 is None else f"{100 * found.top1:.4g} %"
            rows.append((each.subject.name, samples, found.engine, f"{found.different} of {found.values}", steps, top1))
    heading = ("model", "samples", "beside subbyte", "values that differ", "largest step", "same top-1")
    return table(heading, rows, "lllrrr")


def table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], aligned: str) -> str:
    """A Markdown table; `aligned` has an l or an r for each column."""
    rule = tuple("---:" if side == "r" else "---" for side in aligned)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))
