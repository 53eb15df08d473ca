"""What came of the ratios that are asked for: each is computed from the rows that were measured, or left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.arm import rows as asked
from benchmarks.suite.verdict import BELOW, FLOOR, GOAL

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """ratio: the more the better. measure: "cycles" of llvm-mca, or "instructions". beside: what is compared with."""

    what: str
    where: str
    core: str
    measure: str
    beside: str
    ratio: float
    floor: float
    goal: float | None

    @property
    def word(self) -> str:
        """Of the ratio with two digits, as it is printed."""
        ratio = round(self.ratio, 2)
        if self.goal is not None and ratio >= self.goal:
            return GOAL
        return FLOOR if ratio >= self.floor else BELOW


def verdicts(data: Mapping[str, Sequence[Row]]) -> list[Verdict]:
    """All that the rows of `data` ("peers", "layers", "models") allow."""
    layers, peers = data["layers"], data["peers"]
    return [
        *_within(layers),
        *_beside_peers(layers, peers),
        *_beside_bit_serial(layers, peers),
        *_whole_models(data["models"]),
    ]


def _within(layers: Sequence[Row]) -> Iterator[Verdict]:
    for one in asked.WITHIN_OWN:
        for layer in asked.LAYERS:
            for core in one.cores:
                ours, other = (_chosen(layers, layer, p, core) for p in (one.precision, one.than))
                if ours is not None and other is not None:
                    measure = "instructions" if ours["model"] is None else "cycles"
                    ratio = other["all"][measure] / ours["all"][measure]
                    name, than = one.precision.upper(), one.than.upper()
                    yield Verdict(name, layer, core, measure, f"own {than}", ratio, one.floor, one.goal)


def _beside_peers(layers: Sequence[Row], peers: Sequence[Row]) -> Iterator[Verdict]:
    """The loops alone: of a peer's kernel nothing else is known."""
    for row in layers:
        if row["precision"] == "w8a8" and row["chosen"] and row["model"] is not None:
            best = min(
                (peer for peer in peers if peer["core"] == row["core"] and peer["bits"] == 8),
                key=lambda peer: float(peer["inner"]["cycles"]),
                default=None,
            )
            if best is not None:
                ratio = best["inner"]["cycles"] / row["inner"]["cycles"]
                floor = asked.BESIDE_PEERS_FLOOR
                yield Verdict("W8A8, loop", row["layer"], row["core"], "cycles", best["title"], ratio, floor, 1.0)


def _beside_bit_serial(layers: Sequence[Row], peers: Sequence[Row]) -> Iterator[Verdict]:
    """A whole step of ours beside the best of the peers' loops, and beside our own steps that count bits."""
    for row in layers:
        if row["precision"] != "w2a2" or not row["chosen"] or row["core"] not in ("cortex-a53", "cortex-a72"):
            continue
        same = [each for each in layers if all(each[key] == row[key] for key in ("layer", "precision", "core"))]
        own = {each["kernel"]: each["all"]["cycles"] for each in same if asked.BIT_SERIAL in each["kernel"]}
        published = {
            f"loop of {each['title']}": each["inner"]["cycles"]
            for each in peers
            if each["core"] == row["core"] and each["bits"] == 2
        }
        for others in (published, own):
            if others:
                best = min(others, key=lambda name: float(others[name]))
                ratio = others[best] / row["all"]["cycles"]
                yield Verdict("W2A2", row["layer"], row["core"], "cycles", best, ratio, *asked.BESIDE_BIT_SERIAL)


def _whole_models(models: Sequence[Row]) -> Iterator[Verdict]:
    names, core, most = asked.WHOLE_MODEL
    ours, other = (next((m for m in models if m["name"] == name and m["core"] == core), None) for name in names)
    if ours is not None and other is not None:
        ratio = other["instructions"] / ours["instructions"]
        yield Verdict("ResNet18 W2A2", "whole model", core, "instructions", "own W8A8", ratio, 1 / most, None)


def _chosen(layers: Sequence[Row], layer: str, precision: str, core: str) -> Row | None:
    wanted = {"layer": layer, "precision": precision, "core": core, "chosen": True}
    return next((row for row in layers if all(row[key] == value for key, value in wanted.items())), None)
