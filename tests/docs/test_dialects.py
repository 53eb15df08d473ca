"""docs/dialects.md names every operator of a dialect that is read, and none that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import subbyte.compiler.importer.convert  # noqa: F401 (registers every converter)
from subbyte.compiler.importer.operator import converter_of, convertible_operators

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text()


def test_every_operator_of_a_dialect_is_named() -> None:
    read = {
        name
        for domain, name in convertible_operators()
        if domain or name.startswith(("Q", "Dequantize", "Dynamic")) or name.endswith("Integer")
    }
    assert len(read) > 20
    assert sorted(name for name in read if name not in PAGE) == []


@pytest.mark.parametrize("name", ["FloatQuant", "MultiThreshold", "Loop", "LSTM"])
def test_what_is_said_to_be_refused_is_not_read(name: str) -> None:
    assert name in PAGE
    domains = ("", "com.microsoft", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
    assert all(converter_of(domain, name) is None for domain in domains)
