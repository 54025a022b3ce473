"""Rules as data: the TOML format of gitleaks, with two extensions that gitleaks ignores.

``validator`` names a check from :mod:`sidecars.scan.validators`; the tag ``provider`` marks formats
specific enough to stop a request on their own.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TARGETS = ("secret", "match", "line")


class RulesError(ValueError):
    """A rule file that cannot be used; the message names the rule."""


@dataclass(frozen=True)
class Allowlist:
    """What is not a secret after all. With ``every`` all criteria that are given must hold, else any does."""

    regexes: tuple[str, ...] = ()
    target: str = "secret"
    stopwords: tuple[bytes, ...] = ()
    paths: tuple[str, ...] = ()
    every: bool = False


@dataclass(frozen=True)
class Rule:
    """One kind of secret.

    ``keywords`` are lower case: data that holds none of them is not searched (none given: always searched).
    ``entropy`` is the least Shannon entropy of the secret in bits a character, exclusive. ``secret_group`` is
    the group that holds the secret; 0 means the first that took part, or the whole match. A rule without
    ``pattern`` is about the path alone.
    """

    id: str
    pattern: str | None
    keywords: tuple[bytes, ...] = ()
    entropy: float | None = None
    secret_group: int = 0
    path: str | None = None
    allowlists: tuple[Allowlist, ...] = ()
    tags: frozenset[str] = field(default_factory=frozenset[str])
    validator: str | None = None


@dataclass(frozen=True)
class RuleSet:
    """Rules in order. A file's global allowlist is part of each of that file's rules, and of no other's."""

    rules: tuple[Rule, ...]

    @classmethod
    def load(cls, path: Path) -> RuleSet:
        """Read the TOML file at ``path``."""
        return cls.parse(path.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> RuleSet:
        """Read TOML text; ``[extend]`` is not followed, for a rule file must not reach for others."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RulesError(f"cannot parse the rules: {error}") from error
        shared = tuple(_allowlist(table) for table in _global_tables(document))
        rules = [_rule(table) for table in document.get("rules", [])]
        if not rules:
            raise RulesError("the rule file has no rules")
        return cls(tuple(replace(rule, allowlists=shared + rule.allowlists) for rule in rules))

    def where(self, keep: Callable[[Rule], bool]) -> RuleSet:
        """Return the rules that ``keep`` accepts."""
        return RuleSet(tuple(rule for rule in self.rules if keep(rule)))

    def tagged(self, tag: str) -> RuleSet:
        """Return the rules that carry ``tag``."""
        return self.where(lambda rule: tag in rule.tags)

    def __add__(self, other: RuleSet) -> RuleSet:
        known = {rule.id for rule in self.rules}
        return RuleSet(self.rules + tuple(rule for rule in other.rules if rule.id not in known))


def _global_tables(document: dict[str, Any]) -> list[dict[str, Any]]:
    single = document.get("allowlist")
    return ([single] if single else []) + list(document.get("allowlists", []))


def _allowlist(table: dict[str, Any]) -> Allowlist:
    target = str(table.get("regexTarget") or "secret")
    if target not in TARGETS:
        raise RulesError(f"regexTarget {target!r} is not one of {', '.join(TARGETS)}")
    return Allowlist(
        regexes=tuple(table.get("regexes", [])),
        target=target,
        stopwords=tuple(word.lower().encode() for word in table.get("stopwords", [])),
        paths=tuple(table.get("paths", [])),
        every=str(table.get("condition", "OR")).upper() in {"AND", "&&"},
    )


def _rule(table: dict[str, Any]) -> Rule:
    identifier = table.get("id")
    if not identifier or not (table.get("regex") or table.get("path")):
        raise RulesError(f"rule {identifier!r} needs an id, and a regex or a path")
    single = table.get("allowlist")
    tables = ([single] if single else []) + list(table.get("allowlists", []))
    return Rule(
        id=str(identifier),
        pattern=table.get("regex"),
        keywords=tuple(word.lower().encode() for word in table.get("keywords", [])),
        entropy=float(table["entropy"]) if table.get("entropy") else None,
        secret_group=int(table.get("secretGroup", 0)),
        path=table.get("path"),
        allowlists=tuple(_allowlist(each) for each in tables),
        tags=frozenset(table.get("tags", [])),
        validator=table.get("validator"),
    )
