"""A web server behind TLS, with an authority of its own, that notes when a request arrives."""

from __future__ import annotations

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sidecars import ca

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60.0


class Upstream:
    """Listens at ``place``, an address of this machine, as ``host``; files it needs are made in ``directory``."""

    def __init__(self, host: str, directory: Path, place: str = "127.0.0.1") -> None:
        self._place = place
        self.ca_file = directory / "upstream-ca.pem"
        self._seen = threading.Event()
        self._seen_at = 0.0
        self._server = ThreadingHTTPServer((place, 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = _context(host, directory, self.ca_file).wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens, for a route's ``upstream``."""
        return f"{self._place}:{self._server.server_port}"

    def expect(self) -> None:
        """Forget what was seen: the next request is the first one."""
        self._seen.clear()

    def note(self) -> None:
        """Keep the time of the first request."""
        if not self._seen.is_set():
            self._seen_at = time.perf_counter()
            self._seen.set()

    def seen_at(self) -> float:
        """Wait for a request and return when it came, on the clock of ``time.perf_counter``."""
        if not self._seen.wait(TIMEOUT_S):
            raise SystemExit("no request arrived")
        return self._seen_at

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _context(host: str, directory: Path, ca_file: Path) -> ssl.SSLContext:
    key_pem, certificate = ca.make_ca("benchmark upstream")
    ca_file.write_bytes(certificate)
    issuer_key = load_pem_private_key(key_pem, None)
    assert isinstance(issuer_key, EllipticCurvePrivateKey)
    key = ca.new_key()
    issued = ca.issue(host, key.public_key(), x509.load_pem_x509_certificate(certificate), issuer_key)
    chain = directory / "upstream.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain.write_bytes(private + issued.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream.note()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the figures clean."""

    return Handler
