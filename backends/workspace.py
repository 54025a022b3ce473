"""The agent's working copy: the operator's directory itself, a clone of its repository, or a copy of it.

Everything below a workspace may have been written by an agent. No git command here runs a hook, a filter, a
file-system monitor or a transport helper of the repository.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backends.copying import copy_tree
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.files import make_private_dir
from bottlemux.process import run, scrubbed_environ
from bottlemux.state.removal import remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

CLONE_TIMEOUT_S = 600.0
_CREDENTIALS = re.compile(r"\A(https?://)[^/?#]*@", re.IGNORECASE)

# Files of a project by which a tool on the host can be made to run code. A directory is protected as a whole.
# The locks of git's settings are among them: a mount protects a file only until somebody puts another in its place,
# as git does to change a setting. While the locks are taken, git on the host refuses to.
PROTECTED_DIRECTORIES = (
    ".bottlemux",
    ".claude",
    ".codex",
    ".cursor",
    ".devcontainer",
    ".gemini",
    ".git/config.lock",
    ".git/config.worktree.lock",
    ".git/hooks",
    ".git/modules",
    ".git/worktrees",
    ".husky",
    ".idea",
    ".vscode",
)
PROTECTED_FILES = (
    ".envrc",
    ".git/commondir",
    ".git/config",
    ".git/config.worktree",
    ".gitmodules",
    ".mcp.json",
)
_STAND_IN_FILES = {".git/commondir": ".\n", ".git/config.worktree": ""}
"""Where git must read something harmless. Any other stand-in is an empty directory, which git does not see."""


@dataclass(frozen=True)
class Protection:
    """What a mounted workspace must not change.

    ``paths`` are shown read-only; those in ``placeholders`` do not exist yet and are made for the time the bottle
    runs, because only something that exists can be protected. ``pinned`` are shown writable but cannot be renamed.
    """

    paths: tuple[str, ...]
    placeholders: tuple[str, ...]
    pinned: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return what the preflight says of it, as label and text."""
        rows = [("read-only", ", ".join(self.paths))] if self.paths else []
        if self.placeholders:
            rows.append(("", "what is missing of these is an empty directory while it runs"))
        return rows


def plan_protection(directory: Path) -> Protection:
    """Find what to protect in ``directory``. Raises ``UsageError`` where a link stands in place of such a file."""
    has_repository = _has_repository(directory)
    names = [*PROTECTED_DIRECTORIES, *PROTECTED_FILES]
    if not has_repository:
        names = [name for name in names if not name.startswith(".git/")] + [".git"]
    for name in names:
        _refuse_link(directory, name)
    missing = tuple(name for name in names if not (directory / name).exists())
    return Protection(tuple(names), missing, (".git",) if has_repository else ())


def _has_repository(directory: Path) -> bool:
    """An empty ``.git`` is the stand-in of another bottle, or of one that was killed."""
    repository = directory / ".git"
    return repository.is_dir() and not repository.is_symlink() and any(repository.iterdir())


def mount_warnings(directory: Path) -> list[str]:
    """Return why git would not work in a bottle that has just ``directory`` of its repository."""
    if token := _url_with_credentials(directory):
        return [f"{directory}/.git/config holds a password or token for {token}, which the agent can read"]
    hint = "git will not work in the bottle; --workspace clone gives it a repository of its own"
    if (directory / ".git").is_file():
        return [f"{directory} is a linked worktree, whose repository is elsewhere: {hint}"]
    above = next((parent for parent in directory.parents if (parent / ".git").exists()), None)
    if above is not None and not is_repository(directory):
        return [f"{directory} is a part of the repository {above}: {hint}"]
    return []


def _url_with_credentials(directory: Path) -> str:
    """Return the host of a remote whose URL has a password in it; empty when there is none."""
    try:
        text = (directory / ".git" / "config").read_text("utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"https?://[^/\s@:]*:?[^/\s@]+@([^/\s]+)", text, re.IGNORECASE)
    return found[1] if found else ""


def _refuse_link(directory: Path, name: str) -> None:
    path = directory
    for part in name.split("/"):
        path /= part
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link, so it cannot be protected from the agent",
                hint="use 'workspace: clone' (or --workspace clone) for this project",
            )


def make_placeholders(directory: Path, protection: Protection) -> None:
    """Make the stand-ins that ``protection`` names. Idempotent."""
    for name in protection.placeholders:
        path = directory / name
        if path.exists():
            continue
        if name in _STAND_IN_FILES:
            # Another bottle of this project may be starting at this very moment.
            with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as stream:
                stream.write(_STAND_IN_FILES[name])
        else:
            path.mkdir(exist_ok=True)


