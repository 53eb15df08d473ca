"""docs/semantics.md: every counter-example under "Where the dialects and the engines disagree" holds."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, tuple[int, str]]:
    """The code of each example by its heading, with the line where its section begins, after the common first block."""
    text = PAGE.read_text()
    begin = text.index("\n## Where the dialects and the engines disagree\n")
    first, *sections = re.split(r"(?m)^### ", text[begin:])
    (common,) = _BLOCK.findall(first)
    found = {}
    for section in sections:
        line = text[: text.index(f"### {section}")].count("\n") + 1
        found[section.splitlines()[0]] = (line, common + "\n".join(_BLOCK.findall(section)))
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_counter_example_holds(title: str, optional_capability: Callable[[str, str], None]) -> None:
    line, code = EXAMPLES[title]
    if "fused=True" in code and platform.machine() not in ("x86_64", "AMD64"):
        optional_capability("instruction set", "fused onnxruntime kernels compute other numbers off x86")
    if re.search(r"qonnx\(|from qonnx", code) and find_spec("qonnx") is None:
        optional_capability("qonnx", "the package qonnx is not installed")
    assert "assert" in code, f"{title} shows nothing"
    names: dict[str, Any] = {}
    exec(compile(code, f"{PAGE.name}, section at line {line}", "exec"), names)


def test_every_engine_of_the_table_is_shown() -> None:
    shown = "".join(code for _, code in EXAMPLES.values())
    for engine in ("onnxruntime(", "qonnx(", "litert(", "cmsis_nn_requantize(", "multithreshold("):
        assert engine in shown
