"""What a run has seen so far, in a file, so that a run that was killed goes on where it was.

An .npz of plain arrays, written beside and renamed, so that there is always a whole one: `identity` (of graph, back
end, observers and how many samples run at once), `chain` (of the samples that were read), `position` (how many), and
the states of the observers as `NUMBER/KEY`.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subbyte.compiler.calibration.observers import Observer
from subbyte.compiler.errors import ModelError
from subbyte.compiler.ir.graph import Graph
from subbyte.compiler.ir.node import Value
from subbyte.compiler.ir.text import print_graph

_FORMAT = "subbyte calibration 1"


@dataclass(frozen=True)
class Checkpoint:
    """A file that belongs to one run; `identity` is that of the run."""

    path: Path
    identity: bytes

    def save(self, position: int, chain: bytes, observers: Sequence[Observer]) -> None:
        """Replace the file.  Raises ModelError: it cannot be written."""
        arrays = {
            f"{number}/{key}": array
            for number, observer in enumerate(observers)
            for key, array in observer.state().items()
        }
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(
                    file,
                    allow_pickle=False,
                    identity=np.frombuffer(self.identity, np.uint8),
                    chain=np.frombuffer(chain, np.uint8),
                    position=np.asarray(position, np.int64),
                    **arrays,
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except OSError as error:
            raise ModelError(f"the checkpoint '{self.path}' cannot be written: {error}") from error

    def load(self, observers: Sequence[Observer]) -> tuple[int, bytes] | None:
        """Restore the observers; (position, chain), or None where there is no file.

        Raises ModelError: the file is none of ours, or of another run.
        """
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            identity, chain = arrays.pop("identity").tobytes(), arrays.pop("chain").tobytes()
            position = int(arrays.pop("position"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"'{self.path}' is not a checkpoint of a calibration: {error}; remove it or name another."
            ) from error
        if identity != self.identity:
            raise ModelError(
                f"the checkpoint '{self.path}' belongs to another run: its graph, back end, observers or batch were "
                "others. Remove it, or name another."
            )
        for number, observer in enumerate(observers):
            prefix = f"{number}/"
            observer.restore({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})
        return position, chain


def identity(graph: Graph, values: Sequence[Value], observers: Sequence[Observer], backend: str, batch: int) -> bytes:
    """SHA-256 of all that makes one run different from another, but for its samples."""
    numbers = {node: number for number, node in enumerate(graph.nodes())}
    digest = hashlib.sha256(f"{_FORMAT}\0{backend}\0{batch}\0{print_graph(graph)}".encode())
    for value, observer in zip(values, observers, strict=True):
        digest.update(f"\0{numbers[value.node]}.{value.index} {observer.describe()}".encode())
    return digest.digest()
