"""What is taken off and put on the headers of a request on its way out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecars.egress.routes import Route

type HeaderList = list[tuple[str, str]]

# Hop by hop, about the proxy, or able to make a server see another host, path, method or client.
_NEVER_SENT = frozenset(
    {
        "connection", "keep-alive", "te", "trailer", "upgrade", "http2-settings", "expect", "forwarded", "via",
        "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-original-uri",
        "x-original-host", "x-rewrite-url", "x-host", "x-forwarded-host", "x-forwarded-server",
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix", "x-forwarded-scheme",
        "x-forwarded-uri", "x-real-ip", "x-client-ip", "true-client-ip", "x-originating-ip", "x-envoy-original-path",
        "x-accel-redirect", "x-sendfile", "x-http-host-override", "x-forwarded-ssl", "front-end-https",
        "x-url-scheme", "x-override-url", "x-proxy-url", "base-url", "destination",
    }
)  # fmt: skip
_CREDENTIALS = frozenset(
    {
        "authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth-token", "x-access-token",
        "x-authorization", "x-amz-security-token", "x-vault-token", "private-token", "job-token", "deploy-token",
        "x-gitlab-token", "x-github-token", "x-figma-token", "x-functions-key", "ocp-apim-subscription-key",
        "cookie", "cookie2",
    }
)  # fmt: skip
_CREDENTIAL_PARAMETERS = frozenset(
    {"access_token", "private_token", "job_token", "auth_token", "api_key", "apikey", "oauth_token"}
)


def clean(headers: HeaderList, *, websocket: bool = False) -> HeaderList:
    """Return ``headers`` (names lower-case) without what must never be sent."""
    kept = [
        (name, value)
        for name, value in headers
        if name not in _NEVER_SENT and not name.startswith("proxy-") and "_" not in name
    ]
    if websocket:
        kept += [("connection", "Upgrade"), ("upgrade", "websocket")]
    return kept


def without_credentials(headers: HeaderList, route: Route) -> HeaderList:
    """Return ``headers`` without any credential of the agent's own, for a route that carries the operator's."""
    own = route.header.lower()
    return [(name, value) for name, value in headers if name != own and name not in _CREDENTIALS]


def names_credential(query: str) -> bool:
    """Say whether a query carries a credential under one of the names in common use."""
    return any(pair.partition("=")[0].lower() in _CREDENTIAL_PARAMETERS for pair in query.split("&"))


def credential(route: Route, secret: str) -> tuple[str, str]:
    """Return the header that carries ``secret`` on ``route``.

    With the scheme ``Basic`` the secret is ``user:password``, or a token to send as ``x-access-token``'s password.
    """
    scheme = route.scheme_word
    if scheme.lower() == "basic":
        pair = secret if ":" in secret else f"x-access-token:{secret}"
        return route.header, f"{scheme} {base64.b64encode(pair.encode()).decode()}"
    return route.header, f"{scheme} {secret}" if scheme else secret
