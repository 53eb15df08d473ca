"""The constants of the cost formulas, in one place, with where each comes from; measurements change them here alone.

A LUT has six inputs and two outputs; a carry chain takes one LUT a bit of a sum; a comparison with carries takes two
bits a LUT (UG474, UG574). "Measured" names what `yosys` 0.23 with `synth_xilinx` counts; the rest are formulas.
"""

from __future__ import annotations

# A process: the state machine of its loop and the handshake of its streams.
PROCESS_LUT = 30  # by hand: ap_ctrl state, pipeline enable, stall logic
PROCESS_FF = 20
LUT_PER_COUNTER_BIT = 1.5  # an increment and its comparison with the end: one and a half LUT a bit
FF_PER_COUNTER_BIT = 1.0
LUT_PER_STREAM = 3  # read and write strobes of one stream, beside its FIFO

# Sums of products.
LUT_PER_XNOR = 0.5  # two products of two bits fit one LUT with two outputs
LUT_PER_COUNTED_ONE = 1.0  # a tree of 6:3 counters: about one LUT for each bit that is counted
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
RAM_BITS_PER_LUT = 24  # RAM32M: four LUTs hold 32 words of 6 bits with their own read port, so 48 bits a LUT; half used
