"""One tmux server, and the only place that starts tmux clients.

Every client has a time limit, speaks UTF-8 whatever the locale, does not know that it may run inside tmux,
and has a scrubbed environment: a server keeps the environment of the client that started it and gives it to
every later pane.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, UnavailableError, UsageError
from bottlemux.process import run, scrubbed_environ
from bottlemux.session.commands import fits_one_request, to_arguments, to_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import CompletedProcess

    import libtmux

CLIENT_TIMEOUT_S = 15.0
MIN_VERSION = "3.2a"

_INSTALL_HINT = "install it with: sudo apt-get install tmux"
_GONE = re.compile(
    r"no server running|error connecting to .*(No such file|refused)|lost server|server exited"
    # a server that ends, or that was told to stay, without a session
    r"|no current target",
)
_OLD = re.compile(r"^usage: |unknown (command|option|flag)|invalid (option|flag)")
_IDENTITY_FORMAT = "#{pid} #{start_time} #{version}"


class TmuxError(BottlemuxError):
    """tmux refused a command; ``output`` is what the commands before it printed."""

    topic = "tmux"

    def __init__(self, message: str, *, hint: str = "", output: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.output = list(output)


class ServerGoneError(TmuxError):
    """No tmux server answers on the socket."""


@dataclass(frozen=True)
class ServerIdentity:
    """What tells one server from its successor on the same socket: ids such as ``%7`` start again with it."""

    pid: int
    started: int
    version: str


class TmuxServer:
    """The tmux server on one socket. Making the object starts nothing."""

    def __init__(
        self,
        socket_name: str | None = None,
        socket_path: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        if socket_name is not None and (not socket_name or "/" in socket_name or "\0" in socket_name):
            raise UsageError(f"bad tmux socket name {socket_name!r}", hint="give a name without a slash")
        self._name = socket_name
        self._path = socket_path
        self._environ = os.environ if environ is None else environ

    @classmethod
    def choose(cls, socket_name: str | None = None, environ: Mapping[str, str] | None = None) -> TmuxServer:
        """Return the named server, ``$BOTTLEMUX_TMUX_SOCKET``, the one we are inside, or the default."""
        env = os.environ if environ is None else environ
        if name := socket_name or env.get("BOTTLEMUX_TMUX_SOCKET"):
            return cls(socket_name=name, environ=env)
        return cls(socket_path=_surrounding_socket(env), environ=env)

    @property
    def socket_path(self) -> Path:
        """Where the server listens, whether or not it runs."""
        if self._path is not None:
            return Path(self._path)
        root = Path(self._environ.get("TMUX_TMPDIR") or "/tmp")  # noqa: S108 - tmux's own default
        return root.resolve() / f"tmux-{os.getuid()}" / (self._name or "default")

    def argv(self, *words: str) -> list[str]:
        """Return the argument list of a client of this server, for ``exec``; ``words`` is one command."""
        return [*self._client(), *to_arguments([words])]

    def batch(
        self, commands: Sequence[Sequence[str]], *, start: bool = False, stdin: str | None = None
    ) -> list[str]:
        """Run ``commands`` in one client and return the lines they print.

        They run without another client's commands between them and stop at the first that fails
        (:class:`TmuxError`). ``start`` lets the batch start the server; ``stdin`` is for a short batch with a
        command that reads it.
        """
        if not commands:
            return []  # a client without a command would attach
        words = to_arguments(commands)
        if stdin is not None or fits_one_request(words):
            return self._run(words, stdin=stdin)
        prelude = ["start-server", ";"] if start else []
        return self._run([*prelude, "source-file", "-"], stdin=to_source(commands))

    def identity(self) -> ServerIdentity | None:
        """Return which server answers, ``None`` if none does."""
        try:
            lines = self.batch([["display-message", "-p", _IDENTITY_FORMAT]])
        except ServerGoneError:
            return None
        pid, started, version = lines[0].split(" ", 2)
        return ServerIdentity(int(pid), int(started), version)

    def is_running(self) -> bool:
        """Tell whether a server answers on the socket."""
        return self.identity() is not None

    def inside(self) -> bool:
        """Tell whether we run in a pane or popup of this very server."""
        surrounding = _surrounding_socket(self._environ)
        if surrounding is None or not _same_file(Path(surrounding), self.socket_path):
            return False
        identity = self.identity()
        return identity is not None and self._environ["TMUX"].rsplit(",", 2)[1:2] == [str(identity.pid)]

    def surrounding_socket(self) -> str | None:
        """Return the socket of the tmux we run inside of, this one's or another's; ``None`` outside tmux."""
        return _surrounding_socket(self._environ)

    def require_version(self) -> None:
        """Raise :class:`UnavailableError` unless tmux is there and not older than :data:`MIN_VERSION`."""
        version = self._run(["-V"])[0].removeprefix("tmux ")
        if parse_version(version) < parse_version(MIN_VERSION):
            raise UnavailableError(
                f"tmux {version} is too old: bottlemux needs {MIN_VERSION}", hint=_INSTALL_HINT
            )

    @property
    def libtmux(self) -> libtmux.Server:
        """The same server as a libtmux object, for walking and changing single objects.

        libtmux starts its clients by itself: it is given a client program with the same precautions.
        """
        import libtmux

        client = str(Path(__file__).with_name("tmux-client.sh"))
        return libtmux.Server(socket_path=str(self.socket_path), tmux_bin=client)

    def _client(self) -> list[str]:
        if self._path is not None:
            return ["tmux", "-u", "-S", self._path]
        return ["tmux", "-u", "-L", self._name] if self._name is not None else ["tmux", "-u"]

    def _run(self, words: Sequence[str], *, stdin: str | None = None) -> list[str]:
        try:
            done = run(
                [*self._client(), *words],
                timeout=CLIENT_TIMEOUT_S,
                stdin=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
                cwd=Path("/"),
                env=scrubbed_environ(self._environ),
            )
        except UnavailableError as error:
            raise UnavailableError("tmux is not installed", hint=_INSTALL_HINT) from error
        output = _lines(done.stdout)
        if done.returncode != 0:
            raise self._failure(done, output)
        return output

    def _failure(self, done: CompletedProcess[bytes], output: list[str]) -> TmuxError:
        reported = done.stderr.decode("utf-8", "replace").strip().splitlines() or output[-1:]
        text = "".join(c if c.isprintable() else "?" for c in (reported or ["no message"])[0])
        if _OLD.search(text):
            self.require_version()
        if _GONE.search(text):
            hint = "start a bottle, or run: bottlemux attach"
            return ServerGoneError(f"no tmux server answers on {self.socket_path}", hint=hint, output=output)
        return TmuxError(f"tmux refused: {text}", hint=_hint_for(text), output=output)


def parse_version(text: str) -> tuple[int, int, str]:
    """Order tmux's version names; a development build counts as newer than every release."""
    found = re.fullmatch(r"(?:next-)?(\d+)\.(\d+)([a-z]?)\S*", text.strip())
    return (int(found[1]), int(found[2]), found[3]) if found else (999, 0, "")


def _lines(output: bytes) -> list[str]:
    # Not splitlines: it would also break at characters that are text to tmux.
    return output.decode("utf-8", "replace").removesuffix("\n").split("\n") if output else []


def _hint_for(text: str) -> str:
    if re.search("no space for (a )?new pane", text):
        return "make the terminal larger, or choose a layout with fewer panes"
    if "protocol version mismatch" in text or "too old" in text:
        return "the running server is of another tmux version: end it, or choose another with --socket-name"
    if "ermission denied" in text:
        return "the socket belongs to another user: choose another with --socket-name"
    return ""


def _surrounding_socket(environ: Mapping[str, str]) -> str | None:
    return environ.get("TMUX", "").rsplit(",", 2)[0] or None


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
