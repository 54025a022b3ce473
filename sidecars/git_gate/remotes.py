"""The ``git`` entries of a bottle's manifest: one upstream repository, and what the agent may push to it."""

from __future__ import annotations

import base64
import binascii
import re
import stat
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sidecars.git_gate.upstream_url import UpstreamUrl, parse_upstream

GATE_URL = "http://git-gate:9418"
_HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
_BRANCH_PATTERN = re.compile(r"[\w.*?][\w./+@#=,*?%-]*")
# ssh expands '%' and '${...}' in the name of an identity file.
_UNSAFE_IN_IDENTITY = re.compile(r"[%$\"'\\\x00-\x1f\x7f]")


class GitRemote(BaseModel):
    """One upstream repository behind the gate, with what may be pushed to it.

    ``branches`` are shell-style patterns of branch names, where ``*`` also matches ``/``. Tags, deletions and
    rewrites of history each need their own permission.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*\z", max_length=64)]
    upstream: str
    identity_file: Path
    known_host_key: str
    branches: tuple[str, ...] = ("*",)
    allow_tags: bool = False
    allow_force: bool = False
    allow_delete: bool = False

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if ".." in name or name.endswith(("/", ".git", ".lock")):
            raise ValueError("must not hold '..' or end in .git or .lock")
        return name

    @field_validator("upstream")
    @classmethod
    def _check_upstream(cls, upstream: str) -> str:
        parse_upstream(upstream)
        return upstream

    @field_validator("identity_file")
    @classmethod
    def _expand_identity(cls, path: Path) -> Path:
        expanded = path.expanduser()
        if _UNSAFE_IN_IDENTITY.search(str(expanded)):
            raise ValueError("must not hold quotes, backslashes, '%', '$' or control characters")
        if not expanded.is_absolute():
            raise ValueError("must be an absolute path or start with ~")
        return expanded

    @field_validator("known_host_key")
    @classmethod
    def _check_host_key(cls, line: str) -> str:
        fields = line.split()
        if len(fields) < 2 or fields[0] not in _HOST_KEY_TYPES:
            raise ValueError(f"must be TYPE BASE64, with TYPE one of {', '.join(_HOST_KEY_TYPES)}")
        if not _holds_key_of(fields[0], fields[1]):
            raise ValueError(f"the text after {fields[0]} is not a key of that type")
        return f"{fields[0]} {fields[1]}"

    @field_validator("branches")
    @classmethod
    def _check_branches(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if pattern.startswith("refs/") or not _BRANCH_PATTERN.fullmatch(pattern):
                raise ValueError(f"{pattern!r} is not a pattern of branch names such as 'bottlemux/*'")
        return patterns

    @cached_property
    def target(self) -> UpstreamUrl:
        """The upstream URL, parsed."""
        return parse_upstream(self.upstream)

    @property
    def user(self) -> str:
        """The account on the upstream server."""
        return self.target.user

    @property
    def host(self) -> str:
        """The upstream server's name or address (IPv6 in brackets)."""
        return self.target.host

    @property
    def port(self) -> int:
        """The upstream server's ssh port."""
        return self.target.port

    @property
    def path(self) -> str:
        """The repository on the upstream server, relative to the home directory without a leading slash."""
        return self.target.path

    @property
    def gate_url(self) -> str:
        """Where the bottle finds this repository."""
        return f"{GATE_URL}/{self.name}.git"

    def instead_of(self) -> tuple[str, ...]:
        """Return the spellings of the upstream URL that git in the bottle must rewrite to :attr:`gate_url`.

        git compares them as prefixes, longest first: a repository whose path merely starts with this one's
        and that has no entry of its own ends at a name that the gate does not know, and is refused there.
        """
        return self.target.spellings()

    def may_push_branch(self, branch: str) -> bool:
        """Say whether ``branch`` (without ``refs/heads/``) matches one of the patterns."""
        return any(fnmatchcase(branch, pattern) for pattern in self.branches)


def check_unique_names(remotes: tuple[GitRemote, ...]) -> None:
    """Raise ``ValueError`` when two remotes of a bottle share a name."""
    names = [remote.name for remote in remotes]
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"more than one git remote is named {', '.join(doubles)}")


def check_identity(path: Path) -> None:
    """Raise ``ValueError`` when the private key at ``path`` is missing or others could read it.

    Meant for the launch: a manifest can be read on a machine that does not have the key.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"identity file {str(path)!r} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"identity file {str(path)!r} is not a regular file")
    if status.st_mode & 0o077:
        raise ValueError(f"identity file {str(path)!r} can be read by others: run chmod 600 {str(path)!r}")


def _holds_key_of(kind: str, encoded: str) -> bool:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    length = int.from_bytes(raw[:4], "big")
    return raw[4 : 4 + length] == kind.encode() and len(raw) > 4 + length
