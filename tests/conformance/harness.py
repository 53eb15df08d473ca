"""Runs kernels: many calls in one C file, compiled once for a target into a program that makes them, each compared.

The program (driver.c) runs here, or under the emulator of a processor that is not here. It is fed operands and answers
with results; a call gets memory as hard as the contract allows, as driver.c says.
"""

from __future__ import annotations

import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.codegen.c_literals import c_integer, c_real, c_type_of
from subbyte.compiler.ir.node import Node
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Argument,
    Call,
    ConstantArray,
    ConstantStruct,
    Integer,
    Kernel,
    OperandPointer,
    Pointers,
    Real,
    ResultPointer,
    Special,
    Target,
    header_closure,
)
from subbyte.compiler.toolchain.compilers import Compiler, compile_c, find_compiler
from subbyte.compiler.toolchain.emulators import command_before

Array = NDArray[Any]
DRIVER = Path(__file__).parent / "driver.c"
FAULTS = (
    "",
    "{name} returned {number}",
    "{name} writes beyond its result {number}",
    "{name} writes beyond its scratch of {scratch} bytes",
)
"""What a run did wrong, by the number that driver.c gives it."""


@dataclass(eq=False)
class Prepared:
    """One call of one kernel: `op`, whose operands hold `operands`, in logical order."""

    name: str
    kernel: Kernel
    op: Node
    operands: Sequence[Array]
    call: Call = field(init=False)

    def __post_init__(self) -> None:
        self.call = self.kernel.call(self.op)


