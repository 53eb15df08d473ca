"""Every method of rounding by its name."""

from __future__ import annotations

from collections.abc import Mapping

from subbyte.compiler.rounding.adaquant import adaquant
from subbyte.compiler.rounding.adaround import adaround
from subbyte.compiler.rounding.clipping import mse
from subbyte.compiler.rounding.codebooks import kmeans, power_levels, power_sums
from subbyte.compiler.rounding.coordinate_descent import coordinate_descent, multistart_descent
from subbyte.compiler.rounding.easyquant import easyquant
from subbyte.compiler.rounding.gpfq import gpfq
from subbyte.compiler.rounding.gptq import gptq
from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Rounding

ROUNDINGS: Mapping[str, Rounding] = {
    "nearest": nearest,
    "mse": mse,
    "easyquant": easyquant,
    "gpfq": gpfq,
    "gptq": gptq,
    "adaround": adaround,
    "adaquant": adaquant,
    "coordinate_descent": coordinate_descent,
    "multistart_descent": multistart_descent,
    "kmeans": kmeans,
    "power_sums": power_sums,
    "power_levels": power_levels,
}
