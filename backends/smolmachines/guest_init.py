"""The machine's workload, as its root: make the bottle's view, then carry the sidecars' ports to their sockets.

Built-in modules where they do, and nothing newer than Python 3.8: it runs in any image's Python, and a start waits for
it. It tells the keeper, on a socket of that one's, whether the view is made and a program can be confined in it; until
then no program is let in. A byte from there asks it to end the agent's programs, the connection's end tells that they
have. When it ends itself, the bottle is without network.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import os
import resource
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable

    from backends.smolmachines import confine

    Mount = Callable[[str, str, str, int, str], None]
else:
    import _signal as signal
    import _socket as socket

    sys.path.insert(0, HERE)
    import confine

STOP_GRACE_S = 2.0
_POLL_S = 0.02
_CHUNK = 65536
_BACKLOG = 256
_CONNECTIONS = 512
_DESCRIPTORS_EACH = 2
_RETRY_S = 0.1
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_SHARED_PERCENT = 12
_DEVICES = frozenset(
    {"console", "fd", "full", "null", "ptmx", "random", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}
)
_PR_SET_DUMPABLE = 4
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/slabinfo",
           "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo")  # fmt: skip


def make_view(settings: confine.Settings, mount: Mount) -> None:
    """Mount what programs expect, and take away what the agent must not see or change."""
    (guest,) = settings["guest"]
    (bundle,) = settings["bundle"]
    (sockets,) = settings["sockets"]
    mount("none", "/", "", _REC | _PRIVATE, "")
    for name in settings["etc"]:
        target = "/etc/" + name
        if not os.path.exists(target):
            with open(target, "w", encoding="utf-8"):
                pass
        mount(os.path.join(guest, "etc", name), target, "", _BIND, "")
    if os.path.exists(bundle):
        mount(settings["certificate"][0], bundle, "", _BIND, "")
    for name in settings["pinned"]:
        mount(name, name, "", _BIND, "")
    for name in settings["read_only"]:
        mount(name, name, "", _BIND, "")
        mount("none", name, "", _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV, "")
    for name in settings["writable"]:
        mount(name, name, "", _BIND | _REC, "")
        mount("none", name, "", _BIND | _REMOUNT | _NOSUID | _NODEV, "")
    for name in settings["scratch"]:
        os.makedirs(name, exist_ok=True)
        mount("tmpfs", name, "tmpfs", _NOSUID | _NODEV, _shared_size())
    _hide(mount)
    mount("none", "/", "", _BIND | _REMOUNT | _NOSUID | _NODEV, "")
    os.chmod(sockets, 0o700)


def _shared_size() -> str:
    return f"size={_SHARED_PERCENT}%,mode=1777"


def _hide(mount: Mount) -> None:
    """Leave of the kernel's file systems, and of smolvm's own disk, what a program of the agent needs."""
    quiet = _NOSUID | _NODEV | _NOEXEC
    mount("proc", "/proc", "proc", _RDONLY | quiet, "hidepid=2")
    for name in _MASKED:
        if os.path.exists(name):
            mount(os.devnull, name, "", _BIND, "")
    for name in ("/sys", "/storage"):
        if os.path.isdir(name):
            mount("tmpfs", name, "tmpfs", _RDONLY | quiet, "size=4k,mode=0555")
    mount("tmpfs", "/dev/shm", "tmpfs", quiet, _shared_size())  # noqa: S108 - in the machine
    for name in os.listdir("/dev"):
        if not os.path.isdir("/dev/" + name) and name not in _DEVICES:
            os.unlink("/dev/" + name)
    if os.path.isdir("/dev/net"):
        mount("tmpfs", "/dev/net", "tmpfs", _RDONLY | quiet, "size=4k,mode=0555")


def check_owner() -> None:
    """Refuse an image in which what root runs is somebody else's: the agent could make itself root by it."""
    program = os.path.realpath(sys.executable)
    places = {
        "/",
        "/etc",
        "/usr",
        "/usr/bin",
        "/bin",
        program,
        os.path.dirname(program),
        os.path.dirname(os.__file__),
    }
    for place in places:
        status = os.stat(place)
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise OSError(errno.EPERM, f"{place} is not root's alone: the image has lost its owners")


