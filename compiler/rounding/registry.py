"""Every method of rounding by its name."""

from __future__ import annotations

from collections.abc import Mapping

from subbyte.compiler.rounding.nearest import nearest
from subbyte.compiler.rounding.types import Rounding

ROUNDINGS: Mapping[str, Rounding] = {
    "nearest": nearest,
}
