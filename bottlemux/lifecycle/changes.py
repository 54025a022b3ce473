"""What an agent changed in its working copy, and bringing its commits into the operator's repository.

The agent's own configuration and history are not asked what changed: its files are compared with the operator's
commit through an index of ours, with every attribute that could hide something taken back.
"""

from __future__ import annotations

import functools
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from backends.registry import get_bottle_backend
from backends.workspace import git, is_repository
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.lifecycle.confined import WORK, confined_argv
from bottlemux.process import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.lifecycle.context import Context
    from bottlemux.state.metadata import Metadata

MAX_DIFF_BYTES = 32 * 1024 * 1024
FETCH_TIMEOUT_S = 600.0
_DIFF_TIMEOUT_S = 120.0
_MAX_HIDDEN_BYTES = 64 * 1024
_MAX_OBJECT_PLACES = 16
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_SHA256_LENGTH = 64

_OPTIONS = (
    "--no-color --no-ext-diff --no-textconv --ignore-submodules=dirty --find-renames "
    "--src-prefix=a/ --dst-prefix=b/"
)
# A comparison that breaks off must not look complete: 1 says that there are differences, 141 that enough was read.
_JUDGED = '|| case $? in 1 | 141) ;; *) echo "the comparison broke off" >> /review/hidden ;; esac'
# $1 is the base, $2 the hash function, $3 the limit, the rest are options of the diff. Both directories of objects may
# be absent. `!diff` and its like outweigh what the agent's own .gitattributes says.
_COMPARE = f"""
base=$1 format=$2 limit=$3; shift 3
export GIT_DIR=/review/git GIT_WORK_TREE={WORK} GIT_OPTIONAL_LOCKS=1
if [ ! -d $GIT_DIR ]; then
    git init -q --template= --object-format="$format"
    mkdir -p $GIT_DIR/info
    if [ -d /objects ]; then
        for directory in /objects/*; do echo $directory; done
    else
        echo {WORK}/.git/objects
    fi > $GIT_DIR/objects/info/alternates
    echo '* !diff !text !eol !filter !ident !working-tree-encoding !crlf' > $GIT_DIR/info/attributes
    git config core.autocrlf false
    git config core.bigFileThreshold 32m
fi
git read-tree -i -m "$base"
git add -N --no-warn-embedded-repo --ignore-errors -- . 2> /review/hidden || true
git ls-files -s | grep '^160000 ' | cut -f 2- | while read -r name; do
    [ -d "$name" ] && [ -z "$(ls -A "$name")" ] || printf 'in a repository of its own: %s\n' "$name"
done >> /review/hidden
git ls-files -o -i --exclude-standard --directory | sed 's/^/ignored: /' >> /review/hidden || true
git update-index -q --refresh > /dev/null || true
{{ git diff {_OPTIONS} "$@" "$base" -- 2>> /review/hidden {_JUDGED}; }} | head -c "$limit"
"""
# Two directories without history. An exit code of 1 says that they differ.
_COMPARE_DIRECTORIES = f"""
limit=$1; shift
cd /; : > /review/hidden
{{ git diff --no-index {_OPTIONS} "$@" -- project work 2>> /review/hidden {_JUDGED}; }} | head -c "$limit"
"""
_SERVE = f"exec git upload-pack {WORK}"


def base_commit(directory: Path) -> str | None:
    """Return the commit that the repository at ``directory`` is at; ``None`` without a repository or a commit."""
    if not is_repository(directory):
        return None
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", cwd=directory).strip()
    except BottlemuxError:
        return None


@dataclass(frozen=True)
class Comparison:
    """What is compared: the agent's files ``work`` with ``base``, or with the directory ``project`` without one."""

    work: Path
    project: Path
    base: str | None
    refresh: Callable[[], object] = lambda: None
    """Brings ``work`` up to date, where the agent's own files are elsewhere."""


def comparison(context: Context, record: Metadata) -> Comparison:
    """Return what shows the changes of the bottle of ``record``; ``UsageError`` where nothing could."""
    project = Path(record.cwd)
    if record.workspace == "mount":
        if not is_repository(project):
            raise UsageError(
                f"{record.identity} works in {record.cwd} itself, which has no history to compare with",
                hint="start it with --workspace copy, or make the directory a git repository first",
            )
        return Comparison(project, project, base_commit(project) or _EMPTY_TREE)
    work = context.paths.bottle(record.identity).workspace
    refresh = functools.partial(_bring_back, context, record)
    if not work.is_dir():
        raise BottlemuxError(f"{record.identity} has no working copy any more")
    base = record.base_commit or base_commit(project)
    if base is None and (record.workspace == "clone" or is_repository(project)):
        base = _EMPTY_TREE
    return Comparison(work, project, base, refresh)


def _bring_back(context: Context, record: Metadata) -> None:
    get_bottle_backend(record.backend, paths=context.paths).bring_back(record.identity)


