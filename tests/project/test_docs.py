"""The documentation: generated pages are what the code makes, commands in it parse, links resolve, topics exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bottlemux.cli import dispatch
from bottlemux.cli.topics import topic_text, topics
from bottlemux.errors import BottlemuxError

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
)
MADE = ROOT / "docs" / "reference"
HAND_WRITTEN = [page for page in PAGES if MADE not in page.parents]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(bottlemux [^`\n]+)`")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"\.\.\.|[|\[\]<>]")


def commands(page: Path) -> list[str]:
    """Return every command line of ours that the page shows."""
    text = page.read_text("utf-8")
    fenced = [
        line.strip()
        for kind, body in FENCE.findall(text)
        if kind in {"sh", "console"}
        for line in body.splitlines()
    ]
    shown = [line.removeprefix("$ ").partition("  #")[0].strip() for line in fenced]
    return [line for line in [*shown, *INLINE.findall(text)] if line.startswith("bottlemux ")]


def test_the_reference_is_what_the_code_makes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/reference", "--check"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_shown_is_one(page: Path) -> None:
    wrong: list[str] = []
    for line in commands(page):
        if PLACEHOLDER.search(line) or line == "bottlemux COMMAND --help":
            continue
        words = shlex.split(line, comments=True)[1:]
        try:
            parse(words)
        except (BottlemuxError, SystemExit) as error:
            if not (isinstance(error, SystemExit) and error.code in {0, None}):
                wrong.append(f"{line}: {error}")
    assert wrong == []


def parse(words: list[str]) -> None:
    """Raise what the command line would be refused with; a command named alone, in prose, needs no arguments."""
    own, _passed_on = dispatch._divided(words)
    if len(own) == 1 and own[0] in dispatch.COMMANDS:
        return
    _parsed, unknown = dispatch.build_parser(own).parse_known_args(own)
    if unknown:
        raise BottlemuxError(f"unknown: {unknown}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_resolves(page: Path) -> None:
    broken: list[str] = []
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_topic_that_an_error_names_is_a_page() -> None:
    named = {
        match for source in sources() for match in re.findall(r"\btopic(?:: str)? ?= ?\"([a-z-]+)\"", source)
    }
    named |= {
        match for source in sources() for match in re.findall(r"bottlemux help ([a-z]+(?:-[a-z]+)*)", source)
    }
    assert {"manifest", "names", "tmux", "system", "defect"} <= named
    assert named - set(topics()) - set(dispatch.COMMANDS) == set()


def sources() -> list[str]:
    return [
        path.read_text("utf-8") for top in ("bottlemux", "backends") for path in (ROOT / top).rglob("*.py")
    ]


def test_no_topic_hides_behind_a_command() -> None:
    assert set(topics()) & set(dispatch.COMMANDS) == set()


@pytest.mark.parametrize("topic", topics())
def test_a_topic_is_shown_with_its_title(topic: str) -> None:
    text = topic_text(topic)
    assert text is not None
    assert text.startswith(topics()[topic])
    assert "\n## " not in text
