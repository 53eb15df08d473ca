"""The guard of tests/conftest.py: a skip for a declared optional capability passes, any other fails a CI run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"

DECLARED = """
def test_it(optional_capability):
    optional_capability("gpu", "this machine has none")
"""
UNKNOWN_CAPABILITY = """
def test_it(optional_capability):
    optional_capability("good mood", "not today")
"""
UNDECLARED = """
import pytest

def test_it():
    pytest.skip("not finished")
"""
IMPORT_SKIP = """
import pytest

pytest.importorskip("a_module_that_nobody_has")

def test_it():
    assert True
"""
PASSING = """
def test_it():
    assert True
"""


def run_pytest(folder: Path, test: str, ci: bool, workers: int) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    (folder / "test_it.py").write_text(test)
    (folder / "test_passing.py").write_text(PASSING)  # so that a module skipped whole is not "no tests ran"
    environment = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", str(workers), str(folder)]
    return subprocess.run(
        command,
        env={**environment, **({"CI": "true"} if ci else {})},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("test", [UNDECLARED, IMPORT_SKIP], ids=["skip", "importorskip"])
def test_ci_fails_on_an_undeclared_skip(tmp_path: Path, test: str, workers: int) -> None:
    done = run_pytest(tmp_path, test, ci=True, workers=workers)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "NOT for an optional capability, fails this run" in done.stdout


@pytest.mark.parametrize("workers", [0, 1])
def test_ci_passes_and_prints_a_declared_skip(tmp_path: Path, workers: int) -> None:
    done = run_pytest(tmp_path, DECLARED, ci=True, workers=workers)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    assert "optional capability 'gpu': this machine has none" in done.stdout
    assert "NOT for an optional capability" not in done.stdout


def test_an_undeclared_skip_is_printed_but_passes_at_the_desk(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, UNDECLARED, ci=False, workers=0)
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    assert "NOT for an optional capability" in done.stdout


def test_an_unknown_capability_fails_the_test(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, UNKNOWN_CAPABILITY, ci=False, workers=0)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "'good mood' is not an optional capability" in done.stdout
