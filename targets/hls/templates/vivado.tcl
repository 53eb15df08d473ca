# @NAME@ in a Zynq-7000 or Zynq UltraScale+, after stage export of tcl/run_hls.tcl:
#
#   vivado -mode batch -source tcl/vivado.tcl
#   vivado -mode batch -source tcl/vivado.tcl -tclargs part=@PART@ clock_mhz=@CLOCK_MHZ@ stages=design,bitstream
#
# part: what Vivado calls the device. clock_mhz: of the accelerator, from the processor's first clock. stages: of design
# (the block design) and bitstream (synthesis, implementation, @NAME@.bit and @NAME@.hwh). folder: where the project
# goes; repository: where the IP lies. board: a Tcl file that sets up memory and pins of the processing system, which is
# in the variable `processor` then: such files come with boards; without one its defaults stay. jobs: at once.
#
# The block design: the processor, the accelerator, and
#   axis        an AXI DMA for each port (dma_PORT, no scatter-gather), whose memory side shares one high-performance port
#   s_axilite   the accelerator's own memory ports at that port, its registers beside
# Nothing interrupts; the drivers in driver/ poll.

@ARGUMENTS@

# The newest IP of a name that the catalog has.
proc newest {name} {
    set found [lsort -dictionary [get_ipdefs -all "*:*:$name:*"]]
    if {![llength $found]} { error "the IP catalog has no '$name'; run stage export of tcl/run_hls.tcl first" }
    return [lindex $found end]
}

proc cell {name kind settings} {
    set made [create_bd_cell -type ip -vlnv [newest $kind] $name]
    if {[llength $settings]} { set_property -dict $settings $made }
    return $made
}

set root [file normalize [file join [file dirname [info script]] ..]]
set chosen [read_arguments [dict create part @PART@ clock_mhz @CLOCK_MHZ@ stages design,bitstream \
    folder [file join $root build vivado] repository [file join $root build hls solution impl ip] board "" jobs 2]]
set stages [read_stages [dict get $chosen stages] {design bitstream}]
set folder [dict get $chosen folder]
set part [dict get $chosen part]
set clock_mhz [dict get $chosen clock_mhz]
set top [top_function $root]

# Ports of the accelerator: name, direction, pin, bits of a beat, bits that count the bytes of a frame.
set ports {
@PORTS@
}

# Of each family: IP and rule of its processor, settings, pins of control and memory, their clocks, clock and reset.
if {[string match xc7z* $part]} {
    set kind processing_system7
    set external {make_external "FIXED_IO, DDR" apply_board_preset "0" Master "Disable" Slave "Disable"}
    set settings [list CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $clock_mhz CONFIG.PCW_USE_M_AXI_GP0 1 \
        CONFIG.PCW_USE_S_AXI_HP0 1]
    set control M_AXI_GP0
    set memory S_AXI_HP0
    set port_clocks {M_AXI_GP0_ACLK S_AXI_HP0_ACLK}
    set clock FCLK_CLK0
    set reset FCLK_RESET0_N
} elseif {[string match xczu* $part] || [string match xck* $part]} {
    set kind zynq_ultra_ps_e
    set external {apply_board_preset "0"}
    set settings [list CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $clock_mhz CONFIG.PSU__USE__M_AXI_GP0 1 \
        CONFIG.PSU__USE__M_AXI_GP1 0 CONFIG.PSU__USE__M_AXI_GP2 0 CONFIG.PSU__USE__S_AXI_GP2 1]
    set control M_AXI_HPM0_FPD
    set memory S_AXI_HP0_FPD
    set port_clocks {maxihpm0_fpd_aclk saxihp0_fpd_aclk}
    set clock pl_clk0
    set reset pl_resetn0
} else {
    error "part '$part' has no processor that is known here (xc7z..., xczu..., xck...); connect the IP by hand"
}