def remove_placeholders(directory: Path, names: Iterable[str]) -> None:
    """Remove the stand-ins ``names`` that are still as they were made."""
    for name in sorted(names, reverse=True):  # what is inside a directory before the directory
        path = directory / name
        if name in _STAND_IN_FILES:
            if path.is_file() and not path.is_symlink() and path.read_text("utf-8") == _STAND_IN_FILES[name]:
                path.unlink()
        elif path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def git(*arguments: str, cwd: Path, timeout: float = 60.0, settings: Sequence[str] = ()) -> str:
    """Run git in a directory that may be hostile and return what it printed; a failure raises ``BottlemuxError``.

    ``settings`` are more of its configuration, as ``name=value``.
    """
    environ = {
        **scrubbed_environ(),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CEILING_DIRECTORIES": str(cwd.parent),
    }
    safe = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.sshCommand=false", "protocol.allow=never",
            "protocol.file.allow=always", "core.attributesFile=/dev/null", "submodule.recurse=false"]  # fmt: skip
    options = [word for setting in (*safe, *settings) for word in ("-c", setting)]
    result = run(["git", *options, *arguments], cwd=cwd, env=environ, timeout=timeout)
    if result.returncode != 0:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise BottlemuxError(f"git {arguments[0]} in {str(cwd)!r} failed: {reason[0]}")
    return result.stdout.decode(errors="replace")


def is_repository(directory: Path) -> bool:
    """Say whether ``directory`` is the top of a git repository (or of one of its worktrees)."""
    found = directory / ".git"  # a bottle that runs in a directory without one has an empty one put there
    return found.is_file() or (found / "HEAD").exists()


def make_clone(source: Path, target: Path, branch: str) -> None:
    """Clone the repository at ``source`` into the missing directory ``target``, on a new ``branch``."""
    make_private_dir(target.parent)
    try:
        git("clone", "--quiet", "--no-hardlinks", "--no-checkout", "--", str(source), str(target),
            cwd=target.parent, timeout=CLONE_TIMEOUT_S)  # fmt: skip
        git("checkout", "--quiet", "--force", "-B", branch,
            cwd=target, timeout=CLONE_TIMEOUT_S, settings=_filters_off(target.parent))  # fmt: skip
        _keep_remotes(source, target)
        _keep_author(source, target)
    except BottlemuxError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _filters_off(outside: Path) -> list[str]:
    """Return settings without the filters of the operator's own: the attributes in a repository name them.

    ``outside`` is a directory in no repository.
    """
    question = ["--includes", "--null", "--name-only", "--get-regexp", r"^filter\."]
    keys = os.fsdecode(run(["git", "config", "--global", *question], cwd=outside).stdout)
    names = dict.fromkeys(key.rpartition(".")[0] for key in keys.split("\0") if key)
    return [f"{name}.{off}" for name in names for off in ("smudge=", "clean=", "process=", "required=false")]


def _keep_remotes(source: Path, target: Path) -> None:
    """Let the clone name the remotes that the project names: the path on the host means nothing in a bottle.

    A user name or token in a URL is left out: the agent reads these.
    """
    git("remote", "remove", "origin", cwd=target)
    for name in git("remote", cwd=source).split():
        url = git("config", "--get", f"remote.{name}.url", cwd=source).strip()
        git("remote", "add", "--", name, _CREDENTIALS.sub(r"\1", url), cwd=target)


def _keep_author(source: Path, target: Path) -> None:
    """Let commits in the clone carry the name that the project's own settings give its author."""
    for key in ("user.name", "user.email"):
        with contextlib.suppress(BottlemuxError):
            git("config", key, git("config", "--local", "--get", key, cwd=source).strip(), cwd=target)


def make_copy(source: Path, target: Path, *, skip: Collection[str] = ()) -> None:
    """Copy the directory ``source`` to the missing ``target``, without the paths in ``skip``; all of it or nothing."""
    make_private_dir(target.parent)
    try:
        failures = copy_tree(source, target, skip=skip)
    except OSError as error:
        remove_tree(target)
        raise BottlemuxError(f"cannot copy {str(source)!r}: {error.strerror}") from error
    if failures.count:
        remove_tree(target)
        raise BottlemuxError(f"cannot copy {str(source)!r}: {failures}")
