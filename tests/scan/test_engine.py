from __future__ import annotations

import time
from dataclasses import replace

import pytest

from sidecars.scan.engine import Engine, Match, ScanTimeoutError
from sidecars.scan.library import own_rules, provider_engine
from sidecars.scan.rules import Rule, RulesError, RuleSet
from tests.scan.corpus import Case, decoys, planted

OWN = Engine(own_rules())
PLANTED = planted()
DECOYS = decoys()


def _rules(text: str) -> RuleSet:
    return RuleSet.parse(text)


def _engine(allow: str = "", *, extra: str = "", shared: str = "") -> Engine:
    rule = (
        f"[[rules]]\nid = \"t\"\nregex = '''tok_([a-z0-9]{{8}})'''\nkeywords = [\"TOK_\"]\n{extra}\n{allow}"
    )
    return Engine(_rules(shared + rule))


def test_the_corpus_is_large_enough() -> None:
    assert len(PLANTED) >= 37
    assert len(DECOYS) >= 40
    assert len(own_rules().rules) >= 60


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_finds_planted_secrets(case: Case) -> None:
    data = b"prefix text\n" + case.text.encode() + b"suffix\n"
    found = OWN.scan(data)
    assert found
    if case.secret:
        place = data.index(case.secret.encode())
        assert any(match.start <= place < match.end for match in found)


@pytest.mark.parametrize("case", [case for case in PLANTED if case.provider], ids=lambda case: case.name)
def test_provider_rules_find_provider_formats(case: Case) -> None:
    assert provider_engine().first(case.text.encode())


@pytest.mark.parametrize("seed", range(10, 20))
def test_no_planted_secret_is_found_by_luck(seed: int) -> None:
    missed = [case.name for case in planted(seed) if not OWN.first(case.text.encode())]
    assert missed == []


@pytest.mark.parametrize("seed", range(2, 8))
def test_decoys_pass_the_provider_rules(seed: int) -> None:
    flagged = [(case.name, provider_engine().first(case.text.encode())) for case in decoys(seed)]
    assert [each for each in flagged if each[1]] == []


@pytest.mark.parametrize(
    "case", [case for case in DECOYS if case.name != "checked-dead"], ids=lambda case: case.name
)
def test_decoys_pass_all_own_rules(case: Case) -> None:
    assert OWN.scan(case.text.encode()) == []


def test_a_wrong_checksum_is_dead_for_requests_and_alive_for_pushes() -> None:
    dead = next(case for case in DECOYS if case.name == "checked-dead").text.encode()
    assert provider_engine().first(dead) is None
    assert OWN.first(dead)


def test_neither_match_nor_engine_shows_a_value() -> None:
    case = PLANTED[0]
    match = OWN.scan(case.text.encode())[0]
    assert case.secret not in repr(match) + str(match) + repr(OWN)
    assert set(Match.__dataclass_fields__) == {"start", "end", "rule"}


def test_offsets_are_those_of_the_secret_group() -> None:
    data = b"a tok_abcd1234 b"
    assert _engine().scan(data) == [Match(6, 14, "t")]


def test_a_keyword_is_needed_and_its_case_is_not() -> None:
    engine = Engine(_rules("[[rules]]\nid='t'\nregex='[a-z]{4}[0-9]{4}'\nkeywords=['Marker']"))
    assert engine.scan(b"abcd1234") == []
    assert engine.scan(b"mARKER abcd1234") == [Match(7, 15, "t")]


def test_without_keywords_a_rule_always_applies() -> None:
    assert Engine(_rules("[[rules]]\nid='t'\nregex='abcd'")).scan(b"xxabcd") == [Match(2, 6, "t")]


def test_entropy_is_exclusive_and_of_the_secret() -> None:
    engine = _engine(extra="entropy = 2.0")
    assert engine.scan(b"tok_abcdabcd") == []
    assert engine.scan(b"tok_abcdefgh") != []


def test_secret_group_chooses_the_group() -> None:
    text = "[[rules]]\nid='t'\nregex='(user)=([a-z]+)'\nsecretGroup=2"
    assert Engine(_rules(text)).scan(b"user=root") == [Match(5, 9, "t")]


def test_a_group_that_took_no_part_is_skipped() -> None:
    assert Engine(_rules("[[rules]]\nid='t'\nregex='(aa)?(bb)'")).scan(b"bb") == [Match(0, 2, "t")]


ALLOW = "[[rules.allowlists]]\n"


