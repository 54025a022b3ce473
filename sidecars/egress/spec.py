"""What one egress process needs to know. Handed over in memory, never through a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecars.secrets import SecretSource

DEFAULT_MAX_REQUEST_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class EgressSpec:
    """One bottle's proxy: its policy file, where its secrets are, and its own certificate authority.

    ``secrets`` is keyed by the names of the routes' ``token_ref``. ``max_request_bytes`` limits bodies that have to be
    read whole to be scanned. ``scan_mode`` holds for routes that do not say otherwise. ``pipelock_binary`` is what
    scans: ``builtin``, or the operator's pipelock by its absolute path.
    """

    slug: str
    routes_file: Path
    secrets: Mapping[str, SecretSource] = field(repr=False)
    ca_key_pem: bytes = field(repr=False)
    ca_cert_pem: bytes = field(repr=False)
    audit_file: Path
    max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
    scan_mode: Literal["block", "warn", "off"] = "block"
    pipelock_binary: str = "builtin"
