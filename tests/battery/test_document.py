"""The security document names tests and cases that there are, and every case of the battery."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from backends.battery.__main__ import TABLES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security.md").read_text("utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", TEXT)))
CASES = {case.id for table in TABLES for case in table.cases}


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", TESTS)
def test_a_named_test_exists(name: str) -> None:
    path, _, function = name.partition("::")
    assert function in functions(ROOT / path)


def test_named_cases_exist() -> None:
    named = set(re.findall(r"`battery ([\w.-]+)`", TEXT)) - {"NAME"}
    assert named <= CASES, named - CASES
    assert len(named) > 60


def test_each_row_of_the_cases_names_what_shows_it() -> None:
    cases = TEXT.partition("## Cases")[2].partition("## Known limits")[0]
    rows = [
        line
        for line in cases.splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| attempt"))
    ]
    assert len(rows) > 50
    assert [row for row in rows if "::test_" not in row and "`battery " not in row] == []


def test_a_dagger_stands_where_a_guard_was_taken_away() -> None:
    from .test_guards import GUARDS

    seen_red = {case for _apply, cases in GUARDS.values() for case in cases}
    marked = set(re.findall(r"`battery ([\w.-]+)` †", TEXT))
    assert marked <= seen_red, marked - seen_red
