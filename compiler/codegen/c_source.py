"""The only printer of C: a Program as model.h and model.c. It includes kernels, declares data, and calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from subbyte.compiler.codegen.c_literals import c_integer, c_real, wrap
from subbyte.compiler.codegen.c_names import c_comment, c_identifier, c_string, unique_identifiers
from subbyte.compiler.codegen.constants import ConstantPool
from subbyte.compiler.codegen.program import (
    ARENA_ALIGN,
    InArena,
    InConstant,
    InInput,
    InOutput,
    Place,
    Program,
    Step,
)
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import (
    Argument,
    ConstantArray,
    ConstantStruct,
    Integer,
    OperandPointer,
    Pointers,
    Real,
    ResultPointer,
    Special,
)

_DTYPE_CODES = {
    "uint8_t": "SUBBYTE_UINT8",
    "int8_t": "SUBBYTE_INT8",
    **{f"{kind}{bits}_t": f"SUBBYTE_{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (16, 32, 64)},
    "float": "SUBBYTE_FLOAT32",
    "double": "SUBBYTE_FLOAT64",
}


@dataclass(frozen=True)
class Signature:
    """The C names of a model: its prefix, and its parameters in the graph's order."""

    prefix: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signature_of(program: Program, name: str) -> Signature:
    """C identifiers for the model called `name` and for its inputs and outputs."""
    prefix = c_identifier(name, "model")
    taken = {"arena", "weights", "context", "inputs", "outputs", "i"}
    taken |= {f"{prefix}_step_{step.name}" for step in program.steps}  # which the entry point calls
    inputs = unique_identifiers([node.name for node in program.graph.inputs], "input", taken)
    outputs = unique_identifiers([output.name for output in program.graph.outputs], "output", taken)
    return Signature(prefix, tuple(inputs), tuple(outputs))


