"""`bench --per-op` beside the machine's peak: what is measured, what is made of it, and that it is measured once."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from subbyte.compiler.target import families, find_target
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler
from subbyte.compiler.toolchain.peak import PEAK_SOURCE, Peak, measured_peak
from tests.cli.conftest import Cli

PEAK = Peak("vpdpbusd zmm", 400.0, ((16_384, 400.0), (262_144, 200.0), (1 << 27, 10.0)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of the test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "subbyte"


@pytest.mark.parametrize(
    ("macs", "moved", "threads", "roof_us"),
    [
        (4_000_000, 1000, 1, 10.0),  # computing is slower
        (4_000_000, 1000, 4, 2.5),
        (0, 16_000, 1, 0.04),  # from the first level
        (0, 16_385, 1, 0.081925),  # from the second
        (0, 1 << 28, 1, 26_843.5456),  # beyond all
        (40_000, 200_000, 1, 1.0),
    ],
)
def test_the_roof_is_the_slower_of_computing_and_reading(macs: int, moved: int, threads: int, roof_us: float) -> None:
    assert PEAK.roof_us(macs, moved, threads) == pytest.approx(roof_us)


def test_a_peak_is_read_back() -> None:
    assert Peak.from_dict(json.loads(json.dumps(PEAK.as_dict()))) == PEAK


@pytest.mark.parametrize(
    "name", [name for family in families().values() if family.name not in ("arm", "hls") for name in family.names]
)
def test_every_target_has_a_peak(name: str, tmp_path: Path, optional_capability: Callable[[str, str], None]) -> None:
    """All is measured, and memory is slower than the first cache level."""
    target = find_target(name)
    if not target.runs_here:
        optional_capability("instruction set", f"this processor does not run {target.name}")
    peak = measured_peak(target, find_compiler(target), tmp_path)
    assert 0.1 < peak.gmac_per_s < 10_000
    assert [level for level, _ in peak.reads] == sorted(level for level, _ in peak.reads)
    assert peak.reads[0][1] > peak.reads[-1][1] > 0.1
    assert ("vp" in peak.instruction) == name.startswith("x86")


@pytest.mark.parametrize(
    ("name", "instruction"),
    [
        ("armv7-a+neon", "smull, smlal, sadalp"),
        ("armv8-a", "smull, smlal, sadalp"),
        ("armv8.2-a+dotprod", "sdot"),
        ("armv8.2-a+dotprod+i8mm", "smmla"),
    ],
)
def test_the_peak_of_arm_is_that_of_its_best_instruction(
    name: str, instruction: str, tmp_path: Path, optional_capability: Callable[[str, str], None]
) -> None:
    """Built as for a board; what an emulator says of speed is not looked at."""
    target, program = find_target(name), tmp_path / "peak"
    if shutil.which(target.emulator[0]) is None:
        optional_capability("emulator", f"{target.emulator[0]} is not here")
    compiler = find_compiler(target, libc="musl")
    compile_c(compiler, (*compiler.flags_for(target), "-c"), [PEAK_SOURCE], tmp_path / "peak.o", warnings=True)
    compile_c(compiler, (*compiler.flags_for(target, baseline=True), "-static"), [tmp_path / "peak.o"], program)
    done = subprocess.run([*target.emulator, program, "4096"], capture_output=True, text=True, timeout=300, check=True)
    peak = Peak.from_dict(json.loads(done.stdout))
    assert peak.instruction == instruction
    assert peak.gmac_per_s > 0
    assert [level for level, _ in peak.reads] == [4096]


def test_a_peak_is_measured_once(tmp_path: Path) -> None:
    target = find_target("portable")
    compiler = find_compiler(target)
    first = measured_peak(target, compiler, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text(json.dumps(PEAK.as_dict()))
    assert measured_peak(target, compiler, tmp_path) == PEAK
    kept.write_text("{")  # damaged: measured again
    assert measured_peak(target, compiler, tmp_path).instruction == first.instruction


def test_steps_stand_beside_the_peak(cli: Cli, bundle: Path, cache: Path) -> None:
    report = cli("bench", bundle, "--per-op", "--repeats", 5, "--json").json()
    (kept,) = cache.iterdir()
    assert report["peak"] == json.loads(kept.read_text())
    for op in report["ops"]:
        assert op["roof_us"] == pytest.approx(Peak.from_dict(report["peak"]).roof_us(op["macs"], op["bytes"]))
        if op["median_us"] > 0:
            assert op["gmac_per_s"] == pytest.approx(op["macs"] / op["median_us"] / 1000)
            assert op["gb_per_s"] == pytest.approx(op["bytes"] / op["median_us"] / 1000)
            assert op["percent_of_roof"] == pytest.approx(100 * op["roof_us"] / op["median_us"])
    shown = cli("bench", bundle, "--per-op", "--repeats", 5)
    assert "% of roof" in shown.out
    assert "one core at its peak" in shown.out


def test_without_a_compiler_there_is_no_peak(cli: Cli, bundle: Path) -> None:
    """A compiled bundle runs without one: the steps are timed all the same."""
    done = cli("bench", bundle, "--per-op", "--repeats", 5, "--json", "--compiler", "no-such-compiler")
    report = done.json()
    assert report["peak"] is None
    assert report["ops"]
    assert all(op["roof_us"] is None and op["percent_of_roof"] is None for op in report["ops"])
    assert "not compared with the machine's peak: the C compiler 'no-such-compiler' cannot be run" in done.err


def test_no_peak_is_measured_unless_asked_for(cli: Cli, bundle: Path, cache: Path) -> None:
    assert cli("bench", bundle, "--repeats", 5, "--json").json()["peak"] is None
    assert not cache.exists()
