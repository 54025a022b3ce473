"""TLS on both sides: certificates of the bottle's own authority for the agent, strict verification upstream."""

from __future__ import annotations

import ipaddress
import ssl
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from sidecars import ca

_MAX_CONTEXTS = 128
_HTTP1 = b"http/1.1"


class TlsAuthority:
    """Makes OpenSSL connections for both sides. Holds the authority's private key."""

    def __init__(self, ca_key_pem: bytes, ca_cert_pem: bytes) -> None:
        key = load_pem_private_key(ca_key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(ca_cert_pem)
        self._leaf_key = ca.new_key()
        self._for_agent: OrderedDict[str, SSL.Context] = OrderedDict()
        self._upstream: OrderedDict[tuple[str | None, int], SSL.Context] = OrderedDict()

    def __repr__(self) -> str:
        return "TlsAuthority(...)"

    def accept(self, host: str) -> SSL.Connection:
        """Return the server side of a handshake with the agent, as ``host``."""
        context = self._for_agent.get(host)
        if context is None:
            context = self._agent_context(host)
            _remember(self._for_agent, host, context)
        connection = SSL.Connection(context)
        connection.set_accept_state()
        return connection

    def _agent_context(self, host: str) -> SSL.Context:
        certificate = ca.issue(host, self._leaf_key.public_key(), self._certificate, self._key)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate(certificate)
        context.use_privatekey(self._leaf_key)
        context.set_alpn_select_callback(_select_http1)
        context.set_session_id(host.encode()[:32])
        return context

    def connect(self, host: str, upstream_ca: str | None) -> SSL.Connection:
        """Return the client side of a handshake that succeeds only with a valid certificate for ``host``.

        Trusted are the machine's authorities and, if given, those in the file ``upstream_ca``. Raises ``OSError``
        or ``SSL.Error`` if that file is not usable.
        """
        connection = SSL.Connection(self._upstream_context(upstream_ca))
        _verify_name(connection, host)
        connection.set_alpn_protos([_HTTP1])
        connection.set_connect_state()
        return connection

    def _upstream_context(self, upstream_ca: str | None) -> SSL.Context:
        file = None if upstream_ca is None else str(Path(upstream_ca).expanduser())
        version = 0 if file is None else Path(file).stat().st_mtime_ns
        context = self._upstream.get((file, version))
        if context is None:
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_min_proto_version(SSL.TLS1_2_VERSION)
            context.set_verify(SSL.VERIFY_PEER)
            trust_machine(context)
            if file is not None:
                context.load_verify_locations(file)
            _remember(self._upstream, (file, version), context)
        return context


def trust_machine(context: SSL.Context) -> None:
    """Trust the machine's authorities: its directory if it has one, which costs no memory, else its bundle."""
    found = ssl.get_default_verify_paths()
    if found.capath and any(Path(found.capath).glob("*.0")):
        context.load_verify_locations(None, found.capath)
    elif found.cafile:
        context.load_verify_locations(found.cafile)
    else:
        import certifi

        context.load_verify_locations(certifi.where())


def _remember[K](cache: OrderedDict[K, SSL.Context], key: K, context: SSL.Context) -> None:
    cache[key] = context
    if len(cache) > _MAX_CONTEXTS:
        cache.popitem(last=False)


def _select_http1(_connection: SSL.Connection, offered: list[bytes]) -> Any:
    return _HTTP1 if _HTTP1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _verify_name(connection: SSL.Connection, host: str) -> None:
    """Have OpenSSL compare the certificate with ``host``; pyOpenSSL has no call of its own for it."""
    library: Any = SSL._lib  # type: ignore[attr-defined]
    parameters = library.SSL_get0_param(cast("Any", connection)._ssl)
    flags = library.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | library.X509_CHECK_FLAG_NEVER_CHECK_SUBJECT
    library.X509_VERIFY_PARAM_set_hostflags(parameters, flags)
    try:
        packed = ipaddress.ip_address(host).packed
    except ValueError:
        name = host.encode()
        connection.set_tlsext_host_name(name)
        done = library.X509_VERIFY_PARAM_set1_host(parameters, name, len(name))
    else:
        done = library.X509_VERIFY_PARAM_set1_ip(parameters, packed, len(packed))
    if done != 1:
        raise ValueError("the host name cannot be verified")
