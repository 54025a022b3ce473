"""The configuration with which the operator's own pipelock takes the role of the engine.

It serves its scan interface to egress alone and stays out of the traffic's way: egress decrypts, unpacks and
decodes, so neither a second certificate authority nor a chain of proxies is needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_TEXT_BYTES = 512 << 10
"""The longest text one call may carry; longer content is sent in overlapping pieces."""

_ESCAPED = 7  # what a byte may grow to in a JSON string, and room for the call around it
_CALLS_PER_MINUTE = 1_000_000


@dataclass(frozen=True)
class ApiAddress:
    """Where the scan interface listens, on loopback, and the token that opens it, made for this run alone."""

    port: int
    token: str

    def __repr__(self) -> str:
        return f"ApiAddress(port={self.port})"


def render(api: ApiAddress, proxy_port: int, *, scan_seconds: float) -> str:
    """Return the configuration file: JSON, which is YAML too. It holds the token: keep it in memory.

    Only keys of schema version 1 are used; the program refuses to start on any other. ``proxy_port`` is for the
    listener it insists on having, which refuses everything.
    """
    document = {
        "version": 1,
        "mode": "strict",
        "enforce": True,
        "explain_blocks": False,
        "api_allowlist": ["bottlemux.invalid"],
        "fetch_proxy": {"listen": f"127.0.0.1:{proxy_port}"},
        "forward_proxy": {"enabled": False},
        "logging": {"format": "json", "output": "stdout", "include_allowed": False, "include_blocked": True},
        "scan_api": {
            "listen": f"127.0.0.1:{api.port}",
            "auth": {"bearer_tokens": [api.token]},
            # Zero and less mean the default there, not "no limit".
            "rate_limit": {"requests_per_minute": _CALLS_PER_MINUTE, "burst": 1000},
            "max_body_bytes": MAX_TEXT_BYTES * _ESCAPED,
            "field_limits": {"text": MAX_TEXT_BYTES},
            "timeouts": {"scan": f"{scan_seconds:g}s"},
            "kinds": {"url": False, "dlp": True, "prompt_injection": False, "tool_call": False},
        },
    }
    return json.dumps(document, indent=2) + "\n"


def run_argv(binary: Path, config: Path | str) -> list[str]:
    """Return the command that runs ``binary`` in the foreground with ``config``."""
    return [str(binary), "run", "--config", str(config)]
