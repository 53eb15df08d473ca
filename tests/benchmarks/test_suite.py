"""The suites: what rows there are, how ratios are judged, what is refused, and what a run writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from benchmarks.engines import Engine
from benchmarks.gemv import matrix_chain
from benchmarks.isa_mask import LEVELS
from benchmarks.measure import Timing
from benchmarks.peers import PEERS
from benchmarks.suite.__main__ import FORMAT, app, between_marks, gathered
from benchmarks.suite.cache import MissingModel, bundle, model_file
from benchmarks.suite.macs import file_macs
from benchmarks.suite.measure_row import RowError, Settings, measure_row, refuse_constants
from benchmarks.suite.rows import SUITES, X86, Comparison, Entrant, Network, Row
from benchmarks.suite.table import as_markdown, doubts
from benchmarks.suite.verdict import BELOW, FLOOR, GOAL, OPEN, judge
from benchmarks.topologies.build import ALL
from benchmarks.topologies.precision import PRECISIONS
from subbyte.compiler.explain import explain
from subbyte.compiler.pipeline import quantized
from subbyte.compiler.samples import Samples

REPOSITORY = Path(__file__).resolve().parents[2]
ANY_INT8 = ("onnxruntime", "OpenVINO", "LiteRT")
# level, networks of subbyte and of the peers; then what is compared: peers, floor, goal
PROMISES = {
    "resnet18": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.0, 1.2)]),
    "resnet50": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.0, 1.2)]),
    "vgg16": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.0, 1.2)]),
    "mobilenet_v1": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.2, 1.6)]),
    "mobilenet_v2": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.2, 1.6)]),
    "mini_lm": ("native", "w8a8", "w8a8", [(("OpenVINO",), 1.2, 1.6)]),
    "resnet8": ("native", "resnet8_int8", "resnet8_int8", [(("LiteRT",), 1.3, 2.0)]),
    "kws": ("native", "kws_int8", "kws_int8", [(("LiteRT",), 1.3, 2.0)]),
    "autoencoder": ("native", "w8a8", "w8a8", [(("LiteRT",), 1.3, 2.0)]),
    "resnet18-avx2": ("avx2", "w8a8", "w8a8", [(("OpenVINO",), 0.95, 1.1), (("LiteRT",), 2.0, 2.4)]),
    "mobilenet_v1-avx2": ("avx2", "w8a8", "w8a8", [(("OpenVINO",), 0.95, 1.1), (("LiteRT",), 2.0, 2.4)]),
    "resnet18-w2a2-avx2": ("avx2", "w2a2", "w8a8", [(ANY_INT8, 1.6, 2.2)]),
    "resnet18-w2a2": ("native", "w2a2", "w8a8", [(("OpenVINO",), 1.0, 1.2)]),
    "resnet18-w4a4-avx2": ("avx2", "w4a4", "w8a8", [(ANY_INT8, 1.3, 1.6)]),
    "conv3x3_256-w1a1-avx2": ("avx2", "w1a1", "w8a8", [((*ANY_INT8, "torch"), 3.0, 4.0)]),
    "gemv-w2": ("native", "w2a8", "w2a8", [(("onnxruntime",), 1.3, 1.6)]),
    "gemv-w4": ("native", "w4a8", "w4a8", [(("onnxruntime",), None, None)]),
    "resnet18-threads": ("native", "w8a8", "w8a8", [(("subbyte, 1 thread",), 1.7, 1.9)]),
}


# What there is --------------------------------------------------------------------------------------------------------


def test_the_table_has_every_promised_row() -> None:
    found = {}
    for row in X86:
        compared = {name for comparison in row.comparisons for name in comparison.peers}
        (ours,) = {e.network.precision for e in row.entrants if e.name == row.comparisons[0].ours}
        (theirs,) = {e.network.precision for e in row.entrants if e.name in compared}
        found[row.name] = (row.isa, ours, theirs, [(c.peers, c.floor, c.goal) for c in row.comparisons])
    assert found == PROMISES


@pytest.mark.parametrize("suite", SUITES)
def test_rows_name_what_exists(suite: str) -> None:
    assert len({row.name for row in SUITES[suite]}) == len(SUITES[suite])
    for row in SUITES[suite]:
        assert row.isa in ("native", *LEVELS)
        names = [entrant.name for entrant in row.entrants]
        assert len(set(names)) == len(names)
        for entrant in row.entrants:
            assert entrant.engine in ("subbyte", *PEERS)
            network = entrant.network
            assert network.topology in (*ALL, "matrix_chain", "shared")
            assert network.topology == "shared" or network.precision in PRECISIONS
        for comparison in row.comparisons:
            assert comparison.ours in names
            assert set() < set(comparison.peers) <= set(names)


def test_only_the_threads_row_has_more_than_one_thread() -> None:
    several = {row.name for rows in SUITES.values() for row in rows if any(e.threads > 1 for e in row.entrants)}
    assert several == {"resnet18-threads"}


# How it is judged -----------------------------------------------------------------------------------------------------


def timing(*medians: float) -> Timing:
    return Timing(tuple(np.full(3, median) for median in medians), np.array(medians) / 2, 1)


def test_the_ratio_is_the_median_over_rounds_of_the_fastest_peer() -> None:
    timings = {"subbyte": timing(10, 10, 20), "a": timing(30, 40, 50), "b": timing(20, 50, 10), "c": timing(1, 1, 1)}
    verdict = judge(Comparison("subbyte", ("a", "b"), 1.0, 3.0), timings)
    assert verdict is not None
    assert (verdict.by_round, verdict.ratio, verdict.peer) == ((2.0, 4.0, 0.5), 2.0, "b")
    assert verdict.cpu_ratio == 2.0
    assert verdict.word == FLOOR


@pytest.mark.parametrize(
    ("ratio", "floor", "goal", "word"),
    [
        (1.2, 1.0, 1.2, GOAL),
        (1.196, 1.0, 1.2, GOAL),
        (1.19, 1.0, 1.2, FLOOR),
        (0.994, 1.0, 1.2, BELOW),
        (5.0, None, None, OPEN),
    ],
)
def test_words_for_ratios(ratio: float, floor: float | None, goal: float | None, word: str) -> None:
    verdict = judge(
        Comparison("ours", ("theirs",), floor, goal), {"ours": timing(100.0), "theirs": timing(100 * ratio)}
    )
    assert verdict is not None
    assert verdict.word == word


def test_a_comparison_without_a_peer_that_ran_says_nothing() -> None:
    assert judge(Comparison("ours", ("absent",)), {"ours": timing(1.0)}) is None


@pytest.mark.parametrize("network", [Network("mobilenet_v2", "w8a8", 32), Network("mini_lm", "w4a8", 8)])
def test_a_file_has_the_macs_that_subbyte_finds_in_it(network: Network, tmp_path: Path) -> None:
    path = model_file(network, tmp_path)
    assert file_macs(path) == explain(quantized(path)).as_dict()["macs"] > 0


def test_a_chain_of_products_in_blocks_has_macs(tmp_path: Path) -> None:
    onnx.save(matrix_chain(2, layers=2, size=64, block=32, rows=3).model, tmp_path / "chain.onnx")
    assert file_macs(tmp_path / "chain.onnx") == 2 * 3 * 64 * 64


def test_a_bundle_is_made_again_when_what_it_was_made_of_changes(tmp_path: Path) -> None:
    path = model_file(Network("gemm_256", "w8a8", 1), tmp_path)
    module = bundle(path, "portable", None, tmp_path)
    (library,) = module.path.glob("libmodel.so")
    before = library.stat().st_mtime_ns
    assert module.manifest["options"]["remove_work"] is False
    assert bundle(path, "portable", None, tmp_path).path == module.path
    assert library.stat().st_mtime_ns == before
    changed = onnx.load(path)
    changed.doc_string = "another"
    onnx.save(changed, path)
    bundle(path, "portable", None, tmp_path)
    assert library.stat().st_mtime_ns > before


# What is refused ------------------------------------------------------------------------------------------------------


def engine(*answers: list[float]) -> Engine:
    left = list(answers)
    return Engine("x", lambda arrays: None, lambda: None, lambda: {"y": np.array(left.pop(0))})


def test_outputs_that_are_constant_are_refused() -> None:
    two = Samples({"x": np.zeros((2, 1))}, 2)
    refuse_constants(engine([1, 2], [2, 1]), two)
    with pytest.raises(RowError, match="'y' is constant"):
        refuse_constants(engine([1, 1], [1, 1]), two)
    with pytest.raises(RowError, match="'y' is constant"):
        refuse_constants(engine([1, 2], [1, 2]), two)


def test_a_shared_model_that_is_absent_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUBBYTE_SHARED_MODELS", str(tmp_path))
    with pytest.raises(MissingModel, match=r"kws_int8\.onnx"):
        model_file(Network("shared", "kws_int8"), tmp_path)


def test_a_row_whose_peers_all_refuse_fails(tmp_path: Path) -> None:
    network = Network("autoencoder", "w4a4")
    ours, theirs = Entrant("subbyte", network, "subbyte"), Entrant("torch", network, "torch")
    row = Row("none", "None", "native", (ours, theirs), (Comparison("subbyte", ("torch",)),))
    with pytest.raises(RowError, match="no peer is left"):
        measure_row(row, Settings(rounds=5, block_ms=1, cache=str(tmp_path)))


# What it writes -------------------------------------------------------------------------------------------------------


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.suite", "x86", *arguments]
    command += ["--rounds", "5", "--block-ms", "1", "--cache", str(folder), "--json", str(folder / "x86.json")]
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "SUBBYTE_SHARED_MODELS": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_row_from_the_command_line(tmp_path: Path) -> None:
    done = run("--row", "autoencoder", "--verify", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "x86.json").read_text())
    assert set(data) == {"format", "suite", "rows", "failures"}
    assert (data["format"], data["suite"], data["failures"]) == (FORMAT, "x86", {})
    (row,) = data["rows"]
    assert set(row) == {
        "row", "title", "isa", "hidden_by", "settings", "machine", "programs", "entrants", "comparisons",
        "fastest_peer", "verified", "agreement", "notes",
    }  # fmt: skip
    ours = row["entrants"]["subbyte"]
    assert set(ours) == {
        "engine", "model", "threads", "macs", "median_us", "p10_us", "p90_us", "cpu_us", "gmac_per_s", "inferences",
        "median_us_by_round", "facts",
    }  # fmt: skip
    assert row["verified"] is True
    assert {entrant["macs"] for entrant in row["entrants"].values()} == {264192}
    assert all(len(entrant["median_us_by_round"]) == 5 for entrant in row["entrants"].values())
    (compared,) = row["comparisons"]
    assert compared["ratio"] == pytest.approx(np.median(compared["by_round"]))
    assert (compared["ours"], compared["peers"], compared["floor"], compared["goal"]) == ("subbyte", ["LiteRT"], 1.3, 2)
    assert f"**{compared['ratio']:.2f}**" in done.stdout
    assert "Autoencoder 640-128x4-8-128x4-640 W8A8" in done.stdout


def test_a_row_that_fails_is_said_and_is_the_exit_code(tmp_path: Path) -> None:
    done = run("--row", "kws", folder=tmp_path)
    assert done.returncode == 1
    assert "kws was not measured: benchmarks.suite.cache.MissingModel" in done.stdout
    assert json.loads((tmp_path / "x86.json").read_text())["rows"] == []


def test_an_unknown_row_is_a_usage_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["x86", "--row", "resnet19", "--cache", str(tmp_path)])
    assert done.exit_code == 2
    assert "resnet19" in done.output


def test_rows_that_are_not_measured_again_are_kept_in_order() -> None:
    def row(name: str, mark: int) -> dict[str, Any]:
        return {"row": name, "mark": mark}

    before = {"rows": [row("resnet18", 1), row("vgg16", 1)]}
    data = gathered("x86", {"vgg16": row("vgg16", 2), "kws": row("kws", 2)}, {}, before)
    assert data["rows"] == [row("resnet18", 1), row("vgg16", 2), row("kws", 2)]


def test_tables_go_between_the_marks_of_their_suite() -> None:
    marks = [f"<!-- {end} of python -m benchmarks.suite x86 -->" for end in ("begin", "end")]
    page = "\n".join(["# Page", marks[0], "old", marks[1], "rest", ""])
    expected = "\n".join(["# Page", marks[0], "", "new", "", marks[1], "rest", ""])
    assert between_marks(page, "benchmarks.suite x86", "new\n") == expected
    assert between_marks(expected, "benchmarks.suite x86", "new\n") == expected
    with pytest.raises(ValueError, match="suite layers"):
        between_marks(page, "benchmarks.suite layers", "new\n")


def test_the_page_on_performance_has_marks() -> None:
    page = (REPOSITORY / "docs" / "performance.md").read_text()
    programs = ["benchmarks.arm", *(f"benchmarks.suite {suite}" for suite in SUITES)]
    assert all("| new |" in between_marks(page, program, "| new |\n") for program in programs)


def test_what_was_measured_is_printed_again(tmp_path: Path) -> None:
    (tmp_path / "x86.json").write_text(json.dumps(gathered("x86", {}, {"kws": "no model"})))
    done = CliRunner().invoke(app, ["x86", "--render", "--json", str(tmp_path / "x86.json")])
    assert (done.exit_code, done.output) == (0, "* kws was not measured: no model\n")


@pytest.mark.parametrize(("cpu_ratio", "threads", "doubted"), [(2.0, 1, 0), (1.6, 1, 1), (2.4, 1, 1), (1.0, 2, 0)])
def test_a_busy_machine_is_noted(cpu_ratio: float, threads: int, doubted: int) -> None:
    compared = {"ours": "subbyte", "peer": "OpenVINO", "ratio": 2.0, "cpu_ratio": cpu_ratio}
    row = {"entrants": {"subbyte": {"threads": threads}, "OpenVINO": {"threads": 1}}, "comparisons": [compared]}
    assert len(doubts(row)) == doubted


def test_a_suite_without_rows_prints_its_failures() -> None:
    assert as_markdown(gathered("x86", {}, {"kws": "no model"})) == "* kws was not measured: no model\n"
