"""docs/fpga.md: its commands run as they stand, its table is what they print, its lists are those of the code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.cli import main
from subbyte.compiler.hls.compile import design_of
from subbyte.compiler.hls.options import HlsOptions
from subbyte.compiler.ir.grids import parse_grid
from subbyte.compiler.pipeline import Options
from subbyte.targets.hls.parts import PARTS

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docs" / "fpga.md"
PAGE = PATH.read_text()
_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `(\w+)` \| (?:`(.*?)`)? ?\|(.*)\|$", re.MULTILINE)


def rows() -> list[tuple[str, str]]:
    """Model and options of each row of the table of estimates."""
    return [
        (name, options)
        for name, options, _ in _ROW.findall(PAGE.split("## Estimates")[1].split("## Beside published designs")[0])
    ]


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line `subbyte ...` in this process, any other as it is; it succeeds."""
    command, *arguments = shlex.split(line)
    code: object = 0
    if command == "subbyte":
        monkeypatch.setattr(sys, "argv", [command, *arguments])
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
    else:
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        code = done.returncode
        assert "\npassed: " in done.stdout, done.stdout + done.stderr
    assert code == 0, f"{line} ended with {code}"


def test_the_lines_of_the_page_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "CXXFLAGS", "-O0")
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall(PAGE)
    assert [language for language, _ in blocks] == ["sh", "sh", "python"]
    for language, block in blocks:
        if language == "python":
            exec(compile(block, PATH.name, "exec"), names)
        else:
            for line in block.splitlines():
                run_line(line, monkeypatch)
    assert names["logits"].shape == (1, 10)
    said = capfd.readouterr().out
    assert "352 of 360" in PAGE
    assert "(352 of 360)" in said
    assert json.loads((tmp_path / "digits" / "csim" / "cycles.json").read_text())


@pytest.mark.parametrize(("name", "options"), rows())
def test_a_row_of_the_table_is_what_the_command_says(name: str, options: str, request: pytest.FixtureRequest) -> None:
    own = ROOT / "models" / f"{name}.qonnx.onnx"
    path = own if own.exists() else request.getfixturevalue("shared_model")(name).path
    goal, grids = HlsOptions(), {}
    option, _, text = options.partition(" ")
    if option == "--fps":
        goal = HlsOptions(fps=float(text))
    elif option:
        assert option == "--input-grid"
        grids = {text.partition("=")[0]: parse_grid(text.partition("=")[2])}
    made = design_of(path, Options(input_grids=grids), goal)
    found, clock = made.estimate, goal.goal.clock_mhz
    assert made.folding.met
    numbers = (
        f" {found.frame_cycles:,} | {clock * 1e6 / found.frame_cycles:,.0f} | {found.latency_cycles / clock:,.1f} "
        f"| {found.resources.lut:,} | {found.resources.dsp} | {found.resources.bram18} "
    )
    shown = f"| `{name}` | `{options}` |" if options else f"| `{name}` | |"
    if request.config.getoption("--update-golden"):
        page = PATH.read_text()
        PATH.write_text(re.sub(rf"^{re.escape(shown)}.*$", lambda _: f"{shown}{numbers}|", page, flags=re.MULTILINE))
    assert f"{shown}{numbers}|" in PATH.read_text()


def test_a_model_with_a_grid_leaves_no_product_to_the_processor(shared_model: Callable[[str], Any]) -> None:
    path = shared_model("qkeras_jettagging").path
    macs = {}
    for text in ("", "fixed<16,6>"):
        grids = {"global_in": parse_grid(text)} if text else {}
        macs[text] = design_of(path, Options(input_grids=grids), HlsOptions(fps=1e6)).parts.macs
    assert "1,024 of 4,256 multiply-accumulates" in PAGE
    assert macs == {"": (1024, 3232, 0), "fixed<16,6>": (0, 4256, 0)}


def test_every_part_is_named() -> None:
    assert [part.name for part in PARTS if f"`{part.name}`" not in PAGE] == []


def test_every_option_of_a_project_is_on_the_page() -> None:
    called = {"clock_mhz": "clock", "folds": "folding", "most_terms": "terms", "rtl": "emit rtl"}
    names = [field.name for field in dataclasses.fields(HlsOptions)]
    assert [name for name in names if f"--{called.get(name, name.replace('_', '-'))}" not in PAGE] == []
