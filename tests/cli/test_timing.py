"""How long things take that people wait for or repeat: loading a bundle, compiling in a warm process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subbyte

TRIES = 5
FindModel = Callable[[str], Any]


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


@pytest.mark.timing
def test_a_library_loads_and_runs_in_5_ms(shared_model: FindModel, tmp_path: Path) -> None:
    """resnet8, a copy of the bundle for each try: a library that was loaded before would come from memory."""
    model = shared_model("resnet8_int8")
    subbyte.compile(model.path, output=tmp_path / "bundle")
    sample = {"input_1_int8": model.samples["input_1_int8"][0]}
    subbyte.load(shutil.copytree(tmp_path / "bundle", tmp_path / "warm")).run(sample)
    copies = [shutil.copytree(tmp_path / "bundle", tmp_path / f"copy{index}") for index in range(TRIES)]
    assert min(seconds(partial(load_and_run, copy, sample)) for copy in copies) < 0.005


def load_and_run(folder: Path, sample: dict[str, NDArray[Any]]) -> None:
    subbyte.load(folder).run(sample)


@pytest.mark.timing
def test_compiling_without_building_takes_under_a_second(
    cli: Callable[..., Any], shared_model: FindModel, tmp_path: Path
) -> None:
    """resnet8, in a process that has compiled before."""
    path = shared_model("resnet8_int8").path
    times = [seconds(lambda: cli("compile", path, "--no-build", "-o", tmp_path / "bundle")) for _ in range(TRIES)]
    assert (tmp_path / "bundle" / "model.c").is_file()
    assert min(times[1:]) < 1


@pytest.mark.timing
def test_a_call_from_python_costs_little(mlp: Path) -> None:
    """The small model: checks, binding and inference together, in microseconds."""
    module = subbyte.compile(mlp)
    sample = {"input": np.zeros((1, 1, 8, 8), np.float32)}
    assert min(seconds(lambda: module.run(sample)) for _ in range(2000)) < 50e-6
