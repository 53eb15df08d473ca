"""A self-checking testbench for modules of actors and designs: SystemVerilog without delays, clocked by a C++ main.

Each unit gets a source for each input and a sink for each output, which hold the words of some frames in files for
$readmemh. Every run is made twice: with all words offered and taken at once, then with both held back at random.
Verilator: `verilator --cc --exe --build --top-module bench bench.sv MODULES main.cpp`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from subbyte.targets.hls.streams import StreamType


@dataclass(frozen=True)
class Port:
    """A stream of a unit: what of_type's words are, in order, over all frames of the run."""

    of_type: StreamType
    words: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """A module under test, with ports in0, ... and out0, ... as rtl.Rtl says."""

    module: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


SOURCE = """\
module bench_source #(parameter WIDTH = 1, parameter WORDS = 1, parameter SEED = 1, parameter FILE = "") (
  input clock, input reset, input stall, output [WIDTH-1:0] data, output valid, input ready
);
  reg [WIDTH-1:0] words [0:WORDS-1];
  reg [31:0] at, random;
  reg offered, open;
  initial $readmemh(FILE, words);
  assign data = valid ? words[at] : {WIDTH{1'b1}};
  assign valid = at < WORDS && (!stall || open || offered);
  always @(posedge clock) begin
    random <= reset ? SEED : {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    open <= random[0] & (random[3] | random[7]);
    offered <= !reset && valid && !ready;  // what was offered stays offered
    at <= reset ? 0 : at + {31'b0, valid && ready};
  end
endmodule
"""

SINK = """\
module bench_sink #(parameter WIDTH = 1, parameter WORDS = 1, parameter SEED = 1, parameter FILE = "",
                    parameter NAME = "") (
  input clock, input reset, input stall, input [WIDTH-1:0] data, input valid, output ready,
  output done, output reg [31:0] errors
);
  reg [WIDTH-1:0] words [0:WORDS-1];
  reg [31:0] at, random;
  reg open, held;
  reg [WIDTH-1:0] last;
  initial $readmemh(FILE, words);
  assign ready = !stall || open;
  assign done = at >= WORDS;
  always @(posedge clock) begin
    random <= reset ? SEED : {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
    open <= random[0] | (random[2] & random[5]);
    held <= !reset && valid && !ready;
    last <= data;
    at <= reset ? 0 : at + {31'b0, valid && ready};
    if (reset) errors <= 0;
    else if (held && (!valid || data != last)) begin
      $display("%s: word %0d was taken back before it was read", NAME, at);
      errors <= errors + 1;
    end else if (valid && ready && (done || data != words[at])) begin
      if (errors == 0) $display("%s: word %0d of %0d is %h, expected %h", NAME, at, WORDS, data, words[at]);
      errors <= errors + 1;
    end
  end
endmodule
"""

MAIN = """\
#include <cstdio>

#include "Vbench.h"
#include "verilated.h"

static void tick(Vbench &bench) {
  bench.clock = 0;
  bench.eval();
  bench.clock = 1;
  bench.eval();
}

int main(int argc, char **argv) {
  Verilated::commandArgs(argc, argv);
  Vbench bench;
  bench.report = 0;
  for (int stall = 0; stall < 2; ++stall) {
    bench.stall = stall;
    bench.reset = 1;
    for (int cycle = 0; cycle < 3; ++cycle) tick(bench);
    bench.reset = 0;
    for (long cycle = 0; cycle < LIMIT && !bench.done; ++cycle) tick(bench);
    for (int cycle = 0; cycle < 64; ++cycle) tick(bench);  // words that should not come
    bench.report = 1;
    tick(bench);
    bench.report = 0;
  }
  bench.final();
  return 0;
}
"""


def testbench(units: Sequence[Unit], limit: int) -> Mapping[str, str]:
    """The files of a testbench: bench.sv, main.cpp and the words.

    It prints for each unit and both runs `UNIT stall S done D errors E cycles C`; cycles count from the first after
    reset to the one that moves the last word.

    Args: limit: cycles after which a run ends in any case.
    """
    files: dict[str, str] = {"main.cpp": MAIN.replace("LIMIT", f"{limit}L")}
    blocks = []
    for number, unit in enumerate(units):
        lines, connections, done, errors = [], [], [], []
        ports = [("in", at, port) for at, port in enumerate(unit.inputs)]
        ports += [("out", at, port) for at, port in enumerate(unit.outputs)]
        for index, (side, at, port) in enumerate(ports):
            name, width = f"{side}{at}", port.of_type.word_bits
            digits = -(-width // 4)
            path = f"words_{unit.module}_{name}.hex"
            files[path] = "".join(f"{word:0{digits}x}\n" for word in port.words)
            seed = 0x9E3779B9 * (8 * number + index + 1) & 0xFFFFFFFF
            given = f'.WIDTH({width}), .WORDS({len(port.words)}), .SEED(32\'h{seed:08x}), .FILE("{path}")'
            wires = f".data({name}_data), .valid({name}_valid), .ready({name}_ready)"
            lines += [f"wire [{width - 1}:0] {name}_data;", f"wire {name}_valid, {name}_ready;"]
            if side == "in":
                lines.append(f"bench_source #({given}) source{at} (.clock, .reset, .stall, {wires});")
            else:
                lines += [f"wire {name}_done;", f"wire [31:0] {name}_errors;"]
                given += f', .NAME("{unit.module}.{name}")'
                results = f".done({name}_done), .errors({name}_errors)"
                lines.append(f"bench_sink #({given}) sink{at} (.clock, .reset, .stall, {wires}, {results});")
                done.append(f"{name}_done")
                errors.append(f"{name}_errors")
            connections += [f".{name}_{part}({name}_{part})" for part in ("data", "valid", "ready")]
        lines += [
            f"{unit.module} unit (.clock, .reset, {', '.join(connections)});",
            f"assign all_done[{number}] = {' && '.join(done)};",
            "reg [31:0] cycles;",
            "always @(posedge clock) begin",
            f"  cycles <= reset ? 0 : cycles + {{31'b0, !all_done[{number}]}};",
            f'  if (report) $display("{unit.module} stall %0d done %0d errors %0d cycles %0d",',
            f"    stall, all_done[{number}], {' + '.join(errors)}, cycles);",
            "end",
        ]
        body = "\n".join(f"    {line}" for line in lines)
        blocks.append(f"  if (1) begin : unit_{unit.module}\n{body}\n  end\n")
    head = "module bench (input clock, input reset, input stall, input report, output done);\n"
    head += f"  wire [{len(units) - 1}:0] all_done;\n  assign done = &all_done;\n"
    files["bench.sv"] = "\n".join([SOURCE, SINK, head + "".join(blocks) + "endmodule\n"])
    return files
