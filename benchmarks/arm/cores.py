"""The cores that are asked about: what subbyte compiles for, what runs it here, and llvm's model of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.arm.mca import Model
from subbyte.targets.arm.processors import AARCH64, Processor, parse

_TRIPLES = {True: "aarch64-linux-gnu", False: "armv7a-linux-gnueabihf"}


@dataclass(frozen=True)
class Core:
    """target: of subbyte. model: llvm's model that stands for it, None where llvm has none."""

    target: str
    model: str | None

    @property
    def processor(self) -> Processor:
        found = parse(self.target)
        if found is None:
            raise ValueError(f"'{self.target}' is no processor of Arm")
        return found

    @property
    def is_wide(self) -> bool:
        return self.processor.state == AARCH64

    @property
    def triple(self) -> str:
        """For llvm's tools."""
        return _TRIPLES[self.is_wide]

    @property
    def attributes(self) -> str:
        """For llvm's tools: what the programs may hold."""
        return "+neon,+dotprod,+i8mm" if self.is_wide else "+neon,+vfp4,+hwdiv,+hwdiv-arm"

    @property
    def pipeline(self) -> Model | None:
        return None if self.model is None else Model(self.model, self.triple, self.attributes)

    @property
    def emulator(self) -> tuple[str, ...]:
        return ("qemu-aarch64" if self.is_wide else "qemu-arm", "-cpu", self.processor.qemu)


CORES = {
    core.target: core
    for core in (
        Core("cortex-a7", None),
        Core("cortex-a9", "cortex-a9"),
        Core("cortex-a53", "cortex-a53"),
        Core("cortex-a72", "cortex-a72"),
        Core("cortex-a55", "cortex-a55"),
        Core("cortex-a76", "neoverse-n1"),  # llvm 19's own cortex-a76 is the model of the A57
        Core("armv8.2-a+dotprod+i8mm", "neoverse-n2"),
    )
}
