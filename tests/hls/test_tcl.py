"""The Tcl scripts, run by tclsh with stand-ins for the vendor's commands: arguments, stages, the sequence of calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from subbyte.compiler.dtype import INT8
from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Input, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.targets.hls import tcl
from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.parts import find_part
from subbyte.targets.hls.streams import Element, Stream, StreamType
from subbyte.targets.hls.tcl import tcl_files
from tests.conftest import Lacking

STUBS = Path(__file__).parent / "stub_tools.tcl"
HEADER = "// void nothing(int);\nvoid small_top(hls::stream<ap_axiu<64, 0, 0, 0> >& s_axis_image);\n"


def stream(name: str, codes: int, lanes: int) -> Stream:
    value = Value(Input(name, TensorType(INT8, (1, codes))))
    return Stream(name, StreamType(Element(-128, 127), 1, 1, codes, lanes), value, np.arange(codes))


def design() -> Design:
    return Design("small", (), (stream("image", 784, 8),), (stream("scores", 10, 4),))


@pytest.fixture
def tclsh(optional_capability: Lacking) -> str:
    found = shutil.which("tclsh")
    if found is None:
        optional_capability("tclsh", "there is no tclsh, which runs the Tcl scripts of a project")
    return found


class Scripts:
    """A project's tcl/ and include/, and runs of its scripts."""

    def __init__(self, tclsh: str, root: Path, interface: str) -> None:
        self._tclsh, self.root = tclsh, root
        for path, content in tcl_files(design(), find_part("xc7z020"), 100.0, interface).items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(content)
        (root / "include").mkdir()
        (root / "include" / "small.h").write_text(HEADER)

    def run(self, script: str, *arguments: str, before: str = "", **environment: str) -> tuple[list[str], str]:
        """What was called, and what went wrong."""
        text = f"source {STUBS}\n{before}\nset argv {{{' '.join(arguments)}}}\nsource {self.root / 'tcl' / script}\n"
        command = (self._tclsh,)
        done = subprocess.run(
            command, input=text, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        calls = [line[5:] for line in done.stdout.splitlines() if line.startswith("CALL ")]
        return calls, done.stderr


@pytest.fixture
def scripts(tclsh: str, tmp_path: Path) -> Scripts:
    return Scripts(tclsh, tmp_path, "stream")


def names(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


# Vitis HLS ------------------------------------------------------------------------------------------------------------


def test_hls_runs_its_default_stages_in_order(scripts: Scripts) -> None:
    calls, error = scripts.run("run_hls.tcl", "-f", "tcl/run_hls.tcl")
    assert error == ""
    assert names(calls) == [
        *("open_project", "set_top", "add_files", "add_files", "open_solution", "set_part", "create_clock"),
        *("csim_design", "csynth_design", "export_design", "close_project"),
    ]
    assert calls[0] == "open_project -reset hls"
    assert calls[1] == "set_top small_top"
    assert calls[2].startswith(f"add_files {scripts.root}/src/small_top.cpp -cflags")
    assert f"-I{scripts.root}/kernels" in calls[2]
    assert calls[5:8] == [
        "set_part xc7z020clg400-1",
        "create_clock -period 10.0 -name default",
        f"csim_design -argv {scripts.root}/tb/golden",
    ]
    assert (scripts.root / "build").is_dir()


def test_hls_takes_part_clock_stages_and_folder(scripts: Scripts, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    arguments = ("part=xczu3eg-sbva484-1-e", "clock_mhz=250", "stages=export,cosim", f"folder={folder}")
    calls, error = scripts.run("run_hls.tcl", *arguments)
    assert error == ""
    assert calls[0] == "open_project hls"  # what csynth has made stays
    assert calls[5:7] == ["set_part xczu3eg-sbva484-1-e", "create_clock -period 4.0 -name default"]
    assert names(calls)[7:] == ["cosim_design", "export_design", "close_project"]
    assert folder.is_dir()


def test_hls_takes_arguments_from_the_environment(scripts: Scripts) -> None:
    calls, _ = scripts.run("run_hls.tcl", "clock_mhz=50", SUBBYTE_ARGUMENTS="stages=csynth clock_mhz=200")
    assert "csim_design" not in names(calls)
    assert "create_clock -period 20.0 -name default" in calls  # the command line comes last


def test_registers_of_memory_ports_have_64_bit_addresses(tclsh: str, tmp_path: Path) -> None:
    calls, error = Scripts(tclsh, tmp_path, "memory").run("run_hls.tcl")
    assert error == ""
    assert "config_interface -m_axi_addr64=true" in calls


@pytest.mark.parametrize("script", ["run_hls.tcl", "vivado.tcl"])
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("clock=100", "argument 'clock=100' is not known; those are part clock_mhz stages"),
        ("clock_mhz=fast", "clock_mhz is 'fast'; a number of megahertz above 0 is expected"),
        ("clock_mhz=0", "clock_mhz is '0'"),
        ("stages=all", "stage 'all' is not known"),
        ("stages=", "no stage is asked for"),
    ],
)
def test_wrong_arguments_stop_before_any_call(scripts: Scripts, script: str, argument: str, message: str) -> None:
    calls, error = scripts.run(script, argument)
    assert calls == []
    assert message in error


# Vivado ---------------------------------------------------------------------------------------------------------------


def test_vivado_connects_a_dma_for_each_port(scripts: Scripts) -> None:
    calls, error = scripts.run("vivado.tcl")
    assert error == ""
    assert calls[0] == f"create_project -force small {scripts.root}/build/vivado -part xc7z020clg400-1"
    cells = [call.split()[-3:] for call in calls if call.startswith("create_bd_cell")]
    assert [(cell[2], cell[1]) for cell in cells] == [
        ("processor", "xilinx.com:ip:processing_system7:10.1"),
        ("accelerator", "xilinx.com:ip:small_top:10.1"),
        ("dma_image", "xilinx.com:ip:axi_dma:10.1"),
        ("dma_scores", "xilinx.com:ip:axi_dma:10.1"),
        ("memory_paths", "xilinx.com:ip:smartconnect:10.1"),
        ("control_paths", "xilinx.com:ip:smartconnect:10.1"),
        ("reset", "xilinx.com:ip:proc_sys_reset:10.1"),
    ]
    assert [call.split()[1:] for call in calls if call.startswith("connect_bd_intf_net")] == [
        ["dma_image/M_AXIS_MM2S", "accelerator/s_axis_image"],
        ["accelerator/m_axis_scores", "dma_scores/S_AXIS_S2MM"],
        ["dma_image/M_AXI_MM2S", "memory_paths/S00_AXI"],
        ["dma_scores/M_AXI_S2MM", "memory_paths/S01_AXI"],
        ["memory_paths/M00_AXI", "processor/S_AXI_HP0"],
        ["processor/M_AXI_GP0", "control_paths/S00_AXI"],
        ["control_paths/M00_AXI", "dma_image/S_AXI_LITE"],
        ["control_paths/M01_AXI", "dma_scores/S_AXI_LITE"],
    ]
    settings = " ".join(call for call in calls if call.startswith("set_property"))
    assert "c_include_mm2s 1 CONFIG.c_include_s2mm 0 CONFIG.c_m_axis_mm2s_tdata_width 64" in settings
    assert "c_include_s2mm 1 CONFIG.c_include_mm2s 0 CONFIG.c_s_axis_s2mm_tdata_width 32" in settings
    assert "CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100" in settings
    assert (scripts.root / "build" / "vivado" / "small.bit").is_file()
    assert (scripts.root / "build" / "vivado" / "small.hwh").is_file()


def test_every_clock_and_reset_is_connected_once(scripts: Scripts) -> None:
    calls, _ = scripts.run("vivado.tcl", "part=xczu7ev-ffvc1156-2-e", "clock_mhz=200", "stages=design")
    nets = [call.split()[1:] for call in calls if call.startswith("connect_bd_net")]
    ends = [end for _, end in nets]
    assert len(ends) == len(set(ends))
    assert {"processor/maxihpm0_fpd_aclk", "processor/saxihp0_fpd_aclk", "accelerator/ap_clk"} <= set(ends)
    assert {source for source, end in nets if end.endswith("aclk")} == {"processor/pl_clk0"}
    assert {source for source, end in nets if re.search("reset_?n$|rst_n$", end)} == {"reset/peripheral_aresetn"}
    assert "launch_runs" not in names(calls)


def test_memory_ports_need_no_dma(tclsh: str, tmp_path: Path) -> None:
    calls, error = Scripts(tclsh, tmp_path, "memory").run("vivado.tcl", "part=xck26-sfvc784-2LV-c")
    assert error == ""
    assert not any("axi_dma" in call for call in calls)
    assert [call.split()[1:] for call in calls if call.startswith("connect_bd_intf_net")] == [
        ["accelerator/m_axi_gmem_image", "memory_paths/S00_AXI"],
        ["accelerator/m_axi_gmem_scores", "memory_paths/S01_AXI"],
        ["memory_paths/M00_AXI", "processor/S_AXI_HP0_FPD"],
        ["processor/M_AXI_HPM0_FPD", "control_paths/S00_AXI"],
        ["control_paths/M00_AXI", "accelerator/s_axi_control"],
    ]


def test_a_file_sets_up_the_board(scripts: Scripts, tmp_path: Path) -> None:
    board = tmp_path / "board.tcl"
    board.write_text("set_property CONFIG.PCW_UIPARAM_DDR_PARTNO MT41K256M16 $processor\n")
    calls, error = scripts.run("vivado.tcl", f"board={board}", "stages=design")
    assert error == ""
    assert "set_property CONFIG.PCW_UIPARAM_DDR_PARTNO MT41K256M16 /processor" in calls


def test_vivado_goes_on_with_a_design_and_refuses_what_it_lacks(scripts: Scripts) -> None:
    calls, _ = scripts.run("vivado.tcl", "stages=bitstream")
    assert calls[0] == f"open_project {scripts.root}/build/vivado/small.xpr"
    assert names(calls) == ["open_project", "launch_runs", "wait_on_run", "close_project"]
    _, error = scripts.run("vivado.tcl", "part=xc7a100tcsg324-1")
    assert "part 'xc7a100tcsg324-1' has no processor that is known here" in error
    _, error = scripts.run("vivado.tcl", before="set missing small_top")
    assert "the IP catalog has no 'small_top'; run stage export" in error


def test_frames_that_no_dma_moves_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcl, "_LENGTH_BITS", (4, 9))
    with pytest.raises(UnsupportedError, match=r"'image' has 784 bytes, .* less than 512 at once; take the memory"):
        tcl_files(design(), find_part("xc7z020"), 100.0, "stream")
    assert tcl_files(design(), find_part("xc7z020"), 100.0, "memory")
