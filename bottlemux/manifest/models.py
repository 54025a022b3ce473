"""The values a manifest is parsed to. Frozen; an unknown key or a value of another type is an error."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 - pydantic reads annotations at run time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from bottlemux.identity import NAME_RULE, is_name
from bottlemux.manifest.environment import refusal_of_name, refusal_of_value
from sidecars.egress.routes import Route, TokenRef  # noqa: TC001 - as above
from sidecars.git_gate.remotes import GitRemote, check_unique_names

MAX_SKILL_LENGTH = 64

_ENGINE_WORDS = ("auto", "builtin")
_WINDOW_NAME_FIELDS = ("mark", "count", "name", "agent", "slug", "directory", "state")
_KEY = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,15}|-")
_MIB = 1024 * 1024
_CONTEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_MEMORY = re.compile(r"([0-9]{1,6})([mg])")
_MEMORY_UNITS = {"m": _MIB, "g": 1024 * _MIB}
_MIN_MEMORY = 64 * _MIB
_MAX_MEMORY = 4096 * 1024 * _MIB


def _checked_name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"must be {NAME_RULE}")
    return text


def _checked_skill(text: str) -> str:
    if not is_name(text, limit=MAX_SKILL_LENGTH):
        raise ValueError(f"must be the name of a directory in skills/, at most {MAX_SKILL_LENGTH} characters")
    return text


def _checked_variable(name: str) -> str:
    if refusal := refusal_of_name(name):
        raise ValueError(refusal)
    return name


def _checked_value(value: str) -> str:
    if refusal := refusal_of_value(value):
        raise ValueError(refusal)
    return value


def _checked_image(text: str) -> str:
    if not text.isprintable() or not text.strip() or text.startswith("-"):
        raise ValueError("must be a name in images/, a directory with a Dockerfile, or an image")
    return text


def _checked_context(text: str) -> str:
    if not _CONTEXT.fullmatch(text) or text == "any":
        raise ValueError("must be the name of a Docker context (docker context ls)")
    return text


def _checked_backend(text: str) -> str:
    name, separator, engine = text.partition("@")
    _checked_name(name)
    if separator and not _CONTEXT.fullmatch(engine):
        raise ValueError("must have the name of a Docker context after the @, or any")
    return text


def _checked_engine(value: str) -> str:
    if value not in _ENGINE_WORDS and not value.startswith("/"):
        raise ValueError(f"must be an absolute path or one of {', '.join(_ENGINE_WORDS)}")
    return value


def _checked_window_name(form: str) -> str:
    if unknown := [name for name in re.findall(r"\{(.*?)\}", form) if name not in _WINDOW_NAME_FIELDS]:
        raise ValueError(f"has {{{unknown[0]}}}; known are {', '.join(_WINDOW_NAME_FIELDS)}")
    return form


def _checked_key(text: str) -> str:
    if not _KEY.fullmatch(text):
        raise ValueError("must be a key as tmux writes it, such as b, C-a or F9")
    return text


def _error_at(place: tuple[str | int, ...], message: str) -> PydanticCustomError:
    return PydanticCustomError("at", "{message}", {"at": place, "message": message})


def _memory(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _MEMORY.fullmatch(value.strip().lower())
    if match is None:
        raise ValueError("must be a number with m or g, such as 512m or 4g")
    return int(match[1]) * _MEMORY_UNITS[match[2]]


def _program(value: object) -> object:
    if isinstance(value, str) and re.search(r"\s", value):
        raise ValueError(f"holds a space; write a list: [{', '.join(value.split())}]")
    return (value,) if isinstance(value, str) else value


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if doubles := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"has {doubles[0]!r} more than once")
    return names


def _unique_remotes(remotes: tuple[GitRemote, ...]) -> tuple[GitRemote, ...]:
    check_unique_names(remotes)
    return remotes


BottleState = Literal["starting", "working", "waiting", "idle", "finished", "exited", "broken"]
Variable = Annotated[str, AfterValidator(_checked_variable)]
PlainValue = Annotated[str, AfterValidator(_checked_value)]
SkillName = Annotated[str, AfterValidator(_checked_skill)]
Image = Annotated[str, AfterValidator(_checked_image)]
BackendName = Annotated[str, AfterValidator(_checked_backend)]
ContextName = Annotated[str, AfterValidator(_checked_context)]
Engine = Annotated[str, AfterValidator(_checked_engine)]
Name = Annotated[str, AfterValidator(_checked_name)]
KeyName = Annotated[str, AfterValidator(_checked_key)]
"""A key as tmux writes it. Whether tmux knows it is asked of tmux."""
Argument = Annotated[str, Field(pattern=r"^[^\x00]*\z")]
# YAML has lists, the models have tuples: only the container is converted, never what is in it.
Arguments = Annotated[tuple[Argument, ...], Field(strict=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Resources(_Model):
    """Limits of a bottle, each optional: CPUs, memory in bytes (written ``512m`` or ``4g``), processes."""

    cpus: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None = None
    memory: Annotated[int, Field(ge=_MIN_MEMORY, le=_MAX_MEMORY), BeforeValidator(_memory)] | None = None
    pids: Annotated[int, Field(ge=16, le=1 << 22)] | None = None


class Egress(_Model):
    """What a bottle may reach. No route: nothing."""

    routes: Annotated[tuple[Route, ...], Field(strict=False)] = ()


class Pipelock(_Model):
    """The content firewall: what it does with a finding, and the largest request body, in bytes."""

    mode: Literal["block", "warn", "off"] = "block"
    max_request_bytes: Annotated[int, Field(ge=1024, le=1 << 32)] = 10 * _MIB


class Bottle(_Model):
    """An environment to run agents in.

    ``name``, ``description`` (the Markdown body) and ``source`` are not keys: they come from the file
    itself. ``env`` has plain values only; what a token_ref names is put there as a placeholder by the
    launcher.
    """

    name: Name
    description: str
    source: Path
    backend: BackendName | None = None
    env: dict[Variable, PlainValue] = {}
    image: Image | None = None
    resources: Resources = Resources()
    supervise: bool = True
    egress: Egress = Egress()
    pipelock: Pipelock = Pipelock()
    git: Annotated[tuple[GitRemote, ...], Field(strict=False), AfterValidator(_unique_remotes)] = ()

    @model_validator(mode="after")
    def _check_placeholders(self) -> Self:
        references: dict[str, TokenRef] = {}
        for index, route in enumerate(self.egress.routes):
            if route.token_ref is not None:
                self._check_placeholder(index, route.token_ref, references)
        return self

    def _check_placeholder(self, index: int, reference: TokenRef, seen: dict[str, TokenRef]) -> None:
        name = reference.name
        if name in self.env:
            raise _error_at(("env", name), "is the token_ref of a route, which puts a placeholder here")
        place = ("egress", "routes", index, "token_ref")
        if refusal := refusal_of_name(name):
            raise _error_at(place, f"its placeholder {name} {refusal}")
        other = seen.setdefault(name, reference)
        if (other.kind, other.target) != (reference.kind, reference.target):
            raise _error_at(place, f"its placeholder {name} is that of another token_ref")


class Agent(_Model):
    """A program with standing instructions (the Markdown body) and a bottle to run in.

    ``from_project`` says that the working directory defined it: an agent may have written it, so it has to be
    shown before it is run. ``digest`` is the SHA-256 of the file it was read from.
    """

    name: Name
    instructions: str
    source: Path
    from_project: bool
    digest: str
    bottle: Name
    program: Annotated[Arguments, Field(min_length=1), BeforeValidator(_program)] = ("claude",)
    args: Arguments = ()
    skills: Annotated[tuple[SkillName, ...], Field(strict=False), AfterValidator(_unique)] = ()
    workspace: Literal["mount", "clone", "copy"] = "mount"
    layout: Name | None = None


class Engines(_Model):
    """Which program has an engine's role: ``builtin``, an absolute path, or ``auto``: what is on PATH."""

    pipelock: Engine = "builtin"
    gitleaks: Engine = "auto"


