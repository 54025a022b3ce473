"""One key of the user's that opens a key table of ours, and the way back: byte for byte, notes included."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

from bottlemux.errors import BottlemuxError, UsageError
from bottlemux.session.building import NAMED_ACTIONS, key_option, literal
from bottlemux.session.commands import to_source
from bottlemux.session.server import TmuxError, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bottlemux.session.server import TmuxServer

TABLE = "bottlemux"
_NOTE = "bottlemux: agents in bottles"
_ASIDE = f"{TABLE}-aside"
_MAX_KEY = 16
_BIND = re.compile(r"(bind-key)\s+((?:-r\s+)?-T\s+\S+\s+\S+)\s+(.*)", re.DOTALL)
_LISTED_SEPARATOR = " \\; "
_ESCAPED, _ESCAPED_TWICE = r"\$", r"\\$"


@dataclass(frozen=True)
class Binding:
    """A key of our table. ``command`` is one tmux command; ``note`` is what the cheat sheet says.

    ``action`` is what texts in tmux call it by, for those that name the key.
    """

    key: str
    note: str
    command: tuple[str, ...]
    action: str = ""


@dataclass(frozen=True)
class Bound:
    """What a key does, as ``list-keys`` shows it: ``line`` can be read as configuration, but lacks the ``note``.

    Both are empty for a key that is not bound.
    """

    line: str = ""
    note: str = ""


@dataclass(frozen=True)
class Installed:
    """What an installation found, and what it left: by the second it is seen whether anybody changed it since.

    ``server`` and ``started`` tell the server from its successor on the same socket.
    """

    server: int
    started: int
    table: str
    key: str
    before: Bound
    leader: Bound
    keys: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return JSON-ready values; :meth:`from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Installed:
        """Return the record in ``value``; ``BottlemuxError`` for anything else."""
        try:
            record = cast("dict[str, object]", value)
            return cls(
                server=int(str(record["server"])),
                started=int(str(record["started"])),
                table=str(record["table"]),
                key=str(record["key"]),
                before=Bound(**cast("dict[str, str]", record["before"])),
                leader=Bound(**cast("dict[str, str]", record["leader"])),
                keys=tuple(cast("list[str]", record["keys"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BottlemuxError(f"the record of installed keys is broken: {error}") from error


def check_key(key: str) -> None:
    """Raise ``UsageError`` for what is certainly no name of a key."""
    if not key or key.startswith("-") or len(key) > _MAX_KEY or not key.isprintable():
        raise UsageError(
            f"{key!r} is not the name of a key", hint="for example: --key b, --key C-a, --key F2"
        )


def install(server: TmuxServer, bindings: Sequence[Binding], *, table: str, key: str) -> Installed:
    """Bind ``key`` of ``table`` to our own table of ``bindings`` and return what :func:`uninstall` needs.

    A table of our name that is there already is somebody else's, and an error; after a failure nothing is left.
    """
    check_key(key)
    identity = server.identity()
    if identity is None:
        raise BottlemuxError("no tmux server runs yet", hint="bottlemux attach starts one")
    if table_lines(server):
        raise BottlemuxError(
            f"there is a key table {TABLE!r} that this installation did not make",
            hint=f"look at it: tmux list-keys -T {TABLE}; remove it: tmux unbind-key -a -T {TABLE}",
        )
    before = read_key(server, table, key)
    leader = ["bind-key", "-N", _NOTE, "-T", table, key, "switch-client", "-T", TABLE]
    # As one string: of several words tmux would take a semicolon at the end of one for the end of the command.
    commands = [
        ["bind-key", "-N", item.note, "-T", TABLE, item.key, to_source([item.command]).strip()]
        for item in bindings
    ]
    try:
        server.batch([*commands, leader, *_told(bindings, table, key)])
    except BottlemuxError:
        _remove_told(server)
        _remove_table(server)
        raise
    return Installed(
        identity.pid, identity.started, table, key, before, read_key(server, table, key), table_lines(server)
    )


def _told(bindings: Sequence[Binding], table: str, key: str) -> list[list[str]]:
    """Return what lets texts in tmux say what to press."""
    first = f"#{{prefix}} {literal(key)}" if table == "prefix" else literal(key)
    return [
        ["set-option", "-s", key_option(item.action), f"{first} {literal(item.key)}"]
        for item in bindings
        if item.action in NAMED_ACTIONS
    ]


def is_there(server: TmuxServer, installed: Installed) -> bool:
    """Tell whether the server is still the one that ``installed`` is about: another one knows nothing of it."""
    identity = server.identity()
    return identity is not None and (identity.pid, identity.started) == (installed.server, installed.started)


def changes(server: TmuxServer, installed: Installed) -> list[str]:
    """Return a line for each thing that somebody changed since the installation."""
    found: list[str] = []
    now = read_key(server, installed.table, installed.key)
    if now != installed.leader:
        found.append(f"{installed.key} is now: {now.line or 'not bound'}")
    if set(table_lines(server)) != set(installed.keys):
        found.append(f"the key table {TABLE!r} was changed")
    return found


def uninstall(server: TmuxServer, installed: Installed, *, keep_key: bool = False) -> None:
    """Remove our table and put back what the key did; ``keep_key`` leaves the key as somebody made it since."""
    _remove_told(server)
    if table_lines(server):
        _remove_table(server)
    if keep_key:
        return
    server.batch([["unbind-key", "-T", installed.table, installed.key]])
    for text in _ways_back(installed.before):
        server.batch([["source-file", "-"]], stdin=text)
        if read_key(server, installed.table, installed.key) == installed.before:
            return
    if installed.before.line:
        raise BottlemuxError(
            f"tmux did not take back the binding of {installed.key}",
            hint=f"bind it again: {installed.before.line}",
        )


def read_key(server: TmuxServer, table: str, key: str) -> Bound:
    """Return what ``key`` does in ``table``."""
    if _shows_one_as_message(server):
        return _read_beside_another(server, table, key)
    line = _listed(server, ["list-keys", "-T", table, key])
    note = _listed(server, ["list-keys", "-N", "-P", "", "-T", table, key]) if line else ""
    # In the listing of a single key nothing but one blank separates it from its note.
    return Bound(line, note.lstrip().split(" ", 1)[-1])


def _shows_one_as_message(server: TmuxServer) -> bool:
    """Tell whether tmux shows a listing of one key to the person instead of printing it, as 3.7 does."""
    identity = server.identity()
    return identity is not None and parse_version(identity.version)[:2] == (3, 7)


def _read_beside_another(server: TmuxServer, table: str, key: str) -> Bound:
    """Return what ``key`` does from listings that are never of one key: for that moment it is in two tables."""
    aside = ["bind-key", "-T", _ASIDE, key, "next-window"]
    commands = [["list-keys", key], ["list-keys", "-F", "#{key_table} #{key_note}", key]]
    rows = server.batch([aside, *commands, ["unbind-key", "-a", "-T", _ASIDE]])
    for line, noted in zip(rows[: len(rows) // 2], rows[len(rows) // 2 :], strict=True):
        found = _BIND.fullmatch(line)
        if found is not None and noted.startswith(f"{table} "):
            # The columns are as wide as what else is listed.
            place = " ".join(found[2].split())
            return Bound(f"{found[1]} {place} {found[3]}", noted.partition(" ")[2])
    return Bound()


def table_lines(server: TmuxServer) -> tuple[str, ...]:
    """Return what is bound in our table; empty when there is none."""
    # From all tables: of a table with one key tmux 3.7 prints nothing.
    matches = filter(None, map(_BIND.fullmatch, _listed(server, ["list-keys"]).split("\n")))
    lines = (f"{' '.join(match[2].split())} {match[3]}" for match in matches)
    return tuple(line for line in lines if line.removeprefix("-r ").startswith(f"-T {TABLE} "))


def _listed(server: TmuxServer, command: list[str]) -> str:
    """Return what a listing prints; tmux calls it an error when there is nothing to list."""
    try:
        return "\n".join(server.batch([command]))
    except TmuxError as error:
        if "unknown key" in error.message or "doesn't exist" in error.message:
            return ""
        raise


def _ways_back(bound: Bound) -> Iterator[str]:
    """Yield configuration that should bind the key as it was; the first that does, counts.

    tmux loses a semicolon at the end of a word of its own listing, unless it reads the command as one string. That of
    tmux 3.4 has a backslash too many before a dollar sign.
    """
    found = _BIND.fullmatch(bound.line)
    if found is None:
        return
    verb, place, command = found.groups()
    note = f"-N {_quoted(bound.note)} " if bound.note else ""
    for meant in dict.fromkeys((command, command.replace(_ESCAPED_TWICE, _ESCAPED))):
        yield f"{verb} {note}{place} {meant}\n"
        yield f"{verb} {note}{place} {_quoted(meant.replace(_LISTED_SEPARATOR, ' ; '))}\n"


def _quoted(text: str) -> str:
    return to_source([[text]]).rstrip("\n")


def _remove_told(server: TmuxServer) -> None:
    server.batch([["set-option", "-squ", key_option(action)] for action in NAMED_ACTIONS])


def _remove_table(server: TmuxServer) -> None:
    server.batch([["unbind-key", "-a", "-T", TABLE]])
