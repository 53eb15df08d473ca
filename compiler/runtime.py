"""Bundles at run time: `load(folder)` verifies one and gives the `Module` that runs it.

    module = load("bundle/")
    outputs = module.run({"input": x})          # dict of NumPy arrays

The work is done in C++ (`subbyte.compiler._runtime`, sources in runtime_cpp/), which is loaded when it is first needed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.manifest import MANIFEST, TensorSignature, read_manifest, verify_files

if TYPE_CHECKING:
    from subbyte.compiler._runtime import LoadedModel, StepProfile, TensorDescription

LIBRARY = "libmodel.so"
ARCHIVE = "libmodel.a"
_RUNS_BETWEEN_SIGNALS = 32


def load(path: str | os.PathLike[str], threads: int = 1) -> Module:
    """The compiled model in the bundle folder `path`, ready to run on `threads` threads.

    Raises: ModelError: not a bundle, or one that was changed. ToolchainError: not built, or not for this processor.
    """
    module = Module(path, threads)
    module.prepare()
    return module


class Module:
    """A bundle: what it computes, and the means to run it on this machine.

    The bundle is verified here (manifest, hashes); its library is loaded by the first run, or by `prepare`, so that a
    bundle for another processor can be looked at and saved. `keep` is held as long as the module: a temporary folder.
    Runs of one module, from whatever threads, come one after the other; load the bundle twice to run two at once.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 1, *, keep: object = None) -> None:
        self.path = Path(path)
        self.threads = threads
        self._keep = keep
        self._manifest = read_manifest(self.path)
        self._input_names = {signature.name for signature in self._manifest.inputs}
        self._input_signatures = tuple((signature.name, signature) for signature in self._manifest.inputs)
        self._output_names = tuple(signature.name for signature in self._manifest.outputs)
        verify_files(self.path, self._manifest)

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def target(self) -> str:
        return self._manifest.target

    @property
    def inputs(self) -> tuple[TensorSignature, ...]:
        return self._manifest.inputs

    @property
    def outputs(self) -> tuple[TensorSignature, ...]:
        return self._manifest.outputs

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The content of manifest.json."""
        return self._manifest.content

    def __repr__(self) -> str:
        return f"<Module '{self.name}' for {self.target} in '{self.path}'>"

    @property
    def emulator(self) -> str:
        """The command of the emulator that runs it; "" where this machine does."""
        return ""

    def prepare(self) -> None:
        """Load the library now.  Raises ModelError, ToolchainError: as `load`."""
        _ = self._loaded

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One inference: an array for each input, of its very dtype and shape, to a new array for each output.

        Contiguous arrays are read where they are. NaN and infinity in float inputs go through as the model says.
        Raises: ModelError: a name, dtype, shape or code is not the model's, or a step refused its operands.
        """
        return dict(zip(self._output_names, self._loaded.run(self._ordered(inputs)), strict=True))

    def run_all(self, samples: Iterable[Mapping[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
        """The outputs of each sample, one after the other; raises as `run`."""
        return [self.run(sample) for sample in samples]

    def profile(self, inputs: Mapping[str, NDArray[Any]] | None = None, repeats: int = 20) -> list[StepProfile]:
        """The median time of each step, in nanoseconds, with its ONNX nodes, kernel, multiply-adds and bytes.

        inputs: as for `run`; None stands for zeros (ones where 0 is no code).
        """
        return self._loaded.profile(self._ordered(inputs), repeats)

    def benchmark(
        self, inputs: Mapping[str, NDArray[Any]] | None = None, repeats: int = 100, warmup: int = 10
    ) -> NDArray[np.int64]:
        """[repeats] nanoseconds of an inference each, after `warmup` that do not count; inputs as for `profile`."""
        arrays = self._ordered(inputs)
        times = self._loaded.benchmark(arrays, min(repeats, _RUNS_BETWEEN_SIGNALS), warmup)
        while len(times) < repeats:  # Python handles an interrupt between the calls
            times += self._loaded.benchmark(arrays, min(repeats - len(times), _RUNS_BETWEEN_SIGNALS))
        return np.array(times, dtype=np.int64)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy the bundle to the folder `path`, which is made, or is a bundle already and gets this one's files.

        Raises: ModelError: `path` holds something else, or cannot be written.
        """
        folder = Path(path)
        if folder.resolve() == self.path.resolve():
            return folder
        try:
            previous = _bundle_to_replace(folder)
            names = [name for name in (*self._manifest.files, LIBRARY, ARCHIVE) if (self.path / name).is_file()]
            for name in dict.fromkeys((*names, MANIFEST)):  # the manifest last: it vouches for the others
                _copy(self.path / name, folder / name)
            for name in previous - set(names):
                (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(f"The bundle cannot be saved to '{folder}': {error.strerror}.") from error
        return folder

    @cached_property
    def _loaded(self) -> LoadedModel:
        runtime = _native_runtime()
        manifest, library = self._manifest, self.path / LIBRARY
        if manifest.abi_version != runtime.ABI_VERSION:
            raise ToolchainError(
                f"The bundle '{self.path}' has version {manifest.abi_version} of the model interface, this subbyte "
                f"version {runtime.ABI_VERSION}. Compile the model again with this version of subbyte."
            )
        found = set(runtime.cpu_features())
        if missing := [feature for feature in manifest.features if feature not in found]:
            raise ToolchainError(
                f"The bundle '{self.path}' was compiled for {manifest.target}, which needs "
                f"{', '.join(manifest.features)}; this processor lacks {', '.join(missing)}: it has "
                f"{', '.join(sorted(found)) or 'none that is known'}. Compile the model for a target that it can run, "
                "for instance --target native."
            )
        if not library.is_file():
            raise ToolchainError(
                f"The bundle '{self.path}' has no {LIBRARY}: it was not built. Build it there with "
                "`cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON "
                "-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=.. && cmake --build build`, or compile the model without --no-build."
            )
        if manifest.weights_file is not None and not (self.path / manifest.weights_file).is_file():
            raise ModelError(f"The bundle '{self.path}' has lost its weights, the file {manifest.weights_file}.")
        weights = None if manifest.weights_file is None else str(self.path / manifest.weights_file)
        loaded: LoadedModel = runtime.LoadedModel(str(library), weights, manifest.digest, self.threads)
        _check_signature(library, loaded.inputs, manifest.inputs)
        _check_signature(library, loaded.outputs, manifest.outputs)
        return loaded

    def _ordered(self, inputs: Mapping[str, NDArray[Any]] | None) -> list[NDArray[Any]]:
        if inputs is None:
            return [_neutral(signature) for signature in self.inputs]
        if type(inputs) is not dict and not isinstance(inputs, Mapping):
            raise ModelError(
                f"The inputs are a {type(inputs).__name__}; a dict by name is expected, {_listed(self.inputs)}."
            )
        if inputs.keys() != self._input_names:
            self._refuse_names(inputs)
        return [_checked(inputs[name], signature) for name, signature in self._input_signatures]

    def _refuse_names(self, inputs: Mapping[str, NDArray[Any]]) -> NoReturn:
        if wrong := sorted(map(str, inputs.keys() - self._input_names)):
            raise ModelError(f"The model '{self.name}' has no input {_quoted(wrong)}; it has {_listed(self.inputs)}.")
        missing = sorted(self._input_names - inputs.keys())
        raise ModelError(f"Input {_quoted(missing)} is missing; the model '{self.name}' has {_listed(self.inputs)}.")


def _native_runtime() -> ModuleType:
    """The C++ runtime.  Raises ToolchainError: this installation has none."""
    try:
        from subbyte.compiler import _runtime
    except ImportError as error:
        raise ToolchainError(
            f"The C++ runtime of this installation does not load ({error}). Install subbyte again, with a C++ "
            "compiler at hand: pip install --force-reinstall subbyte."
        ) from error
    return _runtime


def _checked(array: NDArray[Any], signature: TensorSignature) -> NDArray[Any]:
    """`array`, contiguous, if it is what `signature` says."""
    if not isinstance(array, np.ndarray):
        raise ModelError(f"Input {signature} is a {type(array).__name__}; a NumPy array is expected.")
    dtype = array.dtype
    if dtype is not signature.container and dtype != signature.container:  # mostly the very object, at once
        raise ModelError(
            f"Input {signature} is of dtype {dtype}; {signature.container} is expected. Nothing is cast: "
            "quantize or convert it as the model's training did."
        )
    if array.shape != signature.shape:
        raise ModelError(f"Input {signature} has the shape {list(array.shape)}; {list(signature.shape)} is expected.")
    if signature.has_spare_values and array.size > 0:
        _check_codes(array, signature)
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else np.require(array, requirements=("C", "A"))


def _neutral(signature: TensorSignature) -> NDArray[Any]:
    return np.full(signature.shape, signature.dtype.kind == "bipolar", signature.container)


def _check_codes(array: NDArray[Any], signature: TensorSignature) -> None:
    """Every value of `array` must be a code of the narrow element type."""
    dtype = signature.dtype
    low, high = int(array.min()), int(array.max())
    if low < dtype.min or high > dtype.max:
        raise ModelError(
            f"Input {signature} holds values from {low} to {high}; {dtype} has {dtype.min} to {dtype.max}."
        )
    if dtype.kind == "bipolar" and not array.all():
        raise ModelError(f"Input {signature} holds 0; {dtype} has -1 and 1 only.")


def _check_signature(library: Path, found: Sequence[TensorDescription], expected: Sequence[TensorSignature]) -> None:
    compiled = [(tensor["name"], tensor["code"], tensor["shape"]) for tensor in found]
    listed = [(signature.name, signature.dtype.name, signature.shape) for signature in expected]
    if compiled != listed:
        raise ModelError(
            f"'{library}' takes or gives {compiled}, but {MANIFEST} says {listed}. Compile the model again."
        )


def _bundle_to_replace(folder: Path) -> set[str]:
    """The files of the bundle that is in `folder`; none where `folder` is empty or not there."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    if not (folder / MANIFEST).is_file():
        raise ModelError(f"'{folder}' exists and is not a bundle; nothing was saved there. Name a new or empty folder.")
    return {*read_manifest(folder).files, LIBRARY, ARCHIVE}


def _copy(source: Path, destination: Path) -> None:
    """Copy a file under another name and rename it: a process that has the old one loaded keeps the old one."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=destination.parent, prefix=destination.name)
    os.close(handle)
    try:
        shutil.copy(source, temporary)
        os.replace(temporary, destination)
    except OSError:
        os.unlink(temporary)
        raise


def _listed(signatures: Iterable[TensorSignature]) -> str:
    return ", ".join(map(str, signatures)) or "none"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
