# @NAME@ through Vitis HLS 2020.1 and later:
#
#   vitis_hls -f tcl/run_hls.tcl
#   vitis_hls -f tcl/run_hls.tcl part=@PART@ clock_mhz=@CLOCK_MHZ@ stages=csim,csynth
#   SUBBYTE_ARGUMENTS="stages=csynth,export" vitis-run --mode hls --tcl tcl/run_hls.tcl
#
# part: what Vivado calls the device. clock_mhz: the clock to meet. stages: of csim (the testbench, compiled by the
# tool), csynth (C++ to RTL), cosim (the testbench with the RTL) and export (an IP for tcl/vivado.tcl).
# folder: where the tool's project goes; csynth begins it anew, cosim and export go on with it.

@ARGUMENTS@

set root [file normalize [file join [file dirname [info script]] ..]]
set chosen [read_arguments [dict create \
    part @PART@ clock_mhz @CLOCK_MHZ@ stages csim,csynth,export folder [file join $root build]]]
set stages [read_stages [dict get $chosen stages] {csim csynth cosim export}]
set top [top_function $root]
set golden [file join $root tb golden]
set includes ""
foreach folder {include kernels src tb} { append includes " -I[file join $root $folder]" }
set flags "-std=c++14 -Wno-unknown-pragmas -DSUBBYTE_PROBES$includes"

file mkdir [dict get $chosen folder]
cd [dict get $chosen folder]
if {"csynth" in $stages} { open_project -reset hls } else { open_project hls }
set_top $top
add_files [file join $root src @NAME@_top.cpp] -cflags $flags
add_files -tb [file join $root tb tb_@NAME@.cpp] -cflags $flags
open_solution -flow_target vivado solution
set_part [dict get $chosen part]
create_clock -period [expr {1000.0 / [dict get $chosen clock_mhz]}] -name default
if {"@INTERFACE@" eq "s_axilite"} { config_interface -m_axi_addr64=true }

foreach stage $stages {
    puts "@NAME@: $stage for [dict get $chosen part] at [dict get $chosen clock_mhz] MHz"
    switch $stage {
        csim { csim_design -argv $golden }
        csynth { csynth_design }
        cosim { cosim_design -rtl verilog -argv $golden }
        export { export_design -rtl verilog -format ip_catalog }
    }
}
close_project
exit
