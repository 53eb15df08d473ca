"""explain, opt, list, doctor, --version, --help: what the command line tells about models and about itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.version import VERSION

Cli = Callable[..., Any]
COMMANDS = ("compile", "run", "verify", "bench", "explain", "opt", "list", "doctor")


def test_explain_accounts_for_every_multiply_accumulate(cli: Cli, mlp: Path) -> None:
    report = cli("explain", mlp, "--json").json()
    assert {"macs", "integer_macs", "layers", "float_islands"} <= set(report)
    assert report["macs"] == report["integer_macs"] == 64 * 96 + 96 * 48 + 48 * 10
    assert report["float_islands"] == []
    assert sum(layer["macs"] for layer in report["layers"]) == report["macs"]


def test_explain_gives_a_reason_for_every_float_island(cli: Cli, digits: Path) -> None:
    report = cli("explain", digits / "digits_mlp.onnx", "--json").json()
    assert report["integer_macs"] == 0
    assert sum(island["macs"] for island in report["float_islands"]) == report["macs"] > 0
    assert all(
        set(island) >= {"node", "op", "reason", "macs"} and island["reason"] for island in report["float_islands"]
    )


def test_explain_names_the_kernels_of_a_target(cli: Cli, mlp: Path) -> None:
    done = cli("explain", mlp, "--target", "portable")
    assert done.code == 0, done.err
    assert "100 %" in done.out


@pytest.mark.parametrize(("suffix", "start"), [(".svg", "<svg "), (".html", "<!doctype html>"), (".dot", "digraph ")])
def test_explain_draws_the_graph(cli: Cli, mlp: Path, tmp_path: Path, suffix: str, start: str) -> None:
    picture = tmp_path / f"graph{suffix}"
    done = cli("explain", mlp, "--draw", picture)
    assert done.code == 0, done.err
    assert picture.read_text().startswith(start)
    assert "QGemm" in picture.read_text()


def test_explain_draws_in_no_other_format(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    done = cli("explain", mlp, "--draw", tmp_path / "graph.png")
    assert done.code == 2
    assert ".svg, .html, .dot" in " ".join(done.err.replace("│", " ").split())


def test_opt_prints_a_graph_that_it_reads_again(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    printed = cli("opt", mlp, "--print")
    assert printed.code == 0, printed.err
    (tmp_path / "graph.sb").write_text(printed.out)
    again = cli("opt", tmp_path / "graph.sb", "--print")
    assert (again.code, again.out) == (0, printed.out)


def test_opt_runs_the_named_passes(cli: Cli, mlp: Path) -> None:
    done = cli("opt", mlp, "-p", "fold_constants,fold_qdq", "--print")
    assert done.code == 0, done.err
    assert "QGemm" in done.out
    assert "MatMul" not in done.out


def test_opt_reports_each_pass(cli: Cli, mlp: Path) -> None:
    report = cli("opt", mlp, "-p", "fold_constants,fold_qdq", "--json").json()
    assert [step["name"] for step in report["passes"]] == ["fold_constants", "fold_qdq"]
    assert report["stage"] == "quantized"
    assert report["passes"][-1]["nodes_after"] == report["operations"] > 0


def test_opt_names_the_passes_there_are(cli: Cli, mlp: Path) -> None:
    assert "fold_qdq" in cli("opt", mlp, "-p", "fold_qqd").error()


@pytest.mark.parametrize(
    ("what", "key", "expected"),
    [
        ("targets", "name", {"portable", "x86-64-v3", "x86-64-v3+avxvnni", "x86-64-v4", "x86-64-v4+avx512vnni"}),
        ("passes", "name", {"fold_constants", "fold_batch_norm", "fold_qdq", "choose_layout", "lower_to_kernels"}),
        ("ops", "operator", {"Conv", "QuantizeLinear", "QLinearConv", "MatMulInteger", "Softmax", "Resize"}),
        ("kernels", "op", {"QConv", "QGemm"}),
        ("knobs", "name", set()),
        ("boards", "name", set()),
    ],
)
def test_list_tells_what_is_installed(cli: Cli, what: str, key: str, expected: set[str]) -> None:
    rows = cli("list", what, "--json").json()
    assert expected <= {row[key] for row in rows}
    table = cli("list", what)
    assert table.code == 0, table.err
    assert all(name in table.out for name in expected)


def test_list_of_something_else_is_a_usage_error(cli: Cli) -> None:
    assert cli("list", "wishes").code == 2


def test_doctor_finds_what_is_needed(cli: Cli) -> None:
    report = cli("doctor", "--json").json()
    assert report["ok"] is True
    assert {"python", "runtime", "target native", "C compiler"} <= {finding["name"] for finding in report["findings"]}
    assert cli("doctor").code == 0


def test_version(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out) == (0, f"subbyte {VERSION}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_takes_json(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert "--json" in done.out


@pytest.mark.parametrize("arguments", [["fly"], ["compile"], ["compile", "a.onnx", "--threads", "none"]])
def test_wrong_usage_exits_with_2(cli: Cli, arguments: list[str]) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert "Usage" in done.err


def test_the_command_is_a_program_of_its_own(mlp: Path) -> None:
    """What the console script does, in a fresh process: output on standard output, nothing on standard error."""
    script = "from subbyte.compiler.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "explain", mlp], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "multiply-accumulates" in done.stdout
