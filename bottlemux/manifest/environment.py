"""Which variables a manifest may set in a bottle: plain values, never a secret, never part of the walls."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Set by bottlemux in every bottle, or read by what starts a bottle's processes.
_RESERVED = frozenset(
    {
        "ALL_PROXY", "CURL_CA_BUNDLE", "ENV", "BASH_ENV", "FTP_PROXY", "GIT_SSL_CAINFO",
        "GIT_SSL_NO_VERIFY", "HOME", "HOSTNAME", "HTTPS_PROXY", "HTTP_PROXY", "LOGNAME",
        "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NO_PROXY", "OLDPWD", "PATH", "PIP_CERT",
        "PWD", "REQUESTS_CA_BUNDLE", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMUX", "TMUX_PANE", "USER",
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("BOTTLEMUX_", "GIT_CONFIG", "LD_")

# Prefixes of tokens that say what they are. A net for mistakes, not a scanner.
_SECRET = re.compile(
    r"\b(?:sk-ant-|sk-proj-|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)


def is_variable_name(name: str) -> bool:
    """Tell whether ``name`` can be an environment variable at all."""
    return _NAME.fullmatch(name) is not None


def refusal_of_name(name: str) -> str | None:
    """Return why a manifest may not set the variable ``name``; None if it may."""
    if not is_variable_name(name):
        return "is not a name of an environment variable (letters, digits and _)"
    if name.upper() in _RESERVED or name.upper().startswith(_RESERVED_PREFIXES):
        return "is set by bottlemux and cannot be changed"
    return None


def refusal_of_value(value: str) -> str | None:
    """Return why a manifest may not give a variable ``value``, without repeating it; None if it may."""
    if _CONTROL.search(value):
        return "must not hold control characters or line ends"
    if _SECRET.search(value):
        return "looks like a secret; name it in the token_ref of a route, so that only the proxy sees it"
    return None