@dataclass(frozen=True, eq=False)
class Run:
    """A prepared call, made once for each (begin, end) of `tiles`.

    shared: an operand in whose memory the result stands.
    """

    prepared: Prepared
    tiles: Sequence[tuple[int, int]]
    shared: int | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a run wrote, in logical order, and what it did wrong; "" where nothing."""

    results: tuple[Array, ...]
    fault: str = ""


class Form:
    """How a call is written in C: as in a model, geometry and numbers constant, so that kernels are specialised alike.

    Pointers to data come out of `pointers`; calls that differ in their data alone share one function. A `general` form
    takes geometry and numbers out of `tables`, (C type, value) each, with a row for each call that shares the function,
    so that one is compiled for all geometries.
    """

    def __init__(self, prepared: Prepared, general: bool = False) -> None:
        self.pointers: list[OperandPointer | ResultPointer | ConstantArray] = []
        self.tables: list[tuple[str, str]] = []
        self._general = general
        self._structs: list[str] = []
        arguments = ", ".join(self._argument(argument, prepared) for argument in prepared.call.arguments)
        call = f"{prepared.call.symbol}({arguments})"
        status = f"return {call};" if prepared.call.checked else f"{call};\n    return 0;"
        self.body = "\n    ".join([*self._structs, status])

    def _argument(self, argument: Argument, prepared: Prepared) -> str:
        match argument:
            case OperandPointer(index):
                return self._pointer(f"const {prepared.op.operands[index].type.dtype.c_type}*", argument)
            case ResultPointer(index):
                return self._pointer(f"{prepared.op.types[index].dtype.c_type}*", argument)
            case Pointers(items):
                pointee = "const void" if isinstance(items[0], OperandPointer) else "void"
                return f"({pointee}* const[]){{{', '.join(self._argument(item, prepared) for item in items)}}}"
            case ConstantArray(data=data):
                return self._pointer(f"const {c_type_of(data)}*", argument)
            case ConstantStruct(c_struct=c_struct):
                values = ", ".join(f".{field} = {_c_value(value)}" for field, value in argument.fields)
                return f"&{self._struct(f'struct {c_struct}', f'{{{values}}}')}"
            case Integer(0):
                return "0"  # which may stand for no pointer
            case Integer(value):
                return self._number("int64_t", c_integer(value))
            case Real(value):
                return self._number("float", c_real(value))
            case Special():
                return argument.value

    def _pointer(self, c_type: str, argument: OperandPointer | ResultPointer | ConstantArray) -> str:
        self.pointers.append(argument)
        return f"({c_type})pointers[{len(self.pointers) - 1}]"

    def _struct(self, c_type: str, value: str) -> str:
        if self._general:
            return self._in_a_table(c_type, value)
        name = f"struct_{len(self._structs)}"
        self._structs.append(f"static const {c_type} {name} = {value};")
        return name

    def _number(self, c_type: str, value: str) -> str:
        return self._in_a_table(c_type, value) if self._general else value

    def _in_a_table(self, c_type: str, value: str) -> str:
        self.tables.append((c_type, value))
        return f"table_{len(self.tables) - 1}[row]"


def _c_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(map(_c_value, value)) + "}"
    return c_real(value) if isinstance(value, float) else c_integer(int(value))


class Functions:
    """The C file of calls: a function for each body of a form, with tables of what differs between its calls."""

    def __init__(self, calls: Sequence[Prepared], general: bool = False) -> None:
        self.forms = {id(call): Form(call, general) for call in calls}
        self._headers = list(dict.fromkeys(call.kernel.header.name for call in calls))
        self._numbers: dict[str, int] = {}
        self._rows: dict[str, dict[tuple[tuple[str, str], ...], int]] = {}
        for form in self.forms.values():
            self._numbers.setdefault(form.body, len(self._numbers))
            rows = self._rows.setdefault(form.body, {})
            rows.setdefault(tuple(form.tables), len(rows))

    def find(self, call: Prepared) -> tuple[int, int]:
        """The number of the function of a call, and its row of the tables."""
        form = self.forms[id(call)]
        return self._numbers[form.body], self._rows[form.body][tuple(form.tables)]

    @property
    def source(self) -> str:
        parameters = "void* const* pointers, int32_t row, int32_t begin, int32_t end, void* scratch"
        lines = ["#include <stdint.h>", *(f'#include "{name}"' for name in self._headers)]
        lines += [f"typedef int32_t call({parameters});", "extern call* const calls[];"]
        for body, number in self._numbers.items():
            lines += [f"static int32_t call_{number}({parameters}) {{"]
            for column, cells in enumerate(zip(*self._rows[body], strict=True)):
                values = ", ".join(value for _, value in cells)
                lines += [f"    static const {cells[0][0]} table_{column}[] = {{{values}}};"]
            lines += [f"    (void){name};" for name in ("pointers", "row", "begin", "end", "scratch")]
            lines += [f"    {body}", "}"]
        table = ", ".join(f"call_{number}" for number in self._numbers.values())
        return "\n".join([*lines, f"call* const calls[] = {{{table}}};"]) + "\n"


class Library:
    """The calls of a target in one program, compiled with the flags that its models get and then `flags`.

    general: see Form.
    """

    def __init__(
        self,
        target: Target,
        calls: Sequence[Prepared],
        folder: Path,
        flags: tuple[str, ...] = (),
        *,
        general: bool = False,
    ) -> None:
        for path in dict.fromkeys(path for call in calls for path in header_closure(call.kernel.header)):
            (folder / path.name).write_bytes(path.read_bytes())
        self._functions = Functions(calls, general)
        source, kernels, driver = folder / "calls.c", folder / "calls.o", folder / "driver.o"
        source.write_text(self._functions.source)
        compiler = find_compiler(target)
        baseline = compiler.flags_for(target, baseline=True)
        compile_c(compiler, (*compiler.flags_for(target), *flags, "-c"), [source], kernels, warnings=True)
        driver.write_bytes(_driver(compiler, baseline))
        self._program = folder / "calls"
        # zig builds a C library for each choice of flags: these are those of runners.
        linked = ("-static", "-pthread", "-s") if compiler.family == "zig" else ()
        compile_c(compiler, (*baseline, *linked), [kernels, driver], self._program)
        self._command = (*command_before(target, self._program), str(self._program))
        self._folder = folder

    def run(self, prepared: Prepared, tiles: Sequence[tuple[int, int]], shared: int | None = None) -> tuple[Array, ...]:
        """The results of one run; fails where it did anything wrong."""
        (answer,) = self.answers([Run(prepared, tiles, shared)])
        assert not answer.fault, answer.fault
        return answer.results

    def answers(self, runs: Sequence[Run]) -> Iterator[Answer]:
        """An answer for each run, all made by one process; the last is of the run that ended it before its time."""
        with tempfile.TemporaryFile(dir=self._folder) as told, tempfile.TemporaryFile(dir=self._folder) as answered:
            for run in runs:
                self._tell(told, run)
            told.write(_numbers(-1))
            told.seek(0)
            done = subprocess.run(
                self._command,
                stdin=told,
                stdout=answered,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self._folder,
                timeout=1800,
                check=False,
            )
            answered.seek(0)
            for run in runs:
                answer = _read_answer(answered, run.prepared)
                if answer is None:
                    yield Answer((), f"{run.prepared.name} ends the process: {_ending(done)}")
                    return
                yield answer
            assert done.returncode == 0, _ending(done)

    def _tell(self, file: IO[bytes], run: Run) -> None:
        """Writes a run as driver.c reads it."""
        prepared, op, form = run.prepared, run.prepared.op, self._functions.forms[id(run.prepared)]
        constants = [argument for argument in form.pointers if isinstance(argument, ConstantArray)]
        stored = [_stored(array, value.type) for array, value in zip(prepared.operands, op.operands, strict=True)]
        file.write(_numbers(*self._functions.find(prepared), prepared.call.scratch_bytes))
        for arrays in (stored, [constant.data.tobytes() for constant in constants]):
            file.write(_numbers(len(arrays)))
            for content in arrays:
                file.write(_numbers(len(content)) + content)
        file.write(_numbers(len(op.types), *(n for of_type in op.types for n in (of_type.bytes, _skew(of_type)))))
        file.write(_numbers(len(form.pointers)))
        for argument in form.pointers:
            match argument:
                case OperandPointer(index):
                    file.write(_numbers(0, index))
                case ResultPointer(index):
                    file.write(_numbers(1, index))
                case ConstantArray():
                    file.write(_numbers(2, next(i for i, constant in enumerate(constants) if constant is argument)))
        in_place = [i for i, v in enumerate(op.operands) if run.shared is not None and v == op.operands[run.shared]]
        spans = [bound for span in run.tiles for bound in span]
        shared = -1 if run.shared is None else run.shared
        file.write(_numbers(1, shared, len(in_place), *in_place, len(run.tiles), *spans))


@cache
def _driver(compiler: Compiler, flags: tuple[str, ...]) -> bytes:
    """driver.c, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "driver.o"
        compile_c(compiler, (*flags, "-D_GNU_SOURCE", "-c"), [DRIVER], made, warnings=True)
        return made.read_bytes()


