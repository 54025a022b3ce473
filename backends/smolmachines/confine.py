"""Runs in the machine, as its root: become the user of the agent with nothing left to gain, then the program.

Built-in modules where they do, and nothing newer than Python 3.8: it runs in any image's Python, and a pane waits for
it. What it sets holds for the program and all that the program starts. It refuses where a part of the confinement is
missing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    Settings = dict[str, list[str]]
else:
    import _signal as signal

HERE = os.path.dirname(os.path.abspath(__file__))
READY = "/run/bottlemux-ready"
_OF_THE_TERMINAL = ("TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION")
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_KEPT = {"ro": _RDONLY, "nodev": _NODEV, "noexec": _NOEXEC}
_HIDDEN = (errno.ENOENT, errno.EINVAL)
_CLONE_NEWNS = 0x20000
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_LAST_CAPABILITY = 63
_KIND, _PIPE = 0o170000, 0o010000
_NOT_CONFINED = 125
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127
_INSTRUCTION_BYTES = 8


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main(arguments: list[str]) -> int:
    """Run as ``confine ARGV...``."""
    try:
        os.stat(READY)
        environ = enter(read_settings("confine"))
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"bottlemux: not confined, so not started: {error}\n")
        return _NOT_CONFINED
    return run(arguments, environ)


def read_settings(name: str) -> Settings:
    """Return the settings ``name`` beside this file, as ``settings.encode`` writes them."""
    with open(os.path.join(HERE, name + ".settings"), encoding="utf-8", newline="") as stream:
        records = [record.split("\0") for record in stream.read().split("\0\0")]
    return {record[0]: record[1:] for record in records}


def enter(settings: Settings) -> dict[str, str]:
    """Become the agent's user, confined, in the agent's directory; return the variables its program gets."""
    environ = dict(variable.split("=", 1) for variable in settings["environ"])
    environ.update({name: os.environ[name] for name in _OF_THE_TERMINAL if os.environ.get(name)})
    confine(settings)
    os.chdir(settings["directory"][0])
    return environ


def confine(settings: Settings) -> None:
    """Give up everything but the user ``settings["user"]`` and the places ``settings["writable"]``, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = map(int, settings["user"])
    filters = [_filter(name) for name in settings["filters"]]
    _check(libc.unshare(_CLONE_NEWNS), "a view of its own")
    _narrow(libc, settings["writable"])
    for name, limit in (("RLIMIT_NPROC", int(settings["processes"][0])), ("RLIMIT_CORE", 0)):
        resource.setrlimit(getattr(resource, name), (limit, limit))
    for number in range(_LAST_CAPABILITY + 1):
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0 and ctypes.get_errno() != errno.EINVAL:
            raise OSError(ctypes.get_errno(), "a capability cannot be given up")
    _own_streams(user, group)
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no-new-privileges")
    for program in filters:
        _check(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "filter")


def _own_streams(user: int, group: int) -> None:
    """Give the pipes and the terminal of the standard streams to the user, who may open ``/dev/stderr`` then."""
    for stream in range(3):
        try:
            if os.isatty(stream) or os.fstat(stream).st_mode & _KIND == _PIPE:
                os.fchown(stream, user, group)
        except OSError:
            continue


def _narrow(libc: ctypes.CDLL, writable: list[str]) -> None:
    """Leave what lies below ``writable`` as it is and all else read-only, and set-user-id bits without effect.

    The machine's root, which is not run by this, goes on writing to its disk.
    """
    with open("/proc/self/mounts", encoding="utf-8") as table:
        mounts = [line.split()[1:4:2] for line in table]
    for place, options in mounts:
        flags = _BIND | _REMOUNT | _NOSUID
        flags |= sum(_KEPT.get(option, 0) for option in options.split(","))
        if not any(place == own or place.startswith(f"{own}/") for own in writable):
            flags |= _RDONLY
        name = place.encode().decode("unicode_escape").encode("latin-1")
        # What lies below another mount cannot be named, nor reached.
        if libc.mount(b"none", name, None, flags, None) != 0 and ctypes.get_errno() not in _HIDDEN:
            raise OSError(ctypes.get_errno(), f"{place}: {os.strerror(ctypes.get_errno())}")
    if not os.statvfs("/").f_flag & os.ST_RDONLY:
        raise OSError(errno.EPERM, "the system's directories can be written to")


def _filter(name: str) -> _Program:
    with open(os.path.join(HERE, name), "rb") as stream:
        code = stream.read()
    if not code:
        raise OSError(errno.EINVAL, "an empty filter is no filter")
    return _Program(len(code) // _INSTRUCTION_BYTES, code)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def run(arguments: list[str], environ: dict[str, str]) -> int:
    """Become the program; return an exit code where that fails."""
    os.closerange(3, 1024)
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        _execute(arguments, environ)
    except OSError as error:
        os.write(2, f"{arguments[0]}: {error.strerror}\n".encode(errors="replace"))
        return _NOT_FOUND if error.errno == errno.ENOENT else _NOT_EXECUTABLE


def _execute(arguments: list[str], environ: dict[str, str]) -> NoReturn:
    """Do what ``os.execvpe`` does, which imports a library first, when this process may not read any more."""
    if "/" in arguments[0]:
        os.execve(arguments[0], arguments, environ)
    failure = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for directory in environ["PATH"].split(":"):
        try:
            os.execve(f"{directory}/{arguments[0]}", arguments, environ)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            failure = error
    raise failure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
