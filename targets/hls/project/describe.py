"""Comments of generated files: what streams carry and what actors compute, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from subbyte.targets.hls.actors import Actor
from subbyte.targets.hls.instance import Instance
from subbyte.targets.hls.streams import Element, Stream
from subbyte.targets.hls.texts import comment
from subbyte.targets.hls.trace import Trace


def comments(lines: Iterable[str], mark: str = "//") -> str:
    """Lines of a comment, `mark` before each, broken at 120 characters; whatever they hold, they stay comments."""
    width = 119 - len(mark)
    broken = [part for line in lines for part in textwrap.wrap(comment(line), width, break_on_hyphens=False) or [""]]
    return "".join(f"{mark} {comment(line)}".rstrip() + "\n" for line in broken)


def element_text(element: Element) -> str:
    """`s4 -7..7`: signed codes of 4 bits; u unsigned, b bipolar."""
    letter = "b" if element.bipolar else "s" if element.signed else "u"
    return f"{letter}{element.bits} {element.low}..{element.high}"


def stream_text(stream: Stream) -> str:
    """The shape of a stream's frames and words."""
    kind = stream.type
    runs = f" of {kind.runs} runs" if kind.runs > 1 else ""
    return (
        f"{kind.height}x{kind.width} pixels{runs} of {kind.channels} codes {element_text(kind.element)}, "
        f"{kind.words} words of {kind.lanes}"
    )


def actor_text(actor: Actor, text: Instance, timing: Trace) -> str:
    """The comment above an actor's function: nodes, formula, shapes, cycles."""
    sources = " + ".join(actor.sources)
    lines = [f"{actor.name}: {sources}" if sources else f"{actor.name}: of the dataflow, no node of the model"]
    lines += text.comment
    lines += [f"in{number}: {stream.name}, {stream_text(stream)}" for number, stream in enumerate(actor.inputs)]
    lines += [f"out{number}: {stream.name}, {stream_text(stream)}" for number, stream in enumerate(actor.outputs)]
    lines.append(f"{timing.iterations} cycles a frame, latency {timing.latency}")
    return comments(lines)
