"""The one place that touches RE2: linear-time patterns over bytes, and sets of literals.

Every byte counts as one character (Latin-1), so binary data needs no decoding and no input is invalid.
"""

from __future__ import annotations

import importlib
import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

type Spans = list[tuple[int, int]]
"""Offsets of the whole match, then of each group; (-1, -1) for a group that took no part."""

# Bytes of program and automaton cache. Small ones first: a hostile text can fill every cache there is.
_BUDGETS = (2 << 20, 16 << 20, 256 << 20)
_LITERALS_BUDGET = 16 << 20
_LITERALS_PER_PATTERN = 512
_HEAD = 12


class PatternError(ValueError):
    """A pattern that RE2 does not accept."""


def _options(re2: Any, budget: int, *, literal: bool = False) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = budget
    options.literal = literal
    return options


def _compile(pattern: bytes, least_budget: int) -> Any:
    re2: Any = importlib.import_module("re2")
    failure = ""
    for budget in (size for size in _BUDGETS if size >= least_budget):
        try:
            return re2.compile(pattern, _options(re2, budget))
        except re2.error as error:
            failure = str(error)
            if "too large" not in failure:
                break
    # The pattern is not repeated: it may be made of secrets.
    raise PatternError(f"pattern not accepted: {failure.partition(':')[0]}")


class Pattern:
    """A compiled pattern; searching takes time linear in the data, whatever the pattern and the data."""

    def __init__(self, source: str | bytes, *, least_budget: int = 0) -> None:
        self._compiled = _compile(source.encode() if isinstance(source, str) else source, least_budget)

    @property
    def groups(self) -> int:
        """How many capture groups it has."""
        count: int = self._compiled.groups
        return count

    def search(self, data: bytes) -> bool:
        """Say whether ``data`` holds a match."""
        return self._compiled.search(data) is not None

    def fullmatch(self, data: bytes) -> bool:
        """Say whether all of ``data`` is one match."""
        return self._compiled.fullmatch(data) is not None

    def spans(self, data: bytes) -> Iterator[Spans]:
        """Yield each match that does not overlap an earlier one, in order."""
        groups = range(self.groups + 1)
        for match in self._compiled.finditer(data):
            yield [match.span(group) for group in groups]


class LiteralSet:
    """Finds which of many literals occur in a text, in one pass.

    RE2 answers "none" when such a set runs out of memory. The budget is far above what literals can need, and
    construction proves the set alive by finding every literal in itself, so that silence never means a crash.
    """

    def __init__(self, literals: Sequence[bytes]) -> None:
        self._set: Any = None
        if not literals:
            return
        re2: Any = importlib.import_module("re2")
        self._set = re2.Set.SearchSet(_options(re2, _BUDGETS[-1], literal=True))
        for literal in literals:
            self._set.Add(literal)
        self._set.Compile()
        for index, literal in enumerate(literals):
            if index not in self.find(literal):
                raise PatternError("the set of literals does not find its own members")

    def find(self, data: bytes) -> list[int]:
        """Return the indexes of the literals that occur in ``data``."""
        if self._set is None:
            return []
        return self._set.Match(data) or []


class AnyLiteral:
    """Says whether any of many literals occurs; used for secrets, so it never shows one.

    The automaton holds only how each literal begins, which keeps it small; a hit is then confirmed in full.
    """

    def __init__(self, literals: Sequence[bytes]) -> None:
        self._literals = literals
        heads = sorted({literal[:_HEAD] for literal in literals})
        self._heads = [
            Pattern(b"|".join(_quote(head) for head in chunk), least_budget=_LITERALS_BUDGET)
            for chunk in itertools.batched(heads, _LITERALS_PER_PATTERN)
        ]

    def occurs(self, data: bytes) -> bool:
        """Say whether ``data`` holds at least one of the literals."""
        suspicious = any(pattern.search(data) for pattern in self._heads)
        return suspicious and any(literal in data for literal in self._literals)


def _quote(literal: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in literal)
