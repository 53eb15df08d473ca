"""A project as something that runs: the processor's parts as compiled C, the core by its C simulation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.codegen.bundle import Bundle, bundle_files
from subbyte.compiler.errors import ModelError, UnsupportedError
from subbyte.compiler.hls.border import Border, border_from
from subbyte.compiler.hls.csim import build_runner, run_runner
from subbyte.compiler.manifest import MANIFEST, read_manifest
from subbyte.compiler.runtime import Module
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.build import SHARED, build_bundle
from subbyte.compiler.toolchain.compilers import find_compiler

if TYPE_CHECKING:
    from subbyte.compiler._runtime import StepProfile

Arrays = Mapping[str, NDArray[Any]]
HOST = "host"


class HlsModule(Module):
    """The bundle that `compile --target hls` writes, run on this machine: exact, and slow as simulations are.

    What stays on the processor is compiled for it, the core's C simulation too, both when they are first needed.
    """

    def prepare(self) -> None:
        """Build the simulation and the processor's parts.  Raises ToolchainError: a compiler is missing, or fails."""
        _ = self._program, self._before, self._behind

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """As Module.run, in a process of its own."""
        return self.run_all([inputs])[0]

    def run_all(self, samples: Iterable[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """As Module.run_all, all samples in one process."""
        known: list[dict[str, NDArray[Any]]] = []
        for sample in samples:
            given = dict(zip((tensor.name for tensor in self.inputs), self._ordered(sample), strict=True))
            known.append({**given, **_run(self._before, given)})
        if not known:
            return []
        for values, made in zip(known, self._simulated(known), strict=True):
            values |= made
            values |= _run(self._behind, values)
        return [{name: values[made] for name, made in self._sources.items()} for values in known]

    def benchmark(self, inputs: Arrays | None = None, repeats: int = 100, warmup: int = 10) -> NDArray[np.int64]:
        """Raises UnsupportedError: a simulation's time says nothing of the hardware's."""
        self._refuse_timing()

    def profile(self, inputs: Arrays | None = None, repeats: int = 20) -> list[StepProfile]:
        """Raises UnsupportedError: as benchmark."""
        self._refuse_timing()

    def _refuse_timing(self) -> NoReturn:
        raise UnsupportedError(
            f"'{self.name}' is a project for an FPGA, and what its C simulation takes says nothing of the hardware; "
            "report/estimate.json has cycles, and `make -C csim cycles` counts them with stalls"
        )

    def _simulated(self, known: Sequence[Arrays]) -> list[dict[str, NDArray[Any]]]:
        """What the core makes of each sample."""
        inputs, outputs = self._borders
        with tempfile.TemporaryDirectory(prefix="subbyte-") as temporary:
            given, made = Path(temporary) / "in", Path(temporary) / "out"
            given.mkdir()
            made.mkdir()
            for border in inputs:
                with (given / f"{border.stream}.bin").open("wb") as stream:
                    for sample in known:
                        stream.write(border.bytes_of(sample[border.tensor]))
            run_runner(self._program, given, made, len(known))
            found: list[dict[str, NDArray[Any]]] = [{} for _ in known]
            for border in outputs:
                content = (made / f"{border.stream}.bin").read_bytes()
                for index, values in enumerate(found):
                    frame = content[index * border.frame_bytes : (index + 1) * border.frame_bytes]
                    values[border.tensor] = border.tensor_of(frame)
        return found

    @cached_property
    def _borders(self) -> tuple[list[Border], list[Border]]:
        core = self.manifest.get("core")
        if not isinstance(core, dict) or not isinstance(core.get("of_outputs"), dict):
            raise ModelError(f"'{self.path / MANIFEST}' is damaged: core is missing. Compile the model again.")
        inputs, outputs = ([border_from(entry) for entry in core.get(side, [])] for side in ("inputs", "outputs"))
        return inputs, outputs

    @cached_property
    def _sources(self) -> dict[str, str]:
        _ = self._borders
        found: dict[str, str] = self.manifest["core"]["of_outputs"]
        return {tensor.name: str(found[tensor.name]) for tensor in self.outputs}

    @cached_property
    def _built(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="subbyte-")

    @cached_property
    def _program(self) -> Path:
        return build_runner(self.path, self.name, Path(self._built.name))

    @cached_property
    def _before(self) -> Module | None:
        return self._part("before")

    @cached_property
    def _behind(self) -> Module | None:
        return self._part("behind")

    def _part(self, side: str) -> Module | None:
        """What the processor does before or behind the core, compiled; None where it does nothing there."""
        folder = self.path / HOST / side
        if not (folder / MANIFEST).is_file():
            return None
        manifest = read_manifest(folder)
        files = {path: (folder / path).read_bytes() for path in manifest.files}
        target = find_target(manifest.target)
        bundle = Bundle(manifest.name, files, dict(manifest.content))
        built = build_bundle(bundle, target, find_compiler(target), (SHARED,))
        place = Path(self._built.name) / side
        for path, content in bundle_files(bundle, built).items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        return Module(place)


def _run(module: Module | None, known: Arrays) -> dict[str, NDArray[Any]]:
    """What a part of the processor adds to the values that are known."""
    return {} if module is None else module.run({tensor.name: known[tensor.name] for tensor in module.inputs})


def load_hls(path: str | os.PathLike[str]) -> HlsModule:
    """The project in the folder `path`.  Raises ModelError: it is none, or was changed."""
    return HlsModule(path)
