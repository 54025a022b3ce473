"""From a route to an open connection: look up, check every address, dial only what was checked."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from sidecars.egress import addresses, names

if TYPE_CHECKING:
    from sidecars.egress.addresses import Address
    from sidecars.egress.routes import Route

CONNECT_TIMEOUT_S = 15.0
ATTEMPT_TIMEOUT_S = 6.0
MAX_ADDRESSES = 8


class AddressRefused(Exception):  # noqa: N818 - a verdict, not a malfunction
    """Every address of the host is one that the route may not reach. The text says which kind."""


async def dial(host: str, port: int, route: Route) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to ``host``, or to the route's upstream.

    Raises :class:`AddressRefused`, or ``OSError``, of which ``TimeoutError`` is a kind.
    """
    target_host, target_port = route.dial or (host, port)
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        allowed = _allowed(await _resolve(target_host, target_port), route)
        return await _connect_first(allowed, target_port)


async def _resolve(host: str, port: int) -> list[Address]:
    literal = names.as_address(host)
    if literal is not None:
        return [literal]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts][:MAX_ADDRESSES]


def _allowed(found: list[Address], route: Route) -> list[Address]:
    reasons: list[str] = []
    allowed: list[Address] = []
    for address in found:
        reason = addresses.refusal(address, allow_private=route.may_dial_private)
        if reason is None:
            allowed.append(address)
        else:
            reasons.append(reason)
    if not allowed:
        raise AddressRefused(f"the host's address is {reasons[0] if reasons else 'unknown'}")
    return allowed


async def _connect_first(
    allowed: list[Address], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failure: OSError = OSError("no address")
    for address in allowed:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                return await asyncio.open_connection(str(address), port)
        except OSError as error:
            failure = error
    raise failure
