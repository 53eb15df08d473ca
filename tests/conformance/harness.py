"""Runs kernels: many calls in one C file, compiled once for a target, each then given operands and compared.

A call gets memory as hard as the contract allows: operands and results aligned to their element alone, constants and
scratch to 64 bytes, scratch and results filled with rubbish, guards behind every piece of memory that it may write.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
from subbyte.compiler.toolchain.compilers import compile_c, find_compiler

Array = NDArray[Any]
GUARD = 64
RUBBISH = 0xA5


class Memory:
    """Bytes that a kernel may touch: `size` of them, then a guard, all rubbish to begin with.

    They begin `skew` bytes after a multiple of 64.
    """

    def __init__(self, size: int, skew: int = 0) -> None:
        self._buffer = np.full(size + skew + 64 + GUARD, RUBBISH, np.uint8)
        start = -self._buffer.ctypes.data % 64 + skew
        self.bytes = self._buffer[start : start + size]
        self._guard = self._buffer[start + size : start + size + GUARD]

    def hold(self, content: bytes) -> Memory:
        self.bytes[:] = np.frombuffer(content, np.uint8)
        return self

    @property
    def address(self) -> int:
        return int(self.bytes.ctypes.data) if self.bytes.size else int(self._guard.ctypes.data)

    @property
    def overrun(self) -> bool:
        return bool((self._guard != RUBBISH).any())


class FencedMemory:
    """Bytes that a kernel may read, with a page behind them on which a read ends the process."""

    def __init__(self, content: bytes) -> None:
        page = mmap.PAGESIZE
        inner = -(-max(len(content), 1) // page) * page
        self._map = mmap.mmap(-1, inner + page)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(base + inner), ctypes.c_size_t(page), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect failed")
        self.address = base + inner - len(content)
        ctypes.memmove(self.address, content, len(content))


@dataclass(eq=False)
class Prepared:
    """One call of one kernel: `op`, whose operands hold `operands`, in logical order."""

    name: str
    kernel: Kernel
    op: Node
    operands: Sequence[Array]
    call: Call = field(init=False)
    constants: dict[int, Memory] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.call = self.kernel.call(self.op)
        for argument in self.call.arguments:
            if isinstance(argument, ConstantArray):
                self.constants[id(argument)] = Memory(argument.data.nbytes).hold(argument.data.tobytes())


class Form:
    """How a call is written in C: as in a model, geometry and numbers constant, so that kernels are specialised alike.

    Pointers to data come out of `pointers`; calls that differ in their data alone share one function.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.pointers: list[OperandPointer | ResultPointer | ConstantArray] = []
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
                name = f"struct_{len(self._structs)}"
                values = ", ".join(f".{field} = {_c_value(value)}" for field, value in argument.fields)
                self._structs.append(f"static const struct {c_struct} {name} = {{{values}}};")
                return f"&{name}"
            case Integer(value):
                return c_integer(value)
            case Real(value):
                return c_real(value)
            case Special():
                return argument.value

    def _pointer(self, c_type: str, argument: OperandPointer | ResultPointer | ConstantArray) -> str:
        self.pointers.append(argument)
        return f"({c_type})pointers[{len(self.pointers) - 1}]"


def _c_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(map(_c_value, value)) + "}"
    return c_real(value) if isinstance(value, float) else c_integer(int(value))


class Library:
    """The calls of a target, compiled into one shared library, with the flags that its models get and then `flags`."""

    def __init__(self, target: Target, calls: Sequence[Prepared], folder: Path, flags: tuple[str, ...] = ()) -> None:
        for path in dict.fromkeys(path for call in calls for path in header_closure(call.kernel.header)):
            (folder / path.name).write_bytes(path.read_bytes())
        self._forms = {id(call): Form(call) for call in calls}
        bodies = {form.body: number for number, form in enumerate(self._forms.values())}
        source = folder / "calls.c"
        source.write_text(_source(dict.fromkeys(call.kernel.header.name for call in calls), bodies))
        compiler = find_compiler(target)
        shared = (*compiler.flags_for(target), "-fPIC", "-shared", *flags)
        compile_c(compiler, shared, [source], folder / "calls.so", warnings=True)
        library = ctypes.CDLL(str(folder / "calls.so"))
        pointer, number = ctypes.c_void_p, ctypes.c_int32
        signature = ctypes.CFUNCTYPE(number, pointer, number, number, pointer)
        self._functions = {body: signature((f"call_{number}", library)) for body, number in bodies.items()}

    def _call(self, prepared: Prepared, operands: Sequence[int], results: Sequence[int], begin: int, end: int) -> int:
        """The call for tiles begin to end, with scratch memory of its own."""
        form = self._forms[id(prepared)]
        pointers = []
        for argument in form.pointers:
            match argument:
                case OperandPointer(index):
                    pointers.append(operands[index])
                case ResultPointer(index):
                    pointers.append(results[index])
                case ConstantArray():
                    pointers.append(prepared.constants[id(argument)].address)
        scratch = Memory(prepared.call.scratch_bytes)
        status = self._functions[form.body](_pointers(pointers), begin, end, scratch.address)
        assert not scratch.overrun, f"{prepared.name} writes beyond its scratch of {prepared.call.scratch_bytes} bytes"
        return int(status)

    def run(self, prepared: Prepared, tiles: Sequence[tuple[int, int]], shared: int | None = None) -> tuple[Array, ...]:
        """The results, in logical order, of the call made once for each (begin, end) of `tiles`.

        shared: an operand in whose memory the result stands.
        """
        op = prepared.op
        operands = [
            FencedMemory(_stored(array, value.type))
            for array, value in zip(prepared.operands, op.operands, strict=True)
        ]
        results = [Memory(of_type.bytes, skew=of_type.dtype.numpy.itemsize) for of_type in op.types]
        addresses = [memory.address for memory in operands]
        if shared is not None:
            results[0].hold(_stored(prepared.operands[shared], op.operands[shared].type))
            addresses = [
                results[0].address if value == op.operands[shared] else address
                for value, address in zip(op.operands, addresses, strict=True)
            ]
        written = [memory.address for memory in results]
        statuses = [self._call(prepared, addresses, written, begin, end) for begin, end in tiles]
        assert not any(statuses), f"{prepared.name} returned {statuses}"
        for memory in results:
            assert not memory.overrun, f"{prepared.name} writes beyond its result"
        return tuple(_logical(memory.bytes, of_type) for memory, of_type in zip(results, op.types, strict=True))


def _source(headers: Iterable[str], bodies: Mapping[str, int]) -> str:
    """The C file: a function for each form of a call."""
    parameters = "void* const* pointers, int32_t begin, int32_t end, void* scratch"
    lines = ["#include <stdint.h>", *(f'#include "{name}"' for name in headers)]
    for body, number in bodies.items():
        lines += [f"int32_t call_{number}({parameters});", f"int32_t call_{number}({parameters}) {{"]
        lines += [f"    (void){name};" for name in ("pointers", "begin", "end", "scratch")]
        lines += [f"    {body}", "}"]
    return "\n".join(lines) + "\n"


def _pointers(addresses: Sequence[int]) -> Any:
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


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
