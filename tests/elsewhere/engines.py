"""Docker contexts for an engine of this machine that is reached as one elsewhere is: over ssh, and over TLS.

``BOTTLEMUX_FAR_ENGINE`` is its socket; ``BOTTLEMUX_ENGINE_NAME=far BOTTLEMUX_ENGINE_BLIND=1 scripts/docker-engine up``
starts one that sees nothing of what tests make. By default it is the engine of ``DOCKER_HOST``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import getpass
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backends.docker import names
from tests.conftest import find_sshd

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest

    from bottlemux.paths import Paths

SSH, TLS, GONE = "bottlemux-ssh", "bottlemux-tls", "bottlemux-gone"
_DEADLINE_S = 60.0


def far_socket() -> str:
    """Return the socket's path of the engine that plays the one elsewhere."""
    endpoint = os.environ.get("BOTTLEMUX_FAR_ENGINE") or os.environ.get("DOCKER_HOST") or ""
    return endpoint.removeprefix("unix://") or "/var/run/docker.sock"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def docker(*words: str) -> str:
    """Ask the engine on its own machine."""
    command = ["docker", "--host", f"unix://{far_socket()}", *words]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


def things(paths: Paths) -> list[str]:
    """Return the names of all that bottles of ``paths`` have there."""
    mine = f"label={names.STATE_LABEL}={names.owner(paths, elsewhere=True)}"
    found = {
        *docker("ps", "-a", "--filter", mine, "--format", "{{.Names}}").split(),
        *docker("network", "ls", "--filter", mine, "--format", "{{.Name}}").split(),
        *docker("volume", "ls", "--filter", mine, "-q").split(),
    }
    return sorted(found)


@dataclass
class Sshd:
    """An ssh server of the test's own, for this user, in front of the engine's socket."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / name)]
            subprocess.run(command, check=True)
        shutil.copy(self.directory / "user.pub", self.directory / "authorized")
        words = (self.directory / "host.pub").read_text().split()
        (self.directory / "known").write_text(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n")
        (self.directory / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.directory}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.directory}/authorized\nStrictModes no\nUsePAM no\n"
            f"PasswordAuthentication no\nSetEnv DOCKER_HOST=unix://{far_socket()}\nMaxStartups 100\n"
        )
        (self.directory / "ssh_config").write_text(
            f"Host far\n HostName 127.0.0.1\n Port {self.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {self.directory}/user\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {self.directory}/known\n StrictHostKeyChecking yes\n"
        )
        # ssh finds its settings by the user's entry in passwd, whatever HOME says.
        client = self.directory / "bin" / "ssh"
        client.parent.mkdir()
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.directory}/ssh_config "$@"\n')
        client.chmod(0o755)

    def start(self) -> None:
        sshd = find_sshd()
        assert sshd is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(
            [sshd, "-D", "-f", str(self.directory / "sshd_config"), "-E", str(self.directory / "log")],
            start_new_session=True,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        """End the server and every connection of it, as a network that goes away."""
        if self.process is None:
            return
        for pid in (*_descendants(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


def _descendants(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def wait_for_port(port: int) -> None:
    limit = time.monotonic() + _DEADLINE_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < limit, f"nothing listens on {port}"
        time.sleep(0.02)


def make_certificates(directory: Path) -> None:
    """Write an authority, and a server's and a client's certificate of it."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", authority_key, None)
    _write(directory / "ca.pem", authority)
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(directory / f"{name}.pem", _certificate(name, key, (authority, authority_key)))
        (directory / f"{name}-key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class TlsFront:
    """Takes TLS connections with a client certificate and passes them on to the engine's socket."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        wait_for_port(self.port)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        settings = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings.load_cert_chain(self._directory / "server.pem", self._directory / "server-key.pem")
        settings.load_verify_locations(self._directory / "ca.pem")
        settings.verify_mode = ssl.CERT_REQUIRED
        self._loop.run_until_complete(
            asyncio.start_server(self._pass_on, "127.0.0.1", self.port, ssl=settings)
        )
        self._loop.run_forever()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, to_them = await asyncio.open_unix_connection(far_socket())
        copies = [asyncio.create_task(_copy(reader, to_them)), asyncio.create_task(_copy(theirs, writer))]
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        for stream in (to_them, writer):
            stream.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


@contextlib.contextmanager
def contexts(directory: Path, patch: pytest.MonkeyPatch) -> Generator[Sshd]:
    """Have the contexts ``SSH`` and ``TLS`` in this process's environment, and ``GONE``, where nobody listens."""
    directory.chmod(0o755)
    server = Sshd(directory)
    server.prepare()
    server.start()
    make_certificates(directory)
    front = TlsFront(directory)
    front.start()
    patch.setenv("DOCKER_CONFIG", str(directory / "docker"))
    patch.setenv("PATH", f"{directory}/bin{os.pathsep}{os.environ['PATH']}")
    material = f"ca={directory}/ca.pem,cert={directory}/client.pem,key={directory}/client-key.pem"
    for name, endpoint in (
        (SSH, "host=ssh://far"),
        (TLS, f"host=tcp://127.0.0.1:{front.port},{material}"),
        (GONE, f"host=tcp://127.0.0.1:{free_port()}"),
    ):
        subprocess.run(
            ["docker", "context", "create", name, "--docker", endpoint], check=True, capture_output=True
        )
    try:
        yield server
    finally:
        front.stop()
        server.stop()
