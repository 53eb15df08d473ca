"""The arena planner: nothing that lives at the same time overlaps, and it is near the lower bound."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.compiler.codegen.memory import Lifetime, plan_arena

ALIGN = 64


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    made: list[Lifetime] = []
    for _ in range(draw(st.integers(0, 30))):
        first = draw(st.integers(0, 20))
        last = first + draw(st.integers(0, 8))
        size = draw(st.integers(0, 5000))
        rivals = [other for other in made if other.bytes == size and other.last == first and other.first < first]
        made.append(Lifetime(size, first, last, tuple(rivals)))
    return made


@given(lifetimes())
@settings(max_examples=300, deadline=None)
def test_buffers_that_live_at_one_step_do_not_overlap(made: list[Lifetime]) -> None:
    plan = plan_arena(made, ALIGN)
    for index, one in enumerate(made):
        assert one.offset % ALIGN == 0
        assert 0 <= one.offset <= one.offset + one.bytes <= plan.bytes
        for other in made[:index]:
            together = one.first <= other.last and other.first <= one.last
            apart = one.offset + max(one.bytes, 1) <= other.offset or other.offset + max(other.bytes, 1) <= one.offset
            taken_over = one.offset == other.offset and other in one.in_place and other.last == one.first
            assert not together or apart or taken_over
    assert plan.lower_bound_bytes <= plan.bytes


def test_a_chain_needs_two_buffers_and_one_in_place() -> None:
    chain = [Lifetime(100, step, step + 1) for step in range(10)]
    assert plan_arena(chain, ALIGN).bytes == 256

    in_place: list[Lifetime] = []
    for step in range(10):
        in_place.append(Lifetime(100, step, step + 1, tuple(in_place[-1:])))
    plan = plan_arena(in_place, ALIGN)
    assert plan.bytes == plan.lower_bound_bytes == 128
    assert plan.shared == 9


def test_a_buffer_that_is_read_later_is_not_taken_over() -> None:
    first = Lifetime(64, 0, 5)
    second = Lifetime(64, 1, 2, (first,))
    plan = plan_arena([first, second], ALIGN)
    assert plan.shared == 0
    assert first.offset != second.offset


def test_only_one_of_two_takes_a_dying_buffer_over() -> None:
    dying = Lifetime(64, 0, 1)
    one, two = (Lifetime(64, 1, 2, (dying,)) for _ in range(2))
    plan = plan_arena([dying, one, two], ALIGN)
    assert plan.shared == 1
    assert one.offset != two.offset


def test_nothing_needs_nothing() -> None:
    plan = plan_arena([], ALIGN)
    assert (plan.bytes, plan.lower_bound_bytes) == (0, 0)
