"""The two engines in use, made once a process and shared by its forks."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sidecars.scan.engine import Engine
from sidecars.scan.gitleaks import embedded_rules, find_binary
from sidecars.scan.rules import RuleSet

_OWN_RULES = Path(__file__).with_name("rules.toml")


@cache
def own_rules() -> RuleSet:
    """Return the rules that ship with the package; they need nothing else on the machine."""
    return RuleSet.load(_OWN_RULES)


@cache
def push_engine() -> Engine:
    """Return the engine for what enters a repository: all own rules, and those of gitleaks where installed.

    Checksums are not consulted: a dead token in a repository is still worth a look before it is published.
    """
    binary = find_binary()
    rules = own_rules()
    return Engine(rules + embedded_rules(binary) if binary else rules)


@cache
def provider_engine() -> Engine:
    """Return the engine for requests: formats specific enough to refuse on sight, with their checksums."""
    return Engine(own_rules().tagged("provider"), validate=True)


def preload() -> None:
    """Compile both engines, before a fork; later calls cost nothing."""
    push_engine().preload()
    provider_engine().preload()
