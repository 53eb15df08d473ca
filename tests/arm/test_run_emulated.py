"""What is compiled for Arm runs here: by `compile(...).run` and the commands, under an emulator where need be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte
from subbyte.compiler.api import compile_bundle, load_runner
from subbyte.compiler.codegen.bundle import write_bundle
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.pipeline import Options
from subbyte.compiler.runner import Program, RunnerModule
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.build import RUNNER, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler
from subbyte.compiler.toolchain.emulators import needs_emulator
from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli  # a fixture

Emulated = Callable[[str], str]

# One of each level that has kernels, and the 32-bit cores that differ in what they can.
LEVELS = ("cortex-a7", "cortex-a9", "armv8-a", "cortex-a76", "armv8.2-a+dotprod+i8mm")


@pytest.fixture(scope="module")
def model(digits: Path) -> Path:
    return digits / "digits_mlp_w2a2.qonnx.onnx"


@pytest.fixture(scope="module")
def images(digits: Path) -> NDArray[Any]:
    with np.load(digits / "digits_test.npz") as archive:
        return np.asarray(archive["input"][:4])


@pytest.fixture(scope="module")
def answers(model: Path, images: NDArray[Any]) -> list[dict[str, NDArray[Any]]]:
    return [subbyte.evaluate(model, {"input": image}) for image in images]


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for Cortex-A72 with its runner."""
    target = find_target("cortex-a72")
    bundle = compile_bundle(model, target, Options(name="digits"))
    path = tmp_path_factory.mktemp("arm") / "bundle"
    write_bundle(bundle, path, build_bundle(bundle, target, find_compiler(target), (RUNNER,)))
    return path


@pytest.mark.parametrize("name", LEVELS)
def test_all_samples_of_a_call_equal_the_interpreter(
    emulated: Emulated, model: Path, images: NDArray[Any], answers: list[dict[str, NDArray[Any]]], name: str
) -> None:
    module = subbyte.compile(model, target=emulated(name))
    found = module.run_all({"input": image} for image in images)
    for outputs, expected in zip(found, answers, strict=True):
        assert outputs.keys() == expected.keys()
        for output, array in expected.items():
            np.testing.assert_array_equal(outputs[output], array)


def test_threads_and_weights_in_a_file(
    emulated: Emulated, model: Path, images: NDArray[Any], answers: list[dict[str, NDArray[Any]]]
) -> None:
    module = subbyte.compile(model, target=emulated("cortex-a72"), threads=3, weights="file")
    for output, array in module.run({"input": images[0]}).items():
        np.testing.assert_array_equal(array, answers[0][output])


def test_a_wrong_input_is_told_as_of_a_library(emulated: Emulated, folder: Path, images: NDArray[Any]) -> None:
    emulated("cortex-a72")
    module = load_runner(folder)
    with pytest.raises(ModelError, match="dtype float64"):
        module.run({"input": images[0].astype(np.float64)})
    assert module.run_all([]) == []


def test_run_of_a_model_and_of_a_bundle(
    emulated: Emulated, cli: Cli, model: Path, folder: Path, images: NDArray[Any], tmp_path: Path
) -> None:
    inputs, first, second = (tmp_path / name for name in ("in.npz", "first.npz", "second.npz"))
    np.savez(inputs, input=images)
    report = cli("run", model, "--target", emulated("rpi4"), "-i", inputs, "-o", first, "--json").json()
    assert report["samples"] == len(images)
    assert cli("run", folder, "-i", inputs, "-o", second).code == 0
    with np.load(first) as a, np.load(second) as b:
        assert list(a) == list(b)
        assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("against", ["interpreter", "onnxruntime"])
def test_verify(emulated: Emulated, cli: Cli, digits: Path, against: str) -> None:
    path = digits / "digits_mlp_int8.onnx"
    found = cli(
        "verify", path, "--target", emulated("cortex-a7"), "--against", against, "--samples", 3, "--json"
    ).json()
    assert (found["target"], found["ok"]) == ("cortex-a7", True)
    assert all(output["different"] == 0 for output in found["outputs"].values())


def test_verify_fails_where_answers_differ(
    emulated: Emulated,
    cli: Cli,
    model: Path,
    images: NDArray[Any],
    answers: list[dict[str, NDArray[Any]]],
    tmp_path: Path,
) -> None:
    wrong = {name: np.stack([answer[name] for answer in answers]) + 1 for name in answers[0]}
    np.savez(tmp_path / "in.npz", input=images)
    np.savez(tmp_path / "wrong.npz", **wrong)  # type: ignore[arg-type]
    arguments = ("--inputs", tmp_path / "in.npz", "--against", tmp_path / "wrong.npz", "--max-steps", "0")
    assert cli("verify", model, "--target", emulated("cortex-a72"), *arguments).code == 1


