"""`compile --tuning FILE` takes records of kernels and knobs; `list kernels` shows what there is to choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.tuning import TuningRecord, write_tuning
from tests.cli.conftest import Cli

ROW = ["op", "kernel", "operands", "tile", "storage", "features", "header", "version", "knobs"]


@pytest.mark.parametrize("target", ["portable", "x86-64-v3", "x86-64-v4+avx512vnni"])
def test_list_kernels_says_all_of_a_row(cli: Cli, target: str) -> None:
    rows = cli("list", "kernels", "--target", target, "--json").json()
    assert all(list(row) == ROW for row in rows)
    assert len({(row["op"], row["kernel"]) for row in rows}) == len(rows)
    for row in rows:
        assert len(row["version"]) == 16
        assert all(set(knob) == {"name", "meaning", "values"} and len(knob["values"]) > 1 for knob in row["knobs"])


def test_list_kernels_prints_a_table(cli: Cli) -> None:
    shown = cli("list", "kernels", "--target", "portable")
    assert shown.code == 0
    assert "subbyte_copy" in shown.out


def compiled(cli: Cli, model: Path, folder: Path, *options: object) -> dict[str, Any]:
    assert cli("compile", model, "--target", "portable", "--no-build", "-o", folder, *options).code == 0
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def test_a_record_of_the_default_choice_changes_no_code(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    step = next(step for step in compiled(cli, mlp, tmp_path / "plain")["steps"] if step["macs"])
    node = step["sources"][0]
    write_tuning(tmp_path / "records.json", (TuningRecord(node, step["kernel"], (), step["kernel_version"]),))
    manifest = compiled(cli, mlp, tmp_path / "tuned", "--tuning", tmp_path / "records.json")
    assert [record["node"] for record in manifest["options"]["tuning"]] == [node]
    assert (tmp_path / "tuned" / "model.c").read_bytes() == (tmp_path / "plain" / "model.c").read_bytes()


def test_a_record_of_no_use_is_an_error(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    write_tuning(tmp_path / "records.json", (TuningRecord("/none", "subbyte_copy"),))
    said = cli("compile", mlp, "--no-build", "--tuning", tmp_path / "records.json", "-o", tmp_path / "b").error()
    assert "the tuning record for node '/none' and kernel 'subbyte_copy' is of no use" in said
    assert not (tmp_path / "b").exists()
