"""The URL of an upstream, read strictly: what is accepted here ends up in the argument list of ``ssh``."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_PORT = 22
_MAX_PORT = 65535
_USER = r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)"
_HOST = r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])"
# No shell metacharacter, no control character, no percent sign (ssh expands it) and no space.
_PATH_CHARACTERS = r"[A-Za-z0-9._~/+@=,-]"
_SSH = re.compile(rf"ssh://{_USER}@{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/{_PATH_CHARACTERS}+)")
_SCP = re.compile(rf"{_USER}@{_HOST}:(?P<path>{_PATH_CHARACTERS}+)")
_FORMS = "ssh://user@host:port/path or user@host:path"


@dataclass(frozen=True)
class UpstreamUrl:
    """Where a remote lives. ``path`` without a leading slash is relative to the home directory there."""

    user: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The spelling that git is started with; the port is passed to ssh besides."""
        if self.path.startswith("/"):
            return f"ssh://{self.user}@{self.host}:{self.port}{self.path}"
        return f"{self.user}@{self.host}:{self.path}"

    @property
    def known_hosts_name(self) -> str:
        """The name under which ssh looks for this server's key."""
        bare = self.host.strip("[]").lower()
        return bare if self.port == DEFAULT_PORT else f"[{bare}]:{self.port}"

    def spellings(self) -> tuple[str, ...]:
        """Return every URL by which git tools name this repository, longest first, each once."""
        stem = self.path.removeprefix("/").removesuffix(".git").rstrip("/")
        prefixes = [
            f"ssh://{self.user}@{self.host}:{self.port}/",
            f"https://{self.host}/",
            f"git://{self.host}/",
        ]
        if self.port == DEFAULT_PORT:
            login = f"{self.user}@{self.host}"
            prefixes += [f"ssh://{login}/", f"{login}:", f"{login}:/"]
        urls = {f"{prefix}{stem}{suffix}" for prefix in prefixes for suffix in ("", ".git")}
        return tuple(sorted(urls, key=lambda url: (-len(url), url)))


def parse_upstream(text: str) -> UpstreamUrl:
    """Parse an upstream URL; raises ``ValueError`` that says what is wrong."""
    match = (_SSH if text.startswith("ssh://") else _SCP).fullmatch(text)
    if match is None:
        raise ValueError(f"not an ssh URL of the form {_FORMS}, or with characters that are not allowed")
    found = match.groupdict()
    path = str(found["path"])
    port = int(found.get("port") or DEFAULT_PORT)
    _check_path(path)
    if not 0 < port <= _MAX_PORT:
        raise ValueError(f"port {port} is not between 1 and {_MAX_PORT}")
    return UpstreamUrl(user=str(found["user"]), host=str(found["host"]), port=port, path=path)


def _check_path(path: str) -> None:
    segments = path.removeprefix("/").rstrip("/").split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError("the path has an empty, '.' or '..' segment")
    if any(segment.startswith("-") for segment in segments):
        raise ValueError("a segment of the path starts with '-'")
