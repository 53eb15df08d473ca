"""The contract of targets/: what a target is, what a kernel is, and how a kernel asks to be called.

A target family is one folder of targets/ and one entry point in the group `subbyte.targets`. It resolves names such as
`x86-64-v3+avxvnni` to a Target: features, facts, compiler flags and the kernels that those features allow, best first
by cost; the kernels of the family `portable` stand behind them all.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.errors import UnsupportedError
from subbyte.compiler.ir.node import Node
from subbyte.compiler.tuning import Setting, TuningRecord, setting_of

# How a kernel asks to be called ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OperandPointer:
    """`const T *` to operand `index` of the operation, T the C type of its dtype."""

    index: int


@dataclass(frozen=True)
class ResultPointer:
    """`T *` to result `index` of the operation."""

    index: int = 0


@dataclass(frozen=True)
class Pointers:
    """`const void *const *` to several operands, or `void *const *` to several results: for any number of them."""

    items: tuple[OperandPointer, ...] | tuple[ResultPointer, ...]


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """`const c_type *` to constant data, aligned; equal contents are stored once.

    role: what it is, for the reader of the C source and the manifest: "weights", "bias", "multiplier", "table".
    layout: the id of the packing, "row_major" where nothing is packed.
    """

    role: str
    data: NDArray[Any]
    layout: str = "row_major"
    align: int = 64


@dataclass(frozen=True)
class ConstantStruct:
    """`const struct c_struct *` to constant geometry; fields in the order of their declaration in the header."""

    c_struct: str
    fields: tuple[tuple[str, int | float | tuple[int, ...] | tuple[float, ...]], ...]


@dataclass(frozen=True)
class Integer:
    """An integer literal."""

    value: int


@dataclass(frozen=True)
class Real:
    """A float literal, printed in hexadecimal; float32 exactly."""

    value: float


class Special(Enum):
    """What only the caller knows: the tiles to do, the scratch memory of this thread (`void *`, 64-byte aligned)."""

    TILE_BEGIN = "begin"
    TILE_END = "end"
    SCRATCH = "scratch"


Argument = OperandPointer | ResultPointer | Pointers | ConstantArray | ConstantStruct | Integer | Real | Special


@dataclass(frozen=True)
class Call:
    """symbol(arguments...), split into `tiles` independent pieces, each thread with `scratch_bytes` of its own.

    checked: the function returns int32_t, 0 or an error that stops the run; otherwise it returns nothing.
    proof: how the requantization was shown equal to N4, for the manifest; "" where there is none.
    """

    symbol: str
    arguments: tuple[Argument, ...]
    tiles: int = 1
    scratch_bytes: int = 0
    checked: bool = False
    proof: str = ""


# Kernels --------------------------------------------------------------------------------------------------------------


class Storage(Enum):
    """How a kernel wants its tensors stored."""

    CHANNELS_LAST = "channels last: [N, spatial..., C]"
    ROW_MAJOR = "row-major"
    ANY = "any order, the same for all operands and results; the kernel works on stored extents and axes"


class Packs(Enum):
    """Where codes of 1, 2 and 4 bits share bytes between layers."""

    NEVER = "nowhere"
    FOR_SPEED = "where the kernels that write and read them cost less so"
    FOR_SPACE = "wherever there are kernels that write and read them so"


class Signs(Enum):
    """The types in which codes of up to 8 bits are stored between layers; weights are signed but for ANY."""

    ANY = "as the model has them"
    UNSIGNED = "unsigned"
    SIGNED_BYTES = "8 bits signed, fewer unsigned"


@dataclass(frozen=True)
class TargetFacts:
    """What passes and kernels may ask about a machine."""

    vector_bits: int = 0
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 256 * 1024
    signs: Signs = Signs.ANY
    has_fpu: bool = True
    bytes_per_second: float = 1e10  # tensors as they come from, and go to, the cache where those of a layer lie
    packs_activations: Packs = Packs.NEVER  # whether codes of 1, 2 and 4 bits share bytes between layers
    threshold_steps: int = 15  # N4 of at most so many steps is done by thresholds (N5), where a kernel can; 0: never
    core: str = ""  # the pipeline whose costs apply, "cortex-a53", where those of a family differ by it
    scalar_slowdown: float = 1.0  # of plain C, beside a desktop processor: of the costs of `portable`


def always(op: Node) -> bool:
    """Accepts every operation of the kernel's type."""
    return True


def fits_always(op: Node, setting: Mapping[str, int]) -> bool:
    """Every combination of listed values is one that the kernel can do."""
    return True


