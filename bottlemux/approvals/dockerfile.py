"""The Dockerfile of one bottle: its image, and what the operator allowed beside that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sidecars.supervise.proposal import Proposal

_BEGINNING = (
    "# What the operator allowed this bottle beside its image; written by bottlemux.",
    "ARG BOTTLE_IMAGE",
    "FROM ${BOTTLE_IMAGE}",
    "USER root",
)
# A name is one package's: apt would otherwise take what it does not know for a regular expression, and all that match.
_INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o APT::Cmd::Pattern-Only=true"
)
# A bottle can gain no privilege, so no program needs the bits by which others would.
_END = "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +"


def render(granted: Iterable[Proposal]) -> str:
    """Return the Dockerfile with what each of ``granted`` asked for, in this order."""
    lines = [*_BEGINNING]
    for proposal in granted:
        lines += ["", f"# proposal {proposal.id}", *instructions(proposal.request)]
    return "\n".join([*lines, "", _END, ""])


def instructions(request: Mapping[str, object]) -> list[str]:
    """Return the lines that a request comes to. Its words were checked when it was submitted."""
    packages = " ".join(_texts(request.get("packages")))
    install = f"RUN apt-get update && {_INSTALL} {packages} && rm -rf /var/lib/apt/lists/*"
    return [*([install] if packages else []), *_texts(request.get("dockerfile_lines"))]


def _texts(value: object) -> list[str]:
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
