"""What bottlemux knows of a program: a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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


@dataclass(frozen=True)
class Preset:
    """A program bottlemux knows.

    ``environ`` is added to the bottle's environment, ``home`` are files put into a new home directory, ``unattended``
    are arguments that let it work without asking (left out when the operator gave one of ``permission_options``),
    ``resume`` those that continue its last conversation. There is one when a file that ``conversation`` (a shell
    pattern below the home directory) matches has ``conversation_mark`` in it.

    Where the program names its conversations by UUIDs, which stand for the ``*`` of the pattern, ``pin`` begins one
    of a given name and ``resume_one`` continues it; ``interactive_mark`` is in the files of those that somebody
    typed, and ``session_options`` are the options by which the operator chooses one instead.

    ``mcp`` is the one of ``home`` whose key
    ``mcpServers`` names MCP servers. ``before_prompt`` keeps a prompt that
    begins with a dash from being taken for an option. ``apis`` is what ``init`` puts into a new bottle.
    """

    name: str
    tested: str
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    home: Mapping[str, str] = field(default_factory=dict[str, str])
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
    skills: str = ""
    mcp: str = ""
    apis: tuple[Api, ...] = ()
