"""The C++ of step forms gives the bits of the codes that apply_steps gives, for every form, fold and sign."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.requantize import Requantization
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_choice import choose_step_form
from subbyte.compiler.numerics.step_forms import (
    CompareSteps,
    FixedPoint,
    SearchSteps,
    StepForm,
    Unchanged,
    apply_steps,
)
from subbyte.compiler.numerics.thresholds import staircase
from subbyte.targets.hls.codes.steps import steps_text
from subbyte.targets.hls.streams import Element
from tests.hls.numbers_program import build, given, numbers


@dataclass(frozen=True)
class Case:
    """A form at `lanes` lanes, and sums [n, channels] to put through it."""

    name: str
    form: StepForm
    sums: Element
    y: Element
    lanes: int
    accumulators: Codes

    @property
    def channels(self) -> int:
        return int(self.accumulators.shape[1])


def source_of(cases: Sequence[Case]) -> str:
    """A function for each case that reads sums channel by channel and prints the bits of their codes."""
    text, calls = [], []
    for case in cases:
        found = steps_text(case.name, case.form, case.sums, case.y, case.lanes, case.channels)
        text += [*(f'#include "{header}"' for header in found.headers), found.constants]
        text += [f"static void run_{case.name}() {{", f"    for (int i = 0; i < {len(case.accumulators)}; ++i)"]
        text += [f"        for (int fold = 0; fold < {-(-case.channels // case.lanes)}; ++fold) {{"]
        for lane in range(case.lanes):
            call = f"show({found.expression}.template apply<{lane}>({case.sums.c_type}(next()), fold))"
            text += [f"            if (fold * {case.lanes} + {lane} < {case.channels}) {call};"]
        text += ["        }", "}"]
        calls += [f"    run_{case.name}();"]
    return "\n".join(['#include "ap_int.h"', '#include "numbers_program.h"', *text, "int main() {", *calls, "}", ""])


def around(values: Codes, low: Codes, high: Codes) -> Codes:
    """[n, rows]: for each row every value and its neighbours, and both ends, within the row's range."""
    ends = np.stack([low, high], axis=1)
    near = np.concatenate([values - 1, values, values + 1, ends], axis=1)
    return np.clip(near, low[:, None], high[:, None]).T


def stairs(random: np.random.Generator, rows: int, count: int, reach: int, kind: str, low: int = 0) -> Staircase:
    """Steps anywhere in -reach..reach; codes that rise, fall, do both by row, or jump about."""
    steps = np.sort(random.integers(-reach + 1, reach + 1, (rows, count)), axis=1)
    rising = low + np.broadcast_to(np.arange(count + 1), (rows, count + 1))
    codes = {
        "rising": rising,
        "falling": rising[:, ::-1],
        "both": np.where((np.arange(rows) % 2 == 0)[:, None], rising, rising[:, ::-1]),
        "table": random.integers(low, low + count + 1, (rows, count + 1)),
    }[kind]
    return Staircase(steps, codes, np.full(rows, -reach), np.full(rows, reach))


