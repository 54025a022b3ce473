"""tmux and the terminal around it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bottlemux.lifecycle.checks.model import Check
from bottlemux.process import run
from bottlemux.session.features import advise, lacking, server_options
from bottlemux.session.server import MIN_VERSION, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bottlemux.lifecycle.context import Context

_INSTALL = "sudo apt-get install tmux"
_TIMEOUT_S = 5.0


def check_tmux(context: Context) -> Iterator[Check]:
    """Look: is tmux there, new enough, and does a running server fit it."""
    if shutil.which("tmux") is None:
        yield Check("tmux", "error", "not installed", _INSTALL)
        return
    version = run(["tmux", "-V"], timeout=_TIMEOUT_S).stdout.decode(errors="replace").strip()
    version = version.removeprefix("tmux ")
    yield judge_version(version)
    server = context.workspace.server
    identity = server.identity()
    yield judge_server(version, identity.version if identity else None, str(server.socket_path))


def judge_version(version: str) -> Check:
    """Say what this version of tmux can do for bottlemux."""
    if parse_version(version) < parse_version(MIN_VERSION):
        return Check("tmux", "error", f"{version} is too old: {MIN_VERSION} is needed", _INSTALL)
    missed = [feature.lost for feature in lacking(version)]
    lacks = f"; lacks {', and '.join(missed)}" if missed else ""
    return Check("tmux", "ok", f"{version}{lacks}")


def judge_server(client: str, server: str | None, socket: str) -> Check:
    """Say whether the running server understands the client; ``None`` is no server."""
    if server is None:
        return Check("tmux server", "ok", f"none runs yet at {socket}")
    if server == client:
        return Check("tmux server", "ok", f"runs at {socket}")
    return Check(
        "tmux server",
        "warning",
        f"runs {server} at {socket}, but tmux on the PATH is {client}",
        "end the sessions in it when you can, or use another server: --socket-name NAME",
    )


def check_options(context: Context) -> Iterator[Check]:
    """Look: do the running server's own options let keys and clipboard through."""
    options = server_options(context.workspace.server) if shutil.which("tmux") else None
    return judge_options(options or {}) if options is not None else iter(())


def judge_options(options: Mapping[str, str]) -> Iterator[Check]:
    """Say what the user may want in their tmux.conf; bottlemux never sets an option of the whole server."""
    for advice in advise(options):
        lines = "; and: ".join(advice.lines)
        yield Check(advice.name, "warning", advice.detail, f"put into tmux.conf: {lines}")


def check_locale(context: Context) -> Iterator[Check]:
    """Look: can text of every language pass."""
    yield judge_locale(context.environ)


def judge_locale(environ: Mapping[str, str]) -> Check:
    """Say whether the locale is UTF-8: the first of these variables that is set counts."""
    value = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    if "utf-8" in value.lower().replace("utf8", "utf-8"):
        return Check("locale", "ok", value)
    return Check("locale", "warning", f"{value or 'unset'} is not UTF-8", "export LANG=C.UTF-8")


def check_terminal(context: Context) -> Iterator[Check]:
    """Look: does the terminal have a name, and are we inside the right tmux."""
    yield judge_terminal(context.environ)
    if (inside := context.environ.get("TMUX")) and context.workspace.server.surrounding_socket():
        yield judge_nesting(inside.rsplit(",", 2)[0], str(context.workspace.server.socket_path))


def judge_terminal(environ: Mapping[str, str]) -> Check:
    """Say whether what ``TERM`` names can show a workspace."""
    name = environ.get("TERM", "")
    if name in {"", "dumb", "unknown"}:
        return Check(
            "terminal",
            "warning",
            f"TERM is {name or 'unset'}: tmux will not start in it",
            "export TERM=xterm-256color",
        )
    colours = "24-bit colours" if environ.get("COLORTERM") in {"truecolor", "24bit"} else "colours as named"
    return Check("terminal", "ok", f"{name}, {colours}")


def judge_nesting(surrounding: str, chosen: str) -> Check:
    """Say whether the workspace is in the tmux server that this command runs inside of."""
    if surrounding == chosen:
        return Check("inside tmux", "ok", "attach switches this client to the workspace")
    fix = "leave it first, or unset BOTTLEMUX_TMUX_SOCKET to have the workspace in this one"
    return Check("inside tmux", "warning", f"of {surrounding}, but the workspace is at {chosen}", fix)
