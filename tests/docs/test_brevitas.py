"""docs/brevitas.md: its lines run as they stand, and everything that the network multiplies is integer."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.cli import main
from subbyte.compiler.explain import explain
from subbyte.compiler.pipeline import quantized

PAGE = Path(__file__).parents[2] / "docs" / "brevitas.md"
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_lines_of_the_page_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall(PAGE.read_text())
    assert [language for language, _ in blocks] == ["python", "sh", "python"]
    for language, block in blocks:
        if language == "python":
            exec(compile(block, PAGE.name, "exec"), names)
        else:
            for line in block.splitlines():
                run_command(line, monkeypatch)
    assert names["logits"].shape == (1, 10)
    explanation = explain(quantized("network.qonnx.onnx"))
    assert explanation.integer_macs == explanation.macs == 9 * 8 * 64 + 512 * 10
    bits = [layer.bits for layer in explanation.layers if layer.macs]
    assert bits == ["s8 s2 -> u2", "u2 s2 -> s32"]


def run_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line `subbyte ...` in this process; it succeeds."""
    command, *arguments = shlex.split(line)
    assert command == "subbyte"
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    code: object = 0
    try:
        main()
    except SystemExit as stopped:
        code = stopped.code
    assert code == 0, f"{line} ended with {code}"
