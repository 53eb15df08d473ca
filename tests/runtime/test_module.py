"""Module.run, profile, benchmark, save: the small model computes what it should, and bad data is refused by name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler.errors import ModelError
from subbyte.compiler.runtime import Module, load
from tests.runtime.conftest import MakeBundle

Arrays = dict[str, NDArray[Any]]


def operands(seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        "x": random.standard_normal((4, 8)).astype(np.float32),
        "q": random.integers(0, 15, 8, dtype=np.uint8),
    }


def expected_y(inputs: Arrays) -> NDArray[np.float32]:
    shifted = inputs["q"].astype(np.float32) - np.float32(3)
    return np.asarray(inputs["x"] * np.float32(2) + shifted, dtype=np.float32)


@pytest.fixture
def module(make_bundle: MakeBundle) -> Module:
    return load(make_bundle())


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
def test_run_computes_the_model_on_any_number_of_threads(make_bundle: MakeBundle, threads: int) -> None:
    module = load(make_bundle(), threads=threads)
    for seed in range(20):
        inputs = operands(seed)
        outputs = module.run(inputs)
        assert list(outputs) == ["y", "codes", "tiny", "half"]
        np.testing.assert_array_equal(outputs["y"], expected_y(inputs))
        np.testing.assert_array_equal(outputs["codes"], inputs["q"])
        assert outputs["codes"].dtype == np.uint8
        assert outputs["half"].dtype == np.float16
        assert outputs["half"].tolist() == [1.5, -2.0]


def test_subnormals_are_kept(module: Module) -> None:
    tiny = module.run(operands())["tiny"]
    assert tiny.tolist() == [float(np.finfo(np.float32).smallest_normal) / 2] * 4


def test_signature_is_that_of_the_manifest(module: Module) -> None:
    assert [str(signature) for signature in module.inputs] == ["'x' float32[4, 8]", "'q' uint4[8]"]
    assert module.inputs[1].scale == (0.5,)
    assert module.inputs[1].zero_point == (3,)
    assert module.inputs[0].scale is None
    assert module.manifest["digest"] == "0123456789abcdef" * 4


def test_nan_and_infinity_pass_through(module: Module) -> None:
    inputs = operands()
    inputs["x"][0, :3] = [np.nan, np.inf, -np.inf]
    np.testing.assert_array_equal(module.run(inputs)["y"], expected_y(inputs))


def test_inputs_are_not_changed_and_outputs_are_new(module: Module) -> None:
    inputs = operands()
    inputs["x"].setflags(write=False)
    before = inputs["q"].copy()
    first, second = module.run(inputs), module.run(inputs)
    np.testing.assert_array_equal(inputs["q"], before)
    assert not np.shares_memory(first["y"], second["y"])
    assert first["y"].flags.writeable


def unaligned(array: NDArray[Any]) -> NDArray[Any]:
    data = np.zeros(array.nbytes + 1, np.uint8)
    shifted = data[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def every_second(array: NDArray[Any]) -> NDArray[Any]:
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


@pytest.mark.parametrize("rearranged", [np.asfortranarray, unaligned, every_second], ids=lambda form: form.__name__)
def test_arrays_of_any_memory_layout_are_taken(module: Module, rearranged: Any) -> None:
    inputs = operands()
    outputs = module.run({name: rearranged(array) for name, array in inputs.items()})
    np.testing.assert_array_equal(outputs["y"], expected_y(inputs))


X, Q = operands()["x"], operands()["q"]


@pytest.mark.parametrize(
    ("inputs", "parts"),
    [
        ({"x": X}, ["Input 'q' is missing", "'x' float32[4, 8], 'q' uint4[8]"]),
        ({"x": X, "q": Q, "z": Q}, ["no input 'z'", "'x' float32[4, 8], 'q' uint4[8]"]),
        ([X, Q], ["list", "dict"]),
        ({"x": X.tolist(), "q": Q}, ["'x'", "list", "NumPy array"]),
        ({"x": X.astype(np.float64), "q": Q}, ["'x'", "float64", "float32 is expected"]),
        ({"x": X.astype(">f4"), "q": Q}, ["'x'", ">f4", "float32 is expected"]),
        ({"x": X, "q": Q.astype(np.int8)}, ["'q'", "int8", "uint8 is expected"]),
        ({"x": X[0], "q": Q}, ["'x'", "[8]", "[4, 8] is expected"]),
        ({"x": X[np.newaxis], "q": Q}, ["'x'", "[1, 4, 8]", "[4, 8] is expected"]),
        ({"x": X, "q": np.float32(1)}, ["'q'", "float32"]),
        ({"x": X, "q": Q + np.uint8(13)}, ["'q'", "uint4", "0 to 15"]),
    ],
)
def test_wrong_inputs_are_refused_by_name(module: Module, inputs: Any, parts: list[str]) -> None:
    with pytest.raises(ModelError) as refusal:
        module.run(inputs)
    for part in parts:
        assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_refusing_step_is_named_and_the_module_survives_it(make_bundle: MakeBundle, threads: int) -> None:
    module = load(make_bundle(), threads=threads)
    inputs = operands()
    refused = inputs | {"q": np.full(8, 15, np.uint8)}
    for _ in range(3):
        with pytest.raises(ModelError, match=r"Step '01_Double' of model 'small'.*failed with code -4.*refused"):
            module.run(refused)
        np.testing.assert_array_equal(module.run(inputs)["y"], expected_y(inputs))


@pytest.mark.parametrize("threads", [1, 2])
def test_one_module_serves_many_python_threads(make_bundle: MakeBundle, threads: int) -> None:
    module = load(make_bundle(), threads=threads)
    wrong: list[int] = []

    def call(caller: int) -> None:
        for i in range(100):
            inputs = operands(1000 * caller + i)
            if not np.array_equal(module.run(inputs)["y"], expected_y(inputs)):
                wrong.append(i)

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


@pytest.mark.parametrize("threads", [1, 3])
def test_profile_names_every_step_in_order(make_bundle: MakeBundle, threads: int) -> None:
    steps = load(make_bundle(), threads=threads).profile(operands(), repeats=5)
    assert [step["name"] for step in steps] == ["00_Offset", "01_Double", "02_Halve", "03_Half"]
    assert steps[1] | {"median_ns": 0} == {
        "name": "01_Double",
        "sources": '/double "twice" + /add',
        "kernel": "twice",
        "macs": 32,
        "bytes": 288,
        "tiles": 4,
        "median_ns": 0,
    }
    assert all(0 <= step["median_ns"] < 1_000_000_000 for step in steps)


def test_benchmark_times_each_run(module: Module) -> None:
    for repeats in (1, 31, 32, 33, 100):
        times = module.benchmark(operands(), repeats=repeats, warmup=1)
        assert times.shape == (repeats,)
        assert times.dtype == np.int64
        assert (times > 0).all()


def test_benchmark_and_profile_do_without_inputs(module: Module) -> None:
    assert module.benchmark(repeats=2).shape == (2,)
    assert len(module.profile(repeats=1)) == 4


@pytest.mark.parametrize("repeats", [0, -1])
def test_repeats_are_positive(module: Module, repeats: int) -> None:
    with pytest.raises(ModelError, match="at least 1"):
        module.benchmark(operands(), repeats=repeats)
    with pytest.raises(ModelError, match="at least 1"):
        module.profile(operands(), repeats=repeats)


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_the_number_of_threads_is_bounded(make_bundle: MakeBundle, threads: int) -> None:
    with pytest.raises(ModelError, match=rf"1 to 1024 threads, not on {threads}"):
        load(make_bundle(), threads=threads)


# save -----------------------------------------------------------------------------------------------------------------


def test_a_saved_bundle_loads_and_runs(module: Module, tmp_path: Path) -> None:
    inputs = operands()
    saved = module.save(tmp_path / "deep" / "saved")
    assert sorted(path.name for path in saved.iterdir()) == ["libmodel.so", "manifest.json"]
    np.testing.assert_array_equal(load(saved).run(inputs)["y"], expected_y(inputs))
    assert module.save(module.path) == module.path


def test_save_replaces_a_bundle_and_what_it_alone_had(make_bundle: MakeBundle) -> None:
    old = make_bundle("old", files={"only_in_old.h": b"/* old */"})
    (old / "mine.txt").write_text("not of the bundle")
    load(make_bundle("new", files={"model.h": b"/* new */"})).save(old)
    names = {path.name for path in old.iterdir()}
    assert names == {"libmodel.so", "manifest.json", "model.h", "mine.txt"}
    load(old).run(operands())


def test_save_keeps_what_is_not_a_bundle(module: Module, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("...")
    with pytest.raises(ModelError, match="not a bundle"):
        module.save(tmp_path / "precious")
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["thesis.tex"]
    with pytest.raises(ModelError, match="not a bundle"):
        module.save(tmp_path / "precious" / "thesis.tex")


def test_save_leaves_a_loaded_library_alone(make_bundle: MakeBundle) -> None:
    """A module that runs from a folder keeps its own library when another bundle is saved over that folder."""
    inputs = operands()
    running = load(make_bundle("running"))
    other = load(make_bundle("other", SMALL_FACTOR="3.0f"))
    other.save(running.path)
    np.testing.assert_array_equal(running.run(inputs)["y"], expected_y(inputs))
    tripled = load(running.path).run(inputs)["y"]
    np.testing.assert_array_equal(tripled, expected_y({**inputs, "x": inputs["x"] * np.float32(1.5)}))
