"""What normalisations over the last axes mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import ops_normalization
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.numerics import float32

Array = NDArray[Any]


@interprets(ops_normalization.LayerNormalization, ops_normalization.RMSNormalization)
def normalize(
    node: ops_normalization.Normalization, x: Array, scale: Array | None = None, bias: Array | None = None
) -> Array:
    """In float32, rounded to the dtype of x after the normalisation, the product and the sum."""
    centred = isinstance(node, ops_normalization.LayerNormalization)
    y = float32.normalize(x, node.epsilon, node.axis, centred=centred, divides=node.divides).astype(x.dtype)
    with np.errstate(all="ignore"):
        if scale is not None:
            y = (y.astype(np.float32) * scale.astype(np.float32)).astype(x.dtype)
        return y if bias is None else y.astype(np.float32) + bias.astype(np.float32)
