"""The commands and flags that scripts may rely on: each of these lines has to go on being accepted."""

from __future__ import annotations

import shlex

import pytest

from bottlemux.cli.dispatch import COMMANDS, _divided, build_parser

LINES = """
attach
attach --layout solo
start AGENT
start AGENT --backend B --cwd DIR --workspace mount --layout L --prompt TEXT --yes --dry-run --detach
start AGENT --workspace clone -- ARG --flag
start AGENT --workspace copy --prompt -
resume SLUG OTHER
resume --all --backend B --dry-run --detach
stop SLUG OTHER
stop --all
rm SLUG
exec SLUG -- CMD --flag
exec SLUG --user U -- CMD
list active
list agents
list bottles
list backends
list layouts
list resumable
status
status SLUG --json
approvals list
approvals show ID
approvals approve ID
approvals approve ID --persist
approvals reject ID
approvals reject ID --reason R
logs SLUG
logs SLUG SERVICE -f
audit SLUG
audit SLUG -f --json
diff SLUG
fetch SLUG
layout list
layout show NAME
layout save NAME
layout apply NAME
layout rm NAME
keys show
keys install
keys uninstall
palette
info AGENT
doctor
doctor --json
cleanup
cleanup --yes
--socket-name NAME status
status --socket-name NAME
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_the_line_is_accepted(line: str) -> None:
    own, passed_on = _divided(shlex.split(line))
    parsed, unknown = build_parser(own).parse_known_args(own)
    assert unknown == []
    assert callable(parsed.run)
    assert passed_on == ([] if "--" not in line.split() else line.split()[line.split().index("--") + 1 :])


def test_every_command_of_the_list_is_one() -> None:
    named = {word for line in LINES for word in line.split() if word in COMMANDS}
    assert len(named) >= 19
