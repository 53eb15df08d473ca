"""`subbyte run` and `subbyte bench`: samples through a model or a bundle, and how long they take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import subbyte

Cli = Callable[..., Any]


@pytest.fixture
def three_images(images: Path, tmp_path: Path) -> Path:
    with np.load(images) as archive:
        np.savez(tmp_path / "three.npz", input=archive["input"][:3])
    return tmp_path / "three.npz"


def test_every_sample_of_the_file_is_run(cli: Cli, bundle: Path, mlp: Path, three_images: Path, tmp_path: Path) -> None:
    report = cli("run", bundle, "--inputs", three_images, "--outputs", tmp_path / "out.npz", "--json").json()
    assert report == {
        "outputs": str(tmp_path / "out.npz"),
        "samples": 3,
        "arrays": {"logits": "float32[3, 1, 10]"},
    }
    with np.load(three_images) as archive, np.load(tmp_path / "out.npz") as found:
        for image, logits in zip(archive["input"], found["logits"], strict=True):
            assert logits.tobytes() == subbyte.evaluate(mlp, {"input": image})["logits"].tobytes()


def test_a_model_is_compiled_on_the_way(cli: Cli, bundle: Path, mlp: Path, three_images: Path, tmp_path: Path) -> None:
    for name, what, more in (("bundle", bundle, ()), ("model", mlp, ("--target", "portable"))):
        done = cli("run", what, "--inputs", three_images, "--outputs", tmp_path / f"{name}.npz", *more)
        assert done.code == 0, done.err
    with np.load(tmp_path / "bundle.npz") as first, np.load(tmp_path / "model.npz") as second:
        assert first["logits"].tobytes() == second["logits"].tobytes()


def test_one_sample_needs_no_sample_axis(cli: Cli, bundle: Path, images: Path, tmp_path: Path) -> None:
    with np.load(images) as archive:
        np.savez(tmp_path / "one.npz", input=archive["input"][0])
    done = cli("run", bundle, "--inputs", tmp_path / "one.npz", "--outputs", tmp_path / "out.npz")
    assert done.code == 0, done.err
    with np.load(tmp_path / "out.npz") as found:
        assert found["logits"].shape == (1, 1, 10)


def test_threads_do_not_change_the_answer(cli: Cli, bundle: Path, three_images: Path, tmp_path: Path) -> None:
    answers = []
    for threads in (1, 3):
        out = tmp_path / f"{threads}.npz"
        done = cli("run", bundle, "--inputs", three_images, "--outputs", out, "--threads", threads)
        assert done.code == 0, done.err
        with np.load(out) as found:
            answers.append(found["logits"].tobytes())
    assert answers[0] == answers[1]


def test_nan_and_infinity_are_quantized_as_written(cli: Cli, bundle: Path, mlp: Path, tmp_path: Path) -> None:
    image = np.zeros((1, 1, 8, 8), np.float32)
    image[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    np.savez(tmp_path / "odd.npz", input=image)
    done = cli("run", bundle, "--inputs", tmp_path / "odd.npz", "--outputs", tmp_path / "out.npz")
    assert done.code == 0, done.err
    with np.load(tmp_path / "out.npz") as found:
        assert found["logits"][0].tobytes() == subbyte.evaluate(mlp, {"input": image})["logits"].tobytes()


def test_a_target_for_a_bundle_is_a_usage_error(cli: Cli, bundle: Path, three_images: Path, tmp_path: Path) -> None:
    done = cli("run", bundle, "-i", three_images, "-o", tmp_path / "out.npz", "--target", "portable")
    assert done.code == 2
    assert "is a bundle" in done.err


def test_bench_reports_percentiles(cli: Cli, bundle: Path) -> None:
    report = cli("bench", bundle, "--repeats", 50, "--json").json()
    assert {"target", "threads", "median_us", "p10_us", "p90_us", "ops"} <= set(report)
    assert 0 < report["p10_us"] <= report["median_us"] <= report["p90_us"]
    assert (report["threads"], report["ops"]) == (1, [])


def test_bench_reports_every_step(cli: Cli, bundle: Path) -> None:
    report = cli("bench", bundle, "--repeats", 50, "--per-op", "--json").json()
    assert all({"name", "sources", "median_us", "macs", "bytes"} <= set(op) for op in report["ops"])
    assert sum(op["macs"] for op in report["ops"]) == 64 * 96 + 96 * 48 + 48 * 10
    assert any("hidden1" in str(op["sources"]) for op in report["ops"])


def test_bench_prints_a_table(cli: Cli, bundle: Path) -> None:
    done = cli("bench", bundle, "--repeats", 20, "--per-op")
    assert done.code == 0, done.err
    assert "GMAC/s" in done.out
    assert "median" in done.out