class CPrinter:
    """Prints one program; `pool` says where its constants are.

    Every name at the level of the file begins with the model's own, so that one C file may include several model.c.
    """

    def __init__(self, program: Program, pool: ConstantPool, name: str) -> None:
        self.program = program
        self.pool = pool
        self.signature = signature_of(program, name)
        self._structs: dict[ConstantStruct, str] = {}

    # model.h ----------------------------------------------------------------------------------------------------------

    def header(self) -> str:
        """model.h: everything a caller needs, C99 and C++."""
        upper = self.signature.prefix.upper()
        lines = [
            f"/* {c_comment(self.signature.prefix)}: compiled by subbyte for {self.program.target.name}. */",
            f"#ifndef SUBBYTE_BUNDLE_{upper}_H",
            f"#define SUBBYTE_BUNDLE_{upper}_H",
            "",
            '#include "subbyte_model.h"',
            "",
            "/* The memory that one call needs; one arena per thread. */",
            f"#define {upper}_ARENA_BYTES {max(self.program.arena.bytes + self.program.scratch_bytes, ARENA_ALIGN)}",
            f"#define {upper}_ARENA_ALIGN {ARENA_ALIGN}",
            f"#define {upper}_WEIGHTS_BYTES {len(self.pool.file())}",
            "",
        ]
        for name, onnx_name, of_type in self._interface():
            lines += _tensor_macros(f"{upper}_{name.upper()}", onnx_name, of_type)
        lines += ["#ifdef __cplusplus", 'extern "C" {', "#endif", ""]
        lines += [
            "/* One inference: operands in the order of the ONNX graph, row-major, narrow codes one per byte. Returns",
            " * SUBBYTE_OK or a negative code of subbyte_model.h. Outputs must not overlap inputs or the arena. */",
            f"{self._run_prototype()};",
            "",
            "/* The same model as a list of steps, for the subbyte runtime. */",
            f"const subbyte_model *{self.signature.prefix}_model(void);",
            "const subbyte_model *subbyte_model_get(void);",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
        ]
        return "\n".join(lines) + "\n"

    def _interface(self) -> Iterator[tuple[str, str, TensorType]]:
        graph = self.program.graph
        for name, node in zip(self.signature.inputs, graph.inputs, strict=True):
            yield name, node.name, node.type
        for name, output in zip(self.signature.outputs, graph.outputs, strict=True):
            yield name, output.name, output.value.type

    def _run_prototype(self) -> str:
        graph = self.program.graph
        parameters = [
            f"const {node.type.dtype.c_type} *{name}"
            for name, node in zip(self.signature.inputs, graph.inputs, strict=True)
        ]
        parameters += [
            f"{output.value.type.dtype.c_type} *{name}"
            for name, output in zip(self.signature.outputs, graph.outputs, strict=True)
        ]
        parameters.append("void *arena")
        suffix = "_run"
        if self.pool.in_file:
            parameters.insert(0, "const void *weights")
            suffix = "_run_with"
        return f"int {self.signature.prefix}{suffix}({', '.join(parameters)})"

    # model.c ----------------------------------------------------------------------------------------------------------

    def source(self, digest: str) -> str:
        """model.c: constants, one function a step, the list of steps, the entry points."""
        steps = "\n".join(self._step_function(step) for step in self.program.steps)
        headers = dict.fromkeys(step.kernel.header.name for step in self.program.steps if step.kernel is not None)
        structs = "".join(self._struct_definition(struct, name) for struct, name in self._structs.items())
        parts = [
            f"/* {c_comment(self.signature.prefix)}: compiled by subbyte for {self.program.target.name}. */",
            '#include "model.h"',
            "",
            "#include <string.h>",
            "",
            '#include "kernels/subbyte_environment.h"',
            *(f'#include "kernels/{header}"' for header in sorted(headers)),
            "",
            self.pool.declarations() + structs + steps,
            self._model(digest),
            self._run(),
        ]
        return "\n".join(parts)

    def program_text(self) -> str:
        """model.c without its digest: what the digest is computed of."""
        return self.source("")

    def _step_function(self, step: Step) -> str:
        arguments = [self._argument(argument, step) for argument in step.call.arguments]
        if step.kernel is None:
            size = step.bytes // 2
            arguments = [
                self._place(step.results[0], "unsigned char", False),
                self._place(step.operands[0], "unsigned char", True),
            ]
            arguments.append(str(size))
        call = f"{step.call.symbol}({', '.join(arguments)})"
        body = f"  return {call};" if step.call.checked else f"  {call};\n  return SUBBYTE_OK;"
        used = {
            "context": any("context->" in argument for argument in arguments),
            "begin": Special.TILE_BEGIN in step.call.arguments,
            "end": Special.TILE_END in step.call.arguments,
            "thread": Special.SCRATCH in step.call.arguments,
        }
        unused = "".join(f"  (void){name};\n" for name, is_used in used.items() if not is_used)
        return (
            f"/* {c_comment(' + '.join(step.sources) or 'of no node of the model')} */\n"
            f"static int32_t {self.signature.prefix}_step_{step.name}(const subbyte_context *context, int32_t begin, "
            f"int32_t end, int32_t thread) {{\n"
            f"{unused}{body}\n}}\n"
        )

    def _argument(self, argument: Argument, step: Step) -> str:
        match argument:
            case OperandPointer(index):
                return self._place(step.operands[index], step.operand_types[index], True)
            case ResultPointer(index):
                return self._place(step.results[index], step.result_types[index], False)
            case Pointers(items):
                pointee = "const void" if isinstance(items[0], OperandPointer) else "void"
                return f"({pointee} *const[]){{{', '.join(self._argument(item, step) for item in items)}}}"
            case ConstantArray():
                return self.pool.pointer(argument)
            case ConstantStruct():
                name = self._structs.setdefault(
                    argument, f"{self.signature.prefix}_shape_{step.name}_{len(self._structs)}"
                )
                return f"&{name}"
            case Integer(value):
                return c_integer(value)
            case Real(value):
                return c_real(value)
            case Special.SCRATCH:
                return f"context->scratch + (size_t)thread * {self.program.scratch_bytes}"
            case Special():
                return str(argument.value)

    def _place(self, place: Place, c_type: str, read: bool) -> str:
        const = "const " if read else ""
        match place:
            case InArena(offset):
                through = "const void *" if read else "void *"
                return f"({const}{c_type} *)({through})(context->arena + {offset})"
            case InInput(index):
                return f"(const {c_type} *)context->inputs[{index}]"
            case InOutput(index):
                return f"({const}{c_type} *)context->outputs[{index}]"
            case InConstant(array):
                return self.pool.pointer(array)

    @staticmethod
    def _struct_definition(struct: ConstantStruct, name: str) -> str:
        fields = []
        for field, value in struct.fields:
            if isinstance(value, tuple):
                text = "{" + ", ".join(_number(item) for item in value) + "}"
            else:
                text = _number(value)
            fields.append(f".{field} = {text}")
        return f"static const struct {struct.c_struct} {name} = {{\n{wrap(fields)}\n}};\n\n"

    def _model(self, digest: str) -> str:
        program, prefix = self.program, self.signature.prefix
        parts = []
        tables = {
            "inputs": [(node.name, node.type) for node in program.graph.inputs],
            "outputs": [(output.name, output.value.type) for output in program.graph.outputs],
        }
        for table, tensors in tables.items():
            rows = []
            for index, (name, of_type) in enumerate(tensors):
                parts.append(_tensor_data(f"{prefix}_{table}_{index}", of_type))
                rows.append(_tensor_row(f"{prefix}_{table}_{index}", name, of_type))
            parts.append(f"static const subbyte_tensor {prefix}_{table}[] = {{\n" + "\n".join(rows) + "\n};\n")
        rows = [
            f"    {{{c_string(step.name)}, {c_string(' + '.join(step.sources))},\n"
            f"     {c_string(step.call.symbol)}, {c_integer(step.macs)}, {c_integer(step.bytes)}, {step.call.tiles}, "
            f"{prefix}_step_{step.name}}},"
            for step in program.steps
        ]
        parts.append(f"static const subbyte_step {prefix}_steps[] = {{\n" + "\n".join(rows) + "\n};\n")
        fields = [
            ".abi_version = SUBBYTE_ABI_VERSION",
            ".struct_bytes = (int32_t)sizeof(subbyte_model)",
            f".name = {c_string(prefix)}",
            f".target = {c_string(program.target.name)}",
            f".features = {c_string(' '.join(program.features))}",
            f".digest = {c_string(digest)}",
            f".input_count = {len(tables['inputs'])}",
            f".inputs = {prefix}_inputs",
            f".output_count = {len(tables['outputs'])}",
            f".outputs = {prefix}_outputs",
            f".step_count = {len(program.steps)}",
            f".steps = {prefix}_steps",
            f".arena_bytes = {program.arena.bytes}",
            f".arena_align = {ARENA_ALIGN}",
            f".scratch_bytes = {program.scratch_bytes}",
            f".weights_bytes = {len(self.pool.file())}",
        ]
        listed = "\n".join(f"    {field}," for field in fields)
        parts.append(f"static const subbyte_model {prefix}_itself = {{\n{listed}\n}};\n")
        parts.append(f"const subbyte_model *{prefix}_model(void) {{ return &{prefix}_itself; }}\n")
        parts.append(
            "#ifndef SUBBYTE_MODEL_GET /* of several models in one file, it gives the first */\n"
            "#define SUBBYTE_MODEL_GET\n"
            f"SUBBYTE_WEAK const subbyte_model *subbyte_model_get(void) {{ return &{prefix}_itself; }}\n"
            "#endif\n"
        )
        return "\n".join(parts)

    def _run(self) -> str:
        names = [*self.signature.inputs, *self.signature.outputs, "arena"]
        weights = "(const unsigned char *)weights" if self.pool.in_file else "0"
        aligned = "(uintptr_t)arena % " + str(ARENA_ALIGN) + " != 0"
        if self.pool.in_file:
            names.insert(0, "weights")
            aligned += f" || (uintptr_t)weights % {ARENA_ALIGN} != 0"
        inputs = "".join(f"  inputs[{i}] = {name};\n" for i, name in enumerate(self.signature.inputs))
        outputs = "".join(f"  outputs[{i}] = {name};\n" for i, name in enumerate(self.signature.outputs))
        status = "  int32_t status;\n" if any(step.call.checked for step in self.program.steps) else ""
        steps = "".join(_straight_call(self.signature.prefix, step) for step in self.program.steps)
        return (
            f"{self._run_prototype()} {{\n"
            f"  const void *inputs[{max(len(self.signature.inputs), 1)}];\n"
            f"  void *outputs[{max(len(self.signature.outputs), 1)}];\n"
            f"  subbyte_context context;\n"
            f"{status}"
            f"  if ({' || '.join(f'!{name}' for name in names)}) return SUBBYTE_ERROR_NULL;\n"
            f"  if ({aligned}) return SUBBYTE_ERROR_ALIGNMENT;\n"
            f"  if (!subbyte_float_environment_is_default()) return SUBBYTE_ERROR_FLOAT_ENVIRONMENT;\n"
            f"{inputs}{outputs}"
            f"  context.inputs = inputs;\n"
            f"  context.outputs = outputs;\n"
            f"  context.arena = (unsigned char *)arena;\n"
            f"  context.weights = {weights};\n"
            f"  context.scratch = (unsigned char *)arena + {self.program.arena.bytes};\n"
            f"{steps}"
            f"  return SUBBYTE_OK;\n"
            f"}}\n"
        )


