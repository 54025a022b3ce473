"""Host names and addresses in one spelling, so that they can be compared.

An agent may write a host in many ways; what does not have exactly one meaning has none here.
"""

from __future__ import annotations

import ipaddress
import re

EGRESS_HOST = "_egress.local"
SIDECAR_NAMES = frozenset({"egress", "supervise", "git-gate", "pipelock", EGRESS_HOST})
METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
        "kubernetes.default.svc",
    }
)
METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.123",
        "169.254.169.250",
        "169.254.169.251",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "192.0.0.192",
        "fd00:c2b6:a9ec::1",
        "fd00:ec2::23",
        "fd00:ec2::250",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
# IDNA 2003 and 2008 give different names for these, so which host is meant depends on the program.
_AMBIGUOUS = frozenset("\u00df\u03c2\u200c\u200d")


def canonical_host(text: str) -> str | None:
    """Return the one spelling of a host as it comes over the wire, ``None`` if it has no single meaning.

    Names become lower-case without a trailing dot; addresses their shortest form, IPv6 without brackets. Refused
    are other spellings of addresses (``127.1``, ``0x7f000001``, ``2130706433``), zones, and anything not ASCII.
    """
    if not text or len(text) > 255 or not text.isascii():
        return None
    if text.startswith("[") or ":" in text:
        return _canonical_ipv6(text)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return _canonical_ipv4(name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return name


def _canonical_ipv6(text: str) -> str | None:
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.IPv6Address(inner)
    except ValueError:
        return None
    return None if address.scope_id else address.compressed


def _canonical_ipv4(text: str) -> str | None:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return None


def as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a canonical ``host`` spells, ``None`` for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def to_ascii(text: str) -> str:
    """Return a name that a person wrote, in the form that goes over the wire. Raises ``ValueError``."""
    if text.isascii():
        return text
    if _AMBIGUOUS & set(text):
        raise ValueError(f"{text!r} means different hosts to different programs: write it as xn--...")
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"{text!r} is not a host name: {error}") from error


def is_reserved(host: str) -> bool:
    """Say whether a canonical ``host`` is a sidecar or a cloud's metadata service: never a destination."""
    if host in SIDECAR_NAMES or host in METADATA_NAMES or host.endswith("." + EGRESS_HOST):
        return True
    address = as_address(host)
    return address is not None and plain_address(address) in METADATA_ADDRESSES


def plain_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address inside a mapped, translated (NAT64) or 6to4 IPv6 address, else ``address``."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.packed[:12] == bytes.fromhex("0064ff9b0000000000000000"):
        return ipaddress.IPv4Address(address.packed[12:])
    return address


def host_port(host: str, port: int, scheme: str) -> str:
    """Return ``host`` and ``port`` as a ``Host`` header has them: brackets for IPv6, no default port."""
    name = f"[{host}]" if ":" in host else host
    default = 443 if scheme == "https" else 80
    return name if port == default else f"{name}:{port}"


def split_authority(text: str) -> tuple[str, int | None] | None:
    """Split ``host[:port]`` into the canonical host and the port; ``None`` if it is malformed."""
    host, separator, port_text = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not separator:
        host = text
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        return None
    canonical = canonical_host(host)
    if canonical is None:
        return None
    if not separator:
        return canonical, None
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5):
        return None
    port = int(port_text)
    return (canonical, port) if 0 < port < 65536 else None
