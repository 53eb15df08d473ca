"""Runs kernels: many calls in one C file, compiled once for a target, each then given operands and compared.

A call gets memory as hard as the contract allows: operands and results aligned to their element alone, constants and
scratch to 64 bytes, scratch and results filled with rubbish, guards behind every piece of memory that it may write.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.codegen.c_literals import c_integer, c_real, c_type_of
from subbyte.compiler.ir.node import Node
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
    constants: list[Memory] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.call = self.kernel.call(self.op)

    def c_function(self, index: int) -> str:
        """The C function that makes the call; constants come by pointers, so that the compiler reads no long arrays."""
        structs: list[str] = []
        arguments = ", ".join(self._argument(argument, structs) for argument in self.call.arguments)
        call = f"{self.call.symbol}({arguments})"
        body = f"return {call};" if self.call.checked else f"{call};\n    return 0;"
        unused = "".join(
            f"    (void){name};\n" for name in ("operands", "results", "constants", "begin", "end", "scratch")
        )
        return (
            f"static int32_t case_{index}(const void* const* operands, void* const* results, "
            f"const void* const* constants, int32_t begin, int32_t end, void* scratch) {{\n"
            f"{''.join(structs)}{unused}    {body}\n}}\n"
        )

    def _argument(self, argument: Argument, structs: list[str]) -> str:
        match argument:
            case OperandPointer(index):
                return f"(const {self.op.operands[index].type.dtype.c_type}*)operands[{index}]"
            case ResultPointer(index):
                return f"({self.op.types[index].dtype.c_type}*)results[{index}]"
            case Pointers(items):
                pointee = "const void" if isinstance(items[0], OperandPointer) else "void"
                return f"({pointee}* const[]){{{', '.join(self._argument(item, structs) for item in items)}}}"
            case ConstantArray(data=data):
                self.constants.append(Memory(data.nbytes).hold(data.tobytes()))
                return f"(const {c_type_of(data)}*)constants[{len(self.constants) - 1}]"
            case ConstantStruct(c_struct=c_struct, fields=fields):
                values = ", ".join(f".{name} = {_c_value(value)}" for name, value in fields)
                structs.append(f"    static const struct {c_struct} struct_{len(structs)} = {{{values}}};\n")
                return f"&struct_{len(structs) - 1}"
            case Integer(value):
                return c_integer(value)
            case Real(value):
                return c_real(value)
            case Special():
                return argument.value


def _c_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "{" + ", ".join(map(_c_value, value)) + "}"
    return c_real(value) if isinstance(value, float) else c_integer(int(value))


class Library:
    """The calls of a target, compiled into one shared library."""

    def __init__(self, target: Target, calls: Sequence[Prepared], folder: Path) -> None:
        headers = dict.fromkeys(path for call in calls for path in header_closure(call.kernel.header))
        included = dict.fromkeys(call.kernel.header.name for call in calls)
        for path in headers:
            (folder / path.name).write_bytes(path.read_bytes())
        source = folder / "calls.c"
        source.write_text(
            "#include <stdint.h>\n"
            + "".join(f'#include "{name}"\n' for name in included)
            + "".join(call.c_function(index) for index, call in enumerate(calls))
            + "typedef int32_t (*call)(const void* const*, void* const*, const void* const*, int32_t, int32_t,"
            " void*);\nextern const call calls[];\n"
            f"const call calls[] = {{{', '.join(f'case_{index}' for index in range(len(calls)))}}};\n"
        )
        compiler = find_compiler(target)
        compile_c(compiler, (*compiler.flags_for(target), "-fPIC", "-shared"), [source], folder / "calls.so")
        self._library = ctypes.CDLL(str(folder / "calls.so"))
        pointer, number = ctypes.c_void_p, ctypes.c_int32
        signature = ctypes.CFUNCTYPE(number, pointer, pointer, pointer, number, number, pointer)
        self._calls = list((signature * len(calls)).in_dll(self._library, "calls"))
        self._numbers = {id(call): number for number, call in enumerate(calls)}

    def run(self, prepared: Prepared, tiles: Sequence[tuple[int, int]], shared: int | None = None) -> tuple[Array, ...]:
        """The results, in logical order, of the call made once for each (begin, end) of `tiles`.

        shared: an operand in whose memory the result stands.
        """
        op = prepared.op
        operands = [
            FencedMemory(_stored(array, value.type.order))
            for array, value in zip(prepared.operands, op.operands, strict=True)
        ]
        results = [Memory(of_type.bytes, skew=of_type.dtype.numpy.itemsize) for of_type in op.types]
        addresses = [memory.address for memory in operands]
        if shared is not None:
            results[0].hold(_stored(prepared.operands[shared], op.operands[shared].type.order))
            addresses = [
                results[0].address if value == op.operands[shared] else address
                for value, address in zip(op.operands, addresses, strict=True)
            ]
        status = 0
        for begin, end in tiles:
            scratch = Memory(prepared.call.scratch_bytes)
            status = status or self._calls[self._numbers[id(prepared)]](
                _pointers(addresses), _pointers([m.address for m in results]),
                _pointers([m.address for m in prepared.constants]), begin, end, scratch.address,
            )  # fmt: skip
            assert not scratch.overrun, (
                f"{prepared.name} writes beyond its scratch of {prepared.call.scratch_bytes} bytes"
            )
        assert status == 0, f"{prepared.name} returned {status}"
        for memory in results:
            assert not memory.overrun, f"{prepared.name} writes beyond its result"
        return tuple(
            _logical(memory.bytes, of_type.dtype.numpy, of_type.stored_shape, of_type.order)
            for memory, of_type in zip(results, op.types, strict=True)
        )


def _pointers(addresses: Sequence[int]) -> Any:
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)


def _stored(array: Array, order: Sequence[int]) -> bytes:
    return np.ascontiguousarray(array.transpose(order)).tobytes()


def _logical(content: Array, dtype: Any, stored_shape: Sequence[int], order: Sequence[int]) -> Array:
    stored = np.frombuffer(content.tobytes(), dtype).reshape(stored_shape)
    return stored.transpose(np.argsort(order)) if stored.ndim else stored
