"""Names of x86 targets: what they parse to, what they ask of the processor and the compilers, what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.target import find_target
from subbyte.targets.x86 import TARGET
from subbyte.targets.x86.levels import FEATURES, LEVELS, NAMES, parse, processor_features


def test_a_name_is_a_level_and_features_in_one_order() -> None:
    level = parse("x86-64-v4+avx512vbmi+avx512vnni")
    assert level is not None
    assert level.name == "x86-64-v4+avx512vnni+avx512vbmi"
    assert level.features == LEVELS["x86-64-v4"] | {"avx512vnni", "avx512vbmi"}


def test_flags_are_spelled_for_each_compiler() -> None:
    level = parse("x86-64-v3+avxvnni")
    assert level is not None
    assert level.compiler_flags == ("-march=x86-64-v3", "-mavxvnni")
    assert level.zig_cpu == "x86_64_v3+avxvnni"


@pytest.mark.parametrize("name", ["portable", "cortex-a72", "x86", "sm_87"])
def test_names_of_other_families_are_left_to_them(name: str) -> None:
    assert parse(name) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x86-64", "no kernels for the level 'x86-64'; levels are x86-64-v3, x86-64-v4, and 'portable'"),
        ("x86-64-v2", "no kernels for the level 'x86-64-v2'"),
        ("x86-64-v3+avx10", "unknown feature 'avx10'; features of x86-64-v3 are avxvnni"),
        ("x86-64-v3+avx512vnni", "needs AVX-512, which x86-64-v3 does not have; use x86-64-v4+avx512vnni"),
    ],
)
def test_what_no_processor_or_kernel_knows_is_refused(name: str, says: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        find_target(name)
    assert says in str(refused.value)


def test_each_named_target_has_kernels_that_the_one_before_lacks() -> None:
    tables = [{kernel.symbol for kernel in find_target(name).kernels} for name in NAMES]
    for weaker, stronger in pairwise(tables):
        assert stronger - weaker


def test_kernels_need_no_more_than_their_target_has() -> None:
    for name in NAMES:
        target = find_target(name)
        assert all(kernel.features <= target.features for kernel in target.kernels)


def test_the_processor_is_read_in_the_spelling_of_llvm(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags : pni sse4_1 lahf_lm abm bmi1 avx_vnni avx512_vnni avx512f avx2\n")
    expected = {"sse3", "sse4.1", "sahf", "lzcnt", "bmi", "avxvnni", "avx512vnni", "avx512f", "avx2"}
    assert processor_features(cpuinfo) in (expected, frozenset())  # the latter on a machine of another family


def test_a_machine_without_cpuinfo_has_no_features(tmp_path: Path) -> None:
    assert processor_features(tmp_path / "absent") == frozenset()


def test_native_is_the_best_target_that_runs_here() -> None:
    runs = [name for name in NAMES if find_target(name).runs_here]
    native = TARGET.native()
    assert (native.name if native else None) == (runs[-1] if runs else None)


def test_features_are_in_the_order_in_which_names_show_them() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert all(parse(f"x86-64-v4+{feature}") is not None for feature in FEATURES)