def _mounter() -> Mount:
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
        if libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mount {target}: {os.strerror(ctypes.get_errno())}")

    return mount


def try_confinement() -> None:
    """Confine a process of its own as every program of the agent will be. Raises ``OSError`` where that fails."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        problem = "it ended without a word"
        try:
            confine.enter(confine.read_settings("confine"))
            problem = ""
        except (OSError, ValueError, KeyError) as error:
            problem = str(error)
        finally:
            os.write(write_end, problem.encode(errors="replace"))
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8", errors="replace") as stream:
        problem = stream.read()
    status = os.waitpid(pid, 0)[1]
    if problem or status:
        raise OSError(errno.EPERM, f"a program cannot be confined: {problem or status}")


def listen(ports: list[str]) -> None:
    """Carry each port of ``ports``, written ``NUMBER:SOCKET``, from now on."""
    limit = _CONNECTIONS * _DESCRIPTORS_EACH
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for item in ports:
        number, _, path = item.partition(":")
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(number)))
        listener.listen(_BACKLOG)
        _thread.start_new_thread(_accept, (listener, path))


def _accept(listener: socket.socket, path: str) -> None:
    while True:
        try:
            near = socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]  # pyright: ignore
        except OSError:  # all descriptors are taken: those that wait are served when others end
            time.sleep(_RETRY_S)
            continue
        try:
            _carry(near, path)
        except (OSError, RuntimeError):
            near.close()


def _carry(near: socket.socket, path: str) -> None:
    """Copy both ways between ``near``, which is owned from now on, and a new connection to ``path``."""
    far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        far.connect(path)
        _thread.start_new_thread(_copy_both, (near, far))
    except (OSError, RuntimeError):
        far.close()
        raise


def _copy_both(near: socket.socket, far: socket.socket) -> None:
    done = _thread.allocate_lock()
    done.acquire()
    try:
        _thread.start_new_thread(_copy_and_release, (far, near, done))
        _copy(near, far)
        done.acquire()
    except RuntimeError:  # no further thread is to be had
        pass
    finally:
        near.close()
        far.close()


def _copy_and_release(source: socket.socket, target: socket.socket, done: _thread.LockType) -> None:
    try:
        _copy(source, target)
    finally:
        done.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy to the end and pass the end on; a side that breaks off ends the other."""
    try:
        while True:
            data = source.recv(_CHUNK)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def end_programs(user: int) -> None:
    """Tell all programs of ``user`` to end, and wait so long for it as a terminal that closes would."""
    deadline = time.monotonic() + STOP_GRACE_S
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGCONT):
        for pid in _programs(user):
            try:
                os.kill(pid, number)
            except OSError:
                continue
    while _programs(user) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _programs(user: int) -> list[int]:
    """Return the processes of ``user`` that have not ended."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and _runs_as(name, user):
                found.append(int(name))
        except OSError:
            continue
    return found


def _runs_as(name: str, user: int) -> bool:
    with open(f"/proc/{name}/status", "rb") as stream:
        fields = dict(line.split(b":", 1) for line in stream.read().splitlines() if b":" in line)
    return int(fields[b"Uid"].split()[0]) == user and fields[b"State"].split()[0] not in (b"Z", b"X")


def prepare(settings: confine.Settings) -> None:
    """Make everything ready for the agent's programs, the ports included, and then let them in."""
    if os.path.exists(confine.READY):
        os.unlink(confine.READY)
    check_owner()
    make_view(settings, _mounter())
    try_confinement()
    listen(settings["ports"])
    with open(confine.READY, "w", encoding="utf-8"):
        pass


def main() -> None:
    """Read the settings beside this file, and serve."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    settings = confine.read_settings("init")
    path, ready = settings["keeper"]
    keeper = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    keeper.connect(path)
    try:
        prepare(settings)
    except (OSError, ValueError, KeyError) as error:
        keeper.sendall(f"{error}\n".encode(errors="replace"))
        raise
    keeper.sendall(f"{ready}\n".encode())
    if keeper.recv(1):
        end_programs(int(settings["user"][0]))
    keeper.close()
    while True:  # the ports are carried until the machine ends
        signal.pause()


if __name__ == "__main__":
    main()