@pytest.mark.parametrize(
    ("allow", "path", "found"),
    [
        ("", "", True),
        (ALLOW + "regexes=['^abcd']", "", False),
        (ALLOW + "regexes=['^zzzz']", "", True),
        (ALLOW + "regexes=['^tok_']\nregexTarget='match'", "", False),
        (ALLOW + "regexes=['^tok_']", "", True),
        (ALLOW + "regexes=['note: ']\nregexTarget='line'", "", False),
        (ALLOW + "regexes=['second line']\nregexTarget='line'", "", True),
        (ALLOW + "stopwords=['BCD']", "", False),
        (ALLOW + "stopwords=['note']", "", True),
        (ALLOW + "paths=['_test\\.py$']", "a/b_test.py", False),
        (ALLOW + "paths=['_test\\\\.py$']", "a/b.py", True),
        (ALLOW + "paths=['a\\.py']\nstopwords=['abcd']\ncondition='AND'", "b.py", True),
        (ALLOW + "paths=['a\\.py']\nstopwords=['abcd']\ncondition='AND'", "a.py", False),
        (ALLOW + "paths=['a\\.py']\nstopwords=['zzzz']\ncondition='AND'", "a.py", True),
        ("[rules.allowlist]\nregexes=['^abcd']", "", False),
    ],
)
def test_allowlists(allow: str, path: str, *, found: bool) -> None:
    data = b"note: tok_abcd1234 here\nsecond line\n"
    assert bool(_engine(allow).scan(data, path=path)) is found


def test_a_global_allowlist_holds_for_its_own_file_only() -> None:
    shared = "[allowlist]\nregexes=['^abcd']\n"
    mine, other = _engine(shared=shared), _engine()
    assert mine.scan(b"tok_abcd1234") == []
    joined = Engine(RuleSet(mine.rules) + RuleSet((_renamed(other),)))
    assert [match.rule for match in joined.scan(b"tok_abcd1234")] == ["u"]


def _renamed(engine: Engine) -> Rule:
    return replace(engine.rules[0], id="u")


def test_a_rule_may_ask_for_a_path() -> None:
    engine = _engine(extra="path = '''\\.env$'''")
    assert engine.scan(b"tok_abcd1234", path="a/.env")
    assert not engine.scan(b"tok_abcd1234", path="a/env")
    assert not engine.scan(b"tok_abcd1234")


def test_a_rule_may_be_about_the_path_alone() -> None:
    engine = Engine(_rules("[[rules]]\nid='t'\npath='\\.p12$'"))
    assert engine.scan(b"abc", path="key.p12") == [Match(0, 3, "t")]


def test_optional_context_may_hide_what_an_allowlist_of_the_match_needs() -> None:
    text = (
        "[[rules]]\nid='t'\nregex='''(?i)[\\w.-]{0,50}?(?:key)=([a-z0-9]{8})'''\n"
        "[[rules.allowlists]]\nregexTarget='match'\nregexes=['public_key']\n"
    )
    assert Engine(_rules(text)).scan(b"public_key=abcd1234") == []
    assert Engine(_rules(text)).scan(b"private_key=abcd1234")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[[rules]]\nid='t'",
        "[[rules]]\nregex='a'",
        "[[rules]]\nid='t'\nregex='a'\n[[rules.allowlists]]\nregexTarget='all'",
    ],
)
def test_unusable_rule_files_are_errors(text: str) -> None:
    with pytest.raises(RulesError):
        _rules(text)


@pytest.mark.parametrize("extra", ["validator = 'nothing'", ""])
def test_unusable_rules_are_errors_when_compiled(extra: str) -> None:
    regex = "a" if extra else "(?=a)"
    with pytest.raises(RulesError, match="'t'"):
        Engine(_rules(f"[[rules]]\nid='t'\nregex='{regex}'\n{extra}")).preload()


def test_binary_data_needs_no_decoding() -> None:
    data = bytes(range(256)) * 4 + b"tok_abcd1234" + bytes(range(128, 256))
    assert [match.rule for match in _engine().scan(data)] == ["t"]


def test_a_deadline_that_passed_is_no_answer() -> None:
    with pytest.raises(ScanTimeoutError):
        _engine().scan(b"tok_abcd1234", deadline=time.monotonic() - 1)


def test_findings_are_bounded() -> None:
    assert len(_engine().scan(b"tok_abcd1234 " * 5000)) == 1000


def test_hostile_text_takes_linear_time() -> None:
    every = b" ".join(keyword for rule in own_rules().rules for keyword in rule.keywords)
    data = (every + b' = "aaaaaaaaaaaaaaaa\n') * 100
    start = time.monotonic()
    OWN.scan(data)
    assert time.monotonic() - start < 5
