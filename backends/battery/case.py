"""What an attack is, and how its outcome is judged.

A case is a function that returns what held, or raises :class:`Broken` with what it got hold of. It runs in a process
of its own, because some guards answer with a signal.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S = 120.0
REFUSALS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS})
"""How a call is refused that was not let through. Any other error means that the kernel looked at the arguments."""


class Broken(Exception):  # noqa: N818 - the outcome of a case, not an error of the program
    """The attack worked; the text says what it got."""


class Skipped(Exception):  # noqa: N818 - see above
    """The attack makes no sense here; the text says why."""


@dataclass(frozen=True)
class Targets:
    """What lies outside, told by whoever runs the battery: it must stay out of reach.

    ``secret`` is text that must be found nowhere, ``port`` listens on the host's loopback, ``abstract`` and ``socket``
    are Unix sockets of the host, ``file`` is a file of the operator, ``process`` is in the command line of a process.
    """

    secret: str = ""
    port: int = 0
    abstract: str = ""
    socket: str = ""
    file: str = ""
    process: str = ""


@dataclass(frozen=True)
class Case:
    """One attack. A ``rough`` one disturbs the bottle and runs only when asked for."""

    id: str
    attempt: str
    expected: str
    attack: Callable[[Targets], str]
    rough: bool = False


@dataclass
class Table:
    """The cases of one area, in order."""

    area: str
    cases: list[Case] = field(default_factory=list[Case])

    def case(
        self, name: str, attempt: str, expected: str = "refused", *, rough: bool = False
    ) -> Callable[[Callable[[Targets], str]], Callable[[Targets], str]]:
        """Register the decorated function as the case ``AREA.name``."""

        def register(attack: Callable[[Targets], str]) -> Callable[[Targets], str]:
            self.cases.append(Case(f"{self.area}.{name}", attempt, expected, attack, rough))
            return attack

        return register


def refused(what: str, function: Callable[..., object], *arguments: object) -> str:
    """Return how ``function`` was refused; :class:`Broken` when it was let through, whatever became of it then."""
    try:
        function(*arguments)
    except OSError as error:
        if error.errno in REFUSALS:
            return error.strerror or str(error)
        raise Broken(f"{what} was let through ({error.strerror})") from error
    raise Broken(f"{what} worked")


def fails(what: str, function: Callable[..., object], *arguments: object) -> str:
    """Return why ``function`` failed; for attacks that may fail in any way."""
    try:
        function(*arguments)
    except OSError as error:
        return error.strerror or str(error)
    raise Broken(f"{what} worked")


def verdict(case: Case, targets: Targets) -> dict[str, str]:
    """Run ``case`` in a child and return its row: ``outcome`` is held, broken or skipped."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        _report(writer, case, targets)
    os.close(writer)
    data = b"".join(_until_end(reader))
    _kill_group(child)
    status = os.waitpid(child, 0)[1]
    row = {"id": case.id, "attempt": case.attempt, "expected": case.expected}
    if data:
        outcome, _, detail = data.decode(errors="replace").partition("\n")
        return {**row, "outcome": outcome, "detail": detail}
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        return {**row, "outcome": "held", "detail": "killed by the system call filter"}
    return {**row, "outcome": "broken", "detail": f"it never ended, or ended without a word ({status})"}


def _report(writer: int, case: Case, targets: Targets) -> None:
    try:
        text = f"held\n{case.attack(targets)}"
    except Broken as broken:
        text = f"broken\n{broken}"
    except Skipped as skipped:
        text = f"skipped\n{skipped}"
    except BaseException:  # noqa: BLE001 - an attack that fails by mistake proves nothing
        text = f"broken\nthe case itself failed: {traceback.format_exc(limit=-2)}"
    os.write(writer, text.encode(errors="replace")[:4000])
    os._exit(0)


def _until_end(reader: int) -> Iterator[bytes]:
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while select.select([stream], [], [], TIMEOUT_S)[0]:
            data = stream.read(4096)
            if not data:
                return
            yield data
            return


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def row_text(row: dict[str, str]) -> str:
    """Return ``row`` as one line."""
    return json.dumps(row)
