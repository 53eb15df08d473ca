"""A compiled model as a program for an emulator, step by step: built without the stripping of the real runner."""

from __future__ import annotations

from pathlib import Path

from benchmarks.arm.cores import Core
from subbyte.compiler.api import compile_bundle
from subbyte.compiler.pipeline import Options
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.counted_steps import Program, build_steps
from subbyte.compiler.tuning import TuningRecord


def build_program(
    model: Path, core: Core, folder: Path, tuning: tuple[TuningRecord, ...] = (), weights: str = "inline"
) -> Program:
    """Compile `model` for `core` into `folder`: nothing left out of it.

    Raises: SubbyteError.
    """
    target = find_target(core.target)
    options = Options(name="model", remove_work=False, weights=weights, tuning=tuning)
    return build_steps(compile_bundle(model, target, options), target, folder)
