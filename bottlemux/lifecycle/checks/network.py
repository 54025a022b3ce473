"""What stands between this machine and the network: authorities of its own, and proxies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bottlemux.lifecycle.checks.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bottlemux.lifecycle.context import Context

_EXTRA = Path("/usr/local/share/ca-certificates")
_SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def check_authorities(context: Context) -> Iterator[Check]:
    """Look: whom does egress trust."""
    extra = sorted(path.name for path in _EXTRA.glob("*.crt"))
    yield judge_authorities(extra, has_bundle=_SYSTEM.exists())
    yield from judge_ca_variables(context.environ)


def judge_authorities(extra: Sequence[str], *, has_bundle: bool) -> Check:
    """Say whether the system's authorities are there, and which were added on this machine."""
    if not has_bundle:
        return Check("authorities", "error", f"{_SYSTEM} is missing", "sudo apt-get install ca-certificates")
    added = f", and {', '.join(extra)}, which this machine adds" if extra else ""
    return Check("authorities", "ok", f"egress trusts the system's{added}")


def judge_ca_variables(environ: Mapping[str, str]) -> Iterator[Check]:
    """Say which variables name a file with authorities that is not there: programs fail with it."""
    for name in _VARIABLES:
        value = environ.get(name)
        if value and not os.path.exists(value):  # noqa: PTH110 - any text may be in it
            yield Check(
                "authorities", "warning", f"{name} names {value}, which is not there", f"unset {name}"
            )


def check_proxy(context: Context) -> Iterator[Check]:
    """Look: does this machine reach the network through a proxy."""
    yield judge_proxy(context.environ)


def judge_proxy(environ: Mapping[str, str]) -> Check:
    """Say whether a proxy is set, which egress would not use."""
    found = [name for name in _PROXIES if environ.get(name)]
    if not found:
        return Check("proxy", "ok", "none is set")
    fix = "allow this machine to reach the routes' hosts, or see: bottlemux help company-proxy"
    return Check("proxy", "warning", f"{found[0]} is set, and egress connects directly", fix)
