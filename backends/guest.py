"""The files that bottlemux gives to a bottle, rendered from its spec: what ``provision`` places."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from backends.environment import GIT_GATE_URL
from backends.presets import preset_of
from backends.programs import GUEST, PROMPT_ARGUMENT_LIMIT, prompt_for, start_script
from bottlemux.errors import BottlemuxError
from bottlemux.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backends.contract import BottleSpec
    from backends.presets import Preset
    from bottlemux.paths import BottlePaths

_INTRODUCTION = """\
You work inside a bottle: an isolated environment. The network is reachable only through the HTTP proxy in
HTTP_PROXY/HTTPS_PROXY, and only for the routes that http://_egress.local/routes lists. A refused request answers 403
with the reason in the header x-bottlemux-block and a hint in its JSON body; do not try to get around it. Credentials in
the environment are placeholders: the proxy puts in the real ones. Work in /workspace.
"""

_REPORTER = Path(__file__).with_name("reporter.py")
_SUPERVISE = """\
When the task needs more than the bottle allows, ask the operator through the MCP server `supervise`: egress-block after
a refused request, with the refusal's own host, port, method and path; git-block after a refused push;
capability-block, where it is offered, for a program that is missing: this bottle is then rebuilt with it. Ask for the
least that is enough and say why; wait with wait_s or wait-for-decision, then try again. What was rejected stays so.
"""


def instructions(spec: BottleSpec) -> str:
    """Return the standing instructions: where the agent is, then what its manifest says."""
    asking = _SUPERVISE if spec.resolved.bottle.supervise else ""
    own = spec.resolved.agent.instructions.strip()
    return "\n".join(part for part in (_INTRODUCTION, asking, own) if part)


def prompt_files(spec: BottleSpec) -> dict[str, str]:
    """Return the start script and what it reads, by name below ``/run/bottlemux``."""
    agent = spec.resolved.agent
    standing = instructions(spec)
    prompt = prompt_for(spec.prompt)
    files = {
        "start": start_script(
            agent.program,
            (*_reporting(spec), *agent.args, *spec.arguments),
            prompt=prompt,
            instructions=standing,
            session_id=spec.session_id,
        ),
        "prompt": prompt,
        "instructions": standing,
    }
    if len(spec.prompt.encode()) > PROMPT_ARGUMENT_LIMIT:
        files["task.md"] = spec.prompt
    return files


def home_files(spec: BottleSpec) -> dict[str, str | bytes]:
    """Return the files of a new home directory, the conversation that a former one held among them."""
    preset = preset_of(spec.resolved.agent.program)
    kept = {name: path.read_bytes() for name, path in kept_conversation(spec.files, preset).items()}
    return {**preset.home, **kept}


def kept_conversation(files: BottlePaths, preset: Preset) -> dict[str, Path]:
    """Return the copy of a bottle's conversation: its file on this machine, by its name below a home directory."""
    place = PurePosixPath(preset.conversation)
    if not preset.resume_one:
        return {}
    return {str(place.parent / path.name): path for path in files.transcripts.glob(f"*{place.suffix}")}


def _reporting(spec: BottleSpec) -> tuple[str, ...]:
    """Return the arguments by which the program reports; none where the operator's own would be overruled."""
    agent = spec.resolved.agent
    preset = preset_of(agent.program)
    given = {word.partition("=")[0] for word in (*agent.program, *agent.args, *spec.arguments)}
    return preset.reporting if reporting_files(spec) and not given & set(preset.reporting) else ()


def reporting_files(spec: BottleSpec) -> dict[str, str]:
    """Return what the program reports with what it does, by name below ``/run/bottlemux``."""
    preset = preset_of(spec.resolved.agent.program)
    if not spec.resolved.bottle.supervise or not preset.hooks:
        return {}
    return {"hooks.json": preset.hooks, "lib/report.py": _REPORTER.read_text("utf-8")}


def supervise_files(spec: BottleSpec) -> dict[str, str]:
    """Return the files of a new home directory that name the server for requests, in place of those without it."""
    preset = preset_of(spec.resolved.agent.program)
    return dict(preset.supervised) if spec.resolved.bottle.supervise else {}


def skill_directories(spec: BottleSpec) -> dict[str, Path]:
    """Return the agent's skills: a directory on the host for each name."""
    return {skill.name: skill.directory for skill in spec.resolved.skills}


def skills_link(spec: BottleSpec) -> tuple[str, str] | None:
    """Return where below the home directory the program looks for skills, and what that name shall point to."""
    place = preset_of(spec.resolved.agent.program).skills
    return (place, f"{GUEST}/skills") if place and spec.resolved.skills else None


def gitconfig(spec: BottleSpec) -> str:
    """Return the bottle's ``/etc/gitconfig``: the operator's name, and the gate in place of each upstream."""
    sections = ["[safe]\n\tdirectory = *\n"]
    if user := _user_section():
        sections.append(user)
    for remote in spec.resolved.bottle.git:
        rewritten = "".join(f"\tinsteadOf = {_quoted(url)}\n" for url in remote.instead_of())
        sections.append(f'[url "{GIT_GATE_URL}/{remote.name}.git"]\n{rewritten}')
    return "".join(sections)


def _user_section() -> str:
    if not any(path.is_file() for path in _git_settings()):
        return ""
    try:
        result = run(["git", "config", "--global", "--get-regexp", r"^user\.(name|email)$"], timeout=5.0)
    except BottlemuxError:
        return ""
    lines = result.stdout.decode(errors="replace").splitlines()
    pairs = [line.partition(" ") for line in lines]
    entries = "".join(f"\t{key.removeprefix('user.')} = {_quoted(value)}\n" for key, _, value in pairs)
    return f"[user]\n{entries}" if entries else ""


def _git_settings() -> Iterator[Path]:
    """Yield the files of the operator's own git settings: without any, git need not be asked."""
    home = Path(os.environ.get("HOME") or Path.home())
    yield home / ".gitconfig"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "git", "config")


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
