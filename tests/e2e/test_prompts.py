"""A prompt to agents that run: pasted, submitted, and told of each whether it was taken."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from bottlemux.errors import BottlemuxError
from bottlemux.lifecycle.prompting import _check_ready
from bottlemux.lifecycle.status import BottleStatus
from tests.e2e.fake_api import Text
from tests.e2e.world import until

if TYPE_CHECKING:
    from tests.e2e.fake_api import FakeApi
    from tests.e2e.world import World

pytestmark = [pytest.mark.bwrap, pytest.mark.tmux]

TOKEN = f"sk-ant-oat01-{secrets.token_urlsafe(48)}"


def test_every_shell_takes_it_and_what_cannot_is_told(shell: World) -> None:
    one, two, ended = (shell.start("shell") for _ in range(3))
    until(lambda: "$" in shell.pane(one) and "$" in shell.pane(two), "the shells' prompts")
    shell.run("prompt", one, "exit 3")
    shell.run("prompt", ended, "exit 3")
    until(lambda: shell.status(ended)["state"] == "exited", "the end of a program")
    shell.run("resume", one, "--detach")

    done = shell.try_run("prompt", "--all", "-", stdin="echo sum $((40 + 2)); echo \\; '#{pane_id}'")
    assert done.returncode == 4, done
    assert f"{one}: handed over" in done.stdout
    assert f"{two}: handed over" in done.stdout
    assert f"error: {ended} takes no prompt: the program ended (exit code 3)" in done.stderr
    alone = shell.try_run("prompt", ended, "hello").stderr.splitlines()
    assert alone[1:] == [f"hint: bottlemux resume {ended}", "hint: more: bottlemux help state"]
    for slug in (one, two):
        shell.wait_for_text(slug, "sum 42")
        shell.wait_for_text(slug, "; #{pane_id}")
    assert "sum 42" not in shell.pane(ended)

    for words, code in (
        (("text",), 2), (("--all", one, "text"), 2), ((one, " \n"), 2), (("nobody", "text"), 4),
    ):  # fmt: skip
        assert shell.try_run("prompt", *words).returncode == code, words


def test_who_waits_for_an_answer_is_not_answered_by_it() -> None:
    row = BottleStatus("dev-00001", "dev", "b", "waiting", "asks to use Bash", "program", "")
    with pytest.raises(BottlemuxError, match="Enter would answer it"):
        _check_ready(row, force=False)
    _check_ready(row, force=True)


@pytest.mark.claude
def test_claude_code_takes_it(claude: World, api: FakeApi) -> None:
    api.otherwise = lambda _request: Text("Done-with-that.")
    slugs = [claude.start("coder", "--prompt=First task", CLAUDE_CODE_OAUTH_TOKEN=TOKEN) for _ in range(2)]
    for slug in slugs:
        claude.wait_for_text(slug, "Done-with-that.")
        until(lambda slug=slug: claude.status(slug)["state"] in {"idle", "finished"}, "the end of the turn")
    prompt = "Second task:\n  keep 'quotes', $HOME and `ticks`;\n" + "many words " * 300 + "end"
    done = claude.run("prompt", *slugs, "-", stdin=prompt)
    assert done.splitlines() == [f"{slug}: handed over" for slug in slugs]
    until(
        lambda: sum(prompt in text for turn in api.turns() for text in turn.texts("user")) >= len(slugs),
        "the prompt at the API, word for word",
    )
