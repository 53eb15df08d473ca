"""Actors that are nothing but their traces, and small designs made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from subbyte.targets.hls.actors import Actor, Design
from subbyte.targets.hls.streams import Element, Stream, StreamType
from subbyte.targets.hls.trace import Trace, trace


@dataclass(frozen=True, eq=False)
class Loop(Actor):
    of_trace: Trace


@trace.register
def _(actor: Loop) -> Trace:
    return actor.of_trace


def stream(name: str, words: int, bits: int = 8) -> Stream:
    """`words` words of `bits` bits a frame."""
    return Stream(name, StreamType(Element(0, 2**bits - 1), 1, words, 1, 1))


def loop(
    name: str,
    iterations: int,
    inputs: Sequence[tuple[Stream, Iterable[int]]],
    outputs: Sequence[tuple[Stream, Iterable[int]]],
    latency: int = 1,
) -> Loop:
    """An actor by the iterations in which it reads and writes each of its streams."""
    reads = tuple(np.array(list(moves), np.int64) for _, moves in inputs)
    writes = tuple(np.array(list(moves), np.int64) for _, moves in outputs)
    names = tuple(x for x, _ in inputs), tuple(y for y, _ in outputs)
    return Loop(name, *names, Trace(iterations, reads, writes, latency))


def chain(*stages: tuple[int, Iterable[int], Iterable[int], int], words: int) -> Design:
    """Actors a0, a1, ... in a row, by (iterations, reads, writes, latency); x, s0, s1, ... are between them."""
    x = stream("x", words)
    first, actors = x, []
    for number, (iterations, reads, writes, latency) in enumerate(stages):
        written = list(writes)
        y = stream(f"s{number}", len(written))
        actors.append(loop(f"a{number}", iterations, [(x, reads)], [(y, written)], latency))
        x = y
    return Design("chain", tuple(actors), (first,), (x,))


def fork_and_join(words: int, hold: int, latency: int = 3, bits: int = 8) -> Design:
    """x forks into `main` and `skip`; a process on `main` writes its word k once it has read word k + hold; both join.

    The process reads in iterations 0 .. words - 1 and writes in iterations hold .. hold + words - 1, as a window does
    that looks `hold` pixels ahead.
    """
    x, main, skip = stream("x", words, bits), stream("main", words, bits), stream("skip", words, bits)
    ahead, y = stream("ahead", words, bits), stream("y", words, bits)
    every = range(words)
    return Design(
        "fork_and_join",
        (
            loop("fork", words, [(x, every)], [(main, every), (skip, every)]),
            loop("window", words + hold, [(main, every)], [(ahead, range(hold, hold + words))], latency),
            loop("join", words, [(ahead, every), (skip, every)], [(y, every)]),
        ),
        (x,),
        (y,),
    )


def random_design(generator: np.random.Generator) -> Design:
    """Chains, forks and joins of loops with random traces; some deadlock whatever the depths."""

    def moves(iterations: int, words: int) -> list[int]:
        return sorted(generator.choice(iterations, words, replace=False).tolist())

    open_streams = [stream(f"x{number}", int(generator.integers(1, 8))) for number in range(generator.integers(1, 3))]
    inputs = tuple(open_streams)
    actors: list[Loop] = []
    made = 0
    for number in range(int(generator.integers(2, 8))):
        taken = [
            open_streams.pop(int(generator.integers(len(open_streams))))
            for _ in range(generator.integers(1, 3))
            if open_streams
        ]
        words = [int(generator.integers(1, 8)) for _ in range(generator.integers(1, 3))]
        given = [stream(f"s{made + port}", count) for port, count in enumerate(words)]
        made += len(given)
        iterations = max(x.type.words for x in (*taken, *given)) + int(generator.integers(0, 6))
        reads = [(x, moves(iterations, x.type.words)) for x in taken]
        writes = [(y, moves(iterations, y.type.words)) for y in given]
        actors.append(loop(f"a{number}", iterations, reads, writes, int(generator.integers(0, 9))))
        open_streams += given
    return Design("random", tuple(actors), inputs, tuple(open_streams))
