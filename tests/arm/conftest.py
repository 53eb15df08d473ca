"""What the tests of Arm share: the need of an emulator, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.target import find_target
from subbyte.compiler.toolchain.emulators import find_emulator, needs_emulator


@pytest.fixture
def emulated(optional_capability: Callable[[str, str], NoReturn]) -> Callable[[str], str]:
    """emulated(name) is `name`, a target that runs on this machine or under an emulator that is there."""

    def checked(name: str) -> str:
        target = find_target(name)
        if needs_emulator(target):
            try:
                find_emulator(target)
            except ToolchainError as error:
                optional_capability("emulator", str(error))
        return name

    return checked
