"""Names, strings, comments and numbers in generated C, whatever stands in the model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.compiler.codegen.c_literals import c_elements, c_integer, c_real, wrap
from subbyte.compiler.codegen.c_names import c_comment, c_identifier, c_string, unique_identifiers


@given(st.text())
def test_identifiers_are_c_identifiers(name: str) -> None:
    identifier = c_identifier(name, "input")
    assert identifier.isascii()
    assert identifier.isidentifier()
    assert len(identifier) <= 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("serving_default_dense_input:0", "serving_default_dense_input_0"),
        ("1806", "input_1806"),
        ("int", "input_int"),
        ("", "input"),
    ],
)
def test_identifiers_read_like_the_names(name: str, expected: str) -> None:
    assert c_identifier(name, "input") == expected


def test_names_that_look_alike_stay_apart() -> None:
    assert unique_identifiers(["a:0", "a/0", "a_0"], "input", set()) == ["a_0", "a_0_2", "a_0_3"]


@given(st.text())
def test_comments_stay_in_one_line_and_do_not_end(text: str) -> None:
    comment = c_comment(text)
    assert "*/" not in comment
    assert "\n" not in comment
    assert not comment.endswith("\\")


AWKWARD = ["plain", 'quote " and \\', "*/ int x; /*", "??/ trigraph", "new\nline", "Grüße \x00 \x7f", "\\101"]
INTEGERS = [0, -1, 127, -(1 << 31), (1 << 31) - 1, 1 << 31, -(1 << 63), (1 << 63) - 1, (1 << 64) - 1]
FLOATS = np.array([0.0, -0.0, 1.0, 0.1, 1e-45, 3.4e38, -1.17549435e-38, np.inf, -np.inf], np.float32)


def test_a_compiler_reads_back_what_was_written(tmp_path: Path) -> None:
    strings = "".join(f"puts_bytes({c_string(text)});\n" for text in AWKWARD)
    integers = "".join(
        f'printf("%" PRI{"u" if value > 0 else "d"}64 "\\n", ({"u" if value > 0 else ""}int64_t){c_integer(value)});\n'
        for value in INTEGERS
    )
    source = f"""/* {" ".join(map(c_comment, AWKWARD))} */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
static void puts_bytes(const char *text) {{ while (*text) printf("%02x", (unsigned char)*text++); printf("\\n"); }}
int main(void) {{
static const float floats[] = {{
{wrap(c_elements(FLOATS))}
}};
size_t i;
{strings}{integers}for (i = 0; i < sizeof floats / sizeof *floats; ++i) {{ uint32_t bits; memcpy(&bits, &floats[i], 4);
printf("%08" PRIx32 "\\n", bits); }}
return ({c_real(float("nan"))}) == 0.0f; }}
"""
    (tmp_path / "main.c").write_text(source)
    command = [
        "cc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "-o",
        str(tmp_path / "main"),
        str(tmp_path / "main.c"),
    ]
    subprocess.run(command, check=True)
    lines = subprocess.run([str(tmp_path / "main")], check=True, capture_output=True, text=True).stdout.splitlines()
    assert lines[: len(AWKWARD)] == [text.encode().split(b"\0")[0].hex() for text in AWKWARD]
    assert list(map(int, lines[len(AWKWARD) : -len(FLOATS)])) == INTEGERS
    assert lines[-len(FLOATS) :] == [f"{bits:08x}" for bits in FLOATS.view(np.uint32).tolist()]
