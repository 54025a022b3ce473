"""Giving a prompt to agents that run: pasted into their panes, submitted, and seen to be taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bottlemux.errors import BottlemuxError, NotFoundError, UsageError
from bottlemux.lifecycle.observing import read_activity
from bottlemux.lifecycle.status import collect
from bottlemux.session.prompting import plain_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bottlemux.lifecycle.context import Context
    from bottlemux.lifecycle.status import BottleStatus

MAX_BYTES = 256 * 1024
_AT_ONCE = 8
_AT_ITS_PROMPT = frozenset({"idle", "finished"})


def send_prompts(
    context: Context, slugs: Sequence[str], text: str, *, force: bool = False
) -> Iterator[tuple[str, str | BottlemuxError]]:
    """Submit ``text`` to the agents of ``slugs``, several at once; yield of each how it was taken, or why it was not.

    An agent that waits for the operator gets none unless ``force``: the Enter that submits a prompt would answer it.
    """
    check_text(text)
    rows = {row.slug: row for row in collect(context, slugs)}
    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(slugs)))) as pool:
        sending = [(slug, pool.submit(_send, context, rows[slug], text, force=force)) for slug in slugs]
        for slug, future in sending:
            try:
                yield slug, future.result()
            except BottlemuxError as error:
                yield slug, error


def obstacles(context: Context, slugs: Sequence[str]) -> dict[str, BottlemuxError | None]:
    """Return why each of ``slugs`` would get no prompt now; ``None`` for one that would get it."""
    return {row.slug: _obstacle(row) for row in collect(context, slugs)}


def check_text(text: str) -> None:
    """Raise a ``UsageError`` for a prompt that is empty or too large."""
    if not plain_prompt(text).strip():
        raise UsageError("the prompt is empty")
    if len(text.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        raise UsageError(
            f"the prompt is larger than {MAX_BYTES >> 10} KiB",
            hint="put it into a file of the project, and name it",
        )


def _send(context: Context, row: BottleStatus, text: str, *, force: bool) -> str:
    _check_ready(row, force=force)
    window = context.workspace.require(row.slug)
    pane = window.pane("agent")
    if pane is None or pane.dead:
        raise NotFoundError(
            f"no agent runs in the window of {row.slug}", hint=f"bottlemux resume {row.slug}", topic="state"
        )
    context.workspace.send_prompt(pane.pane_id, text, submitted=_reported(context, row))
    if row.state in _AT_ITS_PROMPT:
        return "handed over"
    return f"handed over; it was {row.state}, and may come to it later"


def _check_ready(row: BottleStatus, *, force: bool) -> None:
    obstacle = _obstacle(row)
    if obstacle is not None and not (force and row.state == "waiting"):
        raise obstacle


def _obstacle(row: BottleStatus) -> BottlemuxError | None:
    if row.state in {"exited", "broken"}:
        return NotFoundError(
            f"{row.slug} takes no prompt: {row.reason}", hint=f"bottlemux resume {row.slug}", topic="state"
        )
    if row.state == "waiting":
        return BottlemuxError(
            f"{row.slug} waits for you ({row.reason}): Enter would answer it",
            hint="answer it in its window first; bottlemux prompt --force submits all the same",
        )
    return None


def _reported(context: Context, row: BottleStatus) -> Callable[[str], bool] | None:
    """Return a look at what the program itself reports; ``None`` for one that reports nothing when it takes a prompt.

    A program at its prompt that reports its states says so when a prompt reached it; its screen may change by itself.
    """
    if row.source != "program" or row.state not in _AT_ITS_PROMPT:
        return None
    path = context.paths.bottle(row.slug).activity
    before = read_activity(path)
    return lambda _screen: read_activity(path) != before
