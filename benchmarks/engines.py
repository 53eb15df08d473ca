"""An engine under comparison, by the leanest call that it has in Python, its input set before it is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler._runtime import LoadedModel
from subbyte.compiler.runtime import LIBRARY, Module

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Engine:
    """name: as in the table. load: set the inputs. call: one inference. answers: the outputs of the last one.

    facts: what the engine itself says about how it runs the model, such as the kernels that it chose.
    """

    name: str
    load: Callable[[Arrays], None]
    call: Callable[[], object]
    answers: Callable[[], dict[str, NDArray[Any]]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        self.load(inputs)
        self.call()
        return {name: np.array(array) for name, array in self.answers().items()}


def subbyte_engine(module: Module, threads: int) -> Engine:
    """The bundle's library, with arrays that are bound to it, as the peers' are."""
    weights = module.manifest["weights"]["file"]
    loaded = LoadedModel(
        str(module.path / LIBRARY),
        None if weights is None else str(module.path / weights),
        module.manifest["digest"],
        threads,
    )
    inputs = [np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in module.inputs]
    outputs = [np.zeros(tensor.shape, tensor.dtype.numpy) for tensor in module.outputs]

    def load(arrays: Arrays) -> None:
        for tensor, buffer in zip(module.inputs, inputs, strict=True):
            np.copyto(buffer, arrays[tensor.name], casting="no")

    def answers() -> dict[str, NDArray[Any]]:
        return {tensor.name: buffer for tensor, buffer in zip(module.outputs, outputs, strict=True)}

    kernels = sorted({step["kernel"] for step in module.manifest["steps"]})
    return Engine("subbyte", load, loaded.bind(inputs, outputs), answers, {"kernels": kernels})