if {"design" in $stages} {
    create_project -force @NAME@ $folder -part $part
    set_property ip_repo_paths [dict get $chosen repository] [current_project]
    update_ip_catalog
    create_bd_design system

    set processor [cell processor $kind {}]
    apply_bd_automation -rule xilinx.com:bd_rule:$kind -config $external $processor
    set_property -dict $settings $processor
    if {[dict get $chosen board] ne ""} { source [dict get $chosen board] }

    cell accelerator $top {}
    # What masters memory, and what the processor controls.
    set masters [list]
    set controlled [list]
    set clocks [list accelerator/ap_clk]
    set resets [list accelerator/ap_rst_n]
    if {"@INTERFACE@" eq "s_axilite"} {
        lappend controlled accelerator/s_axi_control
        foreach port $ports { lappend masters accelerator/[lindex $port 2] }
    } else {
        foreach port $ports {
            lassign $port name direction pin bits length_bits
            set side [expr {$direction eq "input" ? "mm2s" : "s2mm"}]
            set other [expr {$direction eq "input" ? "s2mm" : "mm2s"}]
            set stream [expr {$direction eq "input" ? "m_axis_mm2s" : "s_axis_s2mm"}]
            cell dma_$name axi_dma [list CONFIG.c_include_sg 0 CONFIG.c_include_$side 1 CONFIG.c_include_$other 0 \
                CONFIG.c_${stream}_tdata_width $bits CONFIG.c_m_axi_${side}_data_width $bits \
                CONFIG.c_sg_length_width $length_bits CONFIG.c_addr_width 32]
            set dma_pin dma_$name/[string toupper $stream]
            if {$direction eq "input"} { set ends [list $dma_pin accelerator/$pin] } else {
                set ends [list accelerator/$pin $dma_pin]
            }
            connect_bd_intf_net [get_bd_intf_pins [lindex $ends 0]] [get_bd_intf_pins [lindex $ends 1]]
            lappend masters dma_$name/M_AXI_[string toupper $side]
            lappend controlled dma_$name/S_AXI_LITE
            lappend clocks dma_$name/s_axi_lite_aclk dma_$name/m_axi_${side}_aclk
            lappend resets dma_$name/axi_resetn
        }
    }
    if {[llength $masters] > 16} { error "[llength $masters] ports share one port of memory; a SmartConnect takes 16" }

    cell memory_paths smartconnect [list CONFIG.NUM_SI [llength $masters] CONFIG.NUM_MI 1]
    cell control_paths smartconnect [list CONFIG.NUM_SI 1 CONFIG.NUM_MI [llength $controlled]]
    foreach paths {memory_paths control_paths} {
        lappend clocks $paths/aclk
        lappend resets $paths/aresetn
    }
    set number 0
    foreach master $masters {
        connect_bd_intf_net [get_bd_intf_pins $master] [get_bd_intf_pins memory_paths/[format S%02d_AXI $number]]
        incr number
    }
    connect_bd_intf_net [get_bd_intf_pins memory_paths/M00_AXI] [get_bd_intf_pins processor/$memory]
    connect_bd_intf_net [get_bd_intf_pins processor/$control] [get_bd_intf_pins control_paths/S00_AXI]
    set number 0
    foreach slave $controlled {
        connect_bd_intf_net [get_bd_intf_pins control_paths/[format M%02d_AXI $number]] [get_bd_intf_pins $slave]
        incr number
    }

    # One clock and one reset for all.
    cell reset proc_sys_reset {}
    foreach pin $port_clocks { lappend clocks processor/$pin }
    lappend clocks reset/slowest_sync_clk
    foreach pin $clocks { connect_bd_net [get_bd_pins processor/$clock] [get_bd_pins $pin] }
    connect_bd_net [get_bd_pins processor/$reset] [get_bd_pins reset/ext_reset_in]
    foreach pin $resets { connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin] }

    assign_bd_address
    validate_bd_design
    save_bd_design
    set wrapper [make_wrapper -files [get_files system.bd] -top]
    add_files -norecurse $wrapper
    set_property top system_wrapper [current_fileset]
} else {
    open_project [file join $folder @NAME@.xpr]
}

if {"bitstream" in $stages} {
    launch_runs impl_1 -to_step write_bitstream -jobs [dict get $chosen jobs]
    wait_on_run impl_1
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "implementation failed; see $folder" }
    file copy -force [file join $folder @NAME@.runs impl_1 system_wrapper.bit] [file join $folder @NAME@.bit]
    set handoff [glob -directory $folder @NAME@.gen/sources_1/bd/system/hw_handoff/system.hwh \
        @NAME@.srcs/sources_1/bd/system/hw_handoff/system.hwh]
    file copy -force [lindex $handoff 0] [file join $folder @NAME@.hwh]
}
close_project
exit
