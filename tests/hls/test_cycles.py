"""The cycle mode of C simulation agrees with the compiler's simulation to the cycle; streams tell of their misuse."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.hls.compile import design_of, project_of
from subbyte.compiler.hls.csim import count_cycles
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.pipeline import Options
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.schedule.simulate import simulate
from subbyte.targets.hls.trace import trace
from tests.conftest import MODELS, MakeOnce
from tests.hls.cycles import CYCLES, SANITIZED, build_cycles_program, compile_cpp, run_cycles, simulation_of
from tests.hls.loops import chain, fork_and_join, random_design

MISUSE = Path(__file__).with_name("stream_misuse.cpp")


@pytest.fixture(scope="module")
def program(make_once: MakeOnce) -> Path:
    return make_once("cycles", build_cycles_program)


@pytest.fixture(scope="module")
def misuse(make_once: MakeOnce) -> Path:
    return make_once("misuse", lambda path: compile_cpp(path, str(MISUSE)))


@pytest.fixture(scope="module")
def misuse_in_cycles(make_once: MakeOnce) -> Path:
    return make_once("misuse-in-cycles", lambda path: compile_cpp(path, CYCLES, str(MISUSE)))


def bounded(design: Design, generator: np.random.Generator, most: int = 7) -> Design:
    """`design` with random depths 1 .. most."""
    return replace(design, depths={stream.name: int(generator.integers(1, most + 1)) for stream in design.streams})


def check_random_designs(program: Path, folder: Path, seeds: range) -> None:
    """Frames, waits, high-water marks and deadlocks are those of `simulate`."""
    deadlocks = 0
    for seed in seeds:
        generator = np.random.default_rng(seed)
        design = bounded(random_design(generator), generator)
        expected = simulate(design, frames=3)
        run = run_cycles(program, folder, design, frames=3)
        assert run.status == bool(expected.deadlock), seed
        if expected.deadlock:
            deadlocks += 1
            assert run.report.deadlock == expected.deadlock, seed
            assert all(str(blocked).split(" waits")[0] in run.text for blocked in expected.deadlock)
        else:
            assert run.report == expected, seed
    assert 0 < deadlocks < len(seeds)


# Times ----------------------------------------------------------------------------------------------------------------


def test_random_designs_take_the_same_cycles(program: Path, tmp_path: Path) -> None:
    check_random_designs(program, tmp_path, range(60))


def test_coroutines_run_under_the_sanitizers(make_once: MakeOnce, tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizer; deadlocks, which leave coroutines unfinished, among the runs."""
    sanitized = make_once("cycles-sanitized", lambda path: build_cycles_program(path, *SANITIZED))
    check_random_designs(sanitized, tmp_path, range(100, 112))


def test_words_move_in_the_iterations_of_the_trace(program: Path, tmp_path: Path) -> None:
    """Lines `process iteration r|w stream word`, iterations and words counted over all frames."""
    design = bounded(fork_and_join(words=5, hold=1), np.random.default_rng(0), most=1)
    design = replace(design, depths={**design.depths, "skip": 9})
    run = run_cycles(program, tmp_path, design, frames=2)
    expected = set()
    for actor in design.actors:
        of_trace = trace(actor)
        for letter, streams, moves in (("r", actor.inputs, of_trace.reads), ("w", actor.outputs, of_trace.writes)):
            for stream, iterations in zip(streams, moves, strict=True):
                for word, iteration in enumerate([*iterations, *(iterations + of_trace.iterations)]):
                    expected.add(f"{actor.name} {iteration} {letter} {stream.name} {word}")
    actors = {actor.name for actor in design.actors}
    moved = [move for move in run.moves if move.split()[0] in actors]
    assert len(moved) == len(expected)
    assert set(moved) == expected


def test_depths_are_overridden_at_run_time(program: Path, tmp_path: Path) -> None:
    design = replace(fork_and_join(words=20, hold=7), depths={"x": 2, "main": 2, "skip": 20, "ahead": 2, "y": 2})
    assert run_cycles(program, tmp_path, design, 2).status == 0
    run = run_cycles(program, tmp_path, design, 2, {"skip": 7})
    assert run.status == 1
    assert "deadlock in frame 0" in run.text
    assert "'fork' waits for room in 'skip' of depth 7, which 'join' reads" in run.text
    assert "'window' waits for a word of 'main' of depth 2, which 'fork' writes" in run.text


def test_report_says_throughput_and_latency(program: Path, tmp_path: Path) -> None:
    design = chain((4, range(4), range(4), 5), words=4)
    run = run_cycles(program, tmp_path, replace(design, depths={"x": 2, "s0": 2}), frames=3)
    assert run.text.startswith(
        "3 frames; the first takes 11 cycles, the last 11\n4 cycles between the last two frames\n"
    )


# Misuse ---------------------------------------------------------------------------------------------------------------


def said(program: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run((str(program), *arguments), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_reading_an_empty_stream_is_an_error_with_its_name(misuse: Path) -> None:
    status, text = said(misuse, "empty")
    assert status == 1
    assert text.startswith("1\nstream 'numbers': its word 1 is read, but 1 were written")


def test_words_that_nobody_reads_are_told_and_counted(misuse: Path) -> None:
    assert said(misuse, "unread") == (2, "stream 'numbers': 2 of 3 words were never read\n")


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("two words an iteration", "stream 'x': 'copier' moves two words of it in one iteration"),
        ("no iteration", "'copier' moves a word before SUBBYTE_CYCLE() starts an iteration"),
        ("latency of nobody", "'nobody' has a latency, but no such process ran"),
        ("twins", "'copier' is the name of two processes"),
        ("no name", "'hls::stream' has no name"),
    ],
)
def test_cycle_mode_refuses(misuse_in_cycles: Path, how: str, text: str) -> None:
    status, found = said(misuse_in_cycles, how)
    assert status == 1
    assert text in found


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        ("y 2\n", 0, "y                                                   2"),
        ("nobody 2\n", 1, "'nobody' has a depth, but no such stream exists"),
        ("y 0\n", 1, "has a line that is not a stream's name and its depth, at least 1"),
        ("y deep\n", 1, "has a line that is not a stream's name and its depth, at least 1"),
    ],
)
def test_files_of_depths(misuse_in_cycles: Path, tmp_path: Path, content: str, status: int, text: str) -> None:
    (tmp_path / "fifo_depths.txt").write_text(content)
    found = said(misuse_in_cycles, "depths", str(tmp_path / "fifo_depths.txt"))
    assert found[0] == status
    assert text in found[1]


def test_a_missing_file_of_depths_is_told_by_its_reader(misuse_in_cycles: Path, tmp_path: Path) -> None:
    assert said(misuse_in_cycles, "depths", str(tmp_path / "none")) == (3, "")


# Kernels --------------------------------------------------------------------------------------------------------------


def test_a_residual_network_takes_the_cycles_that_its_traces_say(tmp_path: Path) -> None:
    """Windows, matrices, forks, joins, words made wider and narrower, the bus: the project's C++ beside `simulate`."""
    made = design_of(MODELS / "digits_resnet_w2a2.qonnx.onnx", Options(), HlsOptions())
    for name, content in project_of(made).files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    result, report = count_cycles(tmp_path)
    assert result.passed
    assert simulation_of(report) == simulate(made.design, len(report["frames"]))
