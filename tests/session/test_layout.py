# ruff: noqa: E501 - tables read best with a case a line

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from bottlemux import resources
from bottlemux.errors import NotFoundError, UnavailableError, UsageError
from bottlemux.paths import LAYOUT_SCHEMA, Paths
from bottlemux.session import layout_files
from bottlemux.session.layout import Layout, PaneLayout, TreeLayout, WindowLayout
from bottlemux.session.layout_files import (
    check_name,
    dump_layout,
    find_layout,
    json_schema,
    list_layouts,
    load_layout,
    split_reference,
)
from bottlemux.session.layout_trust import OwnCommandsError
from tests.session.conftest import until
from tests.session.test_geometry import TREES

if TYPE_CHECKING:
    from bottlemux.session.geometry import Cell
    from bottlemux.session.server import TmuxServer

SHIPPED = ["default", "review", "solo", "team", "wide"]
SOLO = "windows:\n  - panes:\n      - role: agent\n"


@pytest.fixture
def places(tmp_path: Path) -> tuple[Paths, Path]:
    paths = Paths.from_environ({"HOME": str(tmp_path / "home")})
    project = tmp_path / "project"
    paths.layouts.mkdir(parents=True)
    (project / ".bottlemux" / "layouts").mkdir(parents=True)
    return paths, project


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "layout.yaml"
    path.write_text(text)
    return path


def test_shipped_layouts_are_found_and_good(places: tuple[Paths, Path]) -> None:
    found = list_layouts(*places)
    assert [layout.name for layout in found] == SHIPPED
    for file in found:
        layout = load_layout(file.path)
        assert layout.windows[0].panes[layout.windows[0].focused_pane].role == "agent"


def test_a_project_changes_no_name_that_the_operator_knows(places: tuple[Paths, Path]) -> None:
    paths, project = places
    hostile = project / ".bottlemux" / "layouts" / "default.yaml"
    hostile.write_text(SOLO)
    found = find_layout("default", paths, project)
    assert (found.origin, [file.path for file in found.hides]) == ("shipped", [hostile])
    assert found.notice.startswith("layout 'default' is the shipped one; the project's is hidden")
    (paths.layouts / "default.yaml").write_text(SOLO)
    found = find_layout("default", paths, project)
    assert (found.origin, [file.origin for file in found.hides]) == ("user", ["shipped", "project"])
    assert found.notice.startswith("layout 'default' is yours; ")
    hostile.unlink()
    assert find_layout("default", paths, project).notice == ""
    assert [file.name for file in list_layouts(paths, project)] == SHIPPED


def test_the_users_own_configuration_is_no_project(tmp_path: Path) -> None:
    paths = Paths.from_environ({"HOME": str(tmp_path), "BOTTLEMUX_CONFIG_DIR": str(tmp_path / ".bottlemux")})
    paths.layouts.mkdir(parents=True)
    (paths.layouts / "mine.yaml").write_text("windows: [{panes: [make]}]")
    found = find_layout("mine", paths, tmp_path)
    assert (found.origin, found.hides) == ("user", ())
    assert found.load()


_OWN = {
    "text": ("windows: [{panes: [touch me]}]", "  window 1, pane 1: touch me"),
    "shell": (
        "windows: [{panes: [{role: agent}, {shell_command: [a, b]}]}]",
        "  window 1, pane 2: a\n  window 1, pane 2: b",
    ),
    "argv": ("windows: [{panes: [{argv: [a, 'b c']}]}]", "  window 1, pane 1, without a shell: a 'b c'"),
    "args": (
        "windows: [{panes: [{role: agent}]}, {args: [-c, x], panes: [{role: agent}]}]",
        "  window 2, arguments of its agent: -c x",
    ),
    "hidden": (
        'windows: [{panes: ["true\\n\\e[2K\\u202eevil"]}]',
        "  window 1, pane 1: true\\n\\x1b[2K\\u202eevil",
    ),
}


@pytest.mark.parametrize(("text", "shown"), _OWN.values(), ids=_OWN)
def test_commands_of_a_project_need_a_yes_to_this_very_text(
    places: tuple[Paths, Path], text: str, shown: str
) -> None:
    paths, project = places
    path = project / ".bottlemux" / "layouts" / "x.yaml"
    path.write_text(text)
    with pytest.raises(OwnCommandsError, match="may not run commands of its own") as caught:
        find_layout("x", paths, project).load()
    assert caught.value.text.partition("\n")[2] == shown
    caught.value.agree()
    assert find_layout("x", paths, project).load()
    path.write_text(f"{text}\n")
    with pytest.raises(OwnCommandsError):
        find_layout("x", paths, project).load()
    # Nor does a yes hold for the same text elsewhere, where its commands may mean something else.
    other = project.parent / "other"
    (other / ".bottlemux" / "layouts").mkdir(parents=True)
    (other / ".bottlemux" / "layouts" / "x.yaml").write_text(text)
    with pytest.raises(OwnCommandsError):
        find_layout("x", paths, other).load()
    (paths.layouts / "x.yaml").write_text(text)
    assert find_layout("x", paths, other).load()


