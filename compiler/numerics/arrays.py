"""Names for the array types that the numerics pass around."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
"""Integer codes, sums and counts: int64 while they are computed, whatever the dtype of the tensor is."""

Floats = NDArray[np.float32]
"""Real numbers; every operation on them rounds once to float32."""

Array = NDArray[Any]
