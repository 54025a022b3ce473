"""What tmux is told about bottles while they run, as plain commands: marks, counts, and notices to clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bottlemux.session.building import SESSION, literal
from bottlemux.session.models import plain_value
from bottlemux.session.server import TmuxError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bottlemux.session.models import WindowInfo
    from bottlemux.session.server import TmuxServer

_CLIENT_FIELDS = ("client_name", "client_tty", "window_id")
LIST_CLIENTS_COMMAND = (
    "list-clients", "-t", f"={SESSION}:", "-F", "\t".join(f"#{{{field}}}" for field in _CLIENT_FIELDS),
)  # fmt: skip


class Client(NamedTuple):
    """Somebody who looks at the workspace: at which window, on which terminal."""

    name: str
    tty: str
    window_id: str


def status_commands(window: WindowInfo, state: str) -> list[list[str]]:
    """Return what marks ``window`` with ``state``; nothing if it is so marked."""
    if window.status == state:
        return []
    return [["set-option", "-w", "-t", window.window_id, "@bottlemux_status", plain_value(state)]]


def waiting_command(count: int) -> list[str]:
    """Return what tells the session how many bottles wait for the operator; empty for none.

    Only our session's option: a user who wants it in the status line writes ``#{@bottlemux_waiting}`` there.
    """
    # -q: the session may be another's by now, or gone.
    return ["set-option", "-q", "-t", f"={SESSION}:", "@bottlemux_waiting", str(count) if count else ""]


def parse_clients(lines: Iterable[str]) -> list[Client]:
    """Return the clients that :data:`LIST_CLIENTS_COMMAND` printed."""
    values = (line.split("\t") for line in lines)
    return [Client(*value) for value in values if len(value) == len(_CLIENT_FIELDS)]


def show_message(server: TmuxServer, client: str, text: str, seconds: float | None = None) -> None:
    """Show ``text`` to the client of that name for a while, or until a key is pressed.

    tmux 3.2a cannot choose the client, though it says it can: it is the one that was used last then.
    """
    delay = [] if seconds is None else ["-d", str(int(seconds * 1000))]
    message = [*delay, "--", literal(plain_value(text))]
    try:
        server.batch([["display-message", "-c", client, *message]])
    except TmuxError as error:
        if "usage:" not in error.message:
            raise
        server.batch([["display-message", *message]])
