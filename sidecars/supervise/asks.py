"""The arguments of the tools: what does not have exactly this form is an error of the protocol."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_REASON = 1000
MAX_WAIT_S = 300.0
_MAX_ITEMS = 20

Reason = Annotated[
    str,
    Field(min_length=1, max_length=MAX_REASON, description="Why you need it, for the operator who decides"),
]
Wait = Annotated[
    float,
    Field(
        ge=0, le=MAX_WAIT_S, allow_inf_nan=False,
        description="How many seconds to wait for the decision; 0 returns at once. Many clients give up after 60",
    ),
]  # fmt: skip


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ListRoutes(_Arguments):
    """No arguments."""


class EgressAsk(_Arguments):
    """A route to one host."""

    host: Annotated[
        str, Field(min_length=1, max_length=255, description="One host name, as the refused request had it")
    ]
    port: Annotated[int, Field(ge=1, le=65535, description="443 unless given, 80 for http")] | None = None
    scheme: (
        Annotated[Literal["http", "https"], Field(description="https unless given, http for port 80")] | None
    ) = None
    methods: (
        Annotated[list[str], Field(max_length=_MAX_ITEMS, description="Such as GET; any unless given")] | None
    ) = None
    paths: (
        Annotated[
            list[Annotated[str, Field(max_length=1024)]],
            Field(
                max_length=_MAX_ITEMS,
                description="Prefixes of the path that are enough, such as /v1/; any unless given",
            ),
        ]
        | None
    ) = None
    reason: Reason
    wait_s: Wait = 0


class GitAsk(_Arguments):
    """A branch to push."""

    ref: Annotated[
        str,
        Field(
            min_length=1, max_length=320,
            description="The branch, or REMOTE:branch where the bottle has several remotes",
        ),
    ]  # fmt: skip
    reason: Reason
    wait_s: Wait = 0


class CapabilityAsk(_Arguments):
    """Programs that the bottle lacks."""

    packages: (
        Annotated[
            list[Annotated[str, Field(max_length=128)]],
            Field(max_length=_MAX_ITEMS, description="Names of system packages"),
        ]
        | None
    ) = None
    dockerfile_lines: (
        Annotated[
            list[Annotated[str, Field(max_length=500)]],
            Field(max_length=_MAX_ITEMS, description="RUN, ENV or ARG lines for the bottle's Dockerfile"),
        ]
        | None
    ) = None
    reason: Reason
    wait_s: Wait = 0


class WaitAsk(_Arguments):
    """A decision to wait for."""

    id: Annotated[str, Field(max_length=64, description="The id that the asking tool returned")]
    wait_s: Wait
