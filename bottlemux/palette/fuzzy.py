"""Which rows a few typed letters mean, the best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WHOLE = 100
_INSIDE = 60
_AT_WORD = 20
_LETTER_AT_WORD = 10
_MAX_GAP = 40
_SEPARATORS = " -_./"


def match(query: str, text: str) -> tuple[int, tuple[int, ...]] | None:
    """Return how well ``query`` fits ``text`` and the positions of its letters; ``None`` if it does not.

    Every word of the query has to occur, each with its letters in order. Case does not count.
    """
    folded = text.lower()
    score, positions = 0, set[int]()
    for word in query.lower().split():
        found = _match_word(word, folded)
        if found is None:
            return None
        score += found[0]
        positions.update(found[1])
    return score, tuple(sorted(positions))


def _match_word(word: str, text: str) -> tuple[int, Iterable[int]] | None:
    start = text.find(word)
    if start >= 0:
        at_word = _starts_word(text, start)
        whole = at_word and start + len(word) == len(text)
        score = (_WHOLE if whole else _INSIDE) + (_AT_WORD if at_word else 0) - min(start, _AT_WORD)
        return score, range(start, start + len(word))
    positions: list[int] = []
    for letter in word:
        start = text.find(letter, start + 1)
        if start < 0:
            return None
        positions.append(start)
    gap = positions[-1] - positions[0] - len(word) + 1
    starts = sum(1 for position in positions if _starts_word(text, position))
    return _MAX_GAP - min(gap, _MAX_GAP) + starts * _LETTER_AT_WORD, positions


def _starts_word(text: str, position: int) -> bool:
    return position == 0 or text[position - 1] in _SEPARATORS