@dataclass(frozen=True)
class KernelKnob:
    """A choice within a kernel that changes its speed and no result: for the tuner, and for `compile --tuning`.

    (compiler/knobs.py is about another thing: environment variables.)

    values: all that may be asked for; which of them an operation admits, alone and together, the row's `fits` says.
    """

    name: str
    meaning: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """One row of a target's kernel table.

    op: the operation it computes; accepts: whether it computes this one (dtypes, shapes, quantization).
    symbol: the C function; header: its file, relative to the target's kernels/ folder.
    features: what the processor must have. cost: seconds, roughly; the lowest wins, ties fall to the earlier row.
    in_place: operands whose memory the result may share: element i of the result is written after element i of the
        operand is read for the last time, in every tile.
    knobs: what can be chosen within it; call(op, pixels=6) takes them by name, and chooses those that are left out.
    fits: whether the kernel computes this operation with these values of its knobs, and its choice for those left out;
        a part of a setting that fits does too.
    """

    op: type[Node]
    symbol: str
    header: Path
    storage: Storage
    call: Callable[..., Call]
    cost: Callable[[Node, TargetFacts], float]
    accepts: Callable[[Node], bool] = always
    in_place: tuple[int, ...] = ()
    features: frozenset[str] = frozenset()
    operands: str = ""  # for `list kernels`: "u8 s8 -> u8"
    tile: tuple[int, ...] = ()
    knobs: tuple[KernelKnob, ...] = ()
    fits: Callable[[Any, Mapping[str, int]], bool] = fits_always

    def check(self, op: Node, setting: Setting) -> None:
        """Raises UnsupportedError: `setting` names an unknown knob or value, or the operation does not admit it."""
        known = {knob.name: knob for knob in self.knobs}
        for name, value in setting:
            if name not in known:
                offered = f"its knobs are {', '.join(known)}" if known else "it has none"
                raise UnsupportedError(f"kernel '{self.symbol}' has no knob '{name}'; {offered}")
            if value not in known[name].values:
                values = ", ".join(map(str, known[name].values))
                raise UnsupportedError(f"knob '{name}' of kernel '{self.symbol}' is {value}; its values are {values}")
        if not self.fits(op, dict(setting)):
            asked = ", ".join(f"{name} {value}" for name, value in setting)
            raise UnsupportedError(
                f"kernel '{self.symbol}' does not compute {op.label} with {asked}; leave a knob out, and the cost "
                "model chooses its value"
            )

    def settings(self, op: Node) -> Iterator[Setting]:
        """Every complete setting that `op` admits, in the order of the knobs; () alone where there are none."""
        return self._complete(op, {}, self.knobs)

    def _complete(self, op: Node, chosen: dict[str, int], left: tuple[KernelKnob, ...]) -> Iterator[Setting]:
        if not left:
            yield setting_of(chosen)
            return
        for value in left[0].values:
            further = {**chosen, left[0].name: value}
            if self.fits(op, further):
                yield from self._complete(op, further, left[1:])

    @property
    def family(self) -> str:
        """The target family it belongs to: the folder of targets/ that holds its header."""
        return self.header.parents[1].name

    @cached_property
    def version(self) -> str:
        """SHA-256 over the header and every header that it includes with quotes; tuning records are keyed by it."""
        digest = hashlib.sha256()
        for path in header_closure(self.header, strict=False):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:16]


_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@cache
def header_closure(header: Path, *, strict: bool = True) -> tuple[Path, ...]:
    """`header` and the headers it includes with quotes, each once, included before including.

    A quoted name is looked up beside its includer, then in targets/common/kernels; where it is in neither, that is an
    error, or, if not `strict`, one of another's: ap_int.h of HLS tools.
    """
    common = header.parents[2] / "common" / "kernels"
    done: dict[Path, None] = {}
    stack = [(header, False)]
    while stack:
        path, visited = stack.pop()
        if visited:
            done[path] = None
        elif path not in done:
            stack.append((path, True))
            for name in reversed(_INCLUDE.findall(path.read_text())):
                found = next((folder / name for folder in (path.parent, common) if (folder / name).is_file()), None)
                if found is None and not strict:
                    continue
                if found is None:
                    raise UnsupportedError(f'{path.name} includes "{name}", which is neither beside it nor in {common}')
                stack.append((found, False))
    return tuple(done)