def test_roles_of_a_project_need_none(places: tuple[Paths, Path]) -> None:
    paths, project = places
    (project / ".bottlemux" / "layouts" / "x.yaml").write_text(SOLO)
    found = find_layout("x", paths, project)
    assert (found.origin, found.load().is_session) == ("project", False)


@pytest.mark.parametrize("name", ["nope", "", "../default", "/etc/passwd", "default.yaml"])
def test_an_unknown_name_lists_the_known_ones(places: tuple[Paths, Path], name: str) -> None:
    with pytest.raises(NotFoundError, match=r"\(known: default, review, solo, team, wide\)"):
        find_layout(name, *places)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65, "-x"])
def test_a_name_to_save_under_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        check_name(name)
    assert check_name("my-layout_2.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("windows:\n  - panes:\n    - role: agent\n    - role: agnt\n",
         r":4: windows\[0\]\.panes\[1\]\.role: 'agnt' is not one of 'agent', 'shell', 'logs', 'audit' or 'diff'"),
        ("windows:\n  - panes:\n    - role: agent\n      colour: red\n",
         r":4: windows\[0\]\.panes\[0\]\.colour: unknown key \(known: role, shell_command, argv, focus\)"),
        ("windos: []\nwindows: []\n", r":2: windows: Tuple should have at least 1 item"),
        ("session_name: x\nwindos: []\n", r":2: windos: unknown key \(known: session_name, windows\)"),
        ("session_name: x\n", r":1: windows: is missing"),
        (SOLO + "    shell: x\n", r":4: windows\[0\]\.shell: unknown key \(known: window_name, agent, slug, "),
        (SOLO + "    layout: maim-vertical\n", r":4: windows\[0\]\.layout: 'maim-vertical' is not a tmux layout .*tiled"),
        (SOLO + "    layout: 1234,80x24,0,0,0\n", r":4: windows\[0\]\.layout: the checksum"),
        (SOLO + "    tree: {columns: [{}, {}]}\n", r":2: windows\[0\]: the arrangement is for 2 panes, the window has 1"),
        (SOLO + "    tree:\n      columns:\n        - ratio: 0\n        - {}\n", r":6: .*\.ratio: .*greater than 0, got 0"),
        (SOLO + "    tree:\n      columns: [{}]\n", r":5: windows\[0\]\.tree\.columns: Tuple should have at least 2"),
        (SOLO + "    tree: {columns: [{}, {}], rows: [{}, {}]}\n", r":4: .*either columns or rows"),
        ("windows:\n  - panes:\n    - role: agent\n      shell_command: ls\n", r":3: .*either a role, a shell_command or an argv"),
        ("windows:\n  - panes:\n    - focus: true\n", r":3: .*either a role, a shell_command or an argv"),
        ("windows:\n  - panes: [{role: agent, focus: true}, {role: shell, focus: true}]\n", r":2: .*only one pane"),
        ("windows: [\n", r":2: "),
        ("windows: 1\nwindows: 2\n", r":2: found duplicate key"),
        ("a: &x [1]\nb: *x\n", r":2: aliases are not allowed"),
        ("", r":1: "),
        ("[]", r":1: "),
        ("x: !!python/object/apply:os.system [id]\nwindows: []", r":\d: "),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError, match=f"^{path}{message}"):
        load_layout(path)


@pytest.mark.parametrize(
    "option",
    [
        "status-left: '#(touch pwned)'",
        "window-status-format: '#(touch pwned)'",
        "pane-border-format: x",
        "remain-on-exit-format: '#(touch pwned)'",
        "default-command: touch pwned",
        "default-shell: /tmp/evil",
        "synchronize-panes: on",
        "allow-passthrough: on",
        "'@bottlemux_slug': other",
        "main-pane-width: '#(touch pwned)'",
        "monitor-bell: 'on ; run-shell id'",
        "main-pane-width: [1]",
    ],
)
def test_a_layout_sets_no_option_that_could_run_or_show_anything(tmp_path: Path, option: str) -> None:
    path = written(tmp_path, f"{SOLO}    options:\n      {option}\n")
    with pytest.raises(UsageError, match=r":[45]: windows\[0\]\.options"):
        load_layout(path)


