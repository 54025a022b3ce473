"""Name service: a question that leaves the bottle carries data out, whatever the answer."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from .case import Broken, Table, Targets, fails

TABLE = Table("names")
_QUERY = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"
_SERVERS = ("127.0.0.1", "127.0.0.11", "127.0.0.53", "1.1.1.1", "8.8.8.8", "9.9.9.9", "168.63.129.16")


def _configured() -> list[str]:
    lines = Path("/etc/resolv.conf").read_text().splitlines() if Path("/etc/resolv.conf").exists() else []
    return [line.split()[1] for line in lines if line.startswith("nameserver ")]


@TABLE.case("getaddrinfo", "resolve a name as every program does", "no answer")
def _getaddrinfo(_: Targets) -> str:
    for name in ("example.com", "host.docker.internal", "metadata.google.internal"):
        try:
            socket.getaddrinfo(name, 80)
        except OSError as error:
            last = str(error)
        else:
            raise Broken(f"{name} was resolved")
    return last


@TABLE.case("udp", "ask name servers, well-known and configured ones, over UDP", "no answer")
def _udp(_: Targets) -> str:
    servers = {*_SERVERS, *_configured()}
    for server in servers:
        fails(server, _ask, server)
    return f"{len(servers)} servers, none of them answers"


def _ask(server: str) -> None:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as question:
        question.settimeout(0.5)
        question.connect((server, 53))
        question.send(_QUERY)
        question.recv(512)


@TABLE.case("tcp", "the same over TCP", "no answer")
def _tcp(_: Targets) -> str:
    for server in {*_SERVERS, *_configured()}:
        fails(server, _ask_over_tcp, server)
    return "no answer"


def _ask_over_tcp(server: str) -> None:
    with socket.create_connection((server, 53), 1) as question:
        question.sendall(len(_QUERY).to_bytes(2, "big") + _QUERY)
        if not question.recv(512):
            raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")


@TABLE.case("multicast", "mDNS and LLMNR", "no answer")
def _multicast(_: Targets) -> str:
    for group, port in (("224.0.0.251", 5353), ("224.0.0.252", 5355)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
            question.settimeout(0.3)
            fails(group, _to_group, question, group, port)
    return "no route"


def _to_group(question: socket.socket, group: str, port: int) -> None:
    question.sendto(_QUERY, (group, port))
    question.recv(512)
