from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sidecars.scan.engine import Engine
from sidecars.scan.gitleaks import embedded_rules, find_binary
from sidecars.scan.library import own_rules
from sidecars.scan.rules import RulesError
from tests.scan.corpus import decoys, planted

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = b"title = \"gitleaks config\"\n\n[[rules]]\nid = \"a\"\nregex = '''x(y)z'''\nkeywords = [\"x\"]\n\n"
_CASES = [case for seed in (1, 3, 5) for case in planted(seed)] + decoys()
CORPUS = {f"{number:03}_{case.name}": case for number, case in enumerate(_CASES)}
BINARY = find_binary()


def _file(directory: Path, content: bytes) -> Path:
    path = directory / "gitleaks"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("after", [b"\0\0more", b"", b"golang.org/x/other text\n\0", b"[[broken\n\nx\0"])
def test_reads_the_rules_between_other_data(tmp_path: Path, after: bytes) -> None:
    binary = _file(tmp_path, b"\x7fELF" + bytes(5000) + CONFIG + after)
    assert [rule.id for rule in embedded_rules(binary).rules] == ["a"]


@pytest.mark.parametrize(
    "content", [b"\x7fELF" + bytes(99), CONFIG[:26] + b"\0", CONFIG[:40] + b"\0", b"title"]
)
def test_a_binary_without_rules_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RulesError):
        embedded_rules(_file(tmp_path, content))


def test_a_script_of_that_name_is_not_the_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = _file(tmp_path, b"#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_binary() != script


def test_own_rules_stand_beside_others_of_the_same_name(tmp_path: Path) -> None:
    others = embedded_rules(_file(tmp_path, CONFIG + b"\0"))
    joined = own_rules() + others + own_rules()
    assert len(joined.rules) == len(own_rules().rules) + 1


@pytest.mark.skipif(BINARY is None, reason="gitleaks is not installed")
def test_the_engine_agrees_with_gitleaks(tmp_path: Path) -> None:
    assert BINARY is not None
    engine = Engine(embedded_rules(BINARY))
    ours = {name: {match.rule for match in engine.scan(case.text.encode())} for name, case in CORPUS.items()}
    theirs: dict[str, set[str]] = {name: set() for name in CORPUS}
    for name, rule in _gitleaks(BINARY, tmp_path):
        theirs[name].add(rule)
    # Gitleaks drops a generic finding where a specific rule found the same.
    missing = {name: theirs[name] - ours[name] for name in theirs if theirs[name] - ours[name]}
    extra = {name: ours[name] - theirs[name] - {"generic-api-key"} for name in ours}
    assert missing == {}
    assert {name: rules for name, rules in extra.items() if rules} == {}
    assert {name for name in ours if ours[name]} == {name for name in theirs if theirs[name]}


@pytest.mark.skipif(BINARY is None, reason="gitleaks is not installed")
def test_every_rule_of_gitleaks_compiles_soon() -> None:
    assert BINARY is not None
    start = time.monotonic()
    engine = Engine(embedded_rules(BINARY))
    engine.preload()
    assert len(engine.rules) > 200
    assert time.monotonic() - start < 2


def _gitleaks(binary: Path, directory: Path) -> list[tuple[str, str]]:
    tree, report = directory / "tree", directory / "report.json"
    tree.mkdir()
    for name, case in CORPUS.items():
        (tree / name).write_text(case.text)
    argv = [str(binary), "dir", str(tree), "--no-banner", "--exit-code=0", "--max-decode-depth=0"]
    subprocess.run([*argv, "-f", "json", "-r", str(report)], check=True, capture_output=True, timeout=60)
    return [(each["File"].rpartition("/")[2], each["RuleID"]) for each in json.loads(report.read_text())]
