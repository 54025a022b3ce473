"""A first bottle and agent of the user's own: composed from a few answers, checked, then written, both or neither."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backends.boundaries import check_directory
from backends.contract import BottleSpec
from backends.presets import preset_of
from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.files import make_private_dir, write_atomic
from bottlemux.identity import NAME_RULE, is_name
from bottlemux.manifest.loader import resolve
from bottlemux.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from backends.presets import Api

_READ = "[GET, HEAD]"
_ROUTES = """\
supervise: true        # the agent may ask for more; you decide with: bottlemux approvals
egress:
  routes:              # what may be reached; a request to anything else is refused and recorded"""
_API_NOTE = (
    "    # The model's API. The proxy puts the token on; in the bottle the variable holds a placeholder."
)
_HOSTS_NOTE = "    # To read from. Other methods, and paths to narrow it: methods: [GET, POST], paths: [/v1/]"
_MORE_HOSTS = """\
    # Another host, and another credential of yours (a variable, file:PATH or command:ARGV):
    # - host: api.example.com
    #   methods: [GET]
    #   token_ref: EXAMPLE_TOKEN"""
_REST = """\
# A repository to push branches to, through a gate that looks for secrets first:
# git:
#   - name: origin
#     upstream: ssh://git@example.com:22/org/repo.git
#     identity_file: ~/.ssh/id_ed25519
#     known_host_key: ssh-ed25519 AAAA...
#     branches: ["bottlemux/*"]
# resources: {cpus: 2, memory: 4g, pids: 512}
# backend: bubblewrap  # else the first that works here: bottlemux list backends"""


@dataclass(frozen=True)
class Answers:
    """What ``init`` was told. ``program`` is an argv; ``hosts`` may be read from, beside the program's own API."""

    name: str
    program: tuple[str, ...]
    hosts: tuple[str, ...]
    workspace: str


def check_new(paths: Paths, name: str) -> None:
    """Raise ``UsageError`` if ``name`` is none, or if a file of this name would be in the way."""
    if not is_name(name):
        raise UsageError(f"bad name {name!r}", hint=f"a name is {NAME_RULE}")
    for path in _files(paths, name):
        if os.path.lexists(path):
            raise UsageError(
                f"{path} is there already, and init overwrites nothing",
                hint=f"bottlemux init ANOTHER-NAME, or change it: {path}",
            )


def check_host(host: str) -> None:
    """Raise ``UsageError`` if no route of a manifest may have this ``host``."""
    from pydantic import ValidationError

    from sidecars.egress.routes import Route

    try:
        Route(host=host)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"cannot allow {host!r}: {reason}", hint="a host is like docs.python.org or *.example.com"
        ) from None


def write_first(paths: Paths, answers: Answers) -> tuple[Path, Path]:
    """Write bottle and agent, and return their files. They are loaded before, from elsewhere; a failure leaves none."""
    check_new(paths, answers.name)
    texts = (bottle_text(answers), agent_text(answers))
    _check_loads(answers.name, texts)
    files = _files(paths, answers.name)
    with _undone_on_failure() as made:
        for path, text in zip(files, texts, strict=True):
            _make_directory(path.parent, made)
            _create(path, text, made)
    return files


def can_start_in(paths: Paths, answers: Answers, directory: Path) -> bool:
    """Say whether ``directory`` can be the workspace of the agent that was just written."""
    resolved = resolve(paths, answers.name, directory)
    spec = BottleSpec(answers.name, resolved, paths, directory, answers.workspace)
    try:
        check_directory(spec)
    except UsageError:
        return False
    return True


def bottle_text(answers: Answers) -> str:
    """Return the bottle's manifest, with its comments."""
    apis = preset_of(answers.program).apis
    lines = ["---", _ROUTES]
    if apis:
        lines += [_API_NOTE, *(_api(api) for api in apis)]
    if answers.hosts:
        lines += [
            _HOSTS_NOTE,
            *(f"    - host: {_quoted(host)}\n      methods: {_READ}" for host in answers.hosts),
        ]
    if not apis and not answers.hosts:
        lines[-1] = lines[-1].replace("routes:  ", "routes: []")
    purpose = f"The bottle of the agent `{answers.name}`. What it may reach is decided here, by you alone."
    return "\n".join([*lines, _MORE_HOSTS, _REST, "---", purpose, ""])


def agent_text(answers: Answers) -> str:
    """Return the agent's manifest, with its comments."""
    program = ", ".join(map(_quoted, answers.program))
    lines = [
        "---",
        f"bottle: {_quoted(answers.name)}",
        f"program: [{program}]",
        f"workspace: {answers.workspace}   # mount: the directory itself; clone: a clone of its repository; copy",
        "# layout: review     # the window's panes; bottlemux layout list",
        "# skills: [NAME]     # of skills/NAME/SKILL.md in the directory above this one",
        "---",
        "Say what you are going to do before you do it. Ask when something is unclear.",
        "",
    ]
    return "\n".join(lines)


def _api(api: Api) -> str:
    lines = [f"    - host: {api.host}", f"      methods: [{', '.join(api.methods)}]"]
    if api.paths:
        lines.append(f"      paths: [{', '.join(api.paths)}]")
    named = {"token_ref": api.token_ref, "header": api.header, "auth_scheme": api.auth_scheme}
    lines += [f"      {key}: {value}" for key, value in named.items() if value]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Return ``text`` as YAML reads it back: JSON is YAML."""
    import json

    return json.dumps(text) if set(text) - set("abcdefghijklmnopqrstuvwxyz-./") else text


def _files(paths: Paths, name: str) -> tuple[Path, Path]:
    return paths.bottles_config / f"{name}.md", paths.agents_config / f"{name}.md"


def _check_loads(name: str, texts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="bottlemux-init-") as place:
        root = Path(place)
        paths = Paths(root, root, root)
        for path, text in zip(_files(paths, name), texts, strict=True):
            make_private_dir(path.parent)
            write_atomic(path, text, durable=False)
        try:
            resolve(paths, name, root)
        except BottlemuxError as error:
            raise UsageError(
                f"what was answered makes no valid manifest: {error.message.replace(f'{root}/', '')}",
                hint="nothing was written; bottlemux init --help",
            ) from error


@contextlib.contextmanager
def _undone_on_failure() -> Generator[list[Path]]:
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_directory(path: Path, made: list[Path]) -> None:
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    make_private_dir(path)
    made += reversed(missing)


def _create(path: Path, text: str, made: list[Path]) -> None:
    """Make ``path`` whole or not at all, and never in place of another file."""
    draft = path.with_name(f".{path.name}.new-{os.getpid()}")
    write_atomic(draft, text)
    try:
        os.link(draft, path)
        made.append(path)
    finally:
        draft.unlink()
