"""The runner: one static executable per model, raw files in, raw files out, timings as JSON, exit codes 0, 1 and 2."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.conftest import DIGEST, RUNTIME, SMALL_MODEL, compile_c

SOURCES = sorted(RUNTIME.glob("runner/*.c")) + sorted(RUNTIME.glob("src/*.c"))


@dataclass(frozen=True)
class Runner:
    """The runner of the small model; calling it runs it."""

    program: Path

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [self.program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=self.program.parent)


def build_runner(folder: Path, *flags: str) -> Runner:
    """Link a runner as toolchain does it: against libmodel.a, statically."""
    compile_c(folder / "model.o", *flags, "-c", SMALL_MODEL)
    subprocess.run(["ar", "rcsD", folder / "libmodel.a", folder / "model.o"], check=True)
    compile_c(folder / "runner", "-pedantic", "-static", "-pthread", *SOURCES, folder / "libmodel.a")
    return Runner(folder / "runner")


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return build_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def runner_with_weights(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return build_runner(tmp_path_factory.mktemp("runner"), "-DSMALL_WEIGHTS_FILE=1", '-DSMALL_FEATURES=""')


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write_samples(folder: Path, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    random = np.random.default_rng(count)
    x = random.standard_normal((count, 4, 8)).astype(np.float32)
    q = random.integers(0, 15, (count, 8), dtype=np.uint8)
    x.tofile(folder / "x.bin")
    q.tofile(folder / "q.bin")
    return x, q


@pytest.mark.parametrize(("samples", "threads"), [(1, 1), (5, 1), (5, 3)])
def test_every_sample_of_the_files_is_run(runner: Runner, tmp_path: Path, samples: int, threads: int) -> None:
    x, q = write_samples(tmp_path, samples)
    names = ["y", "codes", "tiny", "half"]
    inputs, outputs = [tmp_path / "x.bin", tmp_path / "q.bin"], [tmp_path / name for name in names]
    found = report(runner("--threads", str(threads), "--repeats", "3", "--inputs", *inputs, "--outputs", *outputs))
    assert (found["samples"], found["runs"], found["threads"]) == (samples, 3 * samples, threads)
    y = np.fromfile(tmp_path / "y", np.float32).reshape(samples, 4, 8)
    np.testing.assert_array_equal(y, x * np.float32(2) + (q.astype(np.float32) - np.float32(3))[:, np.newaxis])
    np.testing.assert_array_equal(np.fromfile(tmp_path / "codes", np.uint8).reshape(samples, 8), q)
    assert np.fromfile(tmp_path / "half", np.float16).tolist() == [1.5, -2.0] * samples
    assert (np.fromfile(tmp_path / "tiny", np.float32) > 0).all()


def test_the_report_says_what_ran_and_how_long(runner: Runner) -> None:
    found = report(runner("--warmup", "2", "--repeats", "20"))
    assert (found["model"], found["target"], found["digest"]) == ("small", "portable", DIGEST)
    assert (found["arena_bytes"], found["scratch_bytes"], found["weights_bytes"]) == (32, 64, 0)
    assert 0 < found["min_ns"] <= found["p10_ns"] <= found["median_ns"] <= found["p90_ns"]
    assert found["steps"] is None


def test_a_profile_lists_every_step(runner: Runner) -> None:
    steps = report(runner("--profile", "--repeats", "5", "--threads", "2"))["steps"]
    assert [step["name"] for step in steps] == ["00_Offset", "01_Double", "02_Halve", "03_Half"]
    assert steps[1]["sources"] == '/double "twice" + /add'
    assert (steps[1]["macs"], steps[1]["bytes"], steps[1]["tiles"]) == (32, 288, 4)
    assert all(step["median_ns"] >= 0 for step in steps)


def test_without_files_inputs_are_zeros(runner: Runner, tmp_path: Path) -> None:
    report(runner("--outputs", *(tmp_path / name for name in ("y", "codes", "tiny", "half"))))
    assert (np.fromfile(tmp_path / "y", np.float32) == -3).all()


def test_random_inputs_are_codes_and_repeatable(runner: Runner, tmp_path: Path) -> None:
    def codes(seed: int) -> np.ndarray[Any, Any]:
        done = runner("--random", str(seed), "--outputs", *(tmp_path / name for name in ("y", "codes", "tiny", "half")))
        assert done.returncode == 0 or "01_Double" in done.stderr  # a first code of 15 is refused by the model
        return np.fromfile(tmp_path / "codes", np.uint8)

    drawn = np.concatenate([codes(seed) for seed in range(12)])
    assert drawn.max() <= 15
    assert len(set(drawn.tolist())) > 8
    np.testing.assert_array_equal(codes(1), codes(1))


def test_the_digest_is_checked(runner: Runner) -> None:
    report(runner("--digest", DIGEST))
    refused = runner("--digest", "f" * 64)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "digest" in refused.stderr


def test_weights_come_from_a_file(runner_with_weights: Runner, tmp_path: Path) -> None:
    write_samples(tmp_path, 1)
    np.full(16, 3, np.float32).tofile(tmp_path / "weights.bin")
    report(runner_with_weights("--weights", tmp_path / "weights.bin"))
    (tmp_path / "weights.bin").write_bytes(bytes(63))
    wrong: list[tuple[list[str | Path], str]] = [
        (["--weights", tmp_path / "weights.bin"], "has 63 bytes; the model has 64"),
        (["--weights", tmp_path / "none"], "cannot be opened"),
        ([], "--weights"),
    ]
    for arguments, part in wrong:
        refused = runner_with_weights(*arguments)
        assert refused.returncode == 1
        assert part in refused.stderr


def test_wrong_files_are_refused(runner: Runner, tmp_path: Path) -> None:
    write_samples(tmp_path, 2)
    (tmp_path / "short").write_bytes(bytes(127))
    np.zeros(3 * 8, np.uint8).tofile(tmp_path / "three")
    np.full(16, 15, np.uint8).tofile(tmp_path / "refused")
    x, q = tmp_path / "x.bin", tmp_path / "q.bin"
    for inputs, part in (
        ([x], "1 input files are given; the model has 2 inputs"),
        ([x, tmp_path / "none"], "cannot be opened"),
        ([tmp_path / "short", q], "has 127 bytes; input 'x' takes 128"),
        ([x, tmp_path / "three"], "holds 3 samples of input 'q'; the files before hold 2"),
        ([x, tmp_path / "refused"], "step '01_Double'"),
    ):
        refused = runner("--inputs", *inputs)
        assert refused.returncode == 1
        assert part in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert runner("--inputs", x, q, "--outputs", "/dev/full", *[tmp_path / name for name in "abc"]).returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bananas"],
        ["x.bin"],
        ["--threads"],
        ["--threads", "0"],
        ["--threads", "1025"],
        ["--threads", "-1"],
        ["--threads", "2x"],
        ["--repeats", "0"],
        ["--repeats", "99999999999999999999999"],
        ["--warmup", "x"],
        ["--weights"],
        ["--digest", "--profile"],
        ["--random"],
        ["--random", "1", "--inputs", "x.bin", "q.bin"],
    ],
)
def test_a_wrong_command_line_ends_with_2(runner: Runner, arguments: list[str]) -> None:
    done = runner(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runner: ")


def test_help_lists_the_options(runner: Runner) -> None:
    done = runner("--help")
    assert done.returncode == 0
    for option in ("--inputs", "--outputs", "--random", "--weights", "--threads", "--repeats", "--profile"):
        assert option in done.stdout


def test_the_runner_needs_no_shared_library(runner: Runner) -> None:
    """A dynamic program names its loader (/lib64/ld-linux-x86-64.so.2, ld-musl...) in its first page."""
    first_page = runner.program.read_bytes()[:4096]
    assert first_page.startswith(b"\x7fELF")
    assert b"/ld-" not in first_page
