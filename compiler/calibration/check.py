"""Every sample is checked before it runs: shape, dtype, NaN and infinity, each with the sample's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]
Inputs = Mapping[str, TensorType]


def checked(array: Array, name: str, wanted: TensorType, where: str) -> Array:
    """`array` as one sample of input `name`: of its shape, in the container of its dtype, in C order.

    The leading axis of extent 1 may be missing. Floats of another width are rounded to the wanted one, integers of
    another width are taken where none changes; integers for a float input are refused.
    where: what errors call the sample.
    Raises ModelError: it does not fit, or holds NaN or an infinity.
    """
    shape = wanted.shape
    if array.shape != shape and shape[:1] == (1,) and array.shape == shape[1:]:
        array = array[np.newaxis]
    if array.shape != shape:
        raise ModelError(
            f"{where} has shape {list(array.shape)} for input '{name}'; {list(shape)} is needed"
            + (f", or {list(shape[1:])} for one sample without its batch axis" if shape[:1] == (1,) else "")
            + ". Reshape the samples, or import the model with other dimensions."
        )
    return np.ascontiguousarray(_converted(array, name, wanted, where)).reshape(shape)


def _converted(array: Array, name: str, wanted: TensorType, where: str) -> Array:
    container = wanted.dtype.numpy
    if wanted.dtype.is_float:
        if array.dtype.kind != "f":
            raise ModelError(
                f"{where} holds {array.dtype} for input '{name}', which is {wanted}; floats are needed, or integers "
                f"with '{name}_scale' beside them in the .npz file, or images with a Preprocessing."
            )
        bad = ~np.isfinite(array)
        if bad.any():
            place = [int(i) for i in np.argwhere(bad)[0]]
            raise ModelError(
                f"{where} holds {array[tuple(place)]} at {place} for input '{name}', and {int(bad.sum())} such "
                f"elements in all; finite numbers are needed. Repair the sample or leave it out."
            )
        with np.errstate(over="ignore"):
            converted = array.astype(container, copy=False)
        if converted is not array and not np.isfinite(converted).all():
            raise ModelError(f"{where} holds numbers for input '{name}' that no {container} holds; scale them down.")
        return converted
    if array.dtype.kind != container.kind and not (array.dtype.kind in "iu" and container.kind in "iu"):
        raise ModelError(f"{where} holds {array.dtype} for input '{name}'; {wanted} held as {container} is needed.")
    converted = array.astype(container, copy=False)
    if not np.array_equal(converted, array) or wanted.stray_code(converted):
        low, high = wanted.code_range()
        raise ModelError(
            f"{where} holds integers outside {low}..{high} for input '{name}', which is {wanted}; "
            f"they lie in {array.min()}..{array.max()}."
        )
    return converted
