from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bottlemux.session.geometry import (
    Cell,
    LayoutError,
    checksum,
    layout_string,
    panes_in_order,
    parse_layout_string,
    share,
    size_of,
)
from bottlemux.session.models import PaneSpec
from tests.session.conftest import IDLE, spec

if TYPE_CHECKING:
    from bottlemux.session.workspace import Workspace

RATIOS = st.floats(0.01, 100, allow_nan=False)
LEAVES = st.builds(Cell, ratio=RATIOS)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        Cell,
        ratio=RATIOS,
        direction=st.sampled_from(["columns", "rows"]),
        children=st.lists(inner, min_size=2, max_size=4).map(tuple),
    ),
    max_leaves=12,
)
SIZES = st.integers(1, 90)


def leaves(text: str) -> list[tuple[int, int, int, int]]:
    found = re.findall(r"(\d+)x(\d+),(\d+),(\d+),\d+(?=[,}\]]|$)", text.partition(",")[2])
    return [(int(w), int(h), int(x), int(y)) for w, h, x, y in found]


def borders(cell: Cell, width: int, height: int) -> int:
    """Count the border characters of a parsed tree, whose ratios are sizes."""
    if not cell.children:
        return 0
    across = cell.direction == "columns"
    inner = [(int(child.ratio), height) if across else (width, int(child.ratio)) for child in cell.children]
    own = (len(inner) - 1) * (height if across else width)
    return own + sum(borders(child, *size) for child, size in zip(cell.children, inner, strict=True))


@given(tree=TREES, width=SIZES, height=SIZES)
def test_cells_are_disjoint_inside_and_cover_all_but_borders(tree: Cell, width: int, height: int) -> None:
    least = tree.minimum()
    assume(width >= least[0] and height >= least[1])
    boxes = leaves(layout_string(tree, width, height))
    assert len(boxes) == tree.pane_count
    taken: set[tuple[int, int]] = set()
    for box_width, box_height, x, y in boxes:
        assert box_width >= 1
        assert box_height >= 1
        cells = {(x + i, y + j) for i in range(box_width) for j in range(box_height)}
        assert not cells & taken
        taken |= cells
    assert all(x < width and y < height for x, y in taken)
    assert len(taken) == width * height - borders(
        parse_layout_string(layout_string(tree, width, height)), width, height
    )


@given(tree=TREES, width=SIZES, height=SIZES)
def test_parsing_a_rendered_tree_gives_the_same_string(tree: Cell, width: int, height: int) -> None:
    least = tree.minimum()
    assume(width >= least[0] and height >= least[1])
    text = layout_string(tree, width, height)
    assert layout_string(parse_layout_string(text), width, height) == text


@given(tree=TREES)
def test_one_character_less_than_the_minimum_is_refused(tree: Cell) -> None:
    width, height = tree.minimum()
    assert leaves(layout_string(tree, width, height))
    with pytest.raises(LayoutError, match="too small"):
        layout_string(tree, width - 1, height)


@given(st.data())
def test_shares_add_up_and_respect_minimums(data: st.DataObject) -> None:
    weights = data.draw(st.lists(RATIOS, min_size=1, max_size=10))
    minimums = data.draw(st.lists(st.integers(1, 20), min_size=len(weights), max_size=len(weights)))
    total = data.draw(st.integers(sum(minimums), 1000))
    sizes = share(total, weights, minimums)
    assert sum(sizes) == total
    assert all(size >= least for size, least in zip(sizes, minimums, strict=True))


def test_shares_follow_the_weights() -> None:
    assert share(100, [65, 35], [1, 1]) == [65, 35]
    assert share(10, [1, 1, 1], [1, 1, 1]) == [4, 3, 3]
    assert share(10, [1000, 1], [1, 4]) == [6, 4]


@given(st.text(max_size=40))
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    for candidate in (text, f"{checksum(text):04x},{text}" if text.isascii() else text):
        try:
            parse_layout_string(candidate)
        except LayoutError:
            continue


@pytest.mark.parametrize(
    "body",
    ["", "80x24,0,0{", "80x24,0,0{}", "80x24,0,0{40x24,0,0,1]", "80x24,0,0,1x", "0" * 50, "80x24,0,0[" * 100],
)
def test_malformed_bodies_with_a_right_checksum_are_refused(body: str) -> None:
    with pytest.raises(LayoutError):
        parse_layout_string(f"{checksum(body):04x},{body}")


def test_a_wrong_checksum_is_refused() -> None:
    with pytest.raises(LayoutError, match="checksum"):
        parse_layout_string("0000,80x24,0,0,0")


@pytest.mark.tmux
@pytest.mark.parametrize(
    "tree",
    [
        Cell(children=(Cell(65), Cell(35, "rows", (Cell(60), Cell(40))))),
        Cell(direction="rows", children=(Cell(1, "columns", (Cell(), Cell(2), Cell(3))), Cell(0.2))),
        Cell(children=(Cell(1, "rows", (Cell(), Cell(1, "columns", (Cell(), Cell())))), Cell(), Cell())),
    ],
    ids=["default", "wide-top", "deep"],
)
def test_tmux_takes_our_strings_and_gives_them_back(workspace: Workspace, tree: Cell) -> None:
    panes = tuple(PaneSpec("shell", IDLE) for _ in range(tree.pane_count))
    window = workspace.open_windows([spec(panes=panes)], size=(173, 47))[0]
    text = layout_string(tree, 173, 47)
    workspace.server.batch([["select-layout", "-t", window.window_id, text]])
    found = workspace.find(window.slug)
    assert found is not None
    boxes = "#{pane_width},#{pane_height},#{pane_left},#{pane_top}"
    lines = workspace.server.batch([["list-panes", "-t", window.window_id, "-F", boxes]])
    assert [tuple(map(int, line.split(","))) for line in lines] == leaves(text)
    assert layout_string(parse_layout_string(found.layout), 173, 47) == text
    assert panes_in_order(found.layout) == [pane.pane_id for pane in found.panes]
    assert size_of(found.layout) == (173, 47)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"V":2,"L":{"t":"p","w":200,"h":50,"x":0,"y":0,"a":true,"i":0,"I":"%1"}}', Cell()),
        (
            '{"V":2,"L":{"t":"h","c":[{"t":"p","w":60},{"t":"v","w":59,"c":[{"t":"p","h":20},{"t":"p","h":19}]}],"w":9}}',
            Cell(children=(Cell(60), Cell(59, "rows", (Cell(20), Cell(19))))),
        ),
    ],
)
def test_json_of_newer_versions_is_read(text: str, expected: Cell) -> None:
    assert parse_layout_string(text) == expected


@pytest.mark.parametrize("text", ["{", "{}", '{"L":[]}', '{"L":{"t":"f","w":1,"h":1}}', '{"L":{"t":"p","w":0,"h":1}}',
                                  '{"L":{"t":"h","w":9,"h":1,"c":7}}', '{"L":' * 2000])  # fmt: skip
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(LayoutError):
        parse_layout_string(text)
