"""The C++ of pair forms gives the bits of the codes that apply_pair gives, for every pair of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.errors import GraphError
from subbyte.compiler.numerics.arrays import Codes
from subbyte.compiler.numerics.pair_forms import PairForm, PairSteps, PairTable, apply_pair
from subbyte.compiler.numerics.staircase import Staircase
from subbyte.compiler.numerics.step_forms import CompareSteps, FixedPoint, SearchSteps, Unchanged
from subbyte.targets.hls.codes.pairs import pair_text
from subbyte.targets.hls.streams import Element
from tests.hls.numbers_program import build, given, numbers


@dataclass(frozen=True)
class Case:
    name: str
    form: PairForm
    a: Element
    b: Element
    y: Element

    def pairs(self) -> tuple[Codes, Codes]:
        """Every pair of codes: [codes of a, 1] and [1, codes of b]."""
        a, b = (np.arange(e.low, e.high + 1, 2 if e.bipolar else 1) for e in (self.a, self.b))
        return a[:, None], b[None, :]


def source_of(cases: Sequence[Case]) -> str:
    """A function for each case that reads the bits of pairs of codes and prints those of their results."""
    text, calls = [], []
    for case in cases:
        found = pair_text(case.name, case.form, case.a, case.b, case.y)
        text += [*(f'#include "{header}"' for header in found.headers), found.constants]
        a, b = case.pairs()
        text += [f"static void run_{case.name}() {{", f"    for (int i = 0; i < {a.size * b.size}; ++i) {{"]
        text += [
            f"        const ap_uint<{case.a.bits}> a = next();",
            f"        const ap_uint<{case.b.bits}> b = next();",
        ]
        text += [f"        show({found.expression}.template apply<0>(a, b));", "    }", "}"]
        calls += [f"    run_{case.name}();"]
    return "\n".join(['#include "ap_int.h"', '#include "numbers_program.h"', *text, "int main() {", *calls, "}", ""])


def all_cases() -> list[Case]:
    random = np.random.default_rng(3)
    s4, u3, sign = Element(-8, 7), Element(0, 7), Element(-1, 1, bipolar=True)
    none = np.zeros((1, 0))
    by_two = FixedPoint([1], [3], 2, 0, 7, none, none, -200, 200)
    ties = FixedPoint([5], [0], 4, -8, 7, [[3]], [[1]], -300, 300, 1)
    search = SearchSteps(Staircase(np.sort(random.integers(-60, 60, (1, 15)), axis=1), [range(16)], [-64], [63]))
    few = CompareSteps(Staircase([[-3, 0, 9]], [[3, 0, 2, 7]], [-64], [63]))
    odd, other = random.integers(-20, 20, 16), random.integers(-20, 20, 8)
    return [
        Case("table", PairTable(-8, 0, random.integers(-8, 8, (16, 8))), s4, u3, s4),
        Case("part", PairTable(-20, -1, random.integers(0, 16, (40, 10))), Element(-5, 6), u3, Element(0, 15)),
        Case("signs", PairTable(-1, -1, np.outer([-1, 0, 1], [-1, 0, 1])), sign, sign, sign),
        Case("sums", PairSteps(-8, 0, odd, other, False, by_two), s4, u3, u3),
        Case("shifted", PairSteps(-8, 0, np.arange(16) * 4 - 32, np.arange(8) + 5, False, by_two), s4, u3, u3),
        Case("lowered", PairSteps(-8, -2, np.arange(16) - 8, np.arange(12) * 2, False, ties), s4, u3, s4),
        Case("searched", PairSteps(-8, 0, odd, other, False, search), s4, u3, Element(0, 15)),
        Case("products", PairSteps(-8, 0, np.arange(16) - 8, np.arange(8), True, few), s4, u3, u3),
        Case("exact", PairSteps(-8, 0, np.arange(16) - 8, np.arange(8), True, Unchanged()), s4, u3, Element(-64, 63)),
    ]


@pytest.mark.parametrize("headers", ["ours", "vendor"])
def test_the_bits_are_those_of_apply_pair(headers: str, tmp_path: Path) -> None:
    cases = all_cases()
    program = build(source_of(cases), tmp_path, headers)
    inputs = []
    for case in cases:
        a, b = case.pairs()
        inputs.append(np.stack(np.broadcast_arrays(case.a.encode(a), case.b.encode(b)), axis=-1).reshape(-1))
    lines = given(program, np.concatenate(inputs))
    for case in cases:
        expected = case.y.encode(apply_pair(case.form, *case.pairs())).reshape(-1)
        assert numbers(lines, expected.size) == expected.tolist(), case.name
    assert next(lines, None) is None


def test_codes_without_an_entry_are_refused() -> None:
    table = PairTable(0, 0, np.zeros((4, 4), np.int64))
    with pytest.raises(GraphError, match=r"codes 0\.\.3 of its operand a, which arrives with codes 0\.\.4"):
        pair_text("p", table, Element(0, 4), Element(0, 3), Element(0, 3))
    with pytest.raises(GraphError, match=r"makes codes 0\.\.0, not in 1\.\.3"):
        pair_text("p", table, Element(0, 3), Element(0, 3), Element(1, 3))
