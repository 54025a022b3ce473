"""Finds secrets that are known, whatever they look like and however they were encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecars.scan.encodings import exact_forms, spelt_forms, squash
from sidecars.scan.patterns import AnyLiteral

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINIMUM_LENGTH = 8
"""Shorter values occur by chance in ordinary text: they are not searched for."""

_MINIMUM_DISTINCT = 5
_STRONG_LENGTH = 12
_SPELT_LENGTH = 14
_HALVED_LENGTH = 40
_KEY_LINE_LENGTH = 32


class SecretNeedles:
    """The secrets a sidecar holds, ready to be searched for. Immutable: after a rotation make a new one.

    Neither ``repr`` nor any exception shows a value. ``weak`` counts the values too short or too plain to be
    searched for; ``size`` the others.
    """

    def __init__(self, values: Iterable[str]) -> None:
        given = {value.strip().encode("utf-8", "surrogateescape") for value in values} - {b""}
        strong = [value for value in given if _is_strong(value)]
        self.size = len(strong)
        self.weak = len(given) - len(strong)
        exact: set[bytes] = set()
        spelt: set[bytes] = set()
        for value in strong:
            exact |= {form for form in exact_forms(value) if len(form) >= MINIMUM_LENGTH}
            spelt |= {form for form in spelt_forms(value) | _pieces(value) if len(form) >= _SPELT_LENGTH}
        self._exact = AnyLiteral(sorted(exact))
        self._spelt = AnyLiteral(sorted(spelt))

    def __repr__(self) -> str:
        return f"SecretNeedles({self.size} secrets, {self.weak} too weak)"

    def find(self, data: bytes) -> bool:
        """Say whether any secret occurs in ``data``, plain or encoded. Linear in the length of ``data``."""
        if not self.size:
            return False
        return self._exact.occurs(data) or self._spelt.occurs(squash(data))

    def find_split(self, values: Sequence[bytes]) -> bool:
        """Say whether a secret appears once ``values`` are joined: it may be spread over parameters."""
        return len(values) > 1 and (self.find(b"".join(values)) or self.find(b"".join(reversed(values))))


def _is_strong(value: bytes) -> bool:
    if len(value) < MINIMUM_LENGTH or len(set(value)) < _MINIMUM_DISTINCT:
        return False
    return len(value) >= _STRONG_LENGTH or not (value.isalpha() or value.isdigit())


def _pieces(value: bytes) -> set[bytes]:
    """Parts that give a long secret away on their own: its halves, or the lines of a key file.

    The first line of a key is left out, for it is the same in every key of its kind.
    """
    if value.startswith(b"-----BEGIN"):
        body = [line.strip() for line in value.splitlines()[2:-1]]
        return {squash(line) for line in body if len(line) >= _KEY_LINE_LENGTH}
    whole = squash(value)
    if len(whole) < _HALVED_LENGTH:
        return set()
    return {whole[: len(whole) // 2], whole[len(whole) // 2 :]}
