"""Names that are safe wherever they end up, and identities made of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bottlemux.identity import agent_of, is_name, is_slug, new_slug

GOOD = ["a", "0", "demo", "my-agent", "my_agent.2", "a" * 32]
BAD = {
    "empty": "", "too long": "a" * 33, "upper case": "Demo", "leading dash": "-a", "leading dot": ".a",
    "trailing dash": "a-", "trailing dot": "a.", "two dashes": "a--b", "two dots": "a..b", "slash": "a/b",
    "parent": "..", "space": "a b", "newline": "a\n", "semicolon": "a;", "colon": "a:b", "umlaut": "ä",
    "other digits": "a\u0661", "format": "#{x}", "null": "a\0",
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    assert is_name(name)
    assert re.fullmatch(re.escape(name) + "-[0-9a-z]{5}", new_slug(name))


@pytest.mark.parametrize("name", BAD.values(), ids=BAD.keys())
def test_bad_names(name: str) -> None:
    assert not is_name(name)
    assert not is_slug(f"{name}-abcde")
    with pytest.raises(ValueError, match="not an agent name"):
        new_slug(name)


@given(name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,31}", fullmatch=True).filter(is_name))
def test_the_agent_is_found_again_in_its_slug(name: str) -> None:
    slug = new_slug(name)

    assert is_slug(slug)
    assert agent_of(slug) == name


@given(text=st.text(max_size=50))
def test_what_is_no_slug_has_no_agent(text: str) -> None:
    if not is_slug(text):
        with pytest.raises(ValueError, match="not a bottle identity"):
            agent_of(text)


@pytest.mark.parametrize(
    "text", ["demo", "demo-", "demo-abcd", "demo-ABCDE", "demo-abcde\n", "-abcde", "abcde"]
)
def test_what_is_no_slug(text: str) -> None:
    assert not is_slug(text)


def test_slugs_differ() -> None:
    assert len({new_slug("demo") for _ in range(500)}) > 495
