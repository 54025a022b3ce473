"""The routes of a bottle: what the manifest says under ``egress``, and the policy file egress watches.

No model here ever holds a secret, only where one is found.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from pathlib import Path
from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import core_schema

from sidecars.egress import addresses, names, paths

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_GIT_HOSTS = ("github.com", "githubusercontent.com", "gitlab.com", "bitbucket.org", "codeberg.org")
_GIT_LABELS = frozenset({"github", "gitlab", "bitbucket", "codeberg", "gitea", "forgejo"})
_PROXY_HEADERS = frozenset(
    {
        "host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade",
        "expect", "keep-alive", "accept-encoding", "content-encoding", "forwarded", "via",
    }
)  # fmt: skip


class TokenRef:
    """Where a route's credential comes from: ``NAME`` or ``env:NAME``, ``file:PATH``, ``command:ARGV``."""

    __slots__ = ("kind", "target", "text")

    def __init__(self, text: str) -> None:
        kind, separator, target = text.partition(":")
        if not separator:
            kind, target = "env", text
        if kind not in {"env", "file", "command"}:
            raise ValueError(
                f"unknown token_ref {text!r} (accepted: NAME, env:NAME, file:PATH, command:ARGV)"
            )
        self.text = text
        self.kind: Literal["env", "file", "command"] = kind  # type: ignore[assignment]
        self.target = target.strip()
        self._check()

    def _check(self) -> None:
        if not self.target:
            raise ValueError(f"token_ref {self.text!r} names nothing after the colon")
        if self.kind == "env" and not _VARIABLE.fullmatch(self.target):
            raise ValueError(
                f"token_ref {self.text!r}: {self.target!r} is not an environment variable's name"
            )
        if self.kind == "command" and not self.argv:
            raise ValueError(f"token_ref {self.text!r} has no command")

    @property
    def argv(self) -> list[str]:
        """The words of a ``command:``, split as a shell would; it is run without one."""
        try:
            return shlex.split(self.target)
        except ValueError as error:
            raise ValueError(f"token_ref {self.text!r}: {error}") from error

    @property
    def name(self) -> str:
        """The environment variable that holds the placeholder in the bottle; stable for the same reference."""
        if self.kind == "env":
            return self.target
        source = self.target if self.kind == "file" else self.argv[0]
        words = re.sub(r"[^A-Z0-9]+", "_", Path(source).stem.upper()).strip("_")
        return f"TOKEN_{words}" if not words or words[0].isdigit() else words

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"TokenRef({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenRef) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> core_schema.CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(cls, core_schema.str_schema()),
            python_schema=core_schema.union_schema(
                [
                    core_schema.is_instance_schema(cls),
                    core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True)),
                ],
                mode="left_to_right",
            ),
            serialization=core_schema.to_string_ser_schema(),
        )


