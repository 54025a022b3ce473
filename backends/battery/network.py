"""Ways off the bottle that do not go through its sidecars."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import select
import socket
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .case import Broken, Skipped, Table, Targets, fails

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Table("network")
ADDRESSES = {
    socket.AF_INET: ("1.1.1.1", "8.8.8.8", "169.254.169.254", "10.0.0.1", "172.17.0.1", "192.168.0.1"),
    socket.AF_INET6: ("2606:4700:4700::1111", "fd00:ec2::254", "fe80::1"),
}
PORTS = (22, 53, 80, 443)
_ORDINARY_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_FAMILY_LIMIT = 64
_SCTP, _MPTCP, _UDPLITE, _DCCP = 132, 262, 136, 33
_RTM_NEWLINK, _RTM_NEWROUTE = 16, 24
_NLM_F_REQUEST_ACK = 5
_ERROR_MESSAGE = 2
_PROXY = ("egress", 3128)
_ANSWERS_WITHIN_S, _COMPLETE = 1.5, 2
_PLACES_OF_SOCKETS = ("/run", "/var", "/tmp", "/etc", "/opt", "/home", "/root", "/mnt", "/media", "/srv")  # noqa: S108


def _stream(family: int, address: str, port: int) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(2)
        attempt.connect((address, port))


def _every(family: int, kind: int, protocol: int = 0) -> str:
    last = ""
    for address in ADDRESSES[socket.AddressFamily(family)]:
        for port in PORTS:
            last = fails(f"{address}:{port}", _datagram, family, kind, protocol, (address, port))
    return last


def _datagram(family: int, kind: int, protocol: int, to: tuple[str, int]) -> None:
    with socket.socket(family, kind, protocol) as attempt:
        attempt.settimeout(1)
        attempt.connect(to)
        attempt.send(b"\x08\0\xf7\xff\0\0\0\0")
    if family == socket.AF_INET and _default_routes() and not _gateway_answers():
        raise OSError(errno.EHOSTUNREACH, "the gateway is not there")


def _default_routes() -> list[list[str]]:
    lines = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    return [line for line in lines if line[1] == "00000000"]


@functools.cache
def _gateway_answers() -> bool:
    """Say whether the gateway of a default route has a hardware address: what is sent through another goes nowhere."""
    gateways = {socket.inet_ntoa(bytes.fromhex(line[2])[::-1]) for line in _default_routes()}
    time.sleep(_ANSWERS_WITHIN_S)
    neighbours = [line.split() for line in Path("/proc/net/arp").read_text().splitlines()[1:]]
    return any(line[0] in gateways and int(line[2], 16) & _COMPLETE for line in neighbours)


@TABLE.case("tcp4", "connect to addresses of the Internet, of clouds' metadata and of private networks")
def _tcp4(_: Targets) -> str:
    return _every(socket.AF_INET, socket.SOCK_STREAM)


@TABLE.case("tcp6", "the same over IPv6")
def _tcp6(_: Targets) -> str:
    return _every(socket.AF_INET6, socket.SOCK_STREAM)


@TABLE.case("udp4", "send datagrams to them")
def _udp4(_: Targets) -> str:
    return _every(socket.AF_INET, socket.SOCK_DGRAM)


@TABLE.case("udp6", "the same over IPv6")
def _udp6(_: Targets) -> str:
    return _every(socket.AF_INET6, socket.SOCK_DGRAM)


@TABLE.case("icmp", "send echo requests without privilege")
def _icmp(_: Targets) -> str:
    return _every(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)


@TABLE.case("raw", "open raw sockets")
def _raw(_: Targets) -> str:
    fails("a raw IPv6 socket", socket.socket, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    return fails("a raw socket", socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@TABLE.case("protocols", "SCTP, DCCP, MPTCP and UDP-Lite off the bottle")
def _protocols(_: Targets) -> str:
    kinds = {_SCTP: socket.SOCK_STREAM, _MPTCP: socket.SOCK_STREAM, _UDPLITE: socket.SOCK_DGRAM, _DCCP: 6}
    for protocol, kind in kinds.items():
        fails(f"protocol {protocol}", _datagram, socket.AF_INET, kind, protocol, ("1.1.1.1", 443))
    return "no route"


@TABLE.case("families", "sockets of every other family: AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH and so on")
def _families(_: Targets) -> str:
    made = [f"{family}/{kind}" for family, kind in _other_sockets()]
    if made:
        raise Broken(f"sockets of these families and kinds can be made: {' '.join(made)}")
    return "no other family"


def _other_sockets() -> Iterator[tuple[int, int]]:
    for family in set(range(_FAMILY_LIMIT)) - {int(known) for known in _ORDINARY_FAMILIES}:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(family, kind).close()
            except OSError:
                continue
            yield family, int(kind)


@TABLE.case("routes", "a route to anywhere", "there is none")
def _routes(_: Targets) -> str:
    if default := [line[0] for line in _default_routes()]:
        with contextlib.suppress(OSError):
            _datagram(socket.AF_INET, socket.SOCK_DGRAM, 0, (ADDRESSES[socket.AF_INET][0], PORTS[0]))
        if not _gateway_answers():
            raise Skipped(f"a default route through {', '.join(default)}, to a gateway that is not there")
        raise Broken(f"a default route through {', '.join(default)}")
    lines = Path("/proc/net/route").read_text().splitlines()[1:]
    return f"{len(lines)} routes, none of them a default"


@TABLE.case("netlink", "change links and routes")
def _netlink(_: Targets) -> str:
    for kind in (_RTM_NEWLINK, _RTM_NEWROUTE):
        if _netlink_error(kind) == 0:
            raise Broken(f"a netlink request of type {kind} was carried out")
    return "refused by the kernel"


def _netlink_error(kind: int) -> int:
    body = (
        struct.pack("BxHiII", 0, 1, 0, 1, 1)
        if kind == _RTM_NEWLINK
        else struct.pack("BBBBBBBBI", 2, *[0] * 8)
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.settimeout(2)
        link.send(struct.pack("IHHII", 16 + len(body), kind, _NLM_F_REQUEST_ACK, 1, 0) + body)
        answer = link.recv(4096)
    (number,) = struct.unpack_from("i", answer, 16)
    return int(number) if struct.unpack_from("IH", answer)[1] == _ERROR_MESSAGE else -1


@TABLE.case("loopback", "a port of the host's loopback, directly and as the gateway")
def _loopback(targets: Targets) -> str:
    if not targets.port:
        raise Skipped("no port of the host was named")
    for address in ("127.0.0.1", "localhost", "172.17.0.1", "10.0.2.2", "host.docker.internal"):
        fails(f"{address}:{targets.port}", _stream, socket.AF_INET, address, targets.port)
    return fails("[::1]", _stream, socket.AF_INET6, "::1", targets.port)


@TABLE.case("abstract", "the host's abstract Unix sockets")
def _abstract(targets: Targets) -> str:
    names = [f"\0{name}" for name in ("/tmp/.X11-unix/X0", "/tmp/.ICE-unix/1", targets.abstract) if name]  # noqa: S108
    for name in names:
        with socket.socket(socket.AF_UNIX) as attempt:
            fails(repr(name), attempt.connect, name)
    return f"{len(names)} names, none of them answers"


@TABLE.case(
    "sockets", "Unix sockets by path: Docker, ssh agent, D-Bus, tmux, X11, anything else that can be seen"
)
def _sockets(targets: Targets) -> str:
    known = [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/dbus/system_bus_socket",
        "/run/containerd/containerd.sock",
    ]
    candidates = [*known, targets.socket, os.environ.get("SSH_AUTH_SOCK", ""), *_visible_sockets()]
    for path in filter(None, candidates):
        with socket.socket(socket.AF_UNIX) as attempt:
            fails(path, attempt.connect, path)
    return f"{len(candidates)} paths, none of them answers"


def _visible_sockets() -> Iterator[str]:
    for place in _PLACES_OF_SOCKETS:
        for directory, names, files in os.walk(place):
            names[:] = [name for name in names if name not in {"node_modules", ".git"}]
            for name in files:
                path = f"{directory}/{name}"
                if _is_foreign_socket(path):
                    yield path


def _is_foreign_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def proxy_answer(request: str) -> str:
    """Send ``request`` to the egress sidecar and return the first bytes of its answer."""
    with socket.create_connection(_PROXY, timeout=60) as proxy:
        proxy.sendall(request.encode())
        return proxy.recv(2048).decode(errors="replace") if select.select([proxy], [], [], 10)[0] else ""


@TABLE.case(
    "proxy",
    "have the proxy connect to the host, to metadata services, to a name service",
    "403 with a reason",
)
def _proxy_targets(targets: Targets) -> str:
    places = ["127.0.0.1:22", "[::1]:22", "169.254.169.254:80", "metadata.google.internal:80", "1.1.1.1:53",
              "dns.google:443", "localhost:6379", f"127.0.0.1:{targets.port or 1}", "egress:3128"]  # fmt: skip
    for place in places:
        answer = proxy_answer(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n")
        if " 403 " not in answer.partition("\r\n")[0]:
            raise Broken(f"CONNECT {place}: {answer[:80]!r}")
    return f"403 for {len(places)} targets"