class Review:
    """Looks at one comparison again and again; its index makes all but the first look cheap."""

    def __init__(self, compared: Comparison) -> None:
        self._compared = compared
        self.hidden: tuple[str, ...] = ()
        """What the last comparison could not show, or left out: an agent decides what git ignores or chokes on."""
        self._scratch = tempfile.TemporaryDirectory(prefix="bottlemux-review-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._scratch.cleanup()

    def diff(self, *options: str) -> bytes:
        """Return the changes as git prints them, cut after :data:`MAX_DIFF_BYTES`. The bytes are the agent's.

        Of files over 32 MiB only that they differ is said: comparing them takes memory without bound.
        """
        self._compared.refresh()
        self.hidden = ()
        done = run(self._argv(options), timeout=_DIFF_TIMEOUT_S)
        if done.returncode != 0:
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise BottlemuxError(f"cannot compare {str(self._compared.work)!r}: {reason[0]}")
        self.hidden = tuple(_lines(Path(self._scratch.name) / "hidden"))
        return done.stdout

    def _argv(self, options: tuple[str, ...]) -> list[str]:
        compared = self._compared
        limit = str(MAX_DIFF_BYTES)
        shown, scratch = [(compared.work, WORK)], [(Path(self._scratch.name), "/review")]
        if compared.base is None:
            shown.append((compared.project, "/project"))
            return confined_argv(_COMPARE_DIRECTORIES, limit, *options, readable=shown, writable=scratch)
        shown += [(place, f"/objects/{number}") for number, place in enumerate(_objects(compared))]
        hash_name = "sha256" if len(compared.base) == _SHA256_LENGTH else "sha1"
        return confined_argv(
            _COMPARE, compared.base, hash_name, limit, *options,
            readable=shown, writable=scratch,
        )  # fmt: skip


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_HIDDEN_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return []


def _objects(compared: Comparison) -> list[Path]:
    """Return where the operator's repository keeps its objects: the agent cannot rewrite those of the base.

    Next to them its own must not be looked at: git takes a packed object's name on trust. Where the agent works in the
    repository itself, what that borrows from elsewhere is the agent's word, and is left out.
    """
    project = compared.project
    if not is_repository(project):
        return []
    first = project / git("rev-parse", "--git-path", "objects", cwd=project).strip()
    found = [first] if first.is_dir() else []
    for place in found if compared.work != project else []:
        found += [path for path in _borrowed(place) if path.is_dir() and path not in found]
    return found[:_MAX_OBJECT_PLACES]


def _borrowed(objects: Path) -> list[Path]:
    try:
        lines = (objects / "info" / "alternates").read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [objects / line for line in lines if line and not line.startswith("#")][:_MAX_OBJECT_PLACES]


@dataclass(frozen=True)
class Fetched:
    """A branch in the operator's repository. ``commits`` are one line each, newest first, in the agent's words."""

    branch: str
    commit: str
    commits: tuple[str, ...]


def fetch(context: Context, record: Metadata, *, force: bool = False) -> Fetched:
    """Bring what the agent's clone has checked out into the operator's repository, as ``bottlemux/<slug>``.

    No working tree is touched. Every object is checked before it is kept. A branch that has commits which the agent
    does not have is only replaced with ``force``; one that is checked out somewhere is not replaced at all.
    """
    _check_is_clone(record)
    _bring_back(context, record)
    project = Path(record.cwd)
    branch = f"bottlemux/{record.identity}"
    before = _tip(project, branch)
    served = confined_argv(_SERVE, readable=[(context.paths.bottle(record.identity).workspace, WORK)])
    try:
        git(
            "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
            "-c", "fetch.writeCommitGraph=false", "fetch", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", "--refmap=", f"--upload-pack={shlex.join(served)}",
            "--", "/bottle", f"{'+' if force else ''}HEAD:refs/heads/{branch}",
            cwd=project, timeout=FETCH_TIMEOUT_S,
        )  # fmt: skip
    except BottlemuxError as error:
        raise _explained(error, record, branch) from error
    since = [f"^{commit}" for commit in (before, record.base_commit) if commit]
    return Fetched(branch, _tip(project, branch) or "", tuple(_subjects(project, branch, since)))


def _check_is_clone(record: Metadata) -> None:
    if record.workspace == "mount":
        raise UsageError(
            f"{record.identity} works in {record.cwd} itself: its commits are there already",
            hint=f"bottlemux diff {record.identity} shows what is not committed",
        )
    if record.workspace == "copy":
        raise UsageError(
            f"{record.identity} has a copy of the directory, not a clone: there is no branch to fetch",
            hint=f"take its changes over with: bottlemux diff {record.identity} --raw | git apply",
        )
    if not is_repository(Path(record.cwd)):
        raise UsageError(f"{record.cwd} is not a git repository any more")


def _tip(project: Path, branch: str) -> str | None:
    try:
        return git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}", cwd=project).strip()
    except BottlemuxError:
        return None


def _subjects(project: Path, branch: str, since: list[str]) -> list[str]:
    pretty = ["--no-show-signature", "--no-color", "--max-count=50", "--format=%h %s"]
    return git("log", *pretty, f"refs/heads/{branch}", *since, "--", cwd=project).splitlines()


def _explained(error: BottlemuxError, record: Metadata, branch: str) -> BottlemuxError:
    if "rejected" in error.message:
        return BottlemuxError(
            f"branch {branch} in {record.cwd} has commits that the agent's branch does not have",
            hint=f"bottlemux fetch {record.identity} --force replaces it",
        )
    if "checked out" in error.message:
        return BottlemuxError(
            f"branch {branch} is checked out, and fetching never touches a working tree",
            hint="check out another branch there first",
        )
    reason = error.message.rpartition("failed: ")[2]
    return BottlemuxError(f"cannot fetch from {record.identity}: {reason}", hint=error.hint)