def _numbers(*numbers: int) -> bytes:
    return struct.pack(f"={len(numbers)}q", *numbers)


def _skew(of_type: TensorType) -> int:
    """How far after a multiple of 64 a result begins: aligned to its element alone."""
    return of_type.dtype.numpy.itemsize


def _read_answer(file: IO[bytes], prepared: Prepared) -> Answer | None:
    """The next answer; None where the process ended before it was whole."""
    verdict = file.read(16)
    contents = [file.read(of_type.bytes) for of_type in prepared.op.types]
    if len(verdict) < 16 or any(len(c) < t.bytes for c, t in zip(contents, prepared.op.types, strict=True)):
        return None
    fault, number = struct.unpack("=2q", verdict)
    text = FAULTS[fault].format(name=prepared.name, number=number, scratch=prepared.call.scratch_bytes)
    return Answer(
        tuple(_logical(np.frombuffer(c, np.uint8), t) for c, t in zip(contents, prepared.op.types, strict=True)), text
    )


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    """How a process ended, with what it said."""
    code = done.returncode
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{how}. {done.stderr.strip()}".strip()


def _bits(of_type: TensorType) -> int | None:
    return None if of_type.layout is None else of_type.layout.bits


def _stored(array: Array, of_type: TensorType) -> bytes:
    """The bytes of a tensor: its elements, or as many codes in each byte as it holds, the first lowest."""
    stored, bits = np.ascontiguousarray(array.transpose(of_type.order)), _bits(of_type)
    if bits is None:
        return stored.tobytes()
    single = stored.reshape(-1, 1).astype(np.int64) >> np.arange(bits) & 1
    return np.packbits(single.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def _logical(content: Array, of_type: TensorType) -> Array:
    """The inverse of `_stored`."""
    dtype, bits = of_type.dtype, _bits(of_type)
    if bits is None:
        stored = np.frombuffer(content.tobytes(), dtype.numpy)
    else:
        single = np.unpackbits(content, bitorder="little").reshape(-1, bits).astype(np.int64)
        codes = (single << np.arange(bits)).sum(axis=1)
        negative = dtype.is_signed & (codes >> (bits - 1) == 1)
        stored = (codes - (negative << bits)).astype(dtype.numpy)
    stored = stored.reshape(of_type.stored_shape)
    return stored.transpose(np.argsort(of_type.order)) if stored.ndim else stored
