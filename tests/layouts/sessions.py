"""Random sessions on a real tmux: opened, saved, disarranged, given the saved layout, and saved again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from bottlemux.lifecycle import arranging
from bottlemux.lifecycle.context import Context
from bottlemux.lifecycle.sessions import carry_out, plan_session
from bottlemux.paths import Paths
from bottlemux.session.layout import Layout, PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.layout_files import find_layout
from bottlemux.session.models import WindowSpec
from bottlemux.session.naming import Naming, rename_commands
from tests.session.conftest import IDLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAMES = (
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
    | st.sampled_from(["two words", r"back\slash\\", "#{pane_id}#(id)", "a:b.c;"])
).filter(lambda name: Naming().base(name) == name)
AGENTS = ("dev", "review", "docs")


@st.composite
def panes(draw: st.DrawFn) -> tuple[PaneLayout, ...]:
    kinds = draw(st.lists(st.sampled_from(["role", "command", "argv"]), max_size=4))
    made = [PaneLayout(role="agent")]
    for kind in kinds:
        if kind == "role":
            made.append(PaneLayout(role=draw(st.sampled_from(["shell", "logs", "audit", "diff"]))))
        elif kind == "command":
            made.append(PaneLayout(shell_command=tuple(draw(st.lists(WORDS, min_size=1, max_size=3)))))
        else:
            made.append(PaneLayout(argv=("sleep", "1000", *draw(st.lists(WORDS, max_size=3)))))
    ordered = draw(st.permutations(made))
    focused = draw(st.integers(0, len(ordered) - 1))
    return tuple(pane.model_copy(update={"focus": number == focused}) for number, pane in enumerate(ordered))


@st.composite
def trees(draw: st.DrawFn, count: int, direction: str) -> TreeLayout:
    ratio = draw(st.integers(1, 9))
    if count == 1:
        return TreeLayout(ratio=ratio)
    cuts = sorted(draw(st.sets(st.integers(1, count - 1), min_size=1, max_size=min(count - 1, 2))))
    sizes = [after - before for before, after in zip([0, *cuts], [*cuts, count], strict=True)]
    other = "rows" if direction == "columns" else "columns"
    children = tuple(draw(trees(size, other)) for size in sizes)
    return TreeLayout.model_validate({"ratio": ratio, direction: children})


@st.composite
def windows(draw: st.DrawFn) -> WindowLayout:
    own = draw(panes())
    several = len(own) > 1
    return WindowLayout(
        window_name=draw(NAMES),
        agent=draw(st.sampled_from(AGENTS)),
        tree=draw(trees(len(own), draw(st.sampled_from(["columns", "rows"])))) if several else None,
        options=draw(
            st.dictionaries(
                st.sampled_from(["monitor-bell", "monitor-activity"]), st.sampled_from(["on", "off"])
            )
        ),
        zoom=several and draw(st.booleans()),
        panes=own,
    )


@st.composite
def sessions(draw: st.DrawFn) -> Layout:
    made = draw(st.lists(windows(), min_size=1, max_size=4))
    focused = draw(st.integers(0, len(made) - 1))
    return Layout(
        windows=tuple(
            item.model_copy(update={"focus": number == focused}) for number, item in enumerate(made)
        )
    )


def context_in(root: Path, environ: Mapping[str, str], socket: str) -> Context:
    """Return a context with records and layouts of its own, on the tmux server ``socket``."""
    (root / "config").mkdir(exist_ok=True)
    # Nobody else may rename windows meanwhile.
    (root / "config" / "config.toml").write_text("[workspace]\ndashboard = false\n")
    return Context(Paths(root / "config", root / "state", root / "run"), environ, root, socket)


def open_session(context: Context, layout: Layout) -> list[str]:
    """Open windows as ``layout`` says, each with a record but without a bottle; return the slugs."""
    slugs = []
    for window in layout.windows:
        record = context.store.create(
            window.agent or "", bottle="quiet", backend="bubblewrap", cwd=context.cwd, workspace="copy",
            args=("--word", "two words;"),
        )  # fmt: skip
        spec = WindowSpec.from_layout(
            record.identity, record.agent, record.backend, window, lambda _pane: IDLE, directory=record.cwd
        )
        info = context.workspace.open_window(spec)
        slugs.append(record.identity)
        if renamed := window.window_name:
            context.workspace.server.batch(rename_commands(info, renamed))
        if window.focus:
            context.workspace.server.batch([["select-window", "-t", info.window_id]])
    return slugs


def disarrange(context: Context, chance: random.Random) -> None:
    """Move panes and windows about, rename and resize them; no process ends."""
    infos = context.workspace.list()
    commands: list[list[str]] = []
    for info in infos:
        ids = [pane.pane_id for pane in info.panes]
        commands += [
            ["select-layout", "-t", info.window_id, "tiled"],
            ["select-pane", "-t", chance.choice(ids)],
        ]
        commands += [["swap-pane", "-d", "-s", pane, "-t", chance.choice(ids)] for pane in ids]
        commands += [["rename-window", "-t", info.window_id, "other"]]
        commands += [["set-option", "-w", "-t", info.window_id, "monitor-bell", chance.choice(["on", "off"])]]
        if len(ids) > 1 and chance.random() < 0.3:
            commands += [["break-pane", "-d", "-s", ids[-1], "-t", "=bottlemux:"]]
        target = chance.choice(infos).window_id
        commands += [["swap-window", "-d", "-s", info.window_id, "-t", target]]
    context.workspace.server.batch([*commands, ["select-window", "-t", chance.choice(infos).window_id]])


def pids(context: Context) -> dict[str, int]:
    return {pane.pane_id: pane.pid for info in context.workspace.list() for pane in info.panes}


def check_round_trip(context: Context, layout: Layout, seed: int) -> None:
    """Save, disarrange, apply, save: equal, and with the same processes."""
    slugs = open_session(context, layout)
    try:
        first, before = arranging.capture(context, context.workspace.list()), pids(context)
        check_saved(layout, first)
        arranging.save(context, "session", first, replace_old=True)
        disarrange(context, random.Random(seed))
        file = find_layout("session", context.paths, context.cwd)
        assert file.load() == first
        plan = plan_session(context, file)
        assert not plan.starting
        assert not plan.failed
        carry_out(context, plan, lambda part, outcome: _fail(f"{part.name}: {outcome}"))
        second = arranging.capture(context, context.workspace.list())
        assert [item.model_dump() for item in second.windows] == [item.model_dump() for item in first.windows]
        assert pids(context) == before
    finally:
        for slug in slugs:
            context.workspace.close(slug)
            context.store.remove(slug)


def _fail(text: str) -> None:
    raise AssertionError(text)


def check_saved(layout: Layout, saved: Layout) -> None:
    """What was opened is what is saved; windows of one directory stay in the order of opening."""
    for wanted, got in zip(layout.windows, saved.windows, strict=True):
        assert (got.window_name, got.agent, got.bottle, got.args) == (
            wanted.window_name, wanted.agent, "quiet", ("--word", "two words;"),
        )  # fmt: skip
        assert got.panes == wanted.panes
        assert (got.zoom, got.focus, got.options) == (wanted.zoom, wanted.focus, wanted.options)
        assert _shape(got.tree) == _shape(wanted.tree)


def _shape(tree: TreeLayout | None) -> object:
    if tree is None:
        return None
    return [[_shape(part) for part in tree.columns or ()], [_shape(part) for part in tree.rows or ()]]
