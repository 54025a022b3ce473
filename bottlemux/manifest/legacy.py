"""Keys of older manifests: refused, with the lines to write instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from bottlemux.manifest.environment import is_variable_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from bottlemux.manifest.frontmatter import Document

_PLAIN = re.compile(r"[A-Za-z0-9~/][A-Za-z0-9 ./~_@+-]*")
_BACKENDS = ("bubblewrap", "docker", "smolmachines")


def refuse_legacy_keys(document: Document) -> None:
    """Raise the error for the first key of an older manifest; its hint is the lines that replace it.

    The lines are made from the value as far as it can be understood; capital words are for the user to fill
    in. A token's value is never repeated.
    """
    for key, replacement in _REPLACEMENTS.items():
        if key in document.values:
            lines = "\n".join(f"    {line}" for line in replacement(document.values[key]))
            document.fail((key,), "is a key of older manifests", hint=f"write instead:\n{lines}")


def _entries(value: object) -> list[dict[str, object]]:
    """Return the entries of an old list or mapping, their keys in one spelling."""
    items = value
    if isinstance(value, dict):
        section = cast("dict[str, object]", value)
        items = section.get("routes", list(section.values()) if _all_mappings(section) else [section])
    if not isinstance(items, list):
        return []
    mappings = [
        cast("dict[str, object]", item) for item in cast("list[object]", items) if isinstance(item, dict)
    ]
    return [{_flat(name): item for name, item in entry.items()} for entry in mappings]


def _all_mappings(section: dict[str, object]) -> bool:
    return bool(section) and all(isinstance(item, dict) for item in section.values())


def _flat(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _text(entry: dict[str, object], *names: str, default: str) -> str:
    found = (entry[name] for name in names if isinstance(entry.get(name), str | int))
    return str(next(found, default))


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and not text.endswith(" "):
        return text
    return f'"{"".join(map(_quoted, text))}"'


def _quoted(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _routes(value: object) -> list[str]:
    lines = ["egress:", "  routes:"]
    for entry in _entries(value) or [{}]:
        lines += _route(entry)
    return lines


def _route(entry: dict[str, object]) -> list[str]:
    url_host, url_port = _host_and_port(_text(entry, "upstream", "url", default=""))
    lines = [f"    - host: {_scalar(_text(entry, 'host', default=url_host))}"]
    if port := _text(entry, "port", default=url_port):
        lines.append(f"      port: {_scalar(port)}")
    paths = entry.get("pathallowlist", entry.get("paths"))
    if isinstance(paths, list):
        listed = ", ".join(_scalar(str(path)) for path in cast("list[object]", paths))
        lines.append(f"      paths: [{listed}]")
    auth = entry.get("auth")
    nested = (
        {_flat(k): v for k, v in cast("dict[str, object]", auth).items()} if isinstance(auth, dict) else {}
    )
    return lines + _credential({**entry, **nested})


def _host_and_port(url: str) -> tuple[str, str]:
    try:
        split = urlsplit(url)
        return split.hostname or "HOST", str(split.port or "")
    except ValueError:
        return "HOST", ""


def _credential(entry: dict[str, object]) -> list[str]:
    reference = _text(entry, "tokenref", default="")
    lines = [f"      token_ref: {_reference(reference)}"] if reference else []
    scheme = _text(entry, "authscheme", "scheme", default="")
    if reference and scheme and scheme not in {"http", "https", "Bearer"}:
        lines.append(f"      auth_scheme: {_scalar(scheme)}")
    return lines


def _reference(text: str) -> str:
    known = is_variable_name(text.removeprefix("env:")) or text.startswith(("file:", "command:"))
    return _scalar(text) if known else "NAME"


def _tokens(value: object) -> list[str]:
    lines = ["egress:", "  routes:"]
    for name in _token_names(value) or ["NAME"]:
        lines += ["    - host: HOST", f"      token_ref: {_reference(name)}"]
    return lines


def _token_names(value: object) -> list[str]:
    """Return the names in ``{NAME: token}``, ``[NAME]`` or a list of mappings; never what a name maps to."""
    if isinstance(value, dict):
        return list(cast("dict[str, object]", value))
    items = cast("list[object]", value) if isinstance(value, list) else []
    entries = [_text(entry, "tokenref", "name", default="NAME") for entry in _entries(items)]
    return entries or [item for item in items if isinstance(item, str)]


def _git(value: object) -> list[str]:
    lines = ["git:"]
    for entry in _entries(value) or [{}]:
        user = _text(entry, "user", default="git")
        host = _text(entry, "hostname", "host", default="HOST")
        port = _text(entry, "port", default="22")
        lines += [
            f"  - name: {_scalar(_text(entry, 'name', 'host', default='origin').lower())}",
            f"    upstream: {_upstream(user, host, port)}",
            f"    identity_file: {_scalar(_text(entry, 'identityfile', 'key', default='~/.ssh/KEY'))}",
            f"    known_host_key: {_scalar(_text(entry, 'knownhostkey', default='ssh-ed25519 KEY'))}",
        ]
    return lines


def _upstream(user: str, host: str, port: str) -> str:
    url = f"ssh://{user}@{host}:{port}/ORG/REPO.git"
    return url if re.fullmatch(r"ssh://[\w.-]+@[\w.\[\]:-]+/ORG/REPO\.git", url) else _scalar(url)


def _backend(value: object) -> list[str]:
    chosen = value if isinstance(value, str) and value in _BACKENDS else "docker"
    return [f"backend: {chosen}"]


_REPLACEMENTS: dict[str, Callable[[object], list[str]]] = {
    "cred_proxy": _routes,
    "egress_proxy": _routes,
    "ssh": _git,
    "tokens": _tokens,
    "runtime": _backend,
}
