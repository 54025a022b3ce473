"""A rule made ready to search: its patterns compiled, its allowlists applied to each candidate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sidecars.scan.entropy import shannon
from sidecars.scan.patterns import Pattern, PatternError
from sidecars.scan.rules import Rule, RulesError
from sidecars.scan.validators import VALIDATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidecars.scan.patterns import Spans
    from sidecars.scan.rules import Allowlist

# Context a match may start with but need not: without it the automaton is smaller and the secrets the same.
_OPTIONAL_PREFIX = re.compile(r"^(\(\?i\))?\[[^\]]*\]\{0,\d+\}\??(?=\()")

# Around a match; a file of one line would make each candidate cost as much as the file.
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class _Candidate:
    secret: bytes
    match: bytes
    line: bytes
    path: str


class _CompiledAllowlist:
    def __init__(self, allowlist: Allowlist) -> None:
        self._spec = allowlist
        self._regexes = [Pattern(regex) for regex in allowlist.regexes]
        self._paths = [Pattern(path) for path in allowlist.paths]

    def allows_path(self, path: str) -> bool:
        """Say whether everything at ``path`` is allowed, before any search."""
        if self._spec.every and (self._regexes or self._spec.stopwords):
            return False
        return self._path_holds(path)

    def allows(self, candidate: _Candidate) -> bool:
        verdicts: list[bool] = []
        if self._regexes:
            verdicts.append(self._regex_holds(candidate))
        if self._spec.stopwords:
            verdicts.append(self._stopword_holds(candidate))
        if self._paths:
            verdicts.append(self._path_holds(candidate.path))
        return bool(verdicts) and (all(verdicts) if self._spec.every else any(verdicts))

    def _path_holds(self, path: str) -> bool:
        return bool(path) and any(each.search(_encoded(path)) for each in self._paths)

    def _regex_holds(self, candidate: _Candidate) -> bool:
        target: bytes = getattr(candidate, self._spec.target)
        return any(regex.search(target) for regex in self._regexes)

    def _stopword_holds(self, candidate: _Candidate) -> bool:
        lowered = candidate.secret.lower()
        return any(word in lowered for word in self._spec.stopwords)


class CompiledRule:
    """One rule, ready. Allowlists are compiled for the first candidate, or by :meth:`preload`."""

    def __init__(self, rule: Rule) -> None:
        self.id = rule.id
        self._rule = rule
        self._pattern = None if rule.pattern is None else Pattern(_shortened(rule, rule.pattern))
        self._path = None if rule.path is None else Pattern(rule.path)
        self._validator = None if rule.validator is None else VALIDATORS[rule.validator]

    def preload(self) -> None:
        """Compile the allowlists too."""
        _ = self._allowlists

    def search(self, data: bytes, path: str, *, validate: bool) -> Iterator[tuple[int, int]]:
        """Yield the offsets of each secret in ``data``; a rule about the path alone yields all of it."""
        if self._path is not None and not self._path.search(_encoded(path)):
            return
        if any(allowlist.allows_path(path) for allowlist in self._allowlists):
            return
        if self._pattern is None:
            yield 0, len(data)
            return
        for spans in self._pattern.spans(data):
            start, end = self._secret_span(spans)
            candidate = _candidate(data, spans[0], data[start:end], path)
            if self._counts(candidate, validate=validate):
                yield start, end

    @cached_property
    def _allowlists(self) -> list[_CompiledAllowlist]:
        return [_CompiledAllowlist(allowlist) for allowlist in self._rule.allowlists]

    def _secret_span(self, spans: Spans) -> tuple[int, int]:
        chosen = self._rule.secret_group
        if chosen and chosen < len(spans):
            return spans[chosen]
        return next((span for span in spans[1:] if span[1] > span[0]), spans[0])

    def _counts(self, candidate: _Candidate, *, validate: bool) -> bool:
        secret = candidate.secret
        if self._rule.entropy is not None and shannon(secret) <= self._rule.entropy:
            return False
        if validate and self._validator is not None and not self._validator(secret):
            return False
        return not any(allowlist.allows(candidate) for allowlist in self._allowlists)


def _shortened(rule: Rule, pattern: str) -> str:
    if any(allowlist.target == "match" for allowlist in rule.allowlists):
        return pattern
    return _OPTIONAL_PREFIX.sub(lambda found: found[1] or "", pattern)


def _candidate(data: bytes, whole: tuple[int, int], secret: bytes, path: str) -> _Candidate:
    start, end = whole
    first = data.rfind(b"\n", max(0, start - _LONGEST_LINE), start) + 1 or max(0, start - _LONGEST_LINE)
    last = data.find(b"\n", end, end + _LONGEST_LINE)
    line = data[first : end + _LONGEST_LINE if last < 0 else last]
    return _Candidate(secret, data[start:end].strip(b"\n"), line, path)


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def compile_rule(rule: Rule) -> CompiledRule:
    """Compile ``rule``; an unknown validator or a pattern RE2 refuses is a :class:`RulesError`."""
    try:
        return CompiledRule(rule)
    except (PatternError, KeyError) as error:
        raise RulesError(f"rule {rule.id!r} cannot be used: {error}") from error
