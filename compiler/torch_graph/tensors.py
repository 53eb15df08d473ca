"""Between NumPy and PyTorch: whether torch is there, and how elements of each type are held."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from subbyte.compiler.errors import ToolchainError, UnsupportedError
from subbyte.compiler.ir.types import TensorType

if TYPE_CHECKING:
    import torch

_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "bool")


def need_torch() -> None:
    """Raises: ToolchainError: torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        raise ToolchainError("torch is not installed; `pip install 'subbyte[exporters]'` brings it.")


def held(of_type: TensorType, floats: torch.dtype) -> torch.dtype:
    """How elements of a type are held: floats, and codes with a scale, as `floats`; plain integers as they are.

    Raises: UnsupportedError: torch has no arithmetic for such integers.
    """
    import torch

    if of_type.dtype.is_float or of_type.quant is not None:
        return floats
    name = of_type.dtype.numpy.name
    if name not in _WHOLE:
        raise UnsupportedError(f"{of_type} does not run on torch; floats, and integers of {', '.join(_WHOLE)} do.")
    found: torch.dtype = getattr(torch, name)
    return found


def tensor(array: Any, of_type: TensorType, like: torch.Tensor) -> torch.Tensor:
    """A NumPy array of a constant's values as a tensor, on the device of `like`, floats in its dtype."""
    import torch

    dtype = held(of_type, like.dtype)
    wide = np.array(array, order="C")
    if dtype == like.dtype:
        wide = wide.astype(np.float64)  # codes and halves too: torch lacks some of their types
    return torch.tensor(wide, dtype=dtype, device=like.device)
