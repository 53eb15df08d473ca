"""The command line in this process: `cli("compile", path, ...)` is its exit code and what it printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.cli import main


@dataclass(frozen=True)
class Finished:
    """code: the exit code. out, err: what went to standard output and error."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on standard output of a command that succeeded."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def error(self) -> str:
        """The one paragraph of a command that failed."""
        assert self.code == 1, f"exit code {self.code}: {self.out}{self.err}"
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


Cli = Callable[..., Finished]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """cli(argument, ...) runs `subbyte argument ...`."""

    def run(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["subbyte", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code: object = 0
        except SystemExit as stopped:
            code = stopped.code
        captured = capfd.readouterr()
        assert isinstance(code, int)
        return Finished(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def mlp(digits: Path) -> Path:
    """A small trained model: three Gemms."""
    return digits / "digits_mlp_int8.onnx"


@pytest.fixture(scope="session")
def images(digits: Path) -> Path:
    """Samples for it, with labels beside them."""
    return digits / "digits_test.npz"


@pytest.fixture(scope="session")
def bundle(mlp: Path, make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The small model, compiled for this machine; not to be changed."""
    import subbyte

    def make(path: Path) -> None:
        subbyte.compile(mlp, output=path)

    return make_once("mlp-bundle", make)
