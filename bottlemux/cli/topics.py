"""The pages of help on errors and their situations: sections of one Markdown file, readable without a network."""

from __future__ import annotations

import re

from bottlemux.resources import data_dir

_BROKEN_LINE = re.compile(r"(?<=\S)\n *(?=[^\s|-])")
_SECTION = re.compile(r"^## ([a-z0-9-]+): (.+)$", re.MULTILINE)


def topics() -> dict[str, str]:
    """Return the name of every topic with its title, in the order of the page."""
    return dict(_SECTION.findall(_page()))


def topic_text(name: str, *, flowing: bool = False) -> str | None:
    """Return the text of one topic with its title, ``None`` if there is none of this name.

    With ``flowing`` a paragraph is one line, for who breaks it to a width of their own.
    """
    text = _page()
    found = list(_SECTION.finditer(text))
    for match, following in zip(found, [*found[1:], None], strict=True):
        if match[1] == name:
            end = following.start() if following else len(text)
            page = text[match.end() : end].strip()
            return f"{match[2]}\n\n{_for_terminal(_as_paragraphs(page) if flowing else page)}\n"
    return None


def _as_paragraphs(text: str) -> str:
    return _BROKEN_LINE.sub(" ", text)


def _for_terminal(text: str) -> str:
    """Return Markdown as it reads well where nothing renders it: a table's rows become entries."""
    lines: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if not line.startswith("| "):
            lines.append(re.sub(r"\[([^\]]*)\]\(([^)]*)\)", _file_named, line))
        elif not line.startswith("| ---") and cells[0] != "reason":
            lines += [cells[0], *(f"    {cell}" for cell in cells[1:])]
    return "\n".join(lines)


def _file_named(link: re.Match[str]) -> str:
    return f"{link[1]} ({data_dir('docs') / link[2]})"


def _page() -> str:
    return (data_dir("docs") / "errors.md").read_text("utf-8")
