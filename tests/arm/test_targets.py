"""Names of Arm processors and boards: what each demands and is built with, and what is said of names that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from subbyte.compiler.errors import ToolchainError, UnsupportedError
from subbyte.compiler.target import families, find_target
from subbyte.compiler.toolchain import emulators
from subbyte.compiler.toolchain.emulators import command_before, needs_emulator
from subbyte.targets import arm
from subbyte.targets.arm.processors import (
    AARCH32,
    AARCH64,
    BOARDS,
    NAMES,
    native_processor,
    parse,
    processor_features,
)

RUNTIME = Path(__file__).parents[2] / "runtime_cpp"

PI_3 = "model name\t: ARMv7 Processor rev 4 (v7l)\nFeatures\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32\nCPU part\t: 0xd03\n"  # noqa: E501
PI_2 = PI_3.replace(" crc32", "").replace("0xd03", "0xc07")
PI_4 = "Features\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n"
PI_5 = "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\nCPU part\t: 0xd0b\n"  # noqa: E501
RK3399 = PI_4.replace("0xd08", "0xd03") + PI_4


@pytest.fixture
def cpuinfo(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(request.param)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_target_with_an_emulator(name: str) -> None:
    target = find_target(name)
    assert (target.name, target.family) == (name, "arm")
    wide = target.zig_target == "aarch64-linux-gnu"
    assert target.emulator[:2] == ("qemu-aarch64" if wide else "qemu-arm", "-cpu")
    assert target.facts.vector_bits == 128
    assert {"neon"} <= target.features


@pytest.mark.parametrize("name", NAMES)
def test_what_is_demanded_of_a_processor_is_what_the_runtime_finds(name: str) -> None:
    """The crypto extension of LLVM's cores is not: a Raspberry Pi 4 lacks it."""
    source = (RUNTIME / "src" / "cpu_features.c").read_text()
    begin = source.index("defined(__aarch64__)\n" if find_target(name).emulator[0] == "qemu-aarch64" else "__arm__)\n")
    table = source[begin : source.index("#el", begin)]
    assert all(f'"{feature}"' in table for feature in find_target(name).features)
    assert not find_target(name).features & {"aes", "sha2", "sha3", "sve"}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("armv8.2-a+i8mm", "armv8.2-a+dotprod+i8mm"),
        ("armv8.2-a+i8mm+dotprod", "armv8.2-a+dotprod+i8mm"),
        ("cortex-a7+neon", "cortex-a7"),
        ("cortex-a76+dotprod", "cortex-a76"),
        *((board.name, board.target) for board in BOARDS),
    ],
)
def test_other_names_for_a_target(name: str, full: str) -> None:
    assert find_target(name).name == full


def test_only_rows_whose_registers_and_features_are_there_are_offered() -> None:
    for name in NAMES:
        target = find_target(name)
        processor = parse(name)
        assert processor is not None
        available = target.features | {processor.state}
        assert all(kernel.features <= available for kernel in target.kernels)
        assert not target.features & {AARCH32, AARCH64}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cortex-a71", "Did you mean 'cortex-a72'?"),
        ("cortex-a720", "no Arm processor 'cortex-a720' here"),
        ("rpi6", "Did you mean 'rpi5'?"),
        ("armv8-a+dotprd", "Did you mean 'dotprod'?"),
        ("armv8-a+dotprod", "armv8.2-a+dotprod"),
        ("cortex-a53+dotprod", "has not the feature 'dotprod'"),
        ("armv7-a", "armv7-a+neon"),
        ("armv7-a+vfp", "unknown feature 'vfp'"),
    ],
)
def test_a_name_that_is_none_is_told_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        find_target(name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_boards_stand_in_the_family() -> None:
    assert {board.name for board in families()["arm"].boards} == {
        "rpi2", "rpi3", "rpi4", "rpi5", "rpi-zero2", "beaglebone", "imx8m",
    }  # fmt: skip
    assert all(board.ram_bytes >= 512 << 20 for board in BOARDS)


@pytest.mark.parametrize(
    ("cpuinfo", "state", "name"),
    [
        (PI_2, AARCH32, "cortex-a7"),
        (PI_3, AARCH32, "armv7-a+neon"),  # a 32-bit system on a Cortex-A53
        (PI_4, AARCH64, "cortex-a72"),
        (PI_4, AARCH32, "armv7-a+neon"),  # a 32-bit program under a 64-bit kernel
        (PI_5, AARCH64, "cortex-a76"),
        (PI_5.replace("0xd0b", "0xfff"), AARCH64, "armv8.2-a+dotprod"),
        (PI_5.replace("asimddp", "asimddp i8mm bf16").replace("0xd0b", "0xfff"), AARCH64, "armv8.2-a+dotprod+i8mm"),
        (RK3399, AARCH64, "armv8-a"),  # two kinds of cores
    ],
    indirect=["cpuinfo"],
)
def test_native_is_what_cpuinfo_tells(cpuinfo: Path, state: str, name: str) -> None:
    found = native_processor(cpuinfo, state)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("cpuinfo", ["Features\t: fp asimd asimddp\n\nFeatures\t: fp asimd\n"], indirect=True)
def test_features_are_those_that_all_cores_have(cpuinfo: Path) -> None:
    assert processor_features(cpuinfo, AARCH64) == {"fp-armv8", "neon"}


@pytest.mark.parametrize("cpuinfo", ["flags\t\t: fpu sse avx2\n", "Features\t: swp half thumb vfp\n"], indirect=True)
def test_processors_without_neon_are_none_of_these(cpuinfo: Path) -> None:
    assert native_processor(cpuinfo, AARCH32) is None


# Machines of Arm ------------------------------------------------------------------------------------------------------


@pytest.fixture
def pi_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """As though this process ran on a Raspberry Pi 4 with a 64-bit system."""
    compat = {"neon", "vfp3", "vfp4", "hwdiv", "hwdiv-arm", "fp-armv8", "crc"}

    def features(cpuinfo: Path = Path(), state: str | None = None) -> frozenset[str]:
        return frozenset(compat if state == AARCH32 else {"fp-armv8", "neon", "crc"})

    monkeypatch.setattr(arm, "execution_state", lambda: AARCH64)
    monkeypatch.setattr(arm, "processor_features", features)


@pytest.mark.usefixtures("pi_4")
def test_a_64_bit_arm_loads_libraries_of_its_own_and_may_run_programs_of_32_bits() -> None:
    own, better, narrow = (find_target(name) for name in ("cortex-a72", "cortex-a76", "cortex-a7"))
    assert (own.runs_here, better.runs_here, narrow.runs_here) == (True, False, False)
    assert narrow.programs_may_run_here
    assert not better.programs_may_run_here
    assert [needs_emulator(target) for target in (own, better, narrow)] == [False, True, False]


@pytest.mark.usefixtures("pi_4")
def test_the_system_decides_whether_it_takes_programs_of_32_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    taken, refused = tmp_path / "taken", tmp_path / "refused"
    taken.write_text("#!/bin/sh\n")
    refused.write_bytes(b"\x7fELF of another machine")
    for program in (taken, refused):
        program.chmod(0o755)
    target = find_target("cortex-a7")
    assert command_before(target, taken) == ()
    assert command_before(target, refused) == ("/bin/qemu-arm", "-cpu", "cortex-a7")
    assert command_before(find_target("cortex-a72"), refused) == ()
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(emulators, "_STARTS_WITHIN_S", 0.2)
    with pytest.raises(ToolchainError, match=r"'slow' does not even print its help within 0\.2 seconds"):
        command_before(target, slow)
