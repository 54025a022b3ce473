"""Names of agents and bottles, and the identity a started bottle gets.

A name ends up in tmux window names, directory names, Unix socket paths, git branches, container and machine
names, so one narrow rule holds for all of them.
"""

from __future__ import annotations

import re

MAX_NAME_LENGTH = 32
NAME_RULE = (
    f"1 to {MAX_NAME_LENGTH} of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit, "
    "ending in no '-' or '.', without '--' or '..'"
)

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_SUFFIX_LENGTH = 5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SUFFIX = re.compile(rf"-[0-9a-z]{{{_SUFFIX_LENGTH}}}")


def is_name(text: str, *, limit: int = MAX_NAME_LENGTH) -> bool:
    """Tell whether ``text`` may name an agent, a bottle or a layout (see :data:`NAME_RULE`)."""
    return (
        len(text) <= limit
        and _NAME.fullmatch(text) is not None
        and text[-1] not in "-."
        and "--" not in text
        and ".." not in text
    )


def new_slug(agent: str) -> str:
    """Return a fresh identity for a bottle of ``agent``: the name, ``-`` and 5 random base36 characters.

    It is random, not reserved: :meth:`bottlemux.state.store.BottleStore.create` makes it unique. A name
    that breaks the rule is a :class:`ValueError`, because callers check names where they read them.
    """
    import secrets

    if not is_name(agent):
        raise ValueError(f"not an agent name: {agent!r}")
    return f"{agent}-{''.join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX_LENGTH))}"


def is_slug(text: str) -> bool:
    """Tell whether ``text`` has the form of an identity, and so is safe as a single path component."""
    cut = len(text) - _SUFFIX_LENGTH - 1
    return cut > 0 and _SUFFIX.fullmatch(text, cut) is not None and is_name(text[:cut])


def agent_of(slug: str) -> str:
    """Return the agent's name in an identity; what is no identity is a :class:`ValueError`."""
    if not is_slug(slug):
        raise ValueError(f"not a bottle identity: {slug!r}")
    return slug[: -_SUFFIX_LENGTH - 1]
