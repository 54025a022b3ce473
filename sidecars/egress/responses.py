"""Passing a response on: without the credential, without what belongs to the connection, and as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.egress.answers import Failure
from sidecars.egress.scrub import DecodeError, Inflater

if TYPE_CHECKING:
    from collections.abc import Callable

    from mitmproxy import http

    from sidecars.egress.exchange import Exchange
    from sidecars.egress.scrub import Scrubber

# The agent must be able to trust that these came from egress; and there is no HTTP/3 here to switch to.
_DROPPED = ("x-bottlemux-block", "x-bottlemux-error", "alt-svc", "proxy-authenticate", "proxy-connection")

type Stream = Callable[[bytes], list[bytes]]


def prepare(exchange: Exchange, response: http.Response) -> Failure | None:
    """Make ``response`` ready to be streamed to the agent, or return why it cannot be."""
    exchange.status = response.status_code
    if response.status_code == 101 and not exchange.websocket:
        return Failure("the upstream changed the protocol without being asked")
    for name in _DROPPED:
        if name in response.headers:
            del response.headers[name]
    if exchange.scrubber is None:
        response.stream = _counting(exchange)
    else:
        failure = _prepare_scrubbed(exchange, response, exchange.scrubber)
        if failure is not None:
            return failure
    if exchange.head.wants_close and response.status_code != 101:
        response.headers["connection"] = "close"
    exchange.answered = True
    return None


def _prepare_scrubbed(exchange: Exchange, response: http.Response, scrubber: Scrubber) -> Failure | None:
    inflater: Inflater | None = None
    encoding = ", ".join(response.headers.get_all("content-encoding")).strip().lower() or "identity"
    if encoding in Inflater.SUPPORTED and _has_body(exchange, response):
        inflater = Inflater()
        for name in ("content-encoding", "content-length", "transfer-encoding"):
            if name in response.headers:
                del response.headers[name]
        if exchange.head.minor_version:
            response.headers["transfer-encoding"] = "chunked"
        else:
            response.headers["connection"] = "close"
    elif encoding != "identity" and _has_body(exchange, response):
        return Failure(
            "the upstream compressed its answer in a way that cannot be checked for the credential"
        )
    fields = response.headers.fields
    scrubbed = tuple((_scrubbed(scrubber, name), _scrubbed(scrubber, value)) for name, value in fields)
    response.headers.fields = scrubbed
    response.reason = scrubber.text(response.reason)
    response.stream = _scrubbing(exchange, scrubber, inflater)
    return None


def _scrubbed(scrubber: Scrubber, field: bytes) -> bytes:
    return scrubber.text(field.decode("latin-1")).encode("latin-1")


def _has_body(exchange: Exchange, response: http.Response) -> bool:
    return exchange.head.method != "HEAD" and response.status_code not in {204, 304}


def _counting(exchange: Exchange) -> Stream:
    def pass_on(data: bytes) -> list[bytes]:
        exchange.response_bytes += len(data)
        return [data] if data else []

    return pass_on


def _scrubbing(exchange: Exchange, scrubber: Scrubber, inflater: Inflater | None) -> Stream:
    def pass_on(data: bytes) -> list[bytes]:
        exchange.response_bytes += len(data)
        if not data:
            parts = [scrubber.end()]
        elif inflater is None:
            parts = [scrubber.feed(data)]
        else:
            parts = [scrubber.feed(part) for part in _inflate(exchange, inflater, data)]
        # An empty chunk would end a chunked body.
        return [part for part in parts if part]

    return pass_on


def _inflate(exchange: Exchange, inflater: Inflater, data: bytes) -> list[bytes]:
    try:
        return list(inflater.feed(data))
    except DecodeError as error:
        exchange.problem = Failure(str(error))
        raise


__all__ = ["DecodeError", "prepare"]