def staircase_case(name: str, search: bool, found: Staircase, y: Element, lanes: int, channels: int) -> Case:
    form = SearchSteps(found) if search else CompareSteps(found)
    near = around(found.steps, found.low, found.high)
    sums = Element(int(found.low.min()), int(found.high.max()))
    return Case(name, form, sums, y, lanes, np.repeat(near, channels // found.rows, axis=1))


def fixed_point_case(name: str, form: FixedPoint, y: Element, lanes: int) -> Case:
    low, high = form.acc_low, form.acc_high
    spread = np.linspace(low, high, 60).astype(np.int64)
    near = np.concatenate([np.repeat(spread[:, None], form.rows, axis=1), np.clip(form.at.T, low, high)])
    return Case(name, form, Element(low, high), y, lanes, near)


def all_cases() -> list[Case]:
    random = np.random.default_rng(7)
    s8, u8, u4 = Element(-128, 127), Element(0, 255), Element(0, 15)
    flat = Staircase(np.zeros((2, 0)), [[3], [5]], [0, 0], [9, 9])
    bipolar = Staircase([[0], [5], [-7]], [[-1, 1], [1, -1], [-1, 1]], [-20] * 3, [20] * 3)
    unreached = Staircase([[1, 2, 3], [2, 4, 4]], [[0, 1, 2, 3], [3, 2, 9, 9]], [0, 0], [3, 3])
    cases = [
        Case("unchanged", Unchanged(), Element(-9, 6), Element(-9, 6), 2, np.arange(-9, 6).reshape(5, 3)),
        Case("counts", Unchanged(), Element(0, 7), Element(0, 7), 1, np.arange(8).reshape(8, 1)),
        staircase_case("flat", False, flat, u4, 2, 2),
        staircase_case("flat_search", True, flat, u4, 1, 2),
        staircase_case("sign", False, bipolar, Element(-1, 1, bipolar=True), 2, 3),
        staircase_case("unreached", False, unreached, u4, 1, 2),
        staircase_case("unreached_search", True, unreached, u4, 2, 2),
        staircase_case("one_row", False, stairs(random, 1, 15, 500, "rising"), u4, 4, 6),
        staircase_case("positive", False, Staircase([[1, 7]], [[0, 1, 2]], [0], [7]), u4, 1, 1),
    ]
    for kind in ("rising", "falling", "both", "table"):
        for search, count in ((False, 1), (False, 7), (True, 1), (True, 2), (True, 8)):
            name = f"{kind}_{'search' if search else 'compare'}_{count}"
            lanes = int(random.integers(1, 6))
            cases.append(staircase_case(name, search, stairs(random, 5, count, 40, kind, -3), s8, lanes, 5))
    cases.append(staircase_case("wide", True, stairs(random, 3, 255, 1 << 21, "both", -128), s8, 2, 3))
    cases.append(staircase_case("widest", True, stairs(random, 1, 255, (1 << 33) - 1, "table"), u8, 1, 1))
    one = FixedPoint([37], [1 << 9], 10, -8, 7, np.zeros((1, 0)), np.zeros((1, 0)), -400, 400)
    many = FixedPoint(
        [130001, -90001, 3], [5 << 20, -77, 0], 24, -128, 127, [[5, -9], [7, 7], [0, 1]], [[1, -1], [-2, 0], [1, 1]],
        -(1 << 15), 1 << 15,
    )  # fmt: skip
    cases.append(fixed_point_case("fixed", one, Element(-8, 7), 1))
    clamped = dataclasses.replace(many, live=(-900, 700))
    cases.append(fixed_point_case("fixed_live", clamped, Element(-130, 129), 3))
    narrow = stairs(random, 3, 15, 40, "both")
    wide = Staircase(narrow.steps + 70, narrow.codes, np.full(3, -(1 << 20)), np.full(3, 1 << 21))
    cases.append(staircase_case("compare_live", False, wide, u4, 2, 3))
    cases.append(staircase_case("search_live", True, wide, u4, 2, 3))
    ends = Staircase([[5, 6, 7], [4, 99, 99]], [[0, 1, 2, 3], [3, 2, 9, 9]], [-99, -99], [99, 50])
    cases.append(staircase_case("live_ends", True, ends, u4, 2, 2))
    cases.append(fixed_point_case("fixed_exceptions", many, Element(-130, 129), 2))
    r = Requantization(np.float32(random.uniform(2**-11, 2**-10, 6) * np.tile([1, -1], 3)), None, 3, -128, 127)
    real = staircase(r, np.full(6, -(1 << 20)), np.full(6, 1 << 19), 255)
    assert real is not None
    chosen = choose_step_form(real)
    assert isinstance(chosen, FixedPoint)
    assert chosen.live is not None
    near = around(np.concatenate([real.steps, chosen.at], axis=1), real.low, real.high)
    cases.append(Case("chosen", chosen, Element(-(1 << 20), 1 << 19), s8, 4, near))
    for ties_to, tie in ((0, None), (1, [3, 8])):
        ties = FixedPoint([1, -3], [16, 64], 4, 0, 255, [[8], [0]], [[1], [0]], -300, 300, ties_to, tie)
        cases.append(fixed_point_case(f"ties_{ties_to}", ties, Element(0, 256), 2))
    return cases


@pytest.mark.parametrize("headers", ["ours", "vendor"])
def test_the_bits_are_those_of_apply_steps(headers: str, tmp_path: Path) -> None:
    cases = all_cases()
    program = build(source_of(cases), tmp_path, headers)
    lines = given(program, np.concatenate([case.accumulators.reshape(-1) for case in cases]))
    for case in cases:
        expected = case.y.encode(apply_steps(case.form, case.accumulators)).reshape(-1)
        assert numbers(lines, expected.size) == expected.tolist(), case.name
    assert next(lines, None) is None


def test_a_text_says_what_it_cannot_hold() -> None:
    found = Staircase([[1, 2]] * 3, [[0, 1, 2]] * 3, [0] * 3, [9] * 3)
    with pytest.raises(GraphError, match="2 channels and steps for 3"):
        steps_text("a", CompareSteps(found), Element(0, 9), Element(0, 2), 1, 2)
    with pytest.raises(GraphError, match=r"codes 0\.\.2, which 0\.\.1 does not hold"):
        steps_text("a", SearchSteps(found), Element(0, 9), Element(0, 1), 1, 3)
    with pytest.raises(GraphError, match=r"hands sums 0\.\.9 on as codes 0\.\.3"):
        steps_text("a", Unchanged(), Element(0, 9), Element(0, 3), 1, 3)
