"""Which addresses may be dialled. Checked after the look-up, and the checked address is the one dialled."""

from __future__ import annotations

import ipaddress

from sidecars.egress.names import METADATA_ADDRESSES, plain_address

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv6Network("2001::/32"),
    ipaddress.IPv6Network("::ffff:0:0/96"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("::/96"),
)
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
_PRIVATE_V4 = tuple(
    ipaddress.IPv4Network(text) for text in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15")
)


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Return why ``address`` may not be dialled, ``None`` if it may.

    Metadata services, multicast and unspecified addresses are refused whatever the route says; private, loopback,
    link-local, shared (CGNAT), reserved and translated addresses unless ``allow_private``.
    """
    plain = plain_address(address)
    if plain in METADATA_ADDRESSES:
        return "a metadata service"
    if plain.is_multicast or plain.is_unspecified or str(plain) == "255.255.255.255":
        return "not a host's address"
    if allow_private:
        return None
    if isinstance(address, ipaddress.IPv6Address) and any(address in network for network in _TRANSLATED):
        return "a translated address"
    if _is_private(plain):
        return "a private address"
    return None


def _is_private(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address) and any(address in network for network in _PRIVATE_V4):
        return True
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST_V6:
        return True
    return not address.is_global or address.is_reserved or address.is_link_local
