"""From a LOWERED graph to a Program: steps in order, where each value and constant lies. Nothing is chosen here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from subbyte.compiler.codegen.memory import Lifetime, Plan, plan_arena
from subbyte.compiler.errors import GraphError
from subbyte.compiler.ir.graph import Graph, Stage
from subbyte.compiler.ir.lowered import KernelCall, View
from subbyte.compiler.ir.macs import multiply_accumulates
from subbyte.compiler.ir.node import Constant, Input, Node, Value
from subbyte.compiler.ir.types import TensorType
from subbyte.compiler.target import Call, ConstantArray, Kernel, OperandPointer, Pointers, Target, as_array
from subbyte.compiler.tuning import Setting

ARENA_ALIGN = 64


@dataclass(frozen=True)
class InArena:
    """A place in the arena, in bytes from its start."""

    offset: int


@dataclass(frozen=True)
class InInput:
    """The caller's input `index`."""

    index: int


@dataclass(frozen=True)
class InOutput:
    """The caller's output `index`."""

    index: int


@dataclass(frozen=True, eq=False)
class InConstant:
    """Constant data of the model."""

    array: ConstantArray


Place = InArena | InInput | InOutput | InConstant


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel call, or a copy to an output where `kernel` is None."""

    name: str
    sources: tuple[str, ...]
    call: Call
    kernel: Kernel | None
    operands: tuple[Place, ...]
    results: tuple[Place, ...]
    operand_types: tuple[str, ...]  # C types, as the pointers are declared
    result_types: tuple[str, ...]
    macs: int
    bytes: int
    setting: Setting = ()  # of the kernel's knobs, as far as it was asked for


@dataclass(frozen=True, eq=False)
class Program:
    """Everything that the C printer needs, and nothing that it would have to decide."""

    graph: Graph
    target: Target
    steps: tuple[Step, ...]
    arena: Plan
    scratch_bytes: int

    @property
    def features(self) -> tuple[str, ...]:
        """What the processor must have: of the target, since its flags let the compiler use all of it."""
        return tuple(sorted(self.target.features))


def build_program(graph: Graph, target: Target) -> Program:
    """Place every value, and make a step of every kernel call, in the graph's order."""
    if graph.stage is not Stage.LOWERED:
        raise GraphError(f"a program is made of a lowered graph; '{graph.name}' is {graph.stage.value}")
    calls = [node for node in graph.nodes() if isinstance(node, KernelCall)]
    prepared = [target.kernel(type(node.op), node.kernel) for node in calls]
    places, arena = _place_values(graph, calls, prepared)
    steps = [
        _step(index, node, kernel, places) for index, (node, kernel) in enumerate(zip(calls, prepared, strict=True))
    ]
    steps.extend(_output_copies(graph, places, len(steps)))
    scratch = max((step.call.scratch_bytes for step in steps), default=0)
    return Program(graph, target, tuple(steps), arena, _round_up(scratch))


def reads_operand(step: Step, index: int) -> bool:
    """Whether the call is given a pointer to operand `index`; a copy reads its only operand."""
    pointers = [
        item
        for argument in step.call.arguments
        for item in (argument.items if isinstance(argument, Pointers) else (argument,))
    ]
    return step.kernel is None or OperandPointer(index) in pointers


def storage_of(value: Value) -> Value:
    """The value whose memory `value` shows: itself, or what it is a view of."""
    while isinstance(value.node, View):
        value = value.node.operands[0]
    return value


def _round_up(size: int) -> int:
    return -(-size // ARENA_ALIGN) * ARENA_ALIGN


def _place_values(graph: Graph, calls: list[KernelCall], kernels: list[Kernel]) -> tuple[dict[Value, Place], Plan]:
    places: dict[Value, Place] = {Value(node, 0): InInput(i) for i, node in enumerate(graph.inputs)}
    for i, output in enumerate(graph.outputs):
        root = storage_of(output.value)
        if root not in places and isinstance(root.node, KernelCall):
            places[root] = InOutput(i)
    for node in graph.nodes():
        if isinstance(node, Constant):
            places.setdefault(Value(node, 0), InConstant(_constant_operand(node)))
    lifetimes: dict[Value, Lifetime] = {}
    for step, (node, kernel) in enumerate(zip(calls, kernels, strict=True)):
        for operand in node.operands:
            root = storage_of(operand)
            if root in lifetimes:
                lifetimes[root].last = step
        for index, of_type in enumerate(node.types):
            result = Value(node, index)
            if result not in places:
                shares = [node.operands[i] for i in kernel.in_place] if index == 0 else []
                roots = [storage_of(operand) for operand in shares if _lies_alike(operand.type, of_type)]
                same = tuple(lifetimes[root] for root in roots if root in lifetimes)
                lifetimes[result] = Lifetime(of_type.bytes, step, step, same)
    plan = plan_arena(list(lifetimes.values()), ARENA_ALIGN)
    for value, lifetime in lifetimes.items():
        places[value] = InArena(lifetime.offset)
    return places, plan


def _lies_alike(operand: TensorType, result: TensorType) -> bool:
    """Whether element i of both stands at the same byte, so that one may take the place of the other."""
    same_element = operand.dtype.numpy.itemsize == result.dtype.numpy.itemsize
    return same_element and operand.stored_shape == result.stored_shape and operand.bytes == result.bytes


def _constant_operand(node: Constant) -> ConstantArray:
    """A constant that a kernel reads as it is, in stored order."""
    stored = np.transpose(node.value, node.type.order)
    return ConstantArray(
        "operand", as_array(stored, stored.dtype), "row_major" if node.type.layout is None else "stored"
    )


def _step(index: int, node: KernelCall, kernel: Kernel, places: dict[Value, Place]) -> Step:
    operands = tuple(places[storage_of(operand)] for operand in node.operands)
    results = tuple(places[Value(node, i)] for i in range(len(node.types)))
    call = kernel.call(node.op, **dict(node.setting))
    constants = sum(argument.data.nbytes for argument in call.arguments if isinstance(argument, ConstantArray))
    moved = sum(operand.type.bytes for operand in node.operands if not isinstance(operand.node, Constant))
    return Step(
        name=f"{index:02d}_{type(node.op).__name__}",
        sources=node.sources or node.op.sources,
        call=call,
        kernel=kernel,
        operands=operands,
        results=results,
        operand_types=tuple(operand.type.dtype.c_type for operand in node.operands),
        result_types=tuple(t.dtype.c_type for t in node.types),
        macs=multiply_accumulates(node),
        bytes=moved + constants + sum(t.bytes for t in node.types),
        setting=node.setting,
    )


def _output_copies(graph: Graph, places: dict[Value, Place], first: int) -> list[Step]:
    """Copies for outputs whose value lies elsewhere: an input, a constant, or another output."""
    copies: list[Step] = []
    for i, output in enumerate(graph.outputs):
        place = places[storage_of(output.value)]
        if place == InOutput(i):
            continue
        of_type = output.value.type
        copies.append(
            Step(
                name=f"{first + len(copies):02d}_Copy",
                sources=_names_of(output.value.node, output.name),
                call=Call("memcpy", ()),
                kernel=None,
                operands=(place,),
                results=(InOutput(i),),
                operand_types=(of_type.dtype.c_type,),
                result_types=(of_type.dtype.c_type,),
                macs=0,
                bytes=2 * of_type.bytes,
            )
        )
    return copies


def _names_of(node: Node, output: str) -> tuple[str, ...]:
    return node.sources or ((node.name,) if isinstance(node, Input) else (output,))
