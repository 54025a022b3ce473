"""How each known program is started, given its task, and brought back to its conversation.

Any argv works as a program; its preset (``backends.presets``) adds what it needs to start unattended.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from backends.presets import model, preset_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backends.presets import Preset

HOME = "/home/node"
GUEST = model.GUEST
START_SCRIPT = f"{GUEST}/start"
PROMPT_FILE = f"{GUEST}/prompt"
INSTRUCTIONS_FILE = f"{GUEST}/instructions"
QUICK_FAILURE_S = 15
_FIRST_SIGNAL_CODE = 128
PROMPT_ARGUMENT_LIMIT = 120_000
"""Bytes. Linux takes 131,071 in one argument; a longer prompt is handed over as a file to read."""


def start_script(
    argv: Sequence[str], arguments: Sequence[str], *, prompt: str, instructions: str, session_id: str = ""
) -> str:
    """Return the shell script that an agent pane runs inside the bottle.

    Its arguments are the id of the conversation to continue, and what the program is told then. Where that cannot be
    continued it takes the last one, and else it starts afresh, as ``session_id``; it says which. Prompt and
    instructions are read from files, so that they may hold any character.
    """
    preset = preset_of(argv)
    command = _command(preset, argv, arguments, instructions=instructions)
    # tmux scrolls by a line to say that a program has ended; of one that failed at once its only line would go.
    lines = ["#!/bin/sh", "echo", "cd /workspace || exit 126", "session=${1:-} said=${2:-}", "set --"]
    if instructions and preset.instructions_file:
        lines += _placing(preset.instructions_file)
    if preset.resume and not _names(preset.session_options, (*argv, *arguments)):
        lines += _continuing(preset, command)
        lines += _pinning(preset, session_id)
    command += ' "$@"'
    if prompt:
        # The dot keeps line ends, which a command substitution drops, and goes again.
        lines += [f"prompt=$(cat {PROMPT_FILE}; printf .)", "prompt=${prompt%.}"]
        command = f'{command} {_joined(preset.before_prompt)}"$prompt"'
    return "\n".join([*lines, f"exec {command}"]) + "\n"


def _names(options: Sequence[str], words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] in options for word in words)


def _joined(words: Sequence[str]) -> str:
    """Return ``words`` as they come before another one, which belongs to the last of them if that ends in ``=``."""
    text = shlex.join(words)
    return text if not text or text.endswith("=") else f"{text} "


def _placing(name: str) -> list[str]:
    """Return the lines that let the program find its instructions where it looks for them; its own file stays."""
    place = f'"$HOME"/{shlex.quote(name)}'
    return [f"mkdir -p $(dirname {place})", f"[ -e {place} ] || ln -sf {INSTRUCTIONS_FILE} {place}"]


def _command(preset: Preset, argv: Sequence[str], arguments: Sequence[str], *, instructions: str) -> str:
    chosen = _names(preset.permission_options, (*argv, *arguments))
    command = shlex.join([*argv, *(() if chosen else preset.unattended), *arguments])
    if instructions and preset.instructions:
        command += f' {shlex.join(preset.instructions)} "$(cat {INSTRUCTIONS_FILE})"'
    return command


def _continuing(preset: Preset, command: str) -> list[str]:
    """Return the lines that continue a conversation. A program that was killed did not fail to continue it."""
    lines = [
        f'talked() {{ grep -qsF -e {shlex.quote(preset.conversation_mark)} "$@"; }}',
        "continue_with() {",
        "  started=$(date +%s)",
        f'  {command} "$@" {_said(preset)}',
        "  code=$?",
        f'  [ "$code" -ne 0 ] && [ "$code" -lt {_FIRST_SIGNAL_CODE} ] || exit "$code"',
        f'  [ $(($(date +%s) - started)) -lt {QUICK_FAILURE_S} ] || exit "$code"',
        "  session=${session:-latest}",
        "}",
    ]
    if preset.resume_one:
        place = preset.conversation.replace("*", "$session")
        lines += [
            f'if [ -n "$session" ] && talked "$HOME/{place}"; then',
            f'  continue_with {shlex.join(preset.resume_one)} "$session"',
            "fi",
        ]
    return [
        *lines,
        f'if talked "$HOME"/{preset.conversation}; then',
        '  [ -z "$session" ] || echo "bottlemux: conversation $session cannot be continued; trying the last one"',
        f"  continue_with {shlex.join(preset.resume)}",
        "fi",
        '[ -z "$session" ] || echo "bottlemux: the conversation could not be continued; starting a fresh one"',
    ]


def _said(preset: Preset) -> str:
    """Return the words that tell the program something as its conversation goes on; none if there is nothing."""
    return f'${{said:+{shlex.join(preset.before_prompt)} "$said"}}' if preset.resume_one else ""


def _pinning(preset: Preset, session_id: str) -> list[str]:
    """Return the lines that give a fresh conversation the id ``session_id``, unless there was one of that id."""
    if not preset.pin or not session_id:
        return []
    place = preset.conversation.replace("*", session_id)
    return [f'[ -e "$HOME/{place}" ] || set -- {shlex.join([*preset.pin, session_id])}']


def prompt_for(argument: str) -> str:
    """Return what to hand the program as its first task: the prompt, or where to read one too long to pass."""
    if len(argument.encode()) <= PROMPT_ARGUMENT_LIMIT:
        return argument
    return f"Read the file {GUEST}/task.md: it is your task. Carry it out."
