"""`import subbyte` is cheap: in time, and in what it pulls in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

EXTRAS = {"ai_edge_litert", "onnxruntime", "scipy", "sklearn", "torch", "ziglang"}
SCRIPT = """
import json, sys, time
start = time.perf_counter()
import subbyte
print(json.dumps({"seconds": time.perf_counter() - start, "modules": sorted(sys.modules)}))
"""


def import_subbyte() -> tuple[float, set[str]]:
    """Seconds that the import takes in a fresh process, and the modules loaded after it."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    return answer["seconds"], set(answer["modules"])


def test_import_loads_no_extra() -> None:
    _, modules = import_subbyte()
    assert modules.isdisjoint(EXTRAS)


@pytest.mark.timing
def test_import_takes_under_300_ms() -> None:
    assert min(import_subbyte()[0] for _ in range(5)) < 0.3
