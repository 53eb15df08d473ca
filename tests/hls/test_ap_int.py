"""Our ap_int and ap_uint give what those of others give, and refuse what tools give differently."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from subbyte.compiler.hls.csim import find_ap_types
from subbyte.targets import hls

HEADERS = Path(hls.__file__).parent / "csim" / "include"
OPERATIONS = Path(__file__).with_name("ap_int_operations.cpp")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unknown-pragmas")


def compiled(source: Path, program: Path, *flags: str) -> Path:
    subprocess.run(["g++", "-std=c++14", "-O0", *flags, "-o", str(program), str(source)], check=True)
    return program


def test_operations_give_what_the_open_ap_types_give(tmp_path: Path) -> None:
    """Widths of 1 to 300 bits, all pairs of signs, every member; random and extreme values."""
    ap_types = find_ap_types()
    assert ap_types is not None, "the test extra hls4ml is not installed"
    ours = compiled(OPERATIONS, tmp_path / "ours", *WARNINGS, *SANITIZERS, "-I", str(HEADERS))
    theirs = compiled(OPERATIONS, tmp_path / "theirs", "-w", "-isystem", str(ap_types))
    said = [subprocess.run([program], capture_output=True, text=True, check=True).stdout for program in (ours, theirs)]
    assert len(said[0].splitlines()) == 3 * 4 * 19 + 1
    assert said[0] == said[1]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    source = folder / "refusals.cpp"
    source.write_text(
        """#include "ap_int.h"
int main(int count, char**) {
    const ap_int<8> negative = -1;
    const ap_uint<8> number = 200;
    ap_uint<100> wide = 0;
    if (count == 1) return negative < number;
    if (count == 2) return (number < negative) + (number < -1);
    if (count == 3) return number.range(8, 1).to_int();
    if (count == 4) wide.range(100, 99) = 3;
    if (count == 5) return wide[100];
    if (count == 6) return (ap_int<9>(negative) < number) && number > ap_int<9>(negative) && number > -1 ? 77 : 0;
    return 0;
}
"""
    )
    return compiled(source, folder / "refusals", *WARNINGS, "-I", str(HEADERS))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (1, "a negative number of 8 bits is compared with an unsigned one of 8 bits"),
        (2, "a negative number of 8 bits is compared with an unsigned one of 8 bits"),
        (3, "8 bits from bit 1 on are asked of a number of 8 bits"),
        (4, "2 bits from bit 99 on are asked of a number of 100 bits"),
        (5, "1 bits from bit 100 on are asked of a number of 100 bits"),
    ],
)
def test_what_tools_do_differently_ends_the_program(refusals: Path, case: int, message: str) -> None:
    done = subprocess.run([refusals, *["-"] * (case - 1)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_wider_signed_number_is_compared_by_value(refusals: Path) -> None:
    assert subprocess.run([refusals, *["-"] * 5], check=False).returncode == 77
