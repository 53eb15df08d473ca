"""Times that were measured before, in a file of the user's cache: by machine, compiler, kernels and shapes."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from subbyte.compiler import knobs
from subbyte.compiler.errors import ToolchainError
from subbyte.compiler.quantize.costs.timed import Timing
from subbyte.compiler.target import Target
from subbyte.compiler.toolchain.compilers import Compiler

_TABLE = "CREATE TABLE IF NOT EXISTS times (key TEXT PRIMARY KEY, seconds REAL, low REAL, high REAL, about TEXT)"


class LatencyCache:
    """Timings by key; every key is that of one machine, compiler and target, and of one version of the kernels.

    path: an SQLite file; None: in the user's cache (XDG_CACHE_HOME, else ~/.cache).
    Raises: ToolchainError: the file cannot be read or written.
    """

    def __init__(self, target: Target, compiler: Compiler, path: Path | None = None) -> None:
        named = knobs.CACHE_FOLDER.read()
        self.path = path or (Path(named) if named else Path.home() / ".cache") / "subbyte" / "latencies.sqlite"
        self._here = "\n".join(
            [_processor(), str(os.cpu_count()), target.name, compiler.version, *compiler.flags_for(target)]
        )

    def key(self, what: str) -> str:
        """Of what is timed: all that its time depends on, in words."""
        return hashlib.sha256(f"{self._here}\n{what}".encode()).hexdigest()

    def read(self, keys: set[str]) -> dict[str, Timing]:
        """What is known of `keys`."""
        found: dict[str, Timing] = {}
        with closing(self._open()) as file:
            for key in keys:
                for row in file.execute("SELECT seconds, low, high FROM times WHERE key = ?", (key,)):
                    found[key] = Timing(*row)
        return found

    def write(self, timings: Mapping[str, tuple[Timing, str]]) -> None:
        """Keep timings; the text says what each is of."""
        rows = [(key, t.seconds, t.low, t.high, about) for key, (t, about) in timings.items()]
        try:
            with closing(self._open()) as file, file:
                file.executemany("INSERT OR REPLACE INTO times VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self.path, timeout=30)
            file.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        return file

    def _unusable(self, error: Exception) -> ToolchainError:
        return ToolchainError(
            f"the file of measured times '{self.path}' cannot be used: {error}. Remove it, or set "
            f"{knobs.CACHE_FOLDER.name} to a folder that can be written."
        )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "cpu family", "model\t", "CPU part", "flags", "Features")
    return "\n".join(line for line in text.split("\n\n")[0].splitlines() if line.startswith(wanted))
