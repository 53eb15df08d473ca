"""`subbyte compile`: what it writes, what it reports, what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import subbyte

Cli = Callable[..., Any]
REPORTED = {"bundle", "target", "arena_bytes", "arena_lower_bound_bytes", "weight_bytes", "code_bytes"}
SOURCES = {"model.h", "model.c", "subbyte_model.h", "CMakeLists.txt", "manifest.json"}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_is_whole_and_loads(cli: Cli, mlp: Path, images: Path, tmp_path: Path) -> None:
    done = cli("compile", mlp, "-o", tmp_path / "bundle")
    assert done.code == 0, done.err
    files = content(tmp_path / "bundle")
    assert SOURCES | {"libmodel.so", "kernels/subbyte_numerics.h"} <= set(files)
    listed = json.loads(files["manifest.json"])["files"]
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"}
    with np.load(images) as archive:
        image = archive["input"][0]
    found = subbyte.load(tmp_path / "bundle").run({"input": image})
    assert found["logits"].tobytes() == subbyte.evaluate(mlp, {"input": image})["logits"].tobytes()


def test_json_reports_bytes(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    report = cli("compile", mlp, "-o", tmp_path / "bundle", "--json").json()
    assert set(report) >= REPORTED
    assert report["bundle"] == str(tmp_path / "bundle")
    assert 0 < report["arena_lower_bound_bytes"] <= report["arena_bytes"]
    assert report["code_bytes"] > 0
    assert report["weight_bytes"] >= 64 * 96 + 96 * 48 + 48 * 10


def test_no_build_writes_sources_alone(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    report = cli("compile", mlp, "-o", tmp_path / "bundle", "--no-build", "--json").json()
    assert report["code_bytes"] is None
    assert not {name for name in content(tmp_path / "bundle") if name.endswith((".so", ".a"))}


def test_two_compilations_give_the_same_bytes(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        done = cli("compile", mlp, "-o", tmp_path / name, "--emit", "so", "--emit", "a")
        assert done.code == 0, done.err
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_compiling_again_replaces_the_bundle(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    for arguments in (("--emit", "a"), ("--no-build",)):
        done = cli("compile", mlp, "-o", tmp_path / "bundle", *arguments)
        assert done.code == 0, done.err
    assert not (tmp_path / "bundle" / "libmodel.a").exists()


def test_a_folder_that_is_no_bundle_is_left_alone(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("irreplaceable")
    error = cli("compile", mlp, "-o", tmp_path / "thesis", "--no-build").error()
    assert "thesis" in error
    assert content(tmp_path) == {"thesis/chapter1.tex": b"irreplaceable"}


def test_weights_in_a_file(cli: Cli, mlp: Path, images: Path, tmp_path: Path) -> None:
    report = cli("compile", mlp, "-o", tmp_path / "bundle", "--weights", "file", "--json").json()
    files = content(tmp_path / "bundle")
    assert len(files["weights.bin"]) >= report["weight_bytes"]
    assert b"_run_with(const void *weights" in files["model.h"]
    with np.load(images) as archive:
        image = archive["input"][0]
    found = subbyte.load(tmp_path / "bundle").run({"input": image})
    assert found["logits"].tobytes() == subbyte.evaluate(mlp, {"input": image})["logits"].tobytes()


def test_quantized_inputs_and_outputs_are_codes(cli: Cli, mlp: Path, images: Path, tmp_path: Path) -> None:
    done = cli("compile", mlp, "-o", tmp_path / "bundle", "--io", "quantized")
    assert done.code == 0, done.err
    module = subbyte.load(tmp_path / "bundle")
    assert [(tensor.dtype.name, tensor.scale is not None) for tensor in (*module.inputs, *module.outputs)] == [
        ("int8", True)
    ] * 2
    with np.load(images) as archive:
        image = archive["input"][0]
    (given,), (taken,) = module.inputs, module.outputs
    assert given.scale is not None
    assert given.zero_point is not None
    assert taken.scale is not None
    assert taken.zero_point is not None
    codes = np.rint(image / np.float32(given.scale[0])) + given.zero_point[0]
    (found,) = module.run({given.name: np.clip(codes, -128, 127).astype(np.int8)}).values()
    reals = (found.astype(np.float32) - taken.zero_point[0]) * np.float32(taken.scale[0])
    assert reals.tobytes() == subbyte.evaluate(mlp, {"input": image})["logits"].tobytes()


def test_the_name_is_the_prefix_of_the_c_functions(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    done = cli("compile", mlp, "-o", tmp_path / "bundle", "--name", "reader", "--no-build")
    assert done.code == 0, done.err
    header = (tmp_path / "bundle" / "model.h").read_text()
    assert "int reader_run(" in header
    assert "#define READER_ARENA_BYTES" in header


def test_the_bundle_is_named_after_the_model(
    cli: Cli, mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("compile", mlp, "--no-build")
    assert done.code == 0, done.err
    assert (tmp_path / "digits_mlp_int8" / "model.c").is_file()


@pytest.mark.parametrize("option", ["--weights=cloud", "--io=analog", "--emit=elf", "--dim=batch", "--dim=batch=0"])
def test_an_unknown_choice_is_a_usage_error(cli: Cli, mlp: Path, option: str) -> None:
    done = cli("compile", mlp, option)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_activation_bits_other_than_8_are_a_usage_error(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    done = cli("compile", mlp, "-o", tmp_path / "bundle", "--activation-bits", "4")
    assert done.code == 2
    assert "4 is not 8" in done.err
    assert not (tmp_path / "bundle").exists()


def test_activation_bits_are_in_the_manifest(cli: Cli, mlp: Path, tmp_path: Path) -> None:
    done = cli("compile", mlp, "-o", tmp_path / "bundle", "--no-build", "--activation-bits", "8")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["options"]["activation_bits"] == 8
