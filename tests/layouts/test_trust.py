"""What a hostile project's layouts try at each way in, with a real bottle; and what the operator's yes changes."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.world import World, until
from tests.session.conftest import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

EVIL = "windows:\n  - panes: [{role: agent}, {shell_command: [touch /workspace/evil, exec sleep 1000]}]\n"
EVIL_SESSION = EVIL + "  - panes: [{role: agent}, {argv: [touch, /workspace/evil]}]\n"
SOLO = "windows:\n  - panes: [{role: agent}]\n"
QUESTION = "Let this layout run them, as long as it stays as it is? [y/N]"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    user = World(tmp_path_factory.mktemp("trust"))
    user.manifest("bottles", "quiet", "supervise: false", "Nothing out.")
    user.manifest("agents", "shell", "bottle: quiet\nprogram: [bash, --norc]\nworkspace: mount", "A shell.")
    for folder in ("agents", "layouts"):
        (user.project / ".bottlemux" / folder).mkdir(parents=True)
    (user.project / ".bottlemux" / "agents" / "theirs.md").write_text(
        "---\nbottle: quiet\nprogram: [bash, --norc]\nworkspace: mount\nlayout: evil\n---\n"
    )
    yield user
    user.close()


@pytest.fixture(scope="module")
def slug(world: World) -> str:
    return world.start("shell", "--layout", "solo")


@pytest.fixture(autouse=True)
def _nothing_left(world: World) -> Iterator[None]:
    yield
    for name in ("evil", "solo"):
        project_layout(world, name).unlink(missing_ok=True)
    (world.project / "evil").unlink(missing_ok=True)


def project_layout(world: World, name: str, text: str = "") -> os.PathLike[str]:
    path = world.project / ".bottlemux" / "layouts" / f"{name}.yaml"
    if text:
        path.write_text(text)
    return path


def at_terminal(world: World, *words: str) -> Terminal:
    argv = ["sh", "-c", f'cd {world.project} && exec "$@"', "sh", *world.argv(*words)]
    return Terminal(argv, {**os.environ, **world.environ}, (160, 40))


def roles(world: World) -> set[str]:
    return set(world.tmux("list-panes", "-a", "-F", "#{@bottlemux_role}").split())


@pytest.mark.parametrize("text", [EVIL, EVIL_SESSION], ids=["window", "session"])
@pytest.mark.parametrize(
    "words",
    [
        "layout apply evil --slug {slug}",
        "layout apply evil --slug {slug} --close",
        "layout apply evil",
        "layout apply evil --session --yes",
        "start shell --yes --detach --layout evil",
        "start shell --yes --detach --layout evil:1",
        "start theirs --yes --detach",
    ],
)
def test_its_commands_run_nowhere_without_a_terminal(world: World, slug: str, words: str, text: str) -> None:
    project_layout(world, "evil", text)
    refused = world.try_run(*words.format(slug=slug).split())
    assert (refused.returncode, "may not run commands of its own" in refused.stderr) == (2, True), refused
    assert (
        "hint: in a terminal, start, attach --layout and layout apply ask; or copy the file" in refused.stderr
    )
    assert world.run("list", "active").count("\n") == 1
    assert "command" not in roles(world)


@pytest.mark.parametrize("text", [EVIL, EVIL_SESSION], ids=["window", "session"])
@pytest.mark.parametrize(
    "words",
    [
        "layout apply evil",
        "layout apply evil --session --yes",
        "attach --layout evil --yes",
        "start shell --yes --layout evil",
        "start theirs --yes",
    ],
)
def test_a_no_or_a_yes_that_was_typed_ahead_runs_nothing(
    world: World, slug: str, words: str, text: str
) -> None:
    project_layout(world, "evil", text)
    terminal = at_terminal(world, *words.split())
    try:
        terminal.type(b"y\ny\n")
        terminal.shows("window 1, pane 2: touch /workspace/evil")
        terminal.shows(QUESTION)
        terminal.type(b"\r")
        terminal.shows("nothing was done")
    finally:
        terminal.close()
    assert world.run("list", "active").count("\n") == 1
    assert "command" not in roles(world)


@pytest.mark.parametrize(
    "commands", ["touch /workspace/evil, " * 19 + '":"', f"{'x' * 1200}"], ids=["many", "long"]
)
def test_more_than_a_screen_shows_is_not_even_asked_about(world: World, slug: str, commands: str) -> None:
    project_layout(
        world, "evil", f"windows:\n  - panes: [{{role: agent}}, {{shell_command: [{commands}]}}]\n"
    )
    terminal = at_terminal(world, "layout", "apply", "evil", "--slug", slug)
    try:
        terminal.shows("more commands than a screen can show")
    finally:
        terminal.close()
    assert QUESTION not in terminal.output.decode()


def test_they_run_once_agreed_to_until_the_file_changes(world: World, slug: str) -> None:
    project_layout(world, "evil", EVIL)
    terminal = at_terminal(world, "layout", "apply", "evil", "--slug", slug)
    try:
        terminal.shows(QUESTION)
        terminal.type(b"y\r")
        terminal.shows(f"{slug}: now in layout evil")
    finally:
        terminal.close()
    until((world.project / "evil").exists, "the command in the bottle")
    assert "now in layout evil" in world.run("layout", "apply", "evil", "--slug", slug)
    project_layout(world, "evil", EVIL + "# and more\n")
    assert world.try_run("layout", "apply", "evil", "--slug", slug).returncode == 2
    assert "touch /workspace/evil" in world.run("layout", "show", "evil")
    world.run("layout", "apply", "solo", "--slug", slug, "--close")


def test_a_bottle_of_another_directory_is_not_theirs(
    world: World, slug: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project_layout(world, "theirs", SOLO)
    other = tmp_path_factory.mktemp("other")
    (other / ".bottlemux" / "layouts").mkdir(parents=True)
    (other / ".bottlemux" / "layouts" / "elsewhere.yaml").write_text(SOLO)
    terminal = Terminal(
        ["sh", "-c", f'cd {other} && exec "$@"', "sh", *world.argv("layout", "apply", "elsewhere")],
        {**os.environ, **world.environ}, (200, 40),
    )  # fmt: skip
    try:
        terminal.shows("a project's layout is for that directory alone")
    finally:
        terminal.close()


@pytest.mark.parametrize("words", ["layout apply solo --slug {slug}", "start shell --dry-run --layout solo"])
def test_a_known_name_means_what_it_did_and_the_operator_is_told(world: World, slug: str, words: str) -> None:
    path = project_layout(world, "solo", EVIL)
    done = world.try_run(*words.format(slug=slug).split())
    assert done.returncode == 0, done
    told = f"layout 'solo' is the shipped one; the project's is hidden by it until it is renamed: {path}\n"
    assert done.stderr == told
    assert "command" not in roles(world)


def test_the_list_says_what_is_hidden_and_by_which(world: World) -> None:
    path = project_layout(world, "solo", EVIL)
    assert f"project, hidden by the shipped one  {path}" in " ".join(world.run("layout", "list").splitlines())
    (row,) = [row for row in json.loads(world.run("layout", "list", "--json")) if row["path"] == str(path)]
    assert row == {"name": "solo", "origin": "project", "path": str(path), "hidden_by": "shipped"}
    assert world.run("list", "layouts").split().count("solo") == 1