def _straight_call(prefix: str, step: Step) -> str:
    """All tiles of a step at once, without the way through the list of steps."""
    call = f"{prefix}_step_{step.name}(&context, 0, {step.call.tiles}, 0)"
    return f"  if ((status = {call}) != SUBBYTE_OK) return status;\n" if step.call.checked else f"  {call};\n"


def _number(value: int | float) -> str:
    return c_real(value) if isinstance(value, float) else c_integer(int(value))


def _tensor_macros(prefix: str, onnx_name: str, of_type: TensorType) -> list[str]:
    extents = ", ".join(map(str, of_type.shape))
    lines = [
        f"/* {c_comment(onnx_name)}: {of_type} */",
        f"#define {prefix}_RANK {of_type.rank}",
        f"#define {prefix}_SHAPE {{{extents}}}" if of_type.rank else f"#define {prefix}_SHAPE {{1}}",
        f"#define {prefix}_ELEMENTS {of_type.elements}",
    ]
    if of_type.quant is not None and of_type.quant.is_per_tensor:
        scale, zero_point = of_type.quant.scalar()
        lines += [f"#define {prefix}_SCALE {c_real(scale)}", f"#define {prefix}_ZERO_POINT {c_integer(zero_point)}"]
    return [*lines, ""]


def _tensor_data(name: str, of_type: TensorType) -> str:
    """The shape, scales and zero points that a subbyte_tensor points to; scales of blocks have no place in it."""
    shape = ", ".join(map(c_integer, of_type.shape)) or "1"
    text = f"static const int64_t {name}_shape[] = {{{shape}}};\n"
    if of_type.quant is not None and of_type.quant.block is None:
        scale, zero_point = (np.atleast_1d(values) for values in of_type.quant.static())
        text += f"static const float {name}_scale[] = {{{', '.join(c_real(s) for s in scale.tolist())}}};\n"
        text += (
            f"static const int32_t {name}_zero_point[] = {{{', '.join(c_integer(z) for z in zero_point.tolist())}}};\n"
        )
    return text


def _tensor_row(name: str, onnx_name: str, of_type: TensorType) -> str:
    code = "SUBBYTE_BOOL" if of_type.dtype.kind == "bool" else _DTYPE_CODES[of_type.dtype.c_type]
    code = "SUBBYTE_FLOAT16" if of_type.dtype.name == "float16" else code
    quant = of_type.quant
    scales = (
        "0, 0, 0, 0"
        if quant is None or quant.block is not None
        else (f"{name}_scale, {name}_zero_point, {np.atleast_1d(quant.static()[0]).size}, {quant.axis or 0}")
    )
    return (
        f"    {{{c_string(onnx_name)}, {c_string(of_type.dtype.name)}, {code}, {of_type.rank}, {name}_shape, "
        f"{of_type.bytes}, {scales}}},"
    )
