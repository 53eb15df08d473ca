"""Where samples come from: arrays in memory, or anything that Python can iterate over.

A source gives its samples one after the other, checked, as often as it is asked (a generator: once).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.calibration.check import Inputs, checked
from subbyte.compiler.errors import ModelError

Array = NDArray[Any]
Sample = dict[str, Array]


class SampleSource(ABC):
    """Samples for the inputs of a graph, in an order that does not change."""

    @abstractmethod
    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        """One after the other: an array of the input's exact shape and dtype for each of `inputs`.

        Raises ModelError: a sample does not fit, or cannot be read.
        """

    @property
    def count(self) -> int | None:
        """How many there are, where that is known without reading them."""
        return None

    def count_for(self, inputs: Inputs) -> int | None:
        """`count`, where it may take a look at what is stored for `inputs`; for a progress bar, and not checked."""
        return self.count


class Arrays(SampleSource):
    """Arrays in memory by input name, [samples, *shape of the input] or without its leading axis of extent 1."""

    def __init__(self, arrays: Mapping[str, Array] | Array) -> None:
        self._arrays = dict(arrays) if isinstance(arrays, Mapping) else {"": arrays}
        self._count = {len(array) if array.ndim else 0 for array in self._arrays.values()}

    @property
    def count(self) -> int | None:
        return min(self._count) if len(self._count) == 1 else None

    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        arrays = by_input(self._arrays, inputs, "the arrays of samples")
        counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            raise ModelError(f"the inputs have different numbers of samples: {counts}; one of each is a sample.")
        for number in range(min(counts.values(), default=0)):
            where = f"sample {number}"
            yield {
                name: checked(np.asarray(array[number]), name, inputs[name], where) for name, array in arrays.items()
            }


class Iterated(SampleSource):
    """What a Python iterable gives: a dict of arrays by input name, or one array for a model with one input.

    iterable: read again from its start on each pass; a generator has one pass only, a function that makes one has any.
    """

    def __init__(self, iterable: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._iterable = iterable
        self._spent = False

    @property
    def count(self) -> int | None:
        size = getattr(self._iterable, "__len__", None)
        return int(size()) if size is not None else None

    def samples(self, inputs: Inputs) -> Iterator[Sample]:
        given = self._iterable() if callable(self._iterable) else self._iterable
        once = iter(given) is given and not callable(self._iterable)
        if once and self._spent:
            raise ModelError(
                "the samples are a generator, which gives them once, and they are needed again; "
                "give a list, or a function that makes the generator anew."
            )
        self._spent = True
        for number, one in enumerate(given):
            where = f"sample {number}"
            arrays = {name: np.asarray(array) for name, array in one.items()} if isinstance(one, Mapping) else None
            arrays = by_input(arrays if arrays is not None else {"": np.asarray(one)}, inputs, where)
            yield {name: checked(array, name, inputs[name], where) for name, array in arrays.items()}


def by_input(arrays: Mapping[str, Array], inputs: Inputs, where: str) -> dict[str, Array]:
    """The arrays for `inputs`, others left out; an array without a name is that of the only input.

    Raises ModelError: one is missing.
    """
    if len(inputs) == 1 and len(arrays) == 1 and "" in arrays:
        return {next(iter(inputs)): arrays[""]}
    for name in inputs:
        if name not in arrays:
            listed = ", ".join(repr(key) for key in arrays if key) or "one without a name"
            raise ModelError(
                f"there is no array for input '{name}' among {where}, which have {listed}; "
                f"the model's inputs are {', '.join(f'{key!r} {of_type}' for key, of_type in inputs.items())}."
            )
    return {name: arrays[name] for name in inputs}
