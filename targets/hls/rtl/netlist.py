"""A module being built: signals and what drives them, kept as the text of CIRCT's hw, comb, seq and sv operations.

Every module has the inputs `clock` and `reset` (synchronous, high). Signals are bits without a sign; what numbers they
stand for is numbers.Number's matter. Names are made unique, so that equal builds give equal text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from subbyte.compiler.errors import GraphError


@dataclass(frozen=True)
class Signal:
    """`width` bits of a netlist; `name` is its value in MLIR."""

    name: str
    width: int


@dataclass(frozen=True)
class Memory:
    """`depth` words of `width` bits, read at once by an address of `address_bits(depth)` bits."""

    name: str
    depth: int
    width: int


def address_bits(count: int) -> int:
    """The bits that number `count` things, at least 1."""
    return max((count - 1).bit_length(), 1)


class Netlist:
    """One hw.module. Methods add an operation and return the signal that it drives."""

    def __init__(self, name: str, comment: str = "") -> None:
        self.name = name
        self.comment = comment
        self._inputs: list[Signal] = []
        self._outputs: list[tuple[str, Signal]] = []
        self._lines: list[str] = []
        self._used: set[str] = {"clock", "reset", "edge"}
        self._constants: dict[tuple[int, int], Signal] = {}
        self._undriven: set[str] = set()

    # Names and ports --------------------------------------------------------------------------------------------------

    def _unique(self, wanted: str) -> str:
        name, number = wanted, 0
        while name in self._used:
            number += 1
            name = f"{wanted}_{number}"
        self._used.add(name)
        return name

    def _driven(self, operation: str, width: int, name: str = "") -> Signal:
        """The result of a line `operation`; with a name, CIRCT keeps it where the value becomes a wire."""
        value = self._unique(name or "v")
        hint = f' {{sv.namehint = "{value}"}}' if name else ""
        self._lines.append(f"%{value} = " + (operation.replace(" : ", f"{hint} : ", 1) if hint else operation))
        return Signal(f"%{value}", width)

    def input(self, name: str, width: int) -> Signal:
        signal = Signal(f"%{self._unique(name)}", width)
        self._inputs.append(signal)
        return signal

    def output(self, name: str, signal: Signal) -> None:
        self._used.add(name)
        self._outputs.append((name, signal))

    # Logic ------------------------------------------------------------------------------------------------------------

    def constant(self, value: int, width: int) -> Signal:
        """The lowest `width` bits of `value`."""
        bits = value & ((1 << width) - 1)
        if (bits, width) not in self._constants:
            signed = bits - (1 << width) if bits >> (width - 1) else bits
            self._constants[bits, width] = self._driven(f"hw.constant {signed} : i{width}", width)
        return self._constants[bits, width]

    @property
    def true(self) -> Signal:
        return self.constant(1, 1)

    @property
    def false(self) -> Signal:
        return self.constant(0, 1)

    def extract(self, signal: Signal, low: int, width: int) -> Signal:
        """Bits low .. low + width - 1."""
        if (low, width) == (0, signal.width):
            return signal
        return self._driven(f"comb.extract {signal.name} from {low} : (i{signal.width}) -> i{width}", width)

    def concat(self, parts: Sequence[Signal], name: str = "") -> Signal:
        """All parts in one word, the first in its lowest bits."""
        if len(parts) == 1:
            return parts[0]
        values = ", ".join(part.name for part in reversed(parts))
        types = ", ".join(f"i{part.width}" for part in reversed(parts))
        return self._driven(f"comb.concat {values} : {types}", sum(part.width for part in parts), name)

    def replicate(self, bit: Signal, times: int) -> Signal:
        return self._driven(f"comb.replicate {bit.name} : (i1) -> i{times}", times) if times > 1 else bit

    def _same_width(self, operation: str, operands: Sequence[Signal], name: str) -> Signal:
        widths = {operand.width for operand in operands}
        if len(widths) != 1:
            raise GraphError(f"{operation} of {sorted(widths)} bits in module '{self.name}'; operands have one width")
        if len(operands) == 1:
            return operands[0]
        width = operands[0].width
        return self._driven(f"{operation} {', '.join(o.name for o in operands)} : i{width}", width, name)

    def add(self, *operands: Signal, name: str = "") -> Signal:
        """Their sum modulo 2**width."""
        return self._same_width("comb.add", operands, name)

    def multiply(self, a: Signal, b: Signal, name: str = "") -> Signal:
        """Their product modulo 2**width."""
        return self._same_width("comb.mul", (a, b), name)

    def all_of(self, *operands: Signal, name: str = "") -> Signal:
        return self._same_width("comb.and", operands, name)

    def any_of(self, *operands: Signal, name: str = "") -> Signal:
        return self._same_width("comb.or", operands, name)

    def exclusive(self, *operands: Signal, name: str = "") -> Signal:
        return self._same_width("comb.xor", operands, name)

    def inverse(self, signal: Signal, name: str = "") -> Signal:
        return self.exclusive(signal, self.constant(-1, signal.width), name=name)

    def compare(self, predicate: str, a: Signal, b: Signal, name: str = "") -> Signal:
        """predicate: eq, ne, sge, uge, slt, ult, ... of comb.icmp."""
        return Signal(self._same_width(f"comb.icmp {predicate}", (a, b), name).name, 1)

    def equals(self, signal: Signal, value: int, name: str = "") -> Signal:
        return self.compare("eq", signal, self.constant(value, signal.width), name)

    def choose(self, condition: Signal, one: Signal, other: Signal, name: str = "") -> Signal:
        """one where condition, else other."""
        if one.width != other.width:
            raise GraphError(f"a choice of {one.width} or {other.width} bits in module '{self.name}'")
        operation = f"comb.mux {condition.name}, {one.name}, {other.name} : i{one.width}"
        return self._driven(operation, one.width, name)

    def pick(self, choices: Sequence[Signal], index: Signal) -> Signal:
        """choices[index], by a tree of choices; an index beyond the last picks the last of some subtree."""
        if len(choices) == 1:
            return choices[0]
        half = 1 << (address_bits(len(choices)) - 1)
        upper = self.extract(index, address_bits(len(choices)) - 1, 1)
        return self.choose(upper, self.pick(choices[half:], index), self.pick(choices[:half], index))

    def written(self, verilog: str, operands: Sequence[Signal], width: int, name: str) -> Signal:
        """A wire of `width` bits that `verilog` is assigned to, operands as {{0}}, {{1}}, ...

        For signed products: comb has only unsigned ones of extended operands, which synthesis makes twice as large.
        The wire has a symbol, so that the expression is never moved to where another width or sign would hold.
        """
        value = self._unique(name)
        types = ", ".join(f"i{operand.width}" for operand in operands)
        values = ", ".join(operand.name for operand in operands)
        self._lines += [
            f"%{value} = sv.wire sym @{value} : !hw.inout<i{width}>",
            f'%{value}.of = sv.verbatim.expr "{verilog}" ({values}) : ({types}) -> i{width}',
            f"sv.assign %{value}, %{value}.of : i{width}",
        ]
        return self._driven(f"sv.read_inout %{value} : !hw.inout<i{width}>", width)

    def declare(self, name: str, width: int) -> Signal:
        """A wire that `define` drives later."""
        unique = self._unique(name)
        self._undriven.add(unique)
        return Signal(f"%{unique}", width)

    def define(self, wire: Signal, value: Signal) -> None:
        self._undriven.remove(wire.name.removeprefix("%"))
        self._lines.append(f"{wire.name} = hw.wire {value.name} : i{value.width}")

    # State ------------------------------------------------------------------------------------------------------------

    def register(self, name: str, width: int) -> Signal:
        """A register whose input `drive` sets later."""
        unique = self._unique(name)
        self._undriven.add(unique)
        return Signal(f"%{unique}", width)

    def drive(self, register: Signal, value: Signal, enable: Signal | None = None, reset: int | None = None) -> None:
        """At each rising edge: `reset` where reset, else `value` where enable. Without `reset` it starts undefined."""
        if register.width != value.width:
            raise GraphError(f"register {register.name} of '{self.name}' has {register.width} bits, not {value.width}")
        self._undriven.remove(register.name.removeprefix("%"))
        kind, gate = ("seq.compreg.ce", f", {enable.name}") if enable else ("seq.compreg", "")
        start = "" if reset is None else f" reset %reset, {self.constant(reset, value.width).name}"
        self._lines.append(f"{register.name} = {kind} {value.name}, %clock{gate}{start} : i{value.width}")

    def held(self, value: Signal, enable: Signal, name: str, reset: int | None = None) -> Signal:
        """A register of `value` where enable."""
        register = self.register(name, value.width)
        self.drive(register, value, enable, reset)
        return register

    def rom(self, name: str, words: Sequence[int], width: int) -> Memory:
        """A memory of constants."""
        memory = self._memory(name, len(words), width)
        bits = address_bits(len(words))
        lines = []
        for address, word in enumerate(words):
            signed = word - (1 << width) if word >> (width - 1) else word
            at = address - (1 << bits) if address >> (bits - 1) else address
            lines += [
                f"  %a{address} = hw.constant {at} : i{bits}",
                f"  %w{address} = hw.constant {signed} : i{width}",
                f"  %p{address} = sv.array_index_inout {memory.name}[%a{address}] : {_array(memory)}, i{bits}",
                f"  sv.bpassign %p{address}, %w{address} : i{width}",
            ]
        self._lines += ["sv.initial {", *lines, "}"]
        return memory

    def ram(self, name: str, depth: int, width: int) -> Memory:
        """A memory that `store` writes, undefined at first."""
        return self._memory(name, depth, width)

    def _memory(self, name: str, depth: int, width: int) -> Memory:
        memory = Memory(f"%{self._unique(name)}", depth, width)
        self._lines.append(f"{memory.name} = sv.reg : {_array(memory)}")
        return memory

    def store(self, memory: Memory, address: Signal, word: Signal, enable: Signal) -> None:
        """At each rising edge: memory[address] = word where enable."""
        place = self._place(memory, address)
        self._lines += [
            f"sv.always posedge %edge {{ sv.if {enable.name} {{ sv.passign {place}, {word.name} : i{word.width} }} }}"
        ]

    def load(self, memory: Memory, address: Signal) -> Signal:
        """memory[address], at once; `held` behind it makes it a synchronous read."""
        place = self._place(memory, address)
        return self._driven(f"sv.read_inout {place} : !hw.inout<i{memory.width}>", memory.width)

    def _place(self, memory: Memory, address: Signal) -> str:
        place = self._unique("place")
        index = f"{memory.name}[{address.name}]"
        self._lines.append(f"%{place} = sv.array_index_inout {index} : {_array(memory)}, i{address.width}")
        return f"%{place}"

    # Parts ------------------------------------------------------------------------------------------------------------

    def instance(self, name: str, of: Netlist, inputs: Mapping[str, Signal]) -> dict[str, Signal]:
        """The outputs, by name, of an instance of the module `of`, which gets this one's clock and reset."""
        results = {port: Signal(f"%{self._unique(f'{name}_{port}')}", signal.width) for port, signal in of._outputs}
        given = ["clock: %clock: !seq.clock", "reset: %reset: i1"]
        for port in of._inputs:
            signal = inputs[port.name.removeprefix("%")]
            given.append(f"{port.name.removeprefix('%')}: {signal.name}: i{signal.width}")
        values = ", ".join(signal.name for signal in results.values())
        types = ", ".join(f"{port}: i{signal.width}" for port, signal in results.items())
        self._lines.append(f'{values} = hw.instance "{name}" @{of.name}({", ".join(given)}) -> ({types})')
        return results

    def text(self) -> str:
        """The hw.module.

        Raises: GraphError: a register or a declared wire was never driven.
        """
        if self._undriven:
            raise GraphError(f"{sorted(self._undriven)} of module '{self.name}' are never driven")
        ports = ["in %clock : !seq.clock", "in %reset : i1"]
        ports += [f"in {signal.name} : i{signal.width}" for signal in self._inputs]
        ports += [f"out {name} : i{signal.width}" for name, signal in self._outputs]
        values = ", ".join(signal.name for _, signal in self._outputs)
        types = ", ".join(f"i{signal.width}" for _, signal in self._outputs)
        edge = ["%edge = seq.from_clock %clock"] if any("%edge" in line for line in self._lines) else []
        comment = re.sub(r'["\\]', "'", self.comment)
        body = "\n".join(f"  {line}" for line in [*edge, *self._lines, f"hw.output {values} : {types}"])
        listed = ",\n    ".join(ports)
        return f'hw.module @{self.name}(\n    {listed}) attributes {{comment = "{comment}"}} {{\n{body}\n}}\n'


def _array(memory: Memory) -> str:
    return f"!hw.inout<uarray<{memory.depth}xi{memory.width}>>"
