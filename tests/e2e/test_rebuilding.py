"""A bottle gets a program that its image lacks, and whatever is killed meanwhile, that is finished or undone."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.approvals.mcp_call import SCRIPT
from tests.e2e.world import World, kill, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.tmux]

TOOL = "RUN printf '#!/bin/sh\\necho it works\\n' > /usr/local/bin/tool && chmod 755 /usr/local/bin/tool"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[World]:
    """The user has an agent ``shell`` on the engine of the tests, which may ask for more."""
    made = World(tmp_path / "user")
    made.use_engine()
    made.manifest("bottles", "plain", "backend: docker\nsupervise: true")
    made.manifest("agents", "shell", "bottle: plain\nprogram: [bash, -l]")
    yield made
    made.close()


def ask(world: World, slug: str, *lines: str) -> str:
    """Ask for ``lines`` as the agent would, and return the proposal's id."""
    request = json.dumps({"dockerfile_lines": list(lines), "reason": "the task needs it"})
    said = world.run("exec", slug, "--", "sh", "-s", "capability-block", request, stdin=SCRIPT)
    answer = json.loads(said)
    assert answer["status"] == "pending", answer
    return str(answer["id"])


def proposal(world: World, slug: str, identifier: str) -> dict[str, Any]:
    value = json.loads((world.bottle(slug) / "proposals" / f"{identifier}.json").read_text())
    assert isinstance(value, dict)
    return value


def has_tool(world: World, slug: str) -> bool:
    return world.try_run("exec", slug, "--", "tool").stdout == "it works\n"


def panes(world: World, slug: str) -> list[str]:
    form = "#{window_id} #{pane_id} #{@bottlemux_role} #{pane_width}x#{pane_height}"
    return world.tmux("list-panes", "-t", world.pane_id(slug), "-F", form).splitlines()


def test_the_bottle_comes_back_with_it_in_its_panes(shell: World) -> None:
    slug = shell.start("shell")
    assert not has_tool(shell, slug)
    before = panes(shell, slug)
    identifier = ask(shell, slug, TOOL)
    shown = shell.run("approvals", "show", identifier)
    assert f"+{TOOL}" in shown
    assert "+FROM ${BOTTLE_IMAGE}" in shown
    done = shell.try_run("approvals", "approve", identifier)
    assert done.returncode == 0, done.stderr
    assert "Step " in done.stderr
    assert has_tool(shell, slug)
    assert panes(shell, slug) == before
    assert not shell.is_dead(slug)
    assert not shell.is_dead(slug, "shell")
    assert proposal(shell, slug, identifier)["state"] == "active"
    assert TOOL in (shell.bottle(slug) / "Dockerfile").read_text()
    assert shell.try_run("exec", slug, "--", "sh", "-c", "find /usr /bin -perm /6000 -type f").stdout == ""

    again = shell.try_run("approvals", "approve", identifier)
    assert again.returncode == 1
    assert "was decided before: active" in again.stderr
    second = ask(shell, slug, "RUN echo more > /opt/more")
    assert f" {TOOL}" in shell.run("approvals", "show", second)
    shell.run("approvals", "approve", second)
    assert shell.run("exec", slug, "--", "cat", "/opt/more") == "more\n"
    assert has_tool(shell, slug)

    shell.run("stop", slug)
    moved = shell.try_run("resume", slug, "--detach", "--backend", "bubblewrap")
    assert moved.returncode == 2
    assert "programs that bubblewrap cannot give it" in moved.stderr
    shell.run("resume", slug, "--detach")
    assert has_tool(shell, slug)


def approve_in_palette(world: World, question: str, then: str = "") -> str:
    """Do it with keys, in a window beside the agent's; wait for ``question``, and for what is shown ``then``."""
    environ = [f"{name}={value}" for name, value in world.environ.items()]
    command = ["env", *environ, *world.argv("palette", "--here", "--do", "approve")]
    pane = world.tmux("new-window", "-P", "-F", "#{pane_id}", "-t", "=bottlemux:", "--", *command).strip()

    def shows(text: str) -> None:
        def screen() -> str:
            return world.tmux("capture-pane", "-p", "-t", pane)

        try:
            until(lambda: text in screen(), f"{text!r} in the palette")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{screen()}") from None

    shows("> decide")
    world.tmux("send-keys", "-t", pane, "Enter")
    shows("> approve")
    world.tmux("send-keys", "-t", pane, "Enter")
    shows(question)
    world.tmux("send-keys", "-t", pane, "y")
    if then:
        shows(then)
    return pane


def test_approved_in_the_palette_its_build_is_seen(shell: World) -> None:
    slug = shell.start("shell")
    ask(shell, slug, TOOL)
    pane = approve_in_palette(shell, "Approve it, and rebuild the bottle?", "Enter closes this.")
    assert "Successfully built" in shell.tmux("capture-pane", "-p", "-S", "-", "-t", pane)
    assert has_tool(shell, slug)


