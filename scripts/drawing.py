"""Pictures of terminals: screens as tmux captures them, with their escape sequences, become SVG, still or moving."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from html import escape

from wcwidth import wcswidth

CELL_W, CELL_H, MARGIN = 7.8, 17, 14
BACKGROUND, FOREGROUND = "#14161b", "#d5d8de"
FONT = 'font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13"'
COLOURS = ("#2a2e37", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d5d8de",
           "#6b7280", "#ff7a85", "#b5e890", "#ffd98a", "#82c7ff", "#dd95ef", "#7fdbe6", "#ffffff")  # fmt: skip
ESCAPES = re.compile(r"\x1b\[([0-9;:]*)m|\x1b[()][A-Z0-9]|[\x0e\x0f]")
STEPS = (0, 95, 135, 175, 215, 255)


@dataclass(frozen=True)
class Style:
    """How a run of cells looks."""

    front: str = FOREGROUND
    back: str = BACKGROUND
    bold: bool = False
    dim: bool = False
    reverse: bool = False


@dataclass(frozen=True)
class Frame:
    """A screen, and when it was first seen: seconds from the beginning."""

    at: float
    screen: str


def plain(screen: str) -> str:
    """Return the text of a screen."""
    return ESCAPES.sub("", screen)


def still(screen: str, columns: int, rows: int, title: str) -> str:
    """Return the picture of one screen."""
    return "\n".join([*_head(columns, rows, title), *filter(None, _rows(screen, rows)), "</svg>", ""])


def moving(frames: list[Frame], columns: int, rows: int, title: str, hold: float) -> str:
    """Return a picture that shows ``frames`` one after another, the last for ``hold`` seconds, and begins again.

    A row is drawn once for as long as it stays the same.
    """
    total = frames[-1].at + hold
    drawn = [_rows(frame.screen, rows) for frame in frames]
    lines = _head(columns, rows, title)
    for row in range(rows):
        begin = 0
        for index in range(1, len(frames) + 1):
            if index < len(frames) and drawn[index][row] == drawn[begin][row]:
                continue
            end = frames[index].at if index < len(frames) else total
            if drawn[begin][row]:
                lines.append(_timed(drawn[begin][row], frames[begin].at / total, end / total, total))
            begin = index
    return "\n".join([*lines, "</svg>", ""])


def cast(frames: list[Frame], columns: int, rows: int, title: str) -> str:
    """Return the recording as asciinema's players read it, version 2."""
    lines = [json.dumps({"version": 2, "width": columns, "height": rows, "title": title})]
    before: list[str] = []
    for frame in frames:
        now = frame.screen.split("\n")[:rows]
        changed = [row for row in range(len(now)) if row >= len(before) or now[row] != before[row]]
        text = "".join(f"\x1b[{row + 1};1H{now[row]}\x1b[0m\x1b[K" for row in changed)
        lines.append(json.dumps([round(frame.at, 3), "o", text]))
        before = now
    return "\n".join(lines) + "\n"


def _head(columns: int, rows: int, title: str) -> list[str]:
    width, height = columns * CELL_W + 2 * MARGIN, rows * CELL_H + 2 * MARGIN
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" {FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]


def _timed(content: str, begin: float, end: float, total: float) -> str:
    if begin == 0 and end == 1:
        return content
    values, times = ["hidden", "visible", "hidden"], [0.0, begin, end]
    if begin == 0:
        values, times = values[1:], times[1:]
        times[0] = 0.0
    if end >= 1:
        values, times = values[:-1], times[:-1]
    # Where nothing moves, as in a preview, the last screen is what is shown.
    shown = "visible" if end >= 1 else "hidden"
    keys = ";".join(f"{time:.5g}" for time in times)
    return (
        f'<g visibility="{shown}">{content}<animate attributeName="visibility" calcMode="discrete" '
        f'values="{";".join(values)}" keyTimes="{keys}" dur="{total:.2f}s" repeatCount="indefinite"/></g>'
    )


def _rows(screen: str, rows: int) -> list[str]:
    """Return the elements of each row, empty ones included."""
    drawn: list[str] = []
    style = Style()
    for row, line in enumerate(screen.split("\n")[:rows]):
        elements, style = _draw(line, row, style)
        drawn.append("".join(elements))
    return drawn + [""] * (rows - len(drawn))


def _draw(line: str, row: int, style: Style) -> tuple[list[str], Style]:
    """Return the elements of one line, and the style in force at its end."""
    drawn: list[str] = []
    column, last = 0, 0
    for match in [*ESCAPES.finditer(line), None]:
        text = line[last : match.start() if match else len(line)]
        if text:
            drawn += _element(text, column, row, style)
            column += max(0, wcswidth(text))
        if match:
            last = match.end()
            style = _changed(style, match[1]) if match[1] is not None else style
    return drawn, style


def _element(text: str, column: int, row: int, style: Style) -> list[str]:
    """Return the elements of one run of cells."""
    front, back = (style.back, style.front) if style.reverse else (style.front, style.back)
    x, y, width = MARGIN + column * CELL_W, MARGIN + row * CELL_H, wcswidth(text) * CELL_W
    drawn = []
    if back != BACKGROUND:
        drawn.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{CELL_H}" fill="{back}"/>')
    shown = text.rstrip()
    if shown:
        looks = ' font-weight="bold"' * style.bold + ' opacity="0.6"' * style.dim
        drawn.append(
            f'<text x="{x:g}" y="{y + 13:g}" textLength="{wcswidth(shown) * CELL_W:g}" xml:space="preserve" '
            f'fill="{front}"{looks}>{escape(shown)}</text>'
        )
    return drawn


def _changed(style: Style, codes: str) -> Style:
    """Return ``style`` after one "select graphic rendition" sequence."""
    numbers = [int(code or 0) for code in re.split("[;:]", codes)]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            style = Style()
        elif number in {1, 2, 7}:
            style = _switched_on(style, number)
        elif number in {22, 27}:
            style = replace(style, bold=False, dim=False) if number == 22 else replace(style, reverse=False)
        elif number in {38, 48}:
            style = _coloured(style, _extended(numbers), front=number == 38)
        elif number in {39, 49}:
            style = _coloured(style, FOREGROUND if number == 39 else BACKGROUND, front=number == 39)
        elif 30 <= number <= 47:
            style = _coloured(style, COLOURS[number % 10], front=number < 40)
        elif 90 <= number <= 107:
            style = _coloured(style, COLOURS[8 + number % 10], front=number < 100)
    return style


def _switched_on(style: Style, number: int) -> Style:
    return replace(
        style,
        bold=style.bold or number == 1,
        dim=style.dim or number == 2,
        reverse=style.reverse or number == 7,
    )


def _coloured(style: Style, colour: str, *, front: bool) -> Style:
    return replace(style, front=colour) if front else replace(style, back=colour)


def _extended(numbers: list[int]) -> str:
    """Take an indexed or direct colour from the front of ``numbers`` and return it."""
    if numbers.pop(0) == 2:
        return _hexadecimal(numbers.pop(0), numbers.pop(0), numbers.pop(0))
    index = numbers.pop(0)
    if index < 16:
        return COLOURS[index]
    if index >= 232:
        return _hexadecimal(*[8 + 10 * (index - 232)] * 3)
    cube = index - 16
    return _hexadecimal(STEPS[cube // 36], STEPS[cube // 6 % 6], STEPS[cube % 6])


def _hexadecimal(*levels: int) -> str:
    return "#" + "".join(f"{level:02x}" for level in levels)
