"""Holds, on this machine, a bottle that runs on an engine elsewhere: a process for each, as long as the bottle lives.

It has the bottle's lock, and keeps report, record, logs and proposals here as the sidecars write them there, and the
policy there as it is decided here; so nothing else of bottlemux has to know where a bottle runs. A network that goes
away is said in the report and waited for. When this process is killed, the bottle goes on without it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.docker import names
from backends.docker.elsewhere import unreachable
from backends.docker.endpoint import client_argv, client_environ
from backends.docker.replica import Replica
from bottlemux.paths import BottlePaths
from sidecars.audit import AuditUnavailable

if TYPE_CHECKING:
    from typing import IO

FAR_END = ("/opt/bottlemux/venv/bin/python", "-m", "sidecars.mirror")
LINKED = b"linked\n"
PAUSE_S = 0.2
BEAT_S = 5.0
SILENCE_S = 20.0
FLUSH_S = 2.0
RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_CHUNK = 256 * 1024
_END_TIMEOUT_S = 2.0
_ENDED = re.compile(r"No such container|is not running|cannot exec in a stopped")


class _Lost(Exception):  # noqa: N818 - the network's ordinary state
    """The other end cannot be reached now; the text says why."""


@dataclass
class Link:
    """Connects again and again until the bottle ended there or SIGTERM asks for the end here."""

    replica: Replica
    slug: str
    endpoint: str
    linked: bool = False
    flushed: bool = False
    end_by: float | None = None
    tries: int = 0
    client: subprocess.Popen[bytes] | None = None
    heard: float = 0.0
    told: float = 0.0
    complaints: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    def run(self) -> None:
        """Serve to the end of the bottle."""
        self._wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        while self.end_by is None:
            try:
                self._serve()
            except (_Lost, AuditUnavailable, OSError, ValueError) as error:
                reason = self._why(error)
                if self.end_by is not None or _ENDED.search(reason) or not self._goes_on_without(reason):
                    return
            finally:
                self._disconnect()
            select.select([self._wakeup], [], [], RETRY_S[min(self.tries, len(RETRY_S) - 1)])
            self.tries += 1

    def _ask_to_stop(self, *_: object) -> None:
        self.end_by = time.monotonic() + FLUSH_S

    def _why(self, error: Exception) -> str:
        self.complaints.seek(0)
        complaint = self.complaints.read().decode(errors="replace")
        if _ENDED.search(complaint):
            return complaint
        return unreachable(self.endpoint, complaint).message if complaint.strip() else str(error)

    def _goes_on_without(self, reason: str) -> bool:
        """Say in the report that the network is away; a launcher that waits for a first connection is told instead."""
        if not self.linked:
            sys.stdout.write(f"{reason}\n")
            sys.stdout.flush()
            return False
        _log(reason)
        self.replica.report_problem(f"out of reach: {reason}; trying again")
        return True

    # -- one connection

    def _serve(self) -> None:
        self.client = self._connect()
        self.heard = self.told = time.monotonic()
        self._say({"positions": self.replica.positions()})
        self.replica.send_all()
        source = _descriptor(self.client.stdout)
        pending, asked = b"", False
        while not self.flushed and (self.end_by is None or time.monotonic() < self.end_by):
            if self.end_by is not None and not asked:
                asked = True
                self._say({"flush": True})
            if source in select.select([source, self._wakeup][: 1 if asked else 2], [], [], PAUSE_S)[0]:
                *lines, pending = (pending + self._hear(source)).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._tell_news()

    def _hear(self, source: int) -> bytes:
        data = os.read(source, _CHUNK)
        if not data:
            if self.client is not None:
                self.client.wait(_END_TIMEOUT_S)
            raise _Lost("the connection ended")
        self.heard = time.monotonic()
        return data

    def _tell_news(self) -> None:
        for message in self.replica.decided():
            self._say(message)
        now = time.monotonic()
        if now - self.told > BEAT_S:
            self._say({"beat": True})
        if now - self.heard > SILENCE_S:
            raise _Lost(f"nothing was heard for {SILENCE_S:g} s")

    def _connect(self) -> subprocess.Popen[bytes]:
        files = self.replica.files
        self.complaints.truncate(0)
        self.complaints.seek(0)
        words = ("exec", "--interactive", names.sidecars_container(self.slug), *FAR_END)
        client = subprocess.Popen(
            client_argv(self.endpoint, *words, str(files.state), str(files.runtime), self.slug),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints,
            env=client_environ(), start_new_session=True,
        )  # fmt: skip
        os.set_blocking(_descriptor(client.stdin), False)
        return client

    def _say(self, message: dict[str, object]) -> None:
        data = json.dumps(message).encode() + b"\n"
        target = _descriptor(self.client.stdin if self.client else None)
        self.told = time.monotonic()
        try:
            while data:
                data = data[os.write(target, data) :]
        except BlockingIOError:
            raise _Lost("the network takes nothing") from None

    def _obey(self, message: dict[str, Any]) -> None:
        if "append" in message:
            self.replica.append(str(message["append"]), message["position"], _bytes(message))
        elif "file" in message:
            self.replica.replace(str(message["file"]), _bytes(message))
        elif "gone" in message:
            self.replica.forget(str(message["gone"]))
        elif "awaited" in message:
            self.replica.await_(message["awaited"])
        elif "flushed" in message:
            self.flushed = True
        if self.replica.reported and not (self.linked and self.tries == 0):
            self._tell_linked()

    def _tell_linked(self) -> None:
        self.tries = 0
        if self.linked:
            return
        self.linked = True
        os.write(1, LINKED)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)

    def _disconnect(self) -> None:
        client, self.client = self.client, None
        if client is None:
            return
        for stream in (client.stdin, client.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            client.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()


def _descriptor(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise _Lost("no connection")
    return stream.fileno()


def _bytes(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["data"])


def _log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> None:
    """Run as ``link STATE RUNTIME SLUG ENDPOINT``, the bottle's locked file among the open ones."""
    state, runtime, slug, endpoint = arguments
    if os.fork():
        os._exit(0)  # nobody's child: who launched a bottle may run on, and would have to wait for this one
    replica = Replica(BottlePaths(Path(state), Path(runtime)), slug)
    replica.begin()
    Link(replica, slug, endpoint).run()
    replica.end()


if __name__ == "__main__":
    main(sys.argv[1:])
