"""The estimate as a page: Markdown that reads well as plain text too."""

from __future__ import annotations

from collections.abc import Sequence

from subbyte.targets.hls.estimate.design import NOTE, ActorEstimate, Estimate
from subbyte.targets.hls.resources import KINDS

BAR = 40
LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18", "uram": "URAM"}


def page(found: Estimate, reasons: Sequence[str] = ()) -> str:
    """report/estimate.md. reasons: sentences of the folding on what limits it."""
    parts = [
        f"# {found.design}: estimate",
        f"For {found.part.full_name} at {found.clock_mhz:g} MHz. This is {NOTE}.",
        _speed(found),
        "## Resources",
        _bars(found),
        _verdict(found),
    ]
    if reasons:
        parts += ["## What limits", "\n".join(f"* {reason}" for reason in reasons)]
    parts += ["## Cycles of each process", _cycles(found)]
    parts += ["## Processes", _actors(found), "## FIFOs", _fifos(found), "## Memories", _memories(found)]
    return "\n\n".join(parts) + "\n"


def _speed(found: Estimate) -> str:
    how = "simulated with these FIFOs" if found.simulated else "where no FIFO is ever full"
    taken = f"{found.latency_us:,.2f} us from a frame's first word in to its last word out"
    return "\n".join(
        (
            f"* {found.fps:,.0f} frames a second: a frame every {found.frame_cycles} cycles, limited by "
            + ", ".join(f"`{name}`" for name in found.bottlenecks),
            f"* {taken} ({found.latency_cycles} cycles, {how}; the bus moves a word a cycle)",
            "* initiation interval 1 in every process",
        )
    )


def _bars(found: Estimate) -> str:
    """A bar for each resource of the part; `|` is the budget."""
    lines = []
    for kind, share in found.shares.items():
        used, most = getattr(found.resources, kind), getattr(found.part.resources, kind)
        bar = ["#" if place < round(share * BAR) else "." for place in range(BAR)]
        if share > 1:
            bar[-1] = ">"
        mark = min(round(getattr(found.budget, kind) / most * BAR), BAR)
        bar.insert(mark, "|")
        lines.append(f"{LABELS[kind]:7}{''.join(bar)} {used:7} of {most:7}  {100 * share:5.1f} %")
    return "```\n" + "\n".join(lines) + "\n```"


def _verdict(found: Estimate) -> str:
    limit = LABELS[found.limit]
    if found.fits:
        return f"The design is within its budget (`|`); {limit} is what it takes the largest share of."
    over = [
        f"{count - most} {LABELS[kind]}"
        for kind, count, most in zip(KINDS, found.resources.counts, found.budget.counts, strict=True)
        if count > most
    ]
    return f"The design is over its budget (`|`) by {', '.join(over)}."


def _cycles(found: Estimate) -> str:
    width = max((len(row.name) for row in found.actors), default=0)
    lines = [
        f"{row.name:{width}} {'#' * max(round(row.busy * BAR), 1):{BAR}} {row.cycles:8} {100 * row.busy:5.1f} %"
        for row in found.actors
    ]
    return "```\n" + "\n".join(lines) + "\n```"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The first column is text, all others numbers unless they are text themselves."""
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _actors(found: Estimate) -> str:
    header = ("process", "kind", "lanes in", "lanes out", "cycles", "padding", *LABELS.values(), "computes")
    return table(header, [_actor(row) for row in found.actors])


def _actor(row: ActorEstimate) -> tuple[object, ...]:
    lanes = (", ".join(str(count) for count in counts) for counts in (row.reads, row.writes))
    padding = f"{100 * row.waste:.1f} %"
    return (row.name, row.kind, *lanes, row.cycles, padding, *row.resources.counts, ", ".join(row.sources))


def _fifos(found: Estimate) -> str:
    header = ("stream", "words", "bits", "made of", "LUT", "FF", "BRAM18", "URAM", "why so deep")
    rows = [
        (
            row.name,
            row.depth,
            row.word_bits,
            row.style.value,
            row.resources.lut,
            row.resources.ff,
            row.resources.bram18,
            row.resources.uram,
            row.reason,
        )
        for row in found.fifos
    ]
    return table(header, rows)


def _memories(found: Estimate) -> str:
    rows = [
        (row.name, memory.purpose, memory.count, memory.depth, memory.width, memory.style.value)
        for row in found.actors
        for memory in row.memories
    ]
    if not rows:
        return "None."
    return table(("process", "holds", "memories", "words", "bits", "made of"), rows)