def test_harmless_options_are_taken(tmp_path: Path) -> None:
    text = (
        SOLO
        + "    options: {main-pane-width: 65%, main-pane-height: 20, monitor-bell: true, monitor-activity: off}\n"
    )
    options = load_layout(written(tmp_path, text)).windows[0].options
    assert options == {
        "main-pane-width": "65%", "main-pane-height": "20", "monitor-bell": "on", "monitor-activity": "off",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("windows:\n  - panes:\n    - role: agnt\n", "did you mean 'agent'?"),
        ("windows:\n  - pane: []\n", "did you mean 'panes'?"),
        ("windows: []\n", layout_files.SCHEMA_HINT),
    ],
)
def test_errors_have_a_hint(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_layout(written(tmp_path, text))
    assert caught.value.hint == hint


def test_the_schema_says_what_the_models_say(tmp_path: Path) -> None:
    schema = json.loads(json_schema())
    assert (resources.layouts_dir() / LAYOUT_SCHEMA).read_text("utf-8") == json_schema()
    check = Draft202012Validator(schema)
    for path in resources.layouts_dir().glob("*.yaml"):
        assert f"$schema={LAYOUT_SCHEMA}" in path.read_text("utf-8").splitlines()[0]
        check.validate(YAML(typ="safe").load(path))
    for good in (
        SOLO,
        "windows: [{panes: [top, {shell_command: ls}, {argv: [ls, -l]}], options: {monitor-bell: on}}]",
    ):
        check.validate(YAML(typ="safe").load(good))
        load_layout(written(tmp_path, good))
    for bad in ("windows: []", "windows: [{panes: [{role: x}]}]", "windows: [{panes: [x], colour: red}]"):
        assert not check.is_valid(YAML(typ="safe").load(bad))


def test_a_projects_layout_is_no_link_to_elsewhere(places: tuple[Paths, Path], tmp_path: Path) -> None:
    paths, project = places
    (tmp_path / "secret").write_text("windows: [{panes: [secret]}]")
    (project / ".bottlemux" / "layouts" / "x.yaml").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="cannot be read"):
        find_layout("x", paths, project).load()


def test_a_reference_names_a_window() -> None:
    assert [split_reference(text) for text in ("team", "team:2", "team:", "a:b")] == [
        ("team", None), ("team", 2), ("team:", None), ("a:b", None),
    ]  # fmt: skip
    windows = tuple(WindowLayout(agent=name, panes=(PaneLayout(role="agent"),)) for name in ("a", "b", "b"))
    layout = Layout(windows=windows)
    assert layout.window_for("b", 3) is windows[2]
    assert layout.window_for("b") is windows[1]
    assert layout.window_for("c", 4) is windows[0]


def test_strange_files_are_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(NotFoundError, match="no layout file"):
            load_layout(path)
    with pytest.raises(UsageError, match="larger than"):
        load_layout(written(tmp_path, "#" * (layout_files.MAX_FILE_BYTES + 1)))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        load_layout(binary)
    with pytest.raises(UsageError, match="more than 80 levels"):
        load_layout(written(tmp_path, "[" * 60_000))


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_makes_loading_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UsageError):
        load_layout(path)


@settings(deadline=None)
@given(tree=TREES)
def test_saving_and_loading_loses_nothing(tmp_path_factory: pytest.TempPathFactory, tree: Cell) -> None:
    panes = tuple(PaneLayout(role="shell") for _ in range(tree.pane_count))
    layout = Layout(
        windows=(
            WindowLayout(
                window_name="ünï: 'x'", agent="dev", panes=panes, layout="tiled",
                tree=TreeLayout.from_cell(tree), options={"monitor-bell": "on"},
            ),
            WindowLayout(panes=(PaneLayout(shell_command=("a", "b: c")), PaneLayout(role="logs", focus=True))),
        )
    )  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "saved.yaml"
    path.write_text(dump_layout(layout), encoding="utf-8")
    assert load_layout(path) == layout


@pytest.mark.tmux
@pytest.mark.parametrize("name", [*SHIPPED, "saved"])
def test_tmuxp_loads_it(name: str, tmp_path: Path, server: TmuxServer, environ: dict[str, str]) -> None:
    layout = load_layout(resources.layouts_dir() / f"{'default' if name == 'saved' else name}.yaml")
    path = resources.layouts_dir() / f"{name}.yaml"
    if name == "saved":
        path = tmp_path / "saved.yaml"
        path.write_text(dump_layout(layout))
    tmuxp = [
        str(Path(sys.executable).with_name("tmuxp")),
        "load",
        "-d",
        "-y",
        "-L",
        server._name or "",
        str(path),
    ]
    done = subprocess.run(tmuxp, env={**environ, "LC_ALL": "C.UTF-8"}, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    panes = [["list-panes", "-s", "-t", "=bottlemux", "-F", "#{pane_id}"]]
    until(lambda: len(server.batch(panes)) == sum(len(window.panes) for window in layout.windows))


def test_data_is_found_in_a_wheel_and_in_a_checkout_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "bottlemux"
    (package / "_data" / "layouts").mkdir(parents=True)
    (tmp_path / "site-packages" / "images").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.layouts_dir() == package / "_data" / "layouts"
    with pytest.raises(UnavailableError, match="lacks its 'images' data"):
        resources.images_dir()
