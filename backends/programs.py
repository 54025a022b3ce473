"""How each known program is started, given its task, and brought back to its conversation.

Any argv works as a program; a preset adds what a particular one needs to start unattended.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sidecars.secrets import placeholder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HOME = "/home/node"
GUEST = "/run/bottlemux"
START_SCRIPT = f"{GUEST}/start"
PROMPT_FILE = f"{GUEST}/prompt"
INSTRUCTIONS_FILE = f"{GUEST}/instructions"
QUICK_FAILURE_S = 15
_FIRST_SIGNAL_CODE = 128
PROMPT_ARGUMENT_LIMIT = 120_000
"""Bytes. Linux takes 131,071 in one argument; a longer prompt is handed over as a file to read."""


@dataclass(frozen=True)
class Preset:
    """A program bottlemux knows.

    ``environ`` is added to the bottle's environment, ``home`` are files put into a new home directory, ``unattended``
    are arguments that let it work without asking (left out when the operator gave one of ``permission_options``),
    ``resume`` those that continue its last conversation. There is one when a file that ``conversation`` (a shell
    pattern below the home directory) matches has ``conversation_mark`` in it. ``mcp`` is the one of ``home`` whose key
    ``mcpServers`` names MCP servers. ``before_prompt`` keeps a prompt that
    begins with a dash from being taken for an option.
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
    before_prompt: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    skills: str = ""
    mcp: str = ""


# Each entry answers one question of a first start. An API key in the environment is named by its last 20 characters;
# what CLAUDE.md may include from outside the project is still inside the bottle.
_CLAUDE_SETTINGS = {"skipDangerousModePermissionPrompt": True}
_CLAUDE_STATE = {
    "hasCompletedOnboarding": True,
    "customApiKeyResponses": {"approved": [placeholder("ANTHROPIC_API_KEY")[-20:]]},
    "projects": {
        "/workspace": {
            "hasTrustDialogAccepted": True,
            "hasClaudeMdExternalIncludesApproved": True,
            "hasClaudeMdExternalIncludesWarningShown": True,
        }
    },
}

_PRESETS = {
    "claude": Preset(
        name="claude",
        tested="end to end with Claude Code 2.1",
        environ={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_INSTALLATION_CHECKS": "1",
        },
        home={
            ".claude.json": json.dumps(_CLAUDE_STATE, indent=2) + "\n",
            ".claude/settings.json": json.dumps(_CLAUDE_SETTINGS, indent=2) + "\n",
        },
        unattended=("--dangerously-skip-permissions",),
        permission_options=("--permission-mode", "--dangerously-skip-permissions", "--allowedTools"),
        resume=("--continue",),
        conversation=".claude/projects/-workspace/*.jsonl",
        conversation_mark='"type":"user"',
        before_prompt=("--",),
        instructions=("--append-system-prompt",),
        skills=".claude/skills",
        mcp=".claude.json",
    ),
}


def preset_of(argv: Sequence[str]) -> Preset:
    """Return the preset of the program ``argv`` starts; one without special needs when it is not known."""
    name = PurePosixPath(argv[0]).name
    return _PRESETS.get(name, Preset(name=name, tested="started as it is"))


def start_script(argv: Sequence[str], arguments: Sequence[str], *, prompt: str, instructions: str) -> str:
    """Return the shell script that an agent pane runs inside the bottle.

    It continues the last conversation where there is one and falls back to a fresh start when that fails at once.
    Prompt and instructions are read from files, so that they may hold any character.
    """
    preset = preset_of(argv)
    command = _command(preset, argv, arguments, instructions=instructions)
    lines = ["#!/bin/sh", "cd /workspace || exit 126"]
    if preset.resume:
        lines += _continuing(preset, command)
    if prompt:
        # The dot keeps line ends, which a command substitution drops, and goes again.
        lines += [f"prompt=$(cat {PROMPT_FILE}; printf .)", "prompt=${prompt%.}"]
        command = " ".join([command, *preset.before_prompt, '"$prompt"'])
    return "\n".join([*lines, f"exec {command}"]) + "\n"


def _command(preset: Preset, argv: Sequence[str], arguments: Sequence[str], *, instructions: str) -> str:
    chosen = any(word.partition("=")[0] in preset.permission_options for word in (*argv, *arguments))
    command = shlex.join([*argv, *(() if chosen else preset.unattended), *arguments])
    if instructions and preset.instructions:
        command += f' {shlex.join(preset.instructions)} "$(cat {INSTRUCTIONS_FILE})"'
    return command


def _continuing(preset: Preset, command: str) -> list[str]:
    """Return the lines that continue a conversation. A program that was killed did not fail to continue it."""
    return [
        f'if grep -qsF -e {shlex.quote(preset.conversation_mark)} "$HOME"/{preset.conversation}; then',
        "  started=$(date +%s)",
        f"  {command} {shlex.join(preset.resume)}",
        "  code=$?",
        f'  [ "$code" -ne 0 ] && [ "$code" -lt {_FIRST_SIGNAL_CODE} ] || exit "$code"',
        f'  [ $(($(date +%s) - started)) -lt {QUICK_FAILURE_S} ] || exit "$code"',
        '  echo "bottlemux: the conversation could not be continued; starting a fresh one"',
        "fi",
    ]


def prompt_for(argument: str) -> str:
    """Return what to hand the program as its first task: the prompt, or where to read one too long to pass."""
    if len(argument.encode()) <= PROMPT_ARGUMENT_LIMIT:
        return argument
    return f"Read the file {GUEST}/task.md: it is your task. Carry it out."
