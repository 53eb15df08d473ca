"""Labelled samples for `subbyte score`: an .npz file with the inputs, and beside them what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.samples import Samples, read_npz, stack_samples

Array = NDArray[Any]
LABELS = ("label", "labels")


@dataclass(frozen=True)
class Labelled:
    """Arrays of the file by name, each with a leading axis of `count` samples; others are left out.

    first, count: which samples of the file they are.
    """

    path: Path
    arrays: Mapping[str, Array]
    scales: Mapping[str, Array]
    first: int
    count: int

    def samples(self, inputs: Mapping[str, TensorType]) -> Samples:
        """What a model with these inputs runs on.

        Codes in an array NAME are made what a float input is given, (code - NAME_zero_point) * NAME_scale in float32,
        where the file says the scale. The sample axis may stand in place of a leading extent of 1.
        Raises ModelError: an input is missing, or has another shape or dtype.
        """
        found = {}
        for name, of_type in inputs.items():
            if name not in self.arrays:
                raise ModelError(
                    f"'{self.path}' has no samples '{name}'; it has {', '.join(map(repr, self.arrays)) or 'none'}. The "
                    f"model's inputs are {', '.join(f'{each!r} {type_}' for each, type_ in inputs.items())}."
                )
            array = self._real(name, of_type)
            if of_type.shape[:1] == (1,) and array.shape[1:] == of_type.shape[1:]:
                array = array[:, np.newaxis]
            elif array.shape[1:] != of_type.shape:  # `stack_samples` would take one sample without an axis
                raise ModelError(
                    f"'{self.path}' has '{name}' as {array.dtype}{list(array.shape)}; {of_type} is needed behind the "
                    "axis of the samples."
                )
            found[name] = array
        return stack_samples(found, inputs)

    def labels(self, name: str | None) -> Array:
        """The array called `name`; where it is not given, the one that is called label or labels.

        Raises ModelError: there is none.
        """
        for each in (name,) if name is not None else LABELS:
            if each in self.arrays:
                return self.arrays[each]
        wanted = f"'{name}'" if name is not None else "'label' or 'labels'"
        raise ModelError(
            f"'{self.path}' has no array {wanted} with one entry for each sample; it has "
            f"{', '.join(map(repr, self.arrays)) or 'none'}. --labels says which holds the labels."
        )

    def _real(self, name: str, of_type: TensorType) -> Array:
        array = self.arrays[name]
        if not of_type.dtype.is_float or array.dtype.kind not in "iu" or f"{name}_scale" not in self.scales:
            return array
        scale = self.scales[f"{name}_scale"].astype(np.float32)
        zero_point = self.scales.get(f"{name}_zero_point", np.zeros((), np.int64)).astype(np.int64)
        if scale.size != 1 or zero_point.size != 1 or not np.isfinite(scale).all() or float(scale.reshape(())) <= 0:
            raise ModelError(
                f"'{self.path}' has the scale {scale.tolist()} and the zero point {zero_point.tolist()} for '{name}'; "
                "one scale above 0 and one zero point are needed."
            )
        codes = array.astype(np.int64) - zero_point.reshape(())
        real: Array = (codes.astype(np.float32) * scale.reshape(())).astype(of_type.dtype.numpy)
        return real


def read_labelled(path: Path, inputs: Sequence[str], skip: int, first: int | None) -> Labelled:
    """The samples skip, skip + 1, ... of the file, `first` of them (None: all that are left).

    inputs: the names of the model's inputs, whose arrays say how many samples there are.
    Raises ModelError: no .npz, no sample is left, or fewer than `first`.
    """
    stored = read_npz(path)
    counts = {name: len(stored[name]) for name in inputs if name in stored and stored[name].ndim}
    if not counts:
        raise ModelError(
            f"'{path}' has no samples for the model's input{'s' if len(inputs) > 1 else ''} "
            f"{', '.join(map(repr, inputs))}; it has {', '.join(map(repr, stored)) or 'nothing'}."
        )
    if len(set(counts.values())) > 1:
        raise ModelError(f"the inputs in '{path}' have different numbers of samples: {counts}.")
    total = next(iter(counts.values()))
    left = total - skip
    if left <= 0:
        raise ModelError(f"'{path}' holds {total} samples, and --skip {skip} leaves none; at least one is needed.")
    if first is not None and first > left:
        raise ModelError(f"'{path}' holds {total} samples, {left} behind --skip {skip}; --first {first} is more.")
    end = total if first is None else skip + first
    arrays = {name: array[skip:end] for name, array in stored.items() if array.ndim and len(array) == total}
    scales = {name: array for name, array in stored.items() if name.endswith(("_scale", "_zero_point"))}
    return Labelled(path, arrays, scales, skip, end - skip)
