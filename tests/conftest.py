"""What all tests share: optional capabilities, the guard against other skips, where the models lie, tables of results.

A test that needs what a machine may lack says so through the fixture `optional_capability`, which skips it under one of
the names in OPTIONAL_CAPABILITIES. Every other skip hides a step that should have run: it is listed at the end of the
run, and fails it where the environment variable CI is set.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pytest

OPTIONAL_CAPABILITIES = {
    "cross gcc": "GCC for Arm and CMake (Debian's gcc-aarch64-linux-gnu, gcc-arm-linux-gnueabihf, cmake)",
    "emulator": "QEMU's user mode, which runs what is built for another processor (Debian's package qemu-user)",
    "gpu": "an NVIDIA GPU and its driver",
    "benchmark peer": "an engine that benchmarks/ measures subbyte beside and no other test needs, such as OpenVINO",
    "instruction set": "an instruction set of the target that is not this processor's",
    "pipeline models": "qemu-user and llvm-mca, by which benchmarks/arm counts instructions and cycles",
    "qonnx": "the package qonnx, which for Python 3.10 has no release beside ONNX 1.20",
    "rtl tools": "Verilator and Yosys, which run and map the SystemVerilog of the target hls (Debian's packages)",
    "tclsh": "Tcl's shell, which runs the scripts of a project of the target hls (Debian's package tcl)",
    "shared models": "the models of ../shared/models, or of the folder that SUBBYTE_SHARED_MODELS names",
}
MODELS = Path(__file__).resolve().parent.parent / "models"

Lacking = Callable[[str, str], NoReturn]
MakeOnce = Callable[[str, Callable[[Path], None]], Path]


# Optional capabilities ------------------------------------------------------------------------------------------------


def skip_for_lack_of(name: str, reason: str) -> NoReturn:
    """Skip the running test because this machine lacks the optional capability `name`."""
    if name not in OPTIONAL_CAPABILITIES:
        known = ", ".join(f"'{capability}'" for capability in OPTIONAL_CAPABILITIES)
        pytest.fail(f"'{name}' is not an optional capability; those are {known} (tests/conftest.py declares them)")
    pytest.skip(f"optional capability '{name}': {reason}")


@pytest.fixture(scope="session")
def optional_capability() -> Lacking:
    """optional_capability(name, reason) skips the test, because what a machine may lack is missing here."""
    return skip_for_lack_of


# The guard ------------------------------------------------------------------------------------------------------------

_DECLARED = re.compile(r"optional capability '({})': ".format("|".join(OPTIONAL_CAPABILITIES)))


class SkipGuard:
    """Gathers every skip by its reason; `undeclared` ones fail the run where CI is set."""

    def __init__(self) -> None:
        self._skipped: dict[str, dict[str, None]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._record(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._record(report)

    def _record(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        self._skipped.setdefault(text.removeprefix("Skipped: "), {})[report.nodeid] = None

    def skips(self, declared: bool) -> dict[str, list[str]]:
        """Reason to the tests it skipped, of the declared optional capabilities or of all other reasons."""
        return {
            reason: list(tests) for reason, tests in self._skipped.items() if bool(_DECLARED.match(reason)) == declared
        }

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if os.environ.get("CI") and self.skips(declared=False) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for declared, title in (
            (True, "skipped: optional capabilities that this machine lacks"),
            (False, "skipped: NOT for an optional capability" + (", fails this run" if os.environ.get("CI") else "")),
        ):
            found = self.skips(declared)
            if found:
                terminalreporter.section(title, red=not declared, yellow=declared)
            for reason, tests in found.items():
                terminalreporter.line(f"{len(tests)} skipped, the first is {tests[0]}: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # with pytest-xdist, the controller sees every report
        config.pluginmanager.register(SkipGuard(), "skip-guard")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the snapshots of tests/golden anew")
    parser.addoption(
        "--sweep",
        action="store_true",
        help="under emulators, every case of every kernel and every model at every level, not a choice: takes hours",
    )
    parser.addoption("--random-models", type=int, help="check so many new models of each dialect in tests/fuzz")


# Tables of results ----------------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded by record_property("table: TITLE", {column: text}): a table for each title."""
    tables: dict[str, list[dict[str, str]]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, row in report.user_properties:
                if name.startswith("table: "):
                    tables.setdefault(name.removeprefix("table: "), []).append(row)
    for title, rows in sorted(tables.items()):
        terminalreporter.section(title)
        for line in aligned([list(rows[0]), *sorted(list(row.values()) for row in rows)]):
            terminalreporter.line(line)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts with their columns in line."""
    widths = [max(len(text) for text in column) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


# Work shared by parallel workers --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """make_once(name, make) is a path that make(path) has written, once for all workers of this run of pytest."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    folder.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], None]) -> Path:
        path = folder / name
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                partial = path.with_name(f"partial-{name}")
                make(partial)
                partial.rename(path)
        return path

    return made


# Models ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SharedModel:
    """A model of ../shared/models: `path` of the ONNX file, `samples` as in its .npz, leading axis = sample."""

    name: str
    path: Path
    samples: dict[str, npt.NDArray[Any]]


def shared_models_folder() -> Path | None:
    """The folder that SUBBYTE_SHARED_MODELS names, else ../shared/models beside the checkout; None where neither is."""
    named = os.environ.get("SUBBYTE_SHARED_MODELS")
    if named:
        if not Path(named).is_dir():
            pytest.fail(f"SUBBYTE_SHARED_MODELS is '{named}', which is not a folder; unset it or correct it")
        return Path(named)
    beside = MODELS.parent.parent / "shared" / "models"
    return beside if beside.is_dir() else None


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of shared models; skips the test where this machine has none."""
    folder = shared_models_folder()
    if folder is None:
        skip_for_lack_of("shared models", "there is no ../shared/models and SUBBYTE_SHARED_MODELS is not set")
    return folder


@pytest.fixture(scope="session")
def shared_model(shared_models: Path) -> Callable[[str], SharedModel]:
    """shared_model(name) is a shared model with its samples; an unknown name fails, as the folder has them all."""

    def find(name: str) -> SharedModel:
        path = next(
            (path for path in (shared_models / f"{name}.onnx", shared_models / f"{name}.qonnx.onnx") if path.is_file()),
            None,
        )
        if path is None:
            pytest.fail(f"{shared_models} holds no model '{name}'")
        with np.load(shared_models / f"{name}.npz") as archive:
            return SharedModel(name, path, dict(archive))

    return find


@pytest.fixture(scope="session")
def digits() -> Path:
    """The folder of the models that the project trained itself, and digits_test.npz."""
    return MODELS
