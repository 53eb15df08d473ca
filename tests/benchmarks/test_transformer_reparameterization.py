"""The table of reparameterized transformers, on a small DeiT: what every pass gains."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.float_networks import Network
from benchmarks.float_transformers import deit
from benchmarks.transformer_reparameterization import Result, Row, attention_table, measure, rows_of, table

ROWS = rows_of("deit")
SPREADING = [row for row in ROWS if row.name == "rotate_features"]
OTHERS = [row for row in ROWS if row.name != "rotate_features"]


@cache
def network() -> Network:
    return deit(width=48, heads=2, blocks=2)


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: f"{row.name}, {row.bits}")
def test_less_is_lost(row: Row) -> None:
    """Outliers that go into weights want a scale per channel for these: less than a third is lost then."""
    result = measure(row, network())
    assert result.float_difference <= 1e-5
    per_tensor = row.weights is not None and row.weights.per == "tensor"
    assert result.with_ < result.without * (1 if per_tensor else 1 / 3)


@pytest.mark.parametrize("row", SPREADING, ids=lambda row: f"{row.name}, {row.bits}")
def test_rotations_lose_less_with_either_scales(row: Row) -> None:
    result = measure(row, network())
    assert result.float_difference <= 1e-5
    assert result.with_ < result.without / 3


def test_tables_are_markdown() -> None:
    row = next(row for row in ROWS if row.bits == "W4 per tensor, A8")
    text = table([Result(row, 1e-7, 0.5, 0.25)])
    assert text.splitlines()[2] == f"| deit | {row.name} | W4 per tensor, A8 | 1.0e-07 | 0.5 | 0.25 | 2 |"
    assert len(attention_table((5, 9), (1.0,)).splitlines()) == 4
