"""Tuning records: which kernel computes a node of the model, with which values of its knobs.

A file of records is JSON:

    {"format": 1,
     "records": [{"node": "/layer1/conv", "kernel": "subbyte_x86_sums_u8s8u8_avx512vnni", "version": "0f3a...",
                  "knobs": {"pixels": 6, "vectors": 4}}]}

`node` is an ONNX node that the operation computes, `version` (which may be left out) that of the kernel when it was
measured, as `subbyte list kernels` says it. A knob that is not named keeps the value that the cost model chooses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.compiler.errors import ModelError

FORMAT = 1
_KEYS = {"node", "kernel", "version", "knobs"}

Setting = tuple[tuple[str, int], ...]
"""Values of knobs by name, in alphabetical order; () leaves every choice to the cost model."""


def setting_of(knobs: Mapping[str, int]) -> Setting:
    """{"vectors": 4, "pixels": 6} -> (("pixels", 6), ("vectors", 4))"""
    return tuple(sorted(knobs.items()))


@dataclass(frozen=True)
class TuningRecord:
    """`kernel` with `setting` computes the operation of the ONNX node `node`; version "" is any."""

    node: str
    kernel: str
    setting: Setting = ()
    version: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As it stands in a file of records."""
        return {"node": self.node, "kernel": self.kernel, "version": self.version, "knobs": dict(self.setting)}


def read_tuning(path: str | os.PathLike[str]) -> tuple[TuningRecord, ...]:
    """The records of the file `path`.  Raises ModelError: it cannot be read, or it is no file of records."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the tuning records '{path}' cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("records"), list):
        raise ModelError(f"'{path}' is no file of tuning records: {{'format': {FORMAT}, 'records': [...]}} is expected")
    return tuple(_record(path, number, record) for number, record in enumerate(content["records"]))


def write_tuning(path: str | os.PathLike[str], records: tuple[TuningRecord, ...]) -> None:
    """Write a file that `read_tuning` reads back."""
    content = {"format": FORMAT, "records": [record.as_dict() for record in records]}
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _record(path: str | os.PathLike[str], number: int, record: Any) -> TuningRecord:
    if not isinstance(record, dict):
        raise ModelError(f"record {number} of '{path}' is {json.dumps(record)}; an object is expected")
    if unknown := sorted(record.keys() - _KEYS):
        raise ModelError(f"record {number} of '{path}' has the key '{unknown[0]}'; keys are {', '.join(sorted(_KEYS))}")
    for key in ("node", "kernel"):
        if not isinstance(record.get(key), str):
            raise ModelError(f"record {number} of '{path}' has no text under '{key}'")
    knobs, version = record.get("knobs", {}), record.get("version", "")
    if not isinstance(version, str):
        raise ModelError(f"record {number} of '{path}' has the version {json.dumps(version)}; a text is expected")
    if not isinstance(knobs, dict) or not all(type(value) is int for value in knobs.values()):
        raise ModelError(
            f"record {number} of '{path}' has the knobs {json.dumps(knobs)}; an object of whole numbers is expected"
        )
    return TuningRecord(record["node"], record["kernel"], setting_of(knobs), version)