class WorkspaceSettings(_Model):
    """How the tmux session of the workspace behaves. None of it touches another session, or a global option.

    ``dashboard`` says whether its first window is the dashboard. ``window_name`` composes the names of windows from
    ``{mark} {count} {name} {agent} {slug} {directory} {state}``; ``marks`` has the mark of a state. ``mouse`` is
    ``user`` to have it as in the user's other sessions.
    """

    dashboard: bool = True
    mouse: Literal["on", "off", "user"] = "on"
    window_name: Annotated[str, AfterValidator(_checked_window_name)] = "{mark}{count} {name}"
    marks: dict[BottleState, Annotated[str, Field(max_length=8)]] = {}


class Notices(_Model):
    """How the user is told that an agent newly waits, beside the mark at its window.

    ``message`` is one of tmux, to who looks at another window; ``bell`` rings the terminal; ``desktop`` is by
    ``notify-send``, or by an escape that the terminal makes a notice of. ``finished`` also tells of ended turns.
    """

    message: bool = True
    bell: bool = False
    desktop: Literal["off", "notify-send", "osc9", "osc777"] = "off"
    finished: bool = False


class Keys(_Model):
    """The key that opens bottlemux's own keys in tmux, after the prefix key or alone, and keys chosen for actions.

    ``actions`` has a tmux key by an action's name; an empty one is for none.
    """

    leader: KeyName = "b"
    table: Literal["prefix", "root"] = "prefix"
    actions: dict[str, Annotated[str, AfterValidator(lambda text: text and _checked_key(text))]] = {}


class DockerSettings(_Model):
    """Engines of Docker bottles.

    ``engines`` are the Docker contexts whose engines bottlemux may use, for ``docker@any``, listings and ``cleanup``.
    ``gvisor`` is ``auto`` to run agents in it where an engine has it (the runtime ``runsc``), ``required`` to run none
    without it.
    """

    engines: Annotated[tuple[ContextName, ...], Field(strict=False), AfterValidator(_unique)] = ()
    gvisor: Literal["auto", "required"] = "auto"


class Config(_Model):
    """``config.toml``: what applies where neither the command line nor a manifest says anything."""

    backend: BackendName | None = None
    agent: Name | None = None
    layout: Name = "default"
    engines: Engines = Engines()
    docker: DockerSettings = DockerSettings()
    workspace: WorkspaceSettings = WorkspaceSettings()
    notices: Notices = Notices()
    keys: Keys = Keys()
