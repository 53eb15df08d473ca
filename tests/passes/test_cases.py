"""Each file of cases/ is a graph, `---`, and what the pass makes of it; both sides go through the interpreter.

The first line names the pass, and the target where the pass asks one: `# unsign_activations x86-64-v3`. Then comments
may say what there is to see.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.ir.stages import verify
from subbyte.compiler.ir.text import parse_graph, print_graph
from subbyte.compiler.pipeline import find_pass
from subbyte.compiler.target import find_target
from tests.passes.builders import largest_step, random_inputs

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.txt")), ids=lambda path: path.stem)
def test_a_pass_makes_the_expected_graph(path: Path) -> None:
    first, _, text = path.read_text().partition("\n")
    name, *target = first.removeprefix("# ").split()
    given, expected = text.split("\n---\n")
    before, one = parse_graph(given), find_pass(name)
    after = one(before, find_target(target[0])) if target else one(before)
    verify(after)
    assert print_graph(after) == print_graph(parse_graph(expected))
    generator = np.random.default_rng(0)
    for _ in range(4):
        assert largest_step(before, after, random_inputs(before, generator)) <= one.exactness.steps


def test_there_are_cases() -> None:
    assert len(list(CASES.glob("*.txt"))) >= 14
