"""The cycle mode of C simulation and the compiler's own simulation agree to the cycle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.simulate import simulate
from tests.conftest import MakeOnce
from tests.hls.cycles import build_cycles_program, run_cycles
from tests.hls.loops import random_design


@pytest.fixture(scope="module")
def program(make_once: MakeOnce) -> Path:
    return make_once("cycles", build_cycles_program)


def bounded(design: Design, generator: np.random.Generator, most: int) -> Design:
    """`design` with random depths 1 .. most."""
    return replace(design, depths={stream.name: int(generator.integers(1, most + 1)) for stream in design.streams})


def test_random_designs_take_the_same_cycles(program: Path, tmp_path: Path) -> None:
    deadlocks = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        design = bounded(random_design(generator), generator, 7)
        expected = simulate(design, frames=3)
        run = run_cycles(program, tmp_path, design, frames=3)
        assert run.status == bool(expected.deadlock), seed
        if expected.deadlock:
            deadlocks += 1
            assert run.report.deadlock == expected.deadlock, seed
        else:
            assert run.report == expected, seed
    assert 5 < deadlocks < 55
