"""The operator's pipelock as the engine: asks its scan interface instead of matching rules here."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import TYPE_CHECKING, cast

from sidecars.pipelock.config import MAX_TEXT_BYTES
from sidecars.scan.budget import ENGINE_FAILED, UnreadableError
from sidecars.scan.engine import Match, ScanTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.pipelock.config import ApiAddress

_PATH = "/api/v1/scan"
_OVERLAP = 16 << 10
_LARGEST_ANSWER = 1 << 20
_LONGEST_WAIT_S = 10.0
_STRANGE = re.compile(r"[^A-Za-z0-9._ -]+")


class PipelockEngine:
    """Searches by asking the pipelock program; takes the place of :class:`sidecars.scan.engine.Engine`.

    Whatever is not a clear verdict (no answer in time, an error, an answer of another shape) is an
    :class:`UnreadableError` with the reason ``engine``, so the request is refused. A deadline that is over before
    all was asked is a :class:`ScanTimeoutError`. Blocks while it waits: not for an event loop's own thread.
    """

    def __init__(self, api: ApiAddress) -> None:
        self._api = api

    def scan(self, data: bytes, *, path: str = "", deadline: float | None = None) -> list[Match]:  # noqa: ARG002
        """Return at most one finding for each piece of ``data`` that pipelock denies; ``path`` is not used."""
        found: list[Match] = []
        for start, piece in _pieces(data):
            answer = self._ask(piece, deadline)
            if rule := _denied_by(answer):
                found.append(Match(start, start + len(piece), rule))
        return found

    def version(self) -> str:
        """Return the program's version, which also proves that it runs and accepts the token."""
        return _label(self._ask(b"ready?", time.monotonic() + _LONGEST_WAIT_S).get("engine_version"))

    def _ask(self, text: bytes, deadline: float | None) -> dict[str, object]:
        left = _LONGEST_WAIT_S if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise ScanTimeoutError("the scan did not end in time")
        body = json.dumps({"kind": "dlp", "input": {"text": text.decode("utf-8", "replace")}})
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._api.port, timeout=min(left, _LONGEST_WAIT_S)
        )
        try:
            connection.request("POST", _PATH, body, self._headers())
            return _verdict(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise UnreadableError(ENGINE_FAILED) from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api.token}", "Content-Type": "application/json"}


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Overlapping pieces, small enough even if every byte had to be replaced by a three-byte character."""
    size = MAX_TEXT_BYTES // 3
    for start in range(0, max(1, len(data) - _OVERLAP), size - _OVERLAP):
        yield start, data[start : start + size]


def _verdict(response: http.client.HTTPResponse) -> dict[str, object]:
    raw = response.read(_LARGEST_ANSWER)
    try:
        parsed: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(ENGINE_FAILED) from error
    answer = cast("dict[str, object]", parsed) if isinstance(parsed, dict) else {}
    completed = response.status == http.client.OK and answer.get("status") == "completed"
    if not completed or answer.get("decision") not in {"allow", "deny"}:
        raise UnreadableError(ENGINE_FAILED)
    return answer


def _denied_by(answer: dict[str, object]) -> str | None:
    if answer["decision"] == "allow":
        return None
    findings = answer.get("findings")
    first: object = cast("list[object]", findings)[0] if isinstance(findings, list) and findings else None
    rule = cast("dict[str, object]", first).get("rule_id") if isinstance(first, dict) else None
    return f"pipelock/{_label(rule)}"


def _label(value: object) -> str:
    return _STRANGE.sub("", value)[:80] if isinstance(value, str) else "unnamed"
