"""The environment of every bottle, whatever the backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.presets import SUPERVISE_URL, preset_of
from backends.programs import GUEST, HOME
from sidecars.secrets import placeholder

if TYPE_CHECKING:
    from backends.contract import BottleSpec

PROXY_URL = "http://egress:3128"
GIT_GATE_URL = "http://git-gate:9418"
CA_FILE = f"{GUEST}/ca.pem"
SEARCH_PATH = f"{GUEST}/bin:{HOME}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NO_PROXY = "localhost,127.0.0.1,::1,egress,supervise,git-gate"
CA_VARIABLES = (
    "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
)  # fmt: skip


def bottle_environ(spec: BottleSpec) -> dict[str, str]:
    """Return the variables every process of the bottle starts with. Placeholders stand where tokens are named."""
    bottle = spec.resolved.bottle
    tokens = [route.token_ref.name for route in bottle.egress.routes if route.token_ref]
    return {
        "HOME": HOME,
        "USER": "node",
        "LOGNAME": "node",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "PATH": SEARCH_PATH,
        "BOTTLEMUX_SLUG": spec.identity,
        **_proxy_variables(),
        **dict.fromkeys(CA_VARIABLES, CA_FILE),
        **({"BOTTLEMUX_SUPERVISE_URL": SUPERVISE_URL} if bottle.supervise else {}),
        **preset_of(spec.resolved.agent.program).environ,
        **bottle.env,
        **{name: placeholder(name) for name in tokens},
    }


def _proxy_variables() -> dict[str, str]:
    values = {"HTTP_PROXY": PROXY_URL, "HTTPS_PROXY": PROXY_URL, "NO_PROXY": _NO_PROXY}
    return {**values, **{name.lower(): value for name, value in values.items()}, "NODE_USE_ENV_PROXY": "1"}
