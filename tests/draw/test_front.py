"""Pictures of what was traded: well-formed, axes with labels, every point in its place, names that break nothing."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.compiler.draw.front import Axis, Point, bits_svg, front_svg
from subbyte.compiler.draw.svg import COLOURS

SVG = "{http://www.w3.org/2000/svg}"
COST, LOSS = Axis("latency [us]"), Axis("loss [nats]")
HOSTILE = "</svg><script>alert('&\"')</script>"


def drawn(front: list[Point], **more: object) -> ElementTree.Element:
    return ElementTree.fromstring(front_svg("front", COST, LOSS, front, **more))  # type: ignore[arg-type]


def marks(root: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    """Where the points of a kind are."""
    groups = root.findall(f"{SVG}g[@class='{kind}']")
    shapes = [group.find(f"{SVG}circle") for group in groups] if kind != "uniform" else []
    if kind == "uniform":
        boxes = [group.find(f"{SVG}rect") for group in groups]
        return [(float(box.get("x", "")) + 4, float(box.get("y", "")) + 4) for box in boxes if box is not None]
    return [(float(shape.get("cx", "")), float(shape.get("cy", ""))) for shape in shapes if shape is not None]


def test_axes_have_their_labels_with_units() -> None:
    texts = [text.text for text in drawn([Point(1, 2)]).findall(f"{SVG}text[@class='axis']")]
    assert texts == ["latency [us]", "loss [nats]"]


def test_every_point_is_there_and_in_order() -> None:
    front = [Point(1, 9), Point(2, 4), Point(4, 1)]
    root = drawn(front, uniform=[Point(3, 8, "W8A8")], chosen=Point(2, 4, "chosen"), limit=2.5)
    places = marks(root, "front")
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # less loss lies lower
    assert marks(root, "chosen") == [places[1]]
    ((x, y),) = marks(root, "uniform")
    assert places[1][0] < x < places[2][0]
    assert places[0][1] < y < places[1][1]
    assert len(root.findall(f"{SVG}path[@class='staircase']")) == 1
    assert [title.text for title in root.iter(f"{SVG}title")].count("budget: 2.5") == 1


def test_points_say_what_they_are_under_the_pointer() -> None:
    root = drawn([Point(1200, 0.25, "W4A8 mostly")])
    assert "W4A8 mostly\ncost 1,200, loss 0.25" in [title.text for title in root.iter(f"{SVG}title")]


def test_equal_ratios_are_equal_distances_on_a_logarithmic_axis() -> None:
    front = [Point(1, 1e-6), Point(2, 1e-3), Point(3, 1.0)]
    picture = front_svg("front", COST, Axis("loss", logarithmic=True), front)
    (_, a), (_, b), (_, c) = marks(ElementTree.fromstring(picture), "front")
    assert a - b == pytest.approx(b - c, abs=0.2)


def test_a_loss_of_zero_is_drawn_on_a_linear_axis() -> None:
    picture = front_svg("front", COST, Axis("loss", logarithmic=True), [Point(1, 1.0), Point(2, 0.5), Point(3, 0.0)])
    (_, a), (_, b), (_, c) = marks(ElementTree.fromstring(picture), "front")
    assert a - b == pytest.approx(b - c, abs=0.2)


@given(
    st.lists(
        st.tuples(st.floats(-1e12, 1e12, allow_subnormal=False), st.floats(-1e12, 1e12, allow_subnormal=False)),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
)
def test_all_that_is_drawn_lies_within_the_picture(numbers: list[tuple[float, float]], logarithmic: bool) -> None:
    axis = Axis("x", logarithmic)
    picture = ElementTree.fromstring(front_svg("front", axis, axis, [Point(*pair) for pair in numbers]))
    width, height = float(picture.get("width", "")), float(picture.get("height", ""))
    places = marks(picture, "front")
    assert len(places) == len(numbers)
    assert all(0 < x < width and 0 < y < height for x, y in places)
    assert len(picture.findall(f"{SVG}text")) > 3  # title, labels and at least a tick


def test_hostile_names_stay_names() -> None:
    point = Point(1, 1, HOSTILE)
    pictures = [
        front_svg(HOSTILE, Axis(HOSTILE), Axis(HOSTILE), [point], uniform=[point], chosen=point),
        bits_svg(HOSTILE, {HOSTILE: (4, 8)}),
    ]
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert {element.tag for element in root.iter()} <= {
            f"{SVG}{t}" for t in ["svg", "title", "text", "path", "g", "rect", "circle"]
        }
        assert "<script" not in picture
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("points", [[], [Point(math.inf, 1)], [Point(1, math.nan)]])
def test_what_cannot_be_drawn_is_refused(points: list[Point]) -> None:
    with pytest.raises(ValueError, match="cannot be drawn; one or more, all finite, are needed"):
        front_svg("front", COST, LOSS, points)


def test_bars_are_as_long_as_the_weights_have_bits() -> None:
    root = ElementTree.fromstring(bits_svg("bits", {"conv1": (8, 8), "conv2": (4, 8), "fc": (2, 4)}))
    groups = root.findall(f"{SVG}g[@class='layer']")
    bars = [group.find(f"{SVG}rect") for group in groups]
    widths = [float(bar.get("width", "")) for bar in bars if bar is not None]
    assert widths[0] == 2 * widths[1] == 4 * widths[2]
    assert [bar.get("fill") for bar in bars if bar is not None] == [COLOURS[b][0] for b in (8, 4, 2)]
    assert [text.text for group in groups for text in group.findall(f"{SVG}text")] == [
        "conv1", "8", "conv2", "4", "fc", "2",
    ]  # fmt: skip
    titles = [group.find(f"{SVG}title") for group in groups]
    assert [title.text for title in titles if title is not None][2] == "fc: 2 bits, reads 4"


def test_a_network_of_16_bits_and_none_at_all_can_be_drawn() -> None:
    wide = ElementTree.fromstring(bits_svg("bits", {"conv": (16, 16)}))
    assert float(wide.get("width", "")) > float(wide.find(f".//{SVG}rect").get("width", ""))  # type: ignore[union-attr]
    assert ElementTree.fromstring(bits_svg("bits", {})).find(f"{SVG}g") is None
