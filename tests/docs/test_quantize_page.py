"""docs/quantize.md: the lines of the page run as they stand, and the choices that it lists are those of Recipe."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from subbyte.compiler.quantize.recipe import Recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quantize.md").read_text()


def test_the_lines_of_the_page_run_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    monkeypatch.chdir(ROOT)
    exec(compile(block, "quantize.md", "exec"), names)
    assert names["module"].run({"input": names["images"][0]})["logits"].shape == (1, 10)


def test_every_choice_of_a_recipe_is_on_the_page() -> None:
    table = PAGE.split("## Recipes")[1].split("## Right answers")[0]
    listed = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed == {field.name for field in dataclasses.fields(Recipe)}