def test_a_failed_build_leaves_the_bottle_and_tells_both(shell: World) -> None:
    slug = shell.start("shell")
    started = shell.report(slug)["started_at"]
    identifier = ask(shell, slug, "RUN echo this-is-why >&2; exit 7")
    done = shell.try_run("approvals", "approve", identifier)
    assert done.returncode == 1
    assert "this-is-why" in done.stderr
    assert shell.report(slug)["started_at"] == started
    assert not (shell.bottle(slug) / "Dockerfile").exists()
    waiting = json.dumps({"id": identifier, "wait_s": 0})
    told = shell.run("exec", slug, "--", "sh", "-s", "wait-for-decision", waiting, stdin=SCRIPT)
    assert json.loads(told)["status"] == "failed"
    assert "7" in json.loads(told)["reason"]
    assert not has_tool(shell, slug)


def test_one_that_does_not_start_in_it_comes_back_in_the_former(shell: World) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, "RUN rm -f /usr/bin/python3*")
    done = shell.try_run("approvals", "approve", identifier)
    assert done.returncode == 1
    assert proposal(shell, slug, identifier)["state"] == "failed"
    assert shell.run("exec", slug, "--", "python3", "-c", "print(1)") == "1\n"
    assert not shell.is_dead(slug)


def test_approved_at_once_it_is_built_once(shell: World) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, "RUN sleep 1", TOOL)
    argv = shell.argv("approvals", "approve", identifier)
    racing = [
        subprocess.Popen(argv, env=shell.environ, cwd=shell.project, stderr=subprocess.PIPE) for _ in range(4)
    ]
    errors = [process.communicate()[1].decode() for process in racing]
    assert sorted(process.returncode for process in racing) == [0, 1, 1, 1]
    assert sum("comes back in the new image" in text for text in errors) == 1
    assert has_tool(shell, slug)
    taken = [entry for entry in shell.audit(slug) if entry["reason"] == "approved"]
    assert len(taken) == 1


def _decided(world: World, slug: str, identifier: str) -> bool:
    return proposal(world, slug, identifier)["state"] == "approved"


def _has_dockerfile(world: World, slug: str, _identifier: str) -> bool:
    return (world.bottle(slug) / "Dockerfile").exists()


def _ended(world: World, slug: str, identifier: str) -> bool:
    return _has_dockerfile(world, slug, identifier) and world.is_dead(slug)


def _launched(world: World, slug: str, identifier: str) -> bool:
    """Its window comes next."""
    image, dockerfile = world.state / "run" / slug / "image", world.bottle(slug) / "Dockerfile"
    try:
        return image.stat().st_mtime_ns > dockerfile.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _back(world: World, slug: str, _identifier: str) -> bool:
    return has_tool(world, slug)


@pytest.mark.parametrize(
    "moment", [_decided, _has_dockerfile, _ended, _launched, _back], ids=lambda step: step.__name__
)
def test_killed_in_between_it_is_finished_at_the_next_look(
    shell: World, moment: Callable[[World, str, str], bool]
) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, "RUN sleep 1", TOOL)
    approving = subprocess.Popen(
        shell.argv("approvals", "approve", identifier), env=shell.environ, cwd=shell.project,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not moment(shell, slug, identifier) and approving.poll() is None:
        assert time.monotonic() < deadline
    approving.send_signal(signal.SIGKILL)
    approving.wait()
    assert proposal(shell, slug, identifier)["state"] in {"approved", "active"}

    shell.run("approvals", "list")
    assert proposal(shell, slug, identifier)["state"] == "active"
    assert has_tool(shell, slug)
    assert not shell.is_dead(slug)
    assert not shell.is_dead(slug, "shell")
    assert shell.status(slug)["state"] in {"working", "idle", "starting"}


def test_lost_bottle_comes_back_with_what_was_approved(shell: World) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, TOOL)
    kill([shell.report(slug)["supervisor_pid"]])
    until(lambda: slug not in shell.run("list", "active"), "the end of the bottle")
    shell.run("approvals", "approve", identifier)
    assert has_tool(shell, slug)


def test_what_is_stopped_stays_so(shell: World) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, TOOL)
    shell.run("stop", slug)
    assert "in force when the bottle comes back" in shell.run("approvals", "approve", identifier)
    assert shell.run("list", "active") == ""
    shell.run("resume", slug, "--detach")
    assert has_tool(shell, slug)


def test_a_credential_that_is_not_here_is_not_lost(shell: World) -> None:
    route = "{host: api.example.com, token_ref: SOME_TOKEN}"
    shell.manifest("bottles", "plain", f"backend: docker\nsupervise: true\negress: {{routes: [{route}]}}")
    slug = shell.start("shell", SOME_TOKEN="a-token-of-the-tests")
    identifier = ask(shell, slug, TOOL)
    done = shell.try_run("approvals", "approve", identifier)
    assert done.returncode == 2
    assert "SOME_TOKEN is not set here" in done.stderr
    assert proposal(shell, slug, identifier)["state"] == "pending"
    shell.run("approvals", "approve", identifier, SOME_TOKEN="a-token-of-the-tests")
    assert has_tool(shell, slug)


def test_for_good_it_goes_into_the_users_own_image(shell: World) -> None:
    slug = shell.start("shell")
    identifier = ask(shell, slug, TOOL)
    done = shell.try_run("approvals", "approve", "--persist", identifier)
    assert done.returncode == 2
    assert "names no image directory of yours" in done.stderr
    assert proposal(shell, slug, identifier)["state"] == "pending"
