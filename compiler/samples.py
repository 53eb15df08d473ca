"""Inputs for a model: read from an .npz file sample by sample, or made from a seed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.types import TensorType

_LIMIT_BYTES = 8 << 30


@dataclass(frozen=True)
class Samples:
    """Arrays by input name, each [count, *shape of the graph's input]."""

    arrays: Mapping[str, NDArray[Any]]
    count: int

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for index in range(self.count):
            yield {name: array[index] for name, array in self.arrays.items()}


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file; nothing in it is executed, and its size is checked before memory is taken."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _LIMIT_BYTES:
            raise ModelError(
                f"'{path}' unpacks to {size} bytes; at most {_LIMIT_BYTES} are read. Split it into several files."
            )
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ModelError(f"there is no file '{path}'; an .npz file with one array for each input is needed.") from None
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        KeyError,
        NotImplementedError,
    ) as error:
        raise ModelError(f"'{path}' is not an .npz file of plain arrays: {error}") from error


def read_samples(path: Path, inputs: Mapping[str, TensorType]) -> Samples:
    """The samples in `path` for `inputs`: arrays of the input's shape, or behind one sample axis; others are left out.

    Raises ModelError naming the input that is missing, or whose shape, dtype or number of samples does not fit.
    """
    stored = read_npz(path)
    missing = [name for name in inputs if name not in stored]
    if missing:
        raise ModelError(
            f"'{path}' has no array '{missing[0]}'; it has {', '.join(map(repr, stored)) or 'none'}. "
            f"The model's inputs are {', '.join(f'{name!r} {of_type}' for name, of_type in inputs.items())}."
        )
    return stack_samples({name: stored[name] for name in inputs}, inputs)


def stack_samples(arrays: Mapping[str, NDArray[Any]], inputs: Mapping[str, TensorType]) -> Samples:
    """`arrays` as samples, checked against the types of `inputs`."""
    stacked: dict[str, NDArray[Any]] = {}
    for name, of_type in inputs.items():
        array = arrays[name]
        if array.shape == of_type.shape:
            array = array[np.newaxis]
        if array.shape[1:] != of_type.shape or array.dtype != of_type.dtype.numpy:
            raise ModelError(
                f"the samples of input '{name}' are {array.dtype}{list(array.shape)}; {of_type.dtype.numpy}"
                f"{list(of_type.shape)} is needed, or the same behind one sample axis."
            )
        stacked[name] = array
    counts = {name: len(array) for name, array in stacked.items()}
    if len(set(counts.values())) > 1:
        raise ModelError(f"the inputs have different numbers of samples: {counts}")
    return Samples(stacked, next(iter(counts.values()), 1))


def random_samples(inputs: Mapping[str, TensorType], count: int, seed: int = 0) -> Samples:
    """Samples from a seed: codes over their whole range, floats normal.

    The first sample is the smallest code or -1, the second the largest or +1: extreme operands are where kernels fail.
    """
    generator = np.random.default_rng(seed)
    arrays = {name: _random(of_type, count, generator) for name, of_type in inputs.items()}
    return Samples(arrays, count)


def _random(of_type: TensorType, count: int, generator: np.random.Generator) -> NDArray[Any]:
    shape = (count, *of_type.shape)
    if of_type.dtype.is_float:
        array = generator.standard_normal(shape).astype(of_type.dtype.numpy)
        extremes: Sequence[float] = (-1.0, 1.0)
    else:
        low, high = of_type.code_range()
        low, high = (max(low, -(1 << 31)), min(high, (1 << 31) - 1)) if of_type.dtype.bits > 32 else (low, high)
        array = generator.integers(low, high, shape, endpoint=True).astype(of_type.dtype.numpy)
        extremes = (low, high)
    for index, extreme in enumerate(extremes[:count]):
        array[index] = extreme
    return array