class Route(BaseModel):
    """One thing the agent may reach, and the credential that is put on it. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = 443
    scheme: Literal["http", "https"] = "https"
    methods: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    token_ref: TokenRef | None = None
    header: str = "Authorization"
    auth_scheme: str | None = None
    upstream: str | None = None
    upstream_ca: str | None = None
    allow_private: bool = False
    websocket: bool = False
    pipelock: Literal["block", "warn", "off"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_port(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        written = cast("dict[str, object]", data)
        return {"port": 80, **written} if written.get("scheme") == "http" else written

    @field_validator("host")
    @classmethod
    def _check_host(cls, value: str) -> str:
        wildcard = value.startswith("*.")
        host = names.canonical_host(names.to_ascii(value[2:] if wildcard else value))
        if host is None or "*" in value[2 if wildcard else 0 :]:
            raise ValueError(
                f"{value!r} is not a host (accepted: a name, *.NAME, or an address in its usual form)"
            )
        if names.is_reserved(host):
            raise ValueError(f"{value!r} is a sidecar or a metadata service, which is never a destination")
        if not wildcard:
            return host
        if "." not in host or names.as_address(host) is not None:
            raise ValueError(f"{value!r} is too wide (accepted: *. before a name of two labels or more)")
        return f"*.{host}"

    @field_validator("methods")
    @classmethod
    def _check_methods(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for method in value or ():
            if method.upper() not in METHODS:
                raise ValueError(f"unknown method {method!r} (accepted: {', '.join(sorted(METHODS))})")
        if value is not None and not value:
            raise ValueError("an empty list allows nothing: leave methods out to allow any")
        return None if value is None else tuple(dict.fromkeys(method.upper() for method in value))

    @field_validator("paths")
    @classmethod
    def _check_paths(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for path in value or ():
            _check_path(path)
        if value is not None and not value:
            raise ValueError("an empty list allows nothing: leave paths out to allow any")
        return value

    @field_validator("header")
    @classmethod
    def _check_header(cls, value: str) -> str:
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"{value!r} is not a header name")
        if value.lower() in _PROXY_HEADERS or value.lower().startswith("proxy-"):
            raise ValueError(f"header {value!r} belongs to the connection and cannot carry a credential")
        return value

    @field_validator("auth_scheme")
    @classmethod
    def _check_scheme(cls, value: str | None) -> str | None:
        if value and not _TOKEN.fullmatch(value):
            raise ValueError(
                f"{value!r} is not an authentication scheme (accepted: a word such as Bearer, or '')"
            )
        return value

    @field_validator("upstream")
    @classmethod
    def _check_upstream(cls, value: str | None) -> str | None:
        if value is None:
            return None
        split = names.split_authority(value)
        if split is None or split[1] is None:
            raise ValueError(f"upstream {value!r} is not HOST:PORT")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.token_ref is not None and self.scheme != "https" and not self.upstream:
            raise ValueError(f"the credential of {self.host!r} would go over plain http: use scheme https")
        if self.upstream_ca is not None and self.scheme != "https":
            raise ValueError(f"upstream_ca of {self.host!r} has no meaning with scheme http")
        return self

    @property
    def scheme_word(self) -> str:
        """What precedes the credential in its header: ``Bearer`` for Authorization, else nothing, unless given."""
        if self.auth_scheme is not None:
            return self.auth_scheme
        return "Bearer" if self.header.lower() == "authorization" else ""

    @property
    def dial(self) -> tuple[str, int] | None:
        """Where to connect instead of the host, if anywhere."""
        if self.upstream is None:
            return None
        split = names.split_authority(self.upstream)
        assert split is not None  # noqa: S101 - validated
        assert split[1] is not None  # noqa: S101
        return split[0], split[1]

    @property
    def may_dial_private(self) -> bool:
        """Whether private addresses are fine: an explicit upstream implies it."""
        return self.allow_private or self.upstream is not None

    @property
    def dialling(self) -> tuple[object, ...]:
        """What decides where a connection goes and whom it trusts: equal for routes that may share one."""
        return self.upstream, self.upstream_ca, self.allow_private

    def public(self) -> dict[str, object]:
        """Return what the agent may know of the route."""
        return {
            "host": self.host,
            "port": self.port,
            "scheme": self.scheme,
            "methods": list(self.methods) if self.methods else None,
            "paths": list(self.paths) if self.paths else None,
            "token": self.token_ref.name if self.token_ref else None,
            "websocket": self.websocket,
        }

    def warnings(self) -> list[str]:
        """Return what the preflight should say about the route."""
        if not self.allow_private and self.upstream is None and _is_private_address(self.host):
            return [
                f"{self.host} is a private address: it is refused unless the route says allow_private: true"
            ]
        if self.token_ref is None or not _is_git_host(self.host) or (self.methods and self.paths):
            return []
        return [
            f"{self.host}: with a credential the API can write (contents, gists, releases): limit methods and paths"
        ]


def _is_private_address(host: str) -> bool:
    try:
        return addresses.refusal(ipaddress.ip_address(host.strip("[]")), allow_private=False) is not None
    except ValueError:
        return False


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError(f"path {path!r} must start with a slash")
    try:
        normal = paths.normalise(path)
    except paths.PathError as error:
        raise ValueError(f"path {path!r} has {error}") from error
    if normal != path:
        raise ValueError(f"path {path!r} is not in normal form: write {normal!r}")


def _is_git_host(host: str) -> bool:
    name = host.removeprefix("*.")
    known = any(name == git or name.endswith("." + git) for git in _GIT_HOSTS)
    return known or bool(_GIT_LABELS & set(name.split(".")))


class RouteSet(BaseModel):
    """All routes of a bottle, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    routes: tuple[Route, ...] = ()

    @classmethod
    def load(cls, path: Path) -> RouteSet:
        """Read a policy file. Raises ``OSError``, or ``ValueError`` if any part of it is wrong."""
        return cls.model_validate_json(path.read_bytes())

    def dump(self) -> str:
        """Return the content of a policy file for :meth:`load`."""
        return self.model_dump_json(indent=2, exclude_defaults=True) + "\n"

    def warnings(self) -> list[str]:
        """Return what the preflight should say about the routes."""
        return [warning for route in self.routes for warning in route.warnings()]
