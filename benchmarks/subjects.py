"""What is measured: models, and the samples that the engines answer before they are timed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.runtime import Module
from subbyte.compiler.samples import Samples, random_samples, read_samples

_REPOSITORY = Path(__file__).resolve().parent.parent
_OWN = (_REPOSITORY / "models" / "digits_resnet_int8.onnx",)
_SHARED = ("resnet8_int8.onnx", "kws_int8.onnx")
_COMPARED_SAMPLES = 64


@dataclass(frozen=True)
class Subject:
    """A model, the samples that go with it, and its multiply-accumulates."""

    name: str
    path: Path
    samples: Samples
    origin: str  # where the samples come from
    macs: int

    @property
    def sample(self) -> dict[str, NDArray[Any]]:
        """The one that is timed: the first."""
        return next(iter(self.samples))


def default_models() -> list[Path]:
    """The project's own digit classifier, and of the shared models those of MLPerf Tiny where they are present."""
    folder = Path(os.environ.get("SUBBYTE_SHARED_MODELS") or _REPOSITORY.parent / "shared" / "models")
    return [path for path in (*(folder / name for name in _SHARED), *_OWN) if path.is_file()]


def subject_of(path: Path, module: Module) -> Subject:
    """The model at `path`, compiled as `module`, with the samples of the .npz beside it, else random ones."""
    types = {tensor.name: TensorType(tensor.dtype, tensor.shape) for tensor in module.inputs}
    beside = next((file for file in _sample_files(path) if file.is_file()), None)
    if beside is None:
        samples, origin = random_samples(types, 8), "random codes"
    else:
        samples, origin = read_samples(beside, types), beside.name
    count = min(samples.count, _COMPARED_SAMPLES)
    samples = Samples({name: array[:count] for name, array in samples.arrays.items()}, count)
    macs = sum(step["macs"] for step in module.manifest["steps"])
    return Subject(path.name.removesuffix(".onnx"), path, samples, origin, macs)


def _sample_files(path: Path) -> list[Path]:
    """model.npz beside model.onnx, or the test set that models share: digits_test.npz for digits_*.onnx."""
    return [path.with_suffix(".npz"), path.with_name(f"{path.name.partition('_')[0]}_test.npz")]
