"""Bytes that are not, or hardly, a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto

Check = Callable[[bytes], None]
FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def test_a_model_cut_off_anywhere(victim: ModelProto, imports_or_refuses: Check) -> None:
    content = victim.SerializeToString()
    for end in range(len(content)):
        imports_or_refuses(content[:end])


def test_a_model_that_lost_its_beginning(victim: ModelProto, imports_or_refuses: Check) -> None:
    content = victim.SerializeToString()
    for begin in range(1, len(content), 7):
        imports_or_refuses(content[begin:])


@FUZZ
@given(content=st.binary(max_size=400))
def test_random_bytes(imports_or_refuses: Check, content: bytes) -> None:
    imports_or_refuses(content)


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits(victim: ModelProto, imports_or_refuses: Check, seed: int) -> None:
    content = np.frombuffer(victim.SerializeToString(), np.uint8)
    random = np.random.default_rng(seed)
    for _ in range(250):
        harmed = content.copy()
        places = random.integers(0, harmed.size, random.choice([1, 1, 1, 2, 5, 20]))
        harmed[places] ^= (1 << random.integers(0, 8, places.size)).astype(np.uint8)
        imports_or_refuses(harmed.tobytes())


@pytest.mark.parametrize("seed", range(4))
def test_pieces_left_out_or_doubled(victim: ModelProto, imports_or_refuses: Check, seed: int) -> None:
    content = victim.SerializeToString()
    random = np.random.default_rng(seed)
    for _ in range(250):
        begin, end = sorted(random.integers(0, len(content), 2))
        end = min(end, begin + int(random.choice([1, 2, 5, 20, 200])))
        imports_or_refuses(content[:begin] + content[end:])
        imports_or_refuses(content[:end] + content[begin:])
