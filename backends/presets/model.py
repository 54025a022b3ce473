"""What bottlemux knows of a program: a value."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

GUEST = "/run/bottlemux"
"""Where a bottle sees, read-only, what bottlemux gives it."""
REPORTER = f"LD_LIBRARY_PATH={GUEST}/python/lib {GUEST}/lib/python3 -I -S {GUEST}/lib/report.py 2>/dev/null || exit 0"
"""The command of a hook: it takes an event on standard input and tells supervise; see ``backends.reporter``.

Whatever goes wrong, it neither speaks nor fails: that would reach the agent.
"""


@dataclass(frozen=True)
class Api:
    """What a program has to reach to work, as a route of a bottle manifest would say it.

    ``token_ref`` names the variable with the operator's credential; ``header`` and ``auth_scheme`` are where the
    program sends it, empty for the manifest's defaults.
    """

    host: str
    paths: tuple[str, ...] = ()
    token_ref: str = ""
    header: str = ""
    auth_scheme: str = ""
    methods: tuple[str, ...] = ("GET", "POST")


SUPERVISE_URL = "http://supervise:9100/"
"""Where every bottle finds the MCP server of its operator; some programs are told in a file of theirs."""


@dataclass(frozen=True)
class Preset:
    """A program bottlemux knows. ``tested`` says how far, for the person who chooses it; ``install`` how to get it.

    ``environ`` is added to the bottle's environment, ``home`` are files put into a new home directory, ``unattended``
    are arguments that let it work without asking (left out when the operator gave one of ``permission_options``),
    ``resume`` those that continue its last conversation. There is one when a file that ``conversation`` (a shell
    pattern below the home directory) matches has ``conversation_mark`` in it.

    Where the program names its conversations by UUIDs, which stand for the ``*`` of the pattern, ``pin`` begins one
    of a given name and ``resume_one`` continues it; ``interactive_mark`` is in the files of those that somebody
    typed, and ``session_options`` are the options by which the operator chooses one instead.

    ``supervised`` are the files of ``home`` once more, as they are where the agent may ask its operator over MCP.
    ``before_prompt`` comes before a prompt, which may begin with a dash; one that ends in ``=`` takes it in the same
    word. Standing instructions are given with ``instructions``, or are a file that the program finds at
    ``instructions_file`` below the home directory. ``apis`` is what ``init`` puts into a new bottle.

    ``reporting`` are arguments by which it reports what it does, through the hooks in ``hooks``, the content of a file
    that they name; left out when the operator gave one of them. ``at_prompt`` is a regular expression that its screen
    matches when one can type, and not while a dialog is open.
    """

    name: str
    tested: str
    install: str = ""
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    home: Mapping[str, str] = field(default_factory=dict[str, str])
    supervised: Mapping[str, str] = field(default_factory=dict[str, str])
    unattended: tuple[str, ...] = ()
    permission_options: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    conversation: str = ""
    conversation_mark: str = ""
    interactive_mark: str = ""
    pin: tuple[str, ...] = ()
    resume_one: tuple[str, ...] = ()
    session_options: tuple[str, ...] = ()
    before_prompt: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    instructions_file: str = ""
    skills: str = ""
    apis: tuple[Api, ...] = ()
    reporting: tuple[str, ...] = ()
    hooks: str = ""
    at_prompt: str = ""


def as_json(value: object) -> str:
    """Return a settings file of a program."""
    return json.dumps(value, indent=2) + "\n"
