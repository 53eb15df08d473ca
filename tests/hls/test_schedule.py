"""The schedule of a design: what the simulation says, and which depths are chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from subbyte.compiler.errors import GraphError
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.processes import processes_of
from subbyte.targets.hls.schedule.simulate import Blocked, Waits, simulate
from tests.hls.loops import chain, fork_and_join, loop, stream

# Simulation -----------------------------------------------------------------------------------------------------------


def test_times_of_one_actor() -> None:
    """The bus writes words 0..3 in cycles 0..3; a0 reads at 1..4, writes at 6..9; the bus reads at 7..10."""
    result = simulate(chain((4, range(4), range(4), 5), words=4), frames=3)
    assert result.begins == (0, 4, 8)
    assert result.finishes == (10, 14, 18)
    assert (result.first_latency, result.last_latency, result.period) == (11, 11, 4)
    assert result.waits["a0"] == Waits(words=1, room=0)
    assert result.high_water == {"x": 2, "s0": 2}


def test_the_slowest_actor_sets_the_period() -> None:
    """a1 takes 3 cycles a word, reading in the first and writing in the last of them; a0 waits for room in s0."""
    design = chain((4, range(4), range(4), 1), (12, range(0, 12, 3), range(2, 12, 3), 1), words=4)
    result = simulate(design, frames=6, depths={"x": 2, "s0": 2, "s1": 2})
    assert result.period == 12
    assert result.waits["a1"] == Waits(words=3, room=0)
    assert result.waits["a0"].room > 0
    assert result.high_water["s0"] == 2


def test_depth_one_halves_a_pipeline() -> None:
    """A word's place is free again two cycles after it was filled: one to read it, one to leave."""
    design = chain((8, range(8), range(8), 0), (8, range(8), range(8), 0), words=8)
    assert simulate(design, 4, {"x": 2, "s0": 2, "s1": 2}).period == 8
    assert simulate(design, 4, {"x": 2, "s0": 1, "s1": 2}).period == 16


def test_pipeline_holds_words_beside_the_fifo() -> None:
    """With latency 6 and depth 2, six words are under way and two are held: no loss."""
    design = chain((8, range(8), range(8), 6), (8, range(8), range(8), 6), words=8)
    assert simulate(design, 6, {"x": 2, "s0": 2, "s1": 2}).period == 8


def test_a_skip_fifo_that_is_too_small_deadlocks() -> None:
    """The window wants word `hold` before it writes word 0, at which the join takes the first word of the skip."""
    design = fork_and_join(words=20, hold=7)
    others = {"x": 2, "main": 2, "ahead": 2, "y": 2}
    assert simulate(design, 2, {**others, "skip": 8}).deadlock == ()
    result = simulate(design, 2, {**others, "skip": 7})
    assert result.finishes == ()
    assert result.deadlock == (
        Blocked("fork", "skip", True, "join"),
        Blocked("join", "ahead", False, "window"),
        Blocked("window", "main", False, "fork"),
    )
    assert str(result.deadlock[0]) == "'fork' waits for room in 'skip', which 'join' reads"


def test_frames_that_are_done_before_a_deadlock_are_told() -> None:
    """Depths that carry one frame carry all: every FIFO is empty between frames."""
    design = fork_and_join(words=6, hold=2)
    for skip in range(1, 8):
        result = simulate(design, 5, {"skip": skip, "main": 1})
        assert len(result.finishes) in (0, 5)
        assert bool(result.deadlock) == (len(result.finishes) == 0)


# What is refused ------------------------------------------------------------------------------------------------------


def test_unread_stream_is_refused() -> None:
    x, y = stream("x", 2), stream("y", 2)
    copy = loop("copy", 2, [(x, range(2))], [(y, range(2))])
    with pytest.raises(GraphError, match="nothing reads stream 'y'"):
        processes_of(Design("d", (copy,), (x,), ()))


def test_second_reader_is_refused() -> None:
    design = chain((2, range(2), range(2), 1), words=2)
    twin = loop("twin", 2, [(design.inputs[0], range(2))], [(stream("z", 2), range(2))])
    with pytest.raises(GraphError, match="'twin' reads stream 'x', and so does 'a0'"):
        processes_of(replace(design, actors=(*design.actors, twin)))


@pytest.mark.parametrize(
    ("reads", "found"),
    [([0], "reads 1 words of 'x' in a frame, which has 2"), ([1, 1], "do not ascend"), ([1, 2], "within 0..1")],
)
def test_trace_that_does_not_fit_is_refused(reads: list[int], found: str) -> None:
    x, y = stream("x", 2), stream("y", 2)
    wrong = loop("wrong", 2, [(x, reads)], [(y, range(2))])
    with pytest.raises(GraphError, match=found):
        processes_of(Design("d", (wrong,), (x,), (y,)))


def test_depth_below_one_is_refused() -> None:
    with pytest.raises(GraphError, match="stream 'x' has depth 0"):
        simulate(chain((2, range(2), range(2), 1), words=2), depths={"x": 0})
