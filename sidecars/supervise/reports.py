"""Takes what the agent's program reports that it does, and keeps what comes of it in one file."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from sidecars.supervise.activity import BadEvent, after, parse_activity, parse_event

if TYPE_CHECKING:
    from pathlib import Path

    from sidecars.supervise.activity import Activity

PATH = "/report"
MAX_BYTES = 4 * 1024
BURST = 100
PER_SECOND = 30.0


class TooMany(Exception):  # noqa: N818 - the answer, not a failure
    """More reports than a program has reason to send."""


class Reports:
    """One bottle's reports, in the order in which they arrive. A restarted service goes on where the file ends."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._new = file.with_name(f".{file.name}.new")
        self._activity = _read(file)
        self._allowance = float(BURST)
        self._looked_at = time.monotonic()

    def take(self, body: bytes) -> None:
        """Fold in one report. Raises ``BadEvent``, :class:`TooMany`, or ``OSError`` when it cannot be kept."""
        self._spend()
        if len(body) > MAX_BYTES:
            raise BadEvent(f"a report has at most {MAX_BYTES} bytes")
        activity = after(self._activity, parse_event(body), round(time.time(), 3))
        self._new.write_text(json.dumps(activity.to_json()))
        os.replace(self._new, self._file)  # noqa: PTH105
        self._activity = activity

    def _spend(self) -> None:
        now = time.monotonic()
        self._allowance = min(float(BURST), self._allowance + (now - self._looked_at) * PER_SECOND)
        self._looked_at = now
        if self._allowance < 1:
            raise TooMany
        self._allowance -= 1


def _read(file: Path) -> Activity | None:
    try:
        return parse_activity(file.read_bytes())
    except OSError:
        return None
