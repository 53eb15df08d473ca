"""Bundles for processors that are not this machine's: `RunnerModule` runs the runner, a program, as `Module` a library.

All samples of a call go through one process: raw files in, raw files out, times as JSON (runtime_cpp/runner).
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.runtime import Module

if TYPE_CHECKING:
    from subbyte.compiler._runtime import StepProfile

_LIMIT_SECONDS = 3600.0
_MISFIT = "the model cannot run: "


@dataclass(frozen=True)
class Program:
    """An executable, and the command before it: the emulator, or nothing where the machine runs it itself."""

    path: Path
    before: tuple[str, ...] = ()


class RunnerModule(Module):
    """A bundle that runs in a program of its own, under an emulator where the processor is not this machine's.

    find: builds or finds the program; it is asked once, when the module runs for the first time.
    Every call costs a process: `run_all` runs many samples in one.
    """

    def __init__(
        self,
        path: str | Path,
        find: Callable[[], Program],
        threads: int = 1,
        *,
        keep: object = None,
        limit_seconds: float = _LIMIT_SECONDS,
    ) -> None:
        super().__init__(path, threads, keep=keep)
        self._find = find
        self._limit_seconds = limit_seconds

    @property
    def emulator(self) -> str:
        """`qemu-aarch64 -cpu cortex-a72`; "" where the machine runs the program itself."""
        if not self._program.before:
            return ""
        name, *arguments = self._program.before
        return " ".join([Path(name).name, *arguments])

    def prepare(self) -> None:
        """Build the program now.  Raises ToolchainError: a compiler or the emulator is missing, or failed."""
        _ = self._program

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As Module.run, in a process of its own."""
        return self.run_all([inputs])[0]

    def run_all(self, samples: Iterable[Mapping[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
        """As Module.run_all, in one process."""
        arrays = [self._ordered(sample) for sample in samples]
        if not arrays:
            return []
        if not any(array.nbytes for array in arrays[0]):  # files without bytes do not say how many samples they hold
            return [self._outputs([each])[0] for each in arrays]
        return self._outputs(arrays)

    def profile(self, inputs: Mapping[str, NDArray[Any]] | None = None, repeats: int = 20) -> list[StepProfile]:
        """As Module.profile; an emulator's times where there is one."""
        steps: list[StepProfile] = self._timed(inputs, "--repeats", str(repeats), "--profile")["steps"]
        return steps

    def benchmark(
        self, inputs: Mapping[str, NDArray[Any]] | None = None, repeats: int = 100, warmup: int = 10
    ) -> NDArray[np.int64]:
        """As Module.benchmark, the shortest first; an emulator's times where there is one."""
        report = self._timed(inputs, "--repeats", str(repeats), "--warmup", str(warmup), "--times")
        return np.array(report["run_ns"], dtype=np.int64)

    @cached_property
    def _program(self) -> Program:
        return self._find()

    def _outputs(self, samples: Sequence[list[NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
        with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
            files = [Path(temporary) / f"output{index}" for index in range(len(self.outputs))]
            self._execute(Path(temporary), samples, "--outputs", *map(str, files))
            stacked = {
                signature.name: np.fromfile(file, signature.container).reshape(len(samples), *signature.shape)
                for signature, file in zip(self.outputs, files, strict=True)
            }
        return [{name: array[index] for name, array in stacked.items()} for index in range(len(samples))]

    def _timed(self, inputs: Mapping[str, NDArray[Any]] | None, *arguments: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
            report: dict[str, Any] = json.loads(self._execute(Path(temporary), [self._ordered(inputs)], *arguments))
        return report

    def _execute(self, folder: Path, samples: Sequence[list[NDArray[Any]]], *arguments: str) -> str:
        """What the program prints; raises what it says where it ends with an error."""
        files = [folder / f"input{index}" for index in range(len(self.inputs))]
        for index, file in enumerate(files):
            with file.open("wb") as stream:
                for sample in samples:
                    stream.write(sample[index].tobytes())
        program, manifest = self._program, self._manifest
        command = [*program.before, str(program.path), "--digest", manifest.digest, "--threads", str(self.threads)]
        if files:
            command += ["--inputs", *map(str, files)]
        if manifest.weights_file is not None:
            command += ["--weights", str(self.path / manifest.weights_file)]
        try:
            done = subprocess.run(
                [*command, *arguments], capture_output=True, text=True, timeout=self._limit_seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise ToolchainError(
                f"'{self.name}' for {self.target} did not end within {self._limit_seconds:g} s; run fewer samples, or "
                "its runner on a board"
            ) from None
        except OSError as error:
            raise ToolchainError(f"'{command[0]}' cannot be started: {error}") from error
        if done.returncode != 0:
            raise self._failure(done)
        return done.stdout

    def _failure(self, done: subprocess.CompletedProcess[str]) -> ModelError | ToolchainError:
        said = done.stderr.strip()
        start = f"'{self.name}' for {self.target} failed"
        if done.returncode == 1 and said.startswith("runner: "):
            sentence = said.removeprefix("runner: ")
            if sentence.startswith(_MISFIT):
                return ToolchainError(f"{start}: {sentence.removeprefix(_MISFIT)}")
            return ModelError(f"{start}: {sentence}")
        if done.returncode < 0:
            return ToolchainError(f"{start}: its program was ended by {signal.Signals(-done.returncode).name}. {said}")
        return ToolchainError(f"{start}: `{' '.join(done.args[:3])} ...` ended with {done.returncode} and said: {said}")
