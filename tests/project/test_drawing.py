"""The pictures: a recording shows each screen in its time, in SVG and in asciinema's form."""

from __future__ import annotations

import importlib.util
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

_spec = importlib.util.spec_from_file_location("drawing", ROOT / "scripts/drawing.py")
assert _spec is not None
assert _spec.loader is not None
drawing = importlib.util.module_from_spec(_spec)
sys.modules["drawing"] = drawing
_spec.loader.exec_module(drawing)

FRAMES = [
    drawing.Frame(0.0, "one\nsame"),
    drawing.Frame(2.0, "two\nsame"),
    drawing.Frame(3.0, "one\nsame\nlast"),
]
HOLD = 5.0


def visible(picture: str, at: float) -> set[str]:
    """Return the texts that a player shows at a time, by SMIL's rules for discrete values."""
    shown: set[str] = set()
    root = ET.fromstring(picture)
    for element in root:
        texts = [text.text or "" for text in element.iter(f"{SVG}text")]
        animation = element.find(f"{SVG}animate")
        if animation is None:
            shown |= set(texts)
            continue
        times = [float(time) for time in animation.attrib["keyTimes"].split(";")]
        values = animation.attrib["values"].split(";")
        assert times[0] == 0
        assert len(times) == len(values)
        position = (
            at
            % float(animation.attrib["dur"].removesuffix("s"))
            / float(animation.attrib["dur"].removesuffix("s"))
        )
        value = [value for time, value in zip(times, values, strict=True) if time <= position + 1e-9][-1]
        shown |= set(texts) if value == "visible" else set()
    return shown


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0.0, {"one", "same"}), (1.9, {"one", "same"}), (2.1, {"two", "same"}), (3.1, {"one", "same", "last"}),
     (7.9, {"one", "same", "last"}), (8.1, {"one", "same"})],
)  # fmt: skip
def test_each_screen_is_shown_in_its_time(at: float, expected: set[str]) -> None:
    assert visible(drawing.moving(FRAMES, 10, 4, "t", HOLD), at) == expected


def test_where_nothing_moves_the_last_screen_is_shown() -> None:
    root = ET.fromstring(drawing.moving(FRAMES, 10, 4, "t", HOLD))
    shown = [group for group in root.iter(f"{SVG}g") if group.attrib.get("visibility") == "visible"]
    assert {text.text for group in shown for text in group.iter(f"{SVG}text")} == {"one", "last"}


def test_the_cast_redraws_only_what_changed() -> None:
    head, *events = [json.loads(line) for line in drawing.cast(FRAMES, 10, 4, "t").splitlines()]
    assert (head["version"], head["width"], head["height"]) == (2, 10, 4)
    assert [event[0] for event in events] == [0.0, 2.0, 3.0]
    assert "same" in events[0][2]
    assert "same" not in events[1][2]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs/images").glob("*.svg")))
def test_every_picture_is_well_formed_and_names_no_place_of_its_making(name: str) -> None:
    text = (ROOT / "docs/images" / name).read_text("utf-8")
    ET.fromstring(text)
    assert str(ROOT) not in text


def test_colours_and_wide_characters_take_their_cells() -> None:
    picture = drawing.still("\x1b[1;31m漢\x1b[0mx", 10, 1, "t")
    wide, after = list(ET.fromstring(picture).iter(f"{SVG}text"))
    assert wide.attrib["fill"] == drawing.COLOURS[1]
    assert wide.attrib["font-weight"] == "bold"
    assert float(after.attrib["x"]) == drawing.MARGIN + 2 * drawing.CELL_W
