"""Samples from arrays, iterables, files and folders: the same from each, and a sentence for each that is none."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from subbyte.compiler.calibration.data import Data
from subbyte.compiler.calibration.files import Folder, NpzFile
from subbyte.compiler.calibration.images import Preprocessing
from subbyte.compiler.dtype import FLOAT32, INT64
from subbyte.compiler.errors import ModelError, ToolchainError
from subbyte.compiler.ir.graph import Graph, Output
from subbyte.compiler.ir.node import Input
from subbyte.compiler.ir.types import TensorType

Array = NDArray[Any]


def graph_of(*shapes: tuple[int, ...], dtype: Any = FLOAT32) -> Graph:
    inputs = tuple(Input(f"in{i}" if i else "x", TensorType(dtype, shape)) for i, shape in enumerate(shapes))
    return Graph("network", inputs, tuple(Output(f"out {node.name}", node.out) for node in inputs))


IMAGES = np.random.default_rng(0).normal(size=(5, 3, 4, 6)).astype(np.float32)
GRAPH = graph_of((1, 3, 4, 6))


def stacked(samples: Any, graph: Graph = GRAPH, **options: Any) -> Array:
    batches = list(Data(samples, **options).batches(graph, 2))
    return np.concatenate([batch[graph.inputs[0].name] for batch in batches])


def write_folder(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    np.save(folder / "a.npy", IMAGES[0])
    np.save(folder / "b" / "0.npy", IMAGES[1:3])
    np.savez(folder / "b" / "1.npz", x=IMAGES[3:], label=np.arange(2))
    (folder / "b" / "notes.txt").write_text("not a sample")
    return folder


def test_every_source_gives_the_same_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", x=IMAGES, label=np.arange(5), other=np.ones(3))
    np.savez_compressed(tmp_path / "only.npz", images=IMAGES[:, np.newaxis], y=np.arange(5))
    np.save(tmp_path / "all.npy", IMAGES)
    np.save(tmp_path / "fortran.npy", np.asfortranarray(IMAGES))
    sources = [
        IMAGES,
        {"x": IMAGES, "unused": np.ones(2)},
        IMAGES.astype(np.float64),
        list(IMAGES),
        (image for image in IMAGES),
        lambda: ({"x": image[np.newaxis]} for image in IMAGES),
        str(tmp_path / "named.npz"),
        tmp_path / "only.npz",
        tmp_path / "all.npy",
        tmp_path / "fortran.npy",
        write_folder(tmp_path / "folder"),
    ]
    digests = set()
    for source in sources:
        data = Data(source)
        assert np.array_equal(np.concatenate([batch["x"] for batch in data.batches(GRAPH, 2)]), IMAGES)
        assert data.count == 5
        digests.add(data.digest())
    assert len(digests) == 1
    assert Data(IMAGES[::-1]).count == 5


def test_the_digest_is_that_of_the_samples_and_their_order() -> None:
    digests = []
    for samples, limit in ((IMAGES, None), (IMAGES[::-1], None), (IMAGES[:4], None), (IMAGES, 4)):
        data = Data(samples, limit=limit)
        list(data.samples(GRAPH))
        digests.append(data.digest())
    assert digests[2] == digests[3]
    assert len(set(digests)) == 3
    with pytest.raises(ModelError, match="no samples were read yet"):
        Data(IMAGES).digest()


def test_integers_with_a_scale_are_floats(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(-128, 127, IMAGES.shape, dtype=np.int8)
    np.savez(tmp_path / "codes.npz", x=codes, x_scale=np.float32(0.03), x_zero_point=np.int8(-5))
    assert np.array_equal(stacked(tmp_path / "codes.npz"), (codes.astype(np.float32) + 5) * np.float32(0.03))
    np.savez(tmp_path / "bare.npz", x=codes)
    with pytest.raises(ModelError, match=r"sample 0 of '.*' holds int8 for input 'x'.* with 'x_scale' beside them"):
        stacked(tmp_path / "bare.npz")
    np.savez(tmp_path / "long.npz", x=codes, x_scale=np.ones(3, np.float32))
    with pytest.raises(ModelError, match=r"'x_scale' of '.*' is \[3\]; one number is needed"):
        stacked(tmp_path / "long.npz")


def test_several_inputs_and_whole_numbers(tmp_path: Path) -> None:
    graph = graph_of((1, 4), (1, 2), dtype=INT64)
    arrays = {"x": np.arange(12, dtype=np.int32).reshape(3, 4), "in1": np.zeros((3, 1, 2), np.int64)}
    np.savez(tmp_path / "tokens.npz", **arrays)
    for source in (arrays, tmp_path / "tokens.npz"):
        found = list(Data(source).samples(graph))
        assert [sample["x"].tolist() for sample in found] == arrays["x"][:, np.newaxis].tolist()
        assert found[0]["x"].dtype == np.int64
    with pytest.raises(ModelError, match=r"different numbers of samples: \{'x': 3, 'in1': 2\}"):
        list(Data({"x": arrays["x"], "in1": arrays["in1"][:2]}).samples(graph))
    np.save(tmp_path / "one.npy", arrays["x"])
    with pytest.raises(ModelError, match="holds one array, and the model has 2 inputs: 'x', 'in1'"):
        list(Data(tmp_path / "one.npy").samples(graph))
    with pytest.raises(ModelError, match="there is no array for input 'in1'"):
        list(Data({"x": arrays["x"]}).samples(graph))


def test_a_sample_need_not_have_a_batch_axis() -> None:
    graph = graph_of((4, 2))
    array = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    assert np.array_equal(stacked(array, graph), array[0])


# What is no sample ----------------------------------------------------------------------------------------------------


def changed(value: float) -> Array:
    images = IMAGES.copy()
    images[3, 1, 2, 5] = value
    return images


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (changed(np.nan), r"sample 3 holds nan at \[0, 1, 2, 5\] for input 'x', and 1 such elements in all"),
        (changed(-np.inf), r"sample 3 holds -inf at \[0, 1, 2, 5\]"),
        (IMAGES[:, :2], r"sample 0 has shape \[2, 4, 6\] for input 'x'; \[1, 3, 4, 6\] is needed, or \[3, 4, 6\]"),
        ([*IMAGES, IMAGES[0, :1]], r"sample 5 has shape \[1, 4, 6\]"),
        (IMAGES.astype(np.int64), r"sample 0 holds int64 for input 'x', which is float32\[1, 3, 4, 6\]"),
        (IMAGES.astype(np.float64) * 1e300, "numbers for input 'x' that no float32 holds"),
        (IMAGES[:0], "there are no samples"),
        ([], "there are no samples"),
        ({"y": IMAGES}, "there is no array for input 'x' among the arrays of samples, which have 'y'"),
        (7, "samples cannot be a int"),
        ("missing.npz", "there is no 'missing.npz'"),
    ],
)
def test_what_is_no_sample_is_named(samples: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        stacked(samples)


def test_numbers_outside_their_type_are_named() -> None:
    graph = graph_of((1, 2), dtype=INT64)
    with pytest.raises(ModelError, match=r"sample 0 holds float32 for input 'x'; int64\[1, 2\] held as int64"):
        list(Data(np.ones((3, 2), np.float32)).samples(graph))
    with pytest.raises(ModelError, match="holds integers outside"):
        list(Data(np.full((3, 2), 2**63, np.uint64)).samples(graph))


def test_a_generator_is_read_once() -> None:
    data = Data(image for image in IMAGES)
    assert len(list(data.samples(GRAPH))) == 5
    with pytest.raises(ModelError, match="a generator, which gives them once"):
        list(data.samples(GRAPH))


def test_one_sample_is_allowed_with_a_notice() -> None:
    data = Data(IMAGES[:1])
    list(data.samples(GRAPH))
    assert data.notices == (
        "there is one sample only; ranges of activations from one sample are poor, some hundred are usual.",
    )
    many = Data(IMAGES)
    list(many.samples(GRAPH))
    assert many.notices == ()


@pytest.mark.parametrize("option", ["processes", "batch", "limit", "checkpoint_every"])
def test_options_begin_at_one(option: str) -> None:
    with pytest.raises(ModelError, match="is 0"):
        Data(IMAGES, **{option: 0})


# Files that are not to be trusted -------------------------------------------------------------------------------------


def npz_with(path: Path, content: bytes, compressed: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("x.npy", content)
    return path


def npy_header(text: str) -> bytes:
    padded = text.encode().ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


def test_headers_that_promise_too_much_take_no_memory(tmp_path: Path) -> None:
    header = npy_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**12}, 3, 4, 6)}}")
    with pytest.raises(ModelError, match=r"should be float32\[1000000000000, 3, 4, 6\], .* bytes; there are"):
        stacked(npz_with(tmp_path / "big.npz", header))
    (tmp_path / "big.npy").write_bytes(header)
    with pytest.raises(ModelError, match="bytes; there are"):
        stacked(tmp_path / "big.npy")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ModelError, match="holds object; an array of floats, integers or bools"):
        stacked(tmp_path / "objects.npy")


def test_broken_files_are_named(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, IMAGES)
    (tmp_path / "short.npy").write_bytes(buffer.getvalue()[:-10])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "text.npy").write_text("hello")
    whole = npz_with(tmp_path / "bits.npz", buffer.getvalue()).read_bytes()
    (tmp_path / "bits.npz").write_bytes(whole.replace(IMAGES[4, 2].tobytes(), IMAGES[4, 1].tobytes()))
    for name in ("short.npy", "text.npz", "text.npy", "bits.npz"):
        with pytest.raises(ModelError, match=name):
            stacked(tmp_path / name)


def test_a_large_archive_is_read_sample_by_sample(tmp_path: Path) -> None:
    """64 MiB of zeros in a few KiB: one sample of it is read without the rest."""
    import tracemalloc

    zeros = io.BytesIO()
    np.save(zeros, np.zeros((1 << 14, 1 << 10), np.float32))
    path = npz_with(tmp_path / "zeros.npz", zeros.getvalue(), compressed=True)
    del zeros
    samples = NpzFile(path).samples({"x": TensorType(FLOAT32, (1, 1 << 10))})
    tracemalloc.start()
    next(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


# Images ---------------------------------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(2).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def test_images_become_what_the_network_was_trained_on(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    plain = stacked(tmp_path)
    assert np.allclose(plain, PIXELS.transpose(2, 0, 1)[np.newaxis] / 255, atol=1e-7)
    trained = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), bgr=True)
    found = stacked(Folder(tmp_path, trained))
    expected = (PIXELS[:, :, ::-1] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    assert np.allclose(found[0], expected.transpose(2, 0, 1), atol=1e-6)
    last = stacked(Folder(tmp_path, Preprocessing(layout="NHWC", scale=1.0)), graph_of((1, 4, 6, 3)))
    assert np.array_equal(last[0], PIXELS)
    gray = stacked(tmp_path, graph_of((1, 1, 4, 6)))
    assert np.array_equal(np.rint(gray[0, 0] * 255), np.asarray(Image.fromarray(PIXELS).convert("L"), np.float32))


def test_images_are_resized_and_cut_where_asked(tmp_path: Path) -> None:
    image = Image.fromarray(np.kron(PIXELS, np.ones((5, 5, 1), np.uint8)))  # 30 x 20 pixels
    image.save(tmp_path / "a.png")
    with pytest.raises(ModelError, match=r"is 30 x 20 pixels; input 'x', float32\[1, 3, 4, 6\], needs 6 x 4"):
        stacked(tmp_path)
    found = stacked(Folder(tmp_path, Preprocessing(resize=4)))
    assert np.array_equal(
        np.rint(found * 255)[0], np.asarray(image.resize((6, 4), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    )
    found = stacked(Folder(tmp_path, Preprocessing(resize=20)))
    assert np.array_equal(np.rint(found * 255)[0], np.asarray(image)[8:12, 12:18].transpose(2, 0, 1))
    with pytest.raises(ModelError, match="is 3 x 2 pixels"):
        stacked(Folder(tmp_path, Preprocessing(resize=2)))


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ModelError, match="cannot be read as a PNG or JPEG image"):
        stacked(tmp_path)
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with pytest.raises(ModelError, match=r"input 'x' is float32\[1, 7\], which is no image"):
        stacked(tmp_path, graph_of((1, 7)))
    with pytest.raises(ModelError, match="has 2 means and 1 stds; 1 or 3"):
        stacked(Folder(tmp_path, Preprocessing(mean=(0.0, 1.0))))


def test_without_pillow_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match=r"Pillow, which reads images, is not installed; `pip install"):
        stacked(tmp_path)


def test_images_of_too_many_pixels_are_not_decoded(tmp_path: Path) -> None:
    """A PNG that says it is 60,000 x 60,000 pixels, with nothing behind."""
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    content = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content + struct.pack(">I", 0) + b"IDAT")
    with pytest.raises(ModelError, match=r"bomb\.png"):
        stacked(tmp_path)


@pytest.mark.parametrize(
    "options", [{"layout": "CHW"}, {"std": (0.0,)}, {"scale": float("nan")}, {"resize": 0}, {"resize": 10**6}]
)
def test_preprocessing_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        Preprocessing(**options)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no samples; files ending in \.npz, \.npy, \.png"):
        stacked(tmp_path)
