"""docs/quantized-output.md: its table of types is what the exporter takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import BIPOLAR, DType
from subbyte.compiler.exporter.codes import container
from subbyte.compiler.ir.types import QuantParams

PAGE = (Path(__file__).parents[2] / "docs" / "quantized-output.md").read_text()
TABLE = (row.split("|") for row in PAGE.splitlines() if row.count("|") == 6)
ROWS = {bits.strip(): [cell.strip() for cell in cells[:3]] for _, bits, *cells in TABLE}


def held(style: str, dtype: DType, *, computed: bool) -> tuple[str, bool]:
    """The container, and whether a Clip is needed in it."""
    quant = QuantParams(np.float32(1), np.int64(0), dtype.min, dtype.max)
    found = container(style, dtype, quant, computed=computed)
    return str(found), (found.min, found.max) != (dtype.min, dtype.max)


@pytest.mark.parametrize(
    ("row", "dtype"),
    [
        ("1, as 0 and 1", DType("uint", 1)),
        ("2, ternary", DType("int", 2)),
        ("3", DType("int", 3)),
        ("4", DType("int", 4)),
        ("5, 6, 7", DType("int", 5)),
        ("5, 6, 7", DType("int", 7)),
        ("8", DType("int", 8)),
        ("9 to 16", DType("int", 16)),
    ],
    ids=str,
)
def test_the_table_names_the_container(row: str, dtype: DType) -> None:
    weights, activations, qcdq = ROWS[row]
    assert weights.startswith(held("qdq", dtype, computed=False)[0])
    name, clips = held("qdq", dtype, computed=True)
    assert activations.startswith(f"{name} and a Clip" if clips else name)
    name, clips = held("qcdq", dtype, computed=True)
    assert qcdq.startswith(f"{name} and a Clip" if clips else name) or qcdq == "as `qdq`"


def test_bipolar_weights_stand_in_two_bits() -> None:
    weights, activations, _ = ROWS["1, bipolar"]
    assert weights.startswith(held("qdq", BIPOLAR, computed=False)[0])
    assert activations == "none"
