"""How each known program is started, given its task, and brought back to its conversation.

Any argv works as a program; its preset (``backends.presets``) adds what it needs to start unattended.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from backends.presets import preset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.presets import Preset

HOME = "/home/node"
GUEST = "/run/bottlemux"
START_SCRIPT = f"{GUEST}/start"
PROMPT_FILE = f"{GUEST}/prompt"
INSTRUCTIONS_FILE = f"{GUEST}/instructions"
QUICK_FAILURE_S = 15
_FIRST_SIGNAL_CODE = 128
PROMPT_ARGUMENT_LIMIT = 120_000
"""Bytes. Linux takes 131,071 in one argument; a longer prompt is handed over as a file to read."""


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
