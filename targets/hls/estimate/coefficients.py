"""The constants of the cost formulas, in one place, with where each comes from; measurements change them here alone.

A LUT has six inputs and two outputs; a carry chain takes one LUT a bit of a sum; a comparison with carries takes two
bits a LUT (UG474, UG574). "Measured" names what Yosys 0.23 counts in the SystemVerilog of the same units with
`synth_xilinx -family xc7` (`python -m benchmarks.fpga_calibration`, 22 November 2026); the rest are formulas.

Over 42 units of 1 to 256 products the estimates are off by 8 % of LUTs in the median and 38 % at worst (a line buffer
that Yosys puts into a block), by 3 % and 23 % of flip-flops, and by no DSP slice. Left out: multipliers of 8 bits in
LUTs, for which the formula is that of FINN and two thirds of what Yosys makes, and FIFOs, which HLS tools make of shift
registers and Yosys of RAM. No vendor tool was asked: it pairs LUTs, so it counts fewer, and schedules as it likes.
"""

from __future__ import annotations

# A process: the state machine of its loop and the handshake of its streams.
PROCESS_LUT = 20  # measured: 8 for pipeline enable and stalls in SystemVerilog; by hand: 12 for the state of ap_ctrl
PROCESS_FF = 12
LUT_PER_COUNTER_BIT = 1.5  # an increment and its comparison with the end: one and a half LUT a bit
FF_PER_COUNTER_BIT = 1.0
LUT_PER_STREAM = 3  # read and write strobes of one stream, beside its FIFO

# Sums of products.
LUT_PER_XNOR = 0.5  # two products of two bits fit one LUT with two outputs
LUT_PER_COUNTED_ONE = 1.2  # measured; a tree of 6:3 counters takes about one LUT for each bit that is counted
LUT_PER_ADDER_BIT = 1.0  # a carry chain
LUT_PER_COMPARED_BIT = 0.5  # a carry chain that compares two bits a LUT
LUT_PER_EQUAL_BIT = 1 / 3  # six inputs compare three bits
LUT_PER_SELECTED_BIT = 0.5  # a selection between two values of one bit each, two to a LUT
CONSTANT_SHARE = 0.5  # of a multiplier's LUTs that remain where its weight never changes: half the digits of CSD are 0
DSP_FROM_PRODUCT_BITS = 19  # products of up to 18 bits are made of LUTs, as HLS binds them by default
REGISTERED_LEVELS = 2  # levels of an adder tree between two registers, at 100 to 200 MHz

# Memories.
LUT_PER_BLOCK = 190  # a block of 18 kbit is worth so many LUTs: 53200 LUT / 280 BRAM18 of an xc7z020
ROM_WORDS_PER_LUT = 64  # one bit of a ROM of 64 words is one LUT
SHIFT_REGISTER_WORDS = 32  # SRLC32E: one bit of 32 words is one LUT
SHIFT_REGISTER_MOST_BITS = 1024  # FIFOs up to here are shift registers, as Vitis HLS makes them
FIFO_LUT = 12  # flags and pointers of a FIFO, beside a bit of LUT for each bit of the two pointers
FIFO_FF = 10
LUT_PER_POINTER_BIT = 2.0
