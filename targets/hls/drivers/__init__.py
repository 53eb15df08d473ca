"""driver/: what software needs to use a design: C for bare metal, and a class for PYNQ."""

from __future__ import annotations

from collections.abc import Sequence

from subbyte.targets.hls.actors import Design
from subbyte.targets.hls.bus.protocols import DesignBus
from subbyte.targets.hls.drivers.bare_metal import bare_metal_files
from subbyte.targets.hls.drivers.pynq import pynq_file
from subbyte.targets.hls.project.options import Tensor


def driver_files(design: Design, bus: DesignBus, tensors: Sequence[Tensor]) -> dict[str, bytes]:
    """driver/NAME_driver.h, driver/NAME_driver.c and driver/NAME_pynq.py; tensors: what the codes of streams mean."""
    return {**bare_metal_files(design.name, bus, tensors), **pynq_file(design.name, bus, tensors)}
