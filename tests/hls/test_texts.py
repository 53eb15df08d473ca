"""Names and texts: whatever a model holds, C++ reads one identifier, one comment, one string."""

from __future__ import annotations

import pytest

from subbyte.targets.hls.project.describe import comments
from subbyte.targets.hls.streams import Element
from subbyte.targets.hls.texts import comment, hex_literal, identifier, is_identifier, sign, string, wrapped


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/layer1/conv_2", "layer1_conv_2"),
        ("int", "model_int"),
        ("3x3", "model_3x3"),
        ("__a__b__", "a_b"),
        ("größe", "gr_e"),
        ("", "model"),
        ("x" * 60, "x" * 48),
        ("a" * 47 + "/b", "a" * 47),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert identifier(name, "model") == expected
    assert is_identifier(expected)


@pytest.mark.parametrize("name", ["", "a b", "1a", "_a", "a__b", "while", "a-b", "ä"])
def test_what_is_no_identifier(name: str) -> None:
    assert not is_identifier(name)


@pytest.mark.parametrize("text", ["a*/b", "/*a", "b\\", "b\\ ", "x\ny", "??/", "???/", "é", "a*/*/b"])
def test_comments_stay_one_line_of_one_comment(text: str) -> None:
    plain = comment(text)
    assert plain.isascii()
    assert plain.isprintable()
    assert not plain.endswith("\\")
    assert all(mark not in plain for mark in ("*/", "/*", "??"))


def test_long_comments_are_broken_into_lines_that_end_in_no_backslash() -> None:
    text = comments(["a\\" * 200, ""])
    assert all(line.startswith("//") and len(line) <= 120 and not line.endswith("\\") for line in text.splitlines())
    assert text.endswith("//\n")


def test_strings_hold_no_trigraph_and_no_escape_that_runs_on() -> None:
    assert string('a"b\\?') == '"a\\042b\\134\\077"'
    assert string("ä1") == '"\\303\\2441"'


def test_literals_beyond_64_bits_are_made_from_digits() -> None:
    assert hex_literal(255, 64) == "0xffULL"
    assert hex_literal(255, 65) == 'ap_uint<65>("0xff", 16)'


def test_signs_are_those_of_the_kernels() -> None:
    assert [sign(element).split("::")[1] for element in (Element(0, 3), Element(-1, 3), Element(-1, 1, True))] == [
        "UNSIGNED",
        "SIGNED",
        "BIPOLAR",
    ]


def test_items_are_wrapped_into_lines() -> None:
    assert wrapped(["aaa", "bbb", "ccc"], "  ", 12) == "  aaa, bbb,\n  ccc"
