"""Whether a bottle lives, and what its supervisor last reported.

The kernel's lock is the truth: it goes with the supervisor however that ends. The report only describes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bottlemux.errors import BottlemuxError
from bottlemux.files import read_json, write_json
from bottlemux.identity import is_slug

if TYPE_CHECKING:
    from bottlemux.paths import BottlePaths, Paths

# A probe holds its shared lock for microseconds; the supervisor outwaits any number of them.
_HOLD_PATIENCE_S = 1.0
_HOLD_PAUSE_S = 0.005
_STAT_START_TIME = 19  # field 22 of /proc/PID/stat, counted after the command's closing parenthesis


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One sidecar: its process, how often it was restarted, and its state in the supervisor's words."""

    pid: int | None
    restarts: int
    state: str


def _no_services() -> dict[str, ServiceStatus]:
    return {}


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """The supervisor's report.

    ``supervisor_start`` is in clock ticks since boot and tells a reused pid apart. ``init_pid`` is the
    bottle's first process as seen from the host, the monitor of one that is a machine; None before it runs and for
    backends that have none. ``problem``
    says why the rest may be out of date: the machine that the bottle runs on cannot be reached now. Of a bottle on
    another machine ``supervisor_pid`` is 0.
    """

    supervisor_pid: int
    supervisor_start: int
    started_at: str
    backend: str
    init_pid: int | None = None
    problem: str = ""
    services: dict[str, ServiceStatus] = field(default_factory=_no_services)


def identities(paths: Paths) -> list[str]:
    """Return the identity of every bottle there is a directory for, sorted; nothing is read."""
    try:
        names = os.listdir(paths.bottles)
    except OSError:
        return []
    return sorted(name for name in names if is_slug(name))


def is_alive(paths: BottlePaths) -> bool:
    """Tell whether a supervisor holds the bottle's lock. Nothing is made; the probe lets go at once."""
    try:
        descriptor = os.open(paths.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class LockProbe:
    """Asks again and again what :func:`is_alive` asks once, more cheaply: the file of a live one stays open."""

    def __init__(self, paths: BottlePaths) -> None:
        self._path = str(paths.lock)
        self._descriptor = -1

    def is_alive(self) -> bool:
        """Tell whether a supervisor holds the lock."""
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        # Closing lets go of it, too. There may be many more ended bottles than files that may be open.
        self._close()
        return False

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        """Close the file."""
        self._close()


def read_link(paths: BottlePaths) -> dict[str, Any]:
    """Return what the process wrote down that holds a bottle of another machine; nothing where there was none."""
    with contextlib.suppress(OSError, ValueError):
        value = read_json(paths.link)
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {}


def may_run_elsewhere(paths: BottlePaths) -> bool:
    """Say whether a bottle was launched on another machine and not ended since: it may run, held here or not."""
    return bool(read_link(paths).get("pid"))


def hold(path: Path) -> int:
    """Take the lock ``path`` for this process and return the descriptor that keeps it.

    It is held until every copy of the descriptor is closed: it is not inherited through exec, but a child
    that is forked without exec has a copy and must close it. A lock that another supervisor holds is a
    :class:`BottlemuxError`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _HOLD_PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise BottlemuxError(f"{path.parent.name!r} is already running") from error
        time.sleep(_HOLD_PAUSE_S)


def process_start(pid: int) -> int | None:
    """Return when process ``pid`` began, in clock ticks since boot; None if there is no such process."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return int(stat[stat.rindex(b")") + 1 :].split()[_STAT_START_TIME])
    return None


def write_status(paths: BottlePaths, status: RuntimeStatus) -> None:
    """Replace the report in one step. Called by the supervisor only."""
    write_json(paths.status, asdict(status))


def read_status(paths: BottlePaths) -> RuntimeStatus | None:
    """Return the last report; None if there is none or it is not one. It may outlive its supervisor."""
    try:
        return _status(read_json(paths.status))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _status(value: object) -> RuntimeStatus:
    report = _mapping(value)
    services = _mapping(report.get("services", {}))
    return RuntimeStatus(
        supervisor_pid=_number(report["supervisor_pid"]),
        supervisor_start=_number(report["supervisor_start"]),
        started_at=str(report["started_at"]),
        backend=str(report["backend"]),
        init_pid=_optional_number(report.get("init_pid")),
        problem=str(report.get("problem", "")),
        services={name: _service(item) for name, item in services.items()},
    )


def _service(item: object) -> ServiceStatus:
    service = _mapping(item)
    return ServiceStatus(
        _optional_number(service.get("pid")), _number(service["restarts"]), str(service["state"])
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not a mapping")
    return cast("dict[str, object]", value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a number")
    return value


def _optional_number(value: object) -> int | None:
    return None if value is None else _number(value)
