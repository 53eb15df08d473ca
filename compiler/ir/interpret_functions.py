"""What functions of codes in integers alone mean: normalization, wide softmax, pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.ir import qops_functions
from subbyte.compiler.ir.interpret_registry import interprets
from subbyte.compiler.numerics.integer_normalization import normalize_codes
from subbyte.compiler.numerics.integer_softmax import wide_softmax
from subbyte.compiler.numerics.piecewise import evaluate_pieces

Array = NDArray[Any]


@interprets(qops_functions.QLayerNormalization, qops_functions.QRMSNormalization)
def normalization(node: qops_functions.QNormalization, x: Array) -> Array:
    return normalize_codes(x.reshape(-1, node.extent), node.constants).reshape(x.shape)


@interprets(qops_functions.QWideSoftmax)
def softmax(node: qops_functions.QWideSoftmax, x: Array) -> Array:
    scale, zero_point = node.quant.scalar()
    return wide_softmax(x, node.axis, node.tables, scale, zero_point, node.quant.qmin, node.quant.qmax)


@interprets(qops_functions.QPiecewise)
def piecewise(node: qops_functions.QPiecewise, x: Array) -> Array:
    u = x.astype(np.int64) - node.x.type.dtype.min
    return evaluate_pieces(u, node.pieces, node.quant.scalar()[1], node.quant.qmin, node.quant.qmax)