def test_bench_says_whose_times_they_are(emulated: Emulated, cli: Cli, folder: Path) -> None:
    target = find_target(emulated("cortex-a72"))
    found = cli("bench", folder, "--per-op", "--repeats", 3, "--json").json()
    assert found["emulated"] is not target.runs_here
    assert found["median_us"] > 0
    if not target.runs_here:
        assert found["peak"] is None
        assert all(op["median_us"] >= 0 and op["gmac_per_s"] is None for op in found["ops"])
        text = cli("bench", folder, "--repeats", 3).out
        assert "times of the emulator, `qemu-aarch64 -cpu cortex-a72`, not of a board" in text
    assert len(found["ops"]) == len(json.loads((folder / "manifest.json").read_text())["steps"])


def test_the_native_target_is_not_emulated(cli: Cli, model: Path) -> None:
    assert cli("bench", model, "--repeats", 3, "--json").json()["emulated"] is False


# What is missing, and what does not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "verify", "bench"])
def test_a_missing_emulator_is_named_with_the_command_that_brings_it(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    target = replace(find_target("cortex-a72"), runs_here=False, programs_may_run_here=False)
    monkeypatch.setattr("subbyte.compiler.target.find_target", lambda name: target)
    monkeypatch.setattr("shutil.which", lambda name: None)
    files = ("-i", tmp_path / "in.npz", "-o", tmp_path / "out.npz") if command == "run" else ()
    error = cli(command, model, "--target", "cortex-a72", *files).error()
    assert error.startswith("ToolchainError: ")
    assert "qemu-aarch64" in error
    assert "`apt-get install qemu-user`" in error


def test_a_bundle_without_a_runner_says_how_to_get_one(cli: Cli, model: Path, tmp_path: Path) -> None:
    target = find_target("cortex-a7")
    write_bundle(compile_bundle(model, target, Options(name="digits")), tmp_path / "bundle", {})
    assert "--emit runner" in cli("bench", tmp_path / "bundle").error()


def test_a_processor_without_the_features_is_refused_with_both_lists(emulated: Emulated, model: Path) -> None:
    """By the runner itself, which is built for every processor of the architecture."""
    emulated("cortex-a76")
    target = find_target("armv8.2-a+dotprod")
    module = subbyte.compile(model, target=target.name)
    assert isinstance(module, RunnerModule)
    module.prepare()
    lesser = Program(module._program.path, ("qemu-aarch64", "-cpu", "cortex-a53"))
    refused = RunnerModule(module.path, lambda: lesser)
    with pytest.raises(ToolchainError) as raised:
        refused.run({each.name: np.zeros(each.shape, each.container) for each in refused.inputs})
    assert "needs crc dotprod fp-armv8 lse neon rdm" in str(raised.value)
    assert "lacks" in str(raised.value)
    assert "it has fp-armv8 neon aes crc" in str(raised.value)


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("echo 'runner: step 01 refused its operands' >&2; exit 1", ModelError, "failed: step 01 refused its operands"),
        ("echo 'runner: the model cannot run: it lacks i8mm' >&2; exit 1", ToolchainError, "failed: it lacks i8mm"),
        ("kill -ILL $$", ToolchainError, "ended by SIGILL"),
        ("echo 'no such CPU model' >&2; exit 1", ToolchainError, "ended with 1 and said: no such CPU model"),
        ("exec sleep 60", ToolchainError, "did not end within 0.2 s"),
    ],
)
def test_what_a_program_says_becomes_the_error(
    folder: Path, tmp_path: Path, script: str, error: type[Exception], said: str
) -> None:
    program = tmp_path / "runner"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    module = RunnerModule(folder, lambda: Program(program), limit_seconds=0.2 if "sleep" in script else 60)
    with pytest.raises(error, match=said):
        module.run({each.name: np.zeros(each.shape, each.container) for each in module.inputs})


def test_lists_and_the_doctor_know_boards_and_emulators(cli: Cli) -> None:
    boards = {board["name"]: board["target"] for board in cli("list", "boards", "--json").json()}
    assert (boards["rpi2"], boards["rpi4"], boards["rpi5"]) == ("cortex-a7", "cortex-a72", "cortex-a76")
    findings = {finding["name"]: finding for finding in cli("doctor", "--json").json()["findings"]}
    assert findings["cross compiler"]["optional"]
    for name in ("qemu-arm", "qemu-aarch64"):
        if name in findings:
            assert findings[name]["ok"] or "`apt-get install qemu-user`" in findings[name]["text"]


def test_the_doctor_names_what_brings_a_missing_emulator(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    native = find_target("native")
    target = replace(find_target("cortex-a72"), runs_here=False, programs_may_run_here=False)
    assert needs_emulator(target)
    monkeypatch.setattr("subbyte.compiler.target.find_target", lambda name: target if name != "native" else native)
    found = shutil.which
    monkeypatch.setattr("shutil.which", lambda name, **others: None if "qemu" in name else found(name, **others))
    findings = {finding["name"]: finding for finding in cli("doctor", "--json").json()["findings"]}
    assert not findings["qemu-aarch64"]["ok"]
    assert "`apt-get install qemu-user` brings it" in findings["qemu-aarch64"]["text"]