# Targets --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """What to generate code for: a name, features, facts, flags, and the kernels that it can run, `portable` last."""

    name: str
    family: str
    features: frozenset[str]
    facts: TargetFacts
    compiler_flags: tuple[str, ...]  # for gcc and clang: -march=x86-64-v3
    zig_target: str  # for `zig cc -target`
    zig_cpu: str  # for `zig cc -mcpu`
    kernels: tuple[Kernel, ...] = field(repr=False)
    runs_here: bool = False  # this process can load what is built for it
    programs_may_run_here: bool = False  # this machine may run its programs: those of 32 bits on an Arm of 64
    emulator: tuple[str, ...] = ()  # what runs its static programs elsewhere: ("qemu-aarch64", "-cpu", "cortex-a72")
    tuning: tuple[TuningRecord, ...] = field(repr=False, default=())  # choices that were measured, by ONNX node
    language: str = "c"  # of what is generated: "c", a bundle; "hls", a project for high-level synthesis

    def kernels_for(self, op: type[Node]) -> Iterator[Kernel]:
        """The rows for operations of type `op`, in the order of the table."""
        return (kernel for kernel in self.kernels if kernel.op is op)

    def storage_of(self, op: type[Node]) -> Storage | None:
        """How the kernels for `op` want their tensors stored; None where there is no kernel."""
        return next((kernel.storage for kernel in self.kernels_for(op)), None)

    def cheapest(self, op: Node) -> Kernel | None:
        """The row of the lowest cost that accepts `op`, of several the first; None where there is none."""
        accepted = [kernel for kernel in self.kernels_for(type(op)) if kernel.accepts(op)]
        return min(accepted, key=lambda kernel: kernel.cost(op, self.facts), default=None)

    def choose(self, op: Node) -> tuple[Kernel, Setting] | None:
        """The row that computes `op` and the setting of its knobs: what is recorded, else the cheapest as it chooses.

        Raises UnsupportedError: a record asks for a kernel, a version of it, or a setting that does not compute `op`.
        """
        record = next((record for record in self.tuning if self._concerns(record, op)), None)
        if record is None:
            kernel = self.cheapest(op)
            return None if kernel is None else (kernel, ())
        kernel = self.kernel(type(op), record.kernel)
        if not kernel.accepts(op):
            raise UnsupportedError(
                f"the tuning record for node '{record.node}' names kernel '{kernel.symbol}', which does not accept "
                f"{op.label} of {', '.join(str(operand.type) for operand in op.operands)}; leave the record out"
            )
        if record.version not in ("", kernel.version):
            raise UnsupportedError(
                f"the tuning record for node '{record.node}' was taken of version {record.version} of kernel "
                f"'{kernel.symbol}'; this is version {kernel.version}. Tune again, or leave the record out."
            )
        kernel.check(op, record.setting)
        return kernel, record.setting

    def _concerns(self, record: TuningRecord, op: Node) -> bool:
        """Whether `op` computes the node of the record, and its kernel is one for such operations."""
        return record.node in op.sources and any(k.symbol == record.kernel for k in self.kernels_for(type(op)))

    def unused_tuning(self, ops: tuple[Node, ...]) -> TuningRecord | None:
        """The first record that concerns none of the operations."""
        return next((record for record in self.tuning if not any(self._concerns(record, op) for op in ops)), None)

    def cost(self, op: Node) -> float | None:
        """What `op` costs with its cheapest kernel, in seconds, roughly; None where there is none."""
        kernel = self.cheapest(op)
        return None if kernel is None else kernel.cost(op, self.facts)

    def kernel(self, op: type[Node], symbol: str) -> Kernel:
        """The row for `op` whose C function is `symbol`."""
        found = next((kernel for kernel in self.kernels_for(op) if kernel.symbol == symbol), None)
        if found is None:
            raise UnsupportedError(f"target '{self.name}' has no kernel '{symbol}' for {op.__name__}")
        return found


@dataclass(frozen=True)
class Board:
    """A board: a name for a target together with its memory limits; flash_bytes is 0 where models lie in files."""

    name: str
    target: str
    ram_bytes: int
    flash_bytes: int


@dataclass(frozen=True)
class TargetFamily:
    """One folder of targets/.

    names: the names that `list targets` shows. resolve: a name to a Target, None for names of others; it raises
    UnsupportedError for a name of its own with an unknown feature. native: the Target that fits this machine, None
    where the family does not run here.
    """

    name: str
    names: tuple[str, ...]
    resolve: Callable[[str], Target | None]
    native: Callable[[], Target | None]
    kernels: tuple[Kernel, ...] = field(repr=False, default=())
    boards: tuple[Board, ...] = ()


@cache
def families() -> dict[str, TargetFamily]:
    """The installed target families by name, `portable` last."""
    found = {point.name: point.load() for point in metadata.entry_points(group="subbyte.targets")}
    return dict(sorted(found.items(), key=lambda item: (item[0] == "portable", item[0])))


def find_target(name: str) -> Target:
    """The target called `name`; `native` is this machine.  Raises UnsupportedError, naming the nearest names."""
    known = families()
    if name == "native":
        return next(target for family in known.values() if (target := family.native()) is not None)
    for family in known.values():
        if (target := family.resolve(name)) is not None:
            return target
    names = ["native", *(n for family in known.values() for n in family.names)]
    boards = [board.name for family in known.values() for board in family.boards]
    raise UnsupportedError(
        f"there is no target '{name}'.{did_you_mean(name, [*names, *boards])} Targets are {', '.join(names)}; features "
        f"are added with '+'. Boards are {', '.join(boards)}."
    )


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """` Did you mean 'cortex-a72'?` for `cortex-a71`; "" where nothing is near.

    Names of the same length come first, and among them those whose differing letters are neighbours.
    """
    near = difflib.get_close_matches(name, names, n=8)
    alike = [each for each in near if len(each) == len(name)]
    if alike:
        best = min(alike, key=lambda each: sum(abs(ord(a) - ord(b)) for a, b in zip(each, name, strict=True)))
        return f" Did you mean '{best}'?"
    return f" Did you mean '{near[0]}'?" if near else ""


def as_array(data: Any, dtype: Any) -> NDArray[Any]:
    """Constant data for a ConstantArray: contiguous, read-only."""
    array = np.ascontiguousarray(data, dtype=dtype)
    array.setflags(write=False)
    return array
