"""Tables of 256 entries, indexed by the byte that holds a code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir.qops import Lookup


def byte_tables(op: Lookup) -> NDArray[Any]:
    """[channels, 256]: the table of each channel by byte; bytes that are no code repeat an entry: none reads beyond."""
    dtype = op.x.type.dtype
    codes = np.arange(256, dtype=np.uint8).view(dtype.numpy).astype(np.int64)
    tables = op.table if op.table.ndim == 2 else op.table[None]
    return np.ascontiguousarray(tables[:, (codes - dtype.min) % tables.shape[1]])
